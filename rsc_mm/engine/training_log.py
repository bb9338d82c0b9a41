"""What a training logged, over all its interruptions."""
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NOT_METRICS = ('step', 'data_time', 'time')


@dataclass
class TrainingLog:
    """Figures that MMEngine's LocalVisBackend wrote.

    Attributes:
        steps: rows of training in the order of their ``step``: losses, ``lr``, ``time`` (s), ``padding`` (0..1) ...
        validations: the metrics of each validation by name.
        validated_at: the logged step before each validation.
    """

    steps: list[Row] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)
    validated_at: list[int] = field(default_factory=list)

    def curve(self, key: str) -> tuple[list[int], list[float]]:
        """Steps and values of one figure of training, where it was logged.

        Args:
            key: such as 'loss'.
        """
        found = [(row['step'], row[key]) for row in self.steps if isinstance(row.get(key), (int, float))]
        return [step for step, _ in found], [value for _, value in found]

    def metric(self, key: str) -> tuple[list[int], list[float]]:
        """Steps and values of one metric of validation.

        Args:
            key: name of the metric.
        """
        found = [(step, row[key]) for step, row in zip(self.validated_at, self.validations) if key in row]
        return [step for step, _ in found], [value for _, value in found]


def read_training_log(work_dir: str | Path) -> TrainingLog:
    """Joins the logs of a work directory: what a resumed training did again replaces what was logged before.

    Args:
        work_dir: of MMEngine.

    Raises:
        ValueError: a line, other than a last one that was cut by a kill, is no json.
    """
    log = TrainingLog()
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for row in _rows(path):
            if 'loss' in row:
                if log.steps and row['step'] <= log.steps[-1]['step']:
                    _forget(log, row['step'])
                log.steps.append(row)
            elif 'step' in row:
                log.validations.append({key: value for key, value in row.items()
                                        if key not in NOT_METRICS and isinstance(value, (int, float))})
                log.validated_at.append(log.steps[-1]['step'] if log.steps else 0)
    return log


def _rows(path: Path) -> list[Row]:
    lines, rows = path.read_text().splitlines(), []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise ValueError(f'{path}, line {number}: found {line[:80]!r}, expected one json object a line, as '
                                 "MMEngine's LocalVisBackend writes") from error
    return rows


def _forget(log: TrainingLog, step: int) -> None:
    """Removes what was logged at or after a step."""
    kept = sum(at < step for at in log.validated_at)
    log.steps = [row for row in log.steps if row['step'] < step]
    log.validations, log.validated_at = log.validations[:kept], log.validated_at[:kept]
