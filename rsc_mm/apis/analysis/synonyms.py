"""How much a result depends on the very names of the classes."""
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config, ConfigDict

from rsc_mm.apis.config import load_runner_config
from rsc_mm.apis.evaluation import evaluate
from rsc_mm.models.text import read_aliases


def synonym_robustness(config: str | Path, checkpoint: str, names: str | Path | Mapping[str, str],
                       options: dict | None = None, work_dir: str | None = None,
                       launcher: str = 'none') -> dict[str, tuple[float, float]]:
    """Metrics of an evaluation with the classes' own names and with others; labels and weights stay.

    Args:
        config: configuration of an evaluation: region classification, segmentation or detection.
        checkpoint: weights, as `evaluate` takes them.
        names: other names, as `read_aliases` takes them, such as 'coco_panoptic_synonyms'; classes that it does not
            name keep theirs.
        options: overrides by dotted key.
        work_dir: see `load_runner_config`.
        launcher: likewise.

    Returns:
        For each metric its value with the own names and with the others.

    Raises:
        ValueError: there are no other names, or the configuration makes no class embeddings from names.
    """
    aliases = read_aliases(names)
    if not aliases:
        raise ValueError(f"names {names}: found no 'aliases', expected a .json file with 'aliases' (class -> other "
                         "name), such as the vocabulary 'coco_panoptic_synonyms'")
    own = evaluate(load_runner_config(config, options, work_dir, launcher), checkpoint)
    renamed = load_runner_config(config, options, work_dir)  # the processes' group is made once
    renamed.launcher = launcher
    renamed.experiment_name = 'other_names'  # MMEngine names a run by the second in which it starts: two may share one
    if not rename_classes(renamed._cfg_dict, aliases):
        raise ValueError(f"configuration {config}: found no 'class_embeddings' with a text tower and no vocabulary to "
                         'rename; expected one that makes embeddings from names, not one that reads a file of them')
    other = evaluate(renamed, checkpoint)
    return {name: (value, other[name]) for name, value in own.items()}


def rename_classes(part: object, aliases: Mapping[str, str]) -> int:
    """Puts other names into a configuration.

    Args:
        part: the configuration, or a part; changed in place.
        aliases: other name of a class.

    Returns:
        Number of places that took them.
    """
    if isinstance(part, (list, tuple)):
        return sum(rename_classes(value, aliases) for value in part)
    if not isinstance(part, (dict, Config)):
        return 0
    changed = sum(rename_classes(value, aliases) for value in part.values())
    spec = part.get('class_embeddings')
    if isinstance(spec, dict) and 'text_encoder' in spec:
        spec['aliases'] = ConfigDict({**read_aliases(spec.get('aliases')), **aliases})
        changed += 1
    if part.get('type') in ('VocabularyEncoder', 'rsc_mm.VocabularyEncoder'):
        part['aliases'] = ConfigDict({**read_aliases(part.get('aliases')), **aliases})
        changed += 1
    return changed
