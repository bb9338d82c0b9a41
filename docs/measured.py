"""Numbers of the metafiles in tables, so that a measured number is written once.

  python docs/measured.py     writes the cells of the families' pages anew, after a metafile has changed

A result of ``configs/*/metafile.yml`` holds ``Metrics`` (null: not measured) and where they are known ``Deviations``
(standard deviations over the seeds), ``Per seed`` and ``Seeds``. Two comments place it on a page:

* ``<!-- cells: boxes_top1, *, -, seeds -->`` above a table of a family's README: what each column after the first holds
  of the configuration that the row's first cell names; ``*`` is all metrics of its first result, ``-`` is written by
  hand. Rows that name no configuration are left alone. Cells are written into the file, for those who read it there.
* ``<!-- measured: shapes/clipself_*.py rsc/*.py -->`` on any page: a table of what was measured of these
  configurations, made when the site is built.
"""
import fnmatch
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from rsc_mm.utils.tables import markdown_table

ROOT = Path(__file__).parents[1]
CELLS = re.compile(r'<!-- cells: (?P<spec>.+?) -->\n+(?P<head>\|.+\n\|.+\n)(?P<rows>(?:\|.*\n)+)')
MEASURED = re.compile(r'<!-- measured: (.+?) -->')
DIGITS = dict(coupling_ratio=2, coupling_ratio_of_means=2, segment_auc=3)  # everything else is in percent, with one


@lru_cache
def results() -> dict[str, list[dict[str, Any]]]:
    """The results of every configuration, by its path within configs/."""
    files = [yaml.safe_load(path.read_text(encoding='utf-8')) for path in sorted(ROOT.glob('configs/*/metafile.yml'))]
    return {model['Config'].removeprefix('configs/'): model['Results'] for file in files for model in file['Models']}


def figure(result: dict[str, Any], metric: str) -> str:
    """A metric with its deviation or its single seeds; empty where the result has none of that name."""
    if metric == 'seeds':
        return ', '.join(map(str, result.get('Seeds', [])))
    if metric not in result['Metrics']:
        return ''
    mean = result['Metrics'][metric]
    if mean is None:
        return 'not measured'
    digits = DIGITS.get(metric, 1)
    deviation, singles = result.get('Deviations', {}).get(metric), result.get('Per seed', {}).get(metric)
    spread = f' ± {deviation:.{digits}f}' if deviation is not None else ''
    return f'{mean:.{digits}f}{spread}' + (f' ({", ".join(f"{x:.{digits}f}" for x in singles)})' if singles else '')


def fill(text: str, family: str) -> str:
    """A family's page with the cells of its metafile.

    Args:
        text: Markdown.
        family: folder within configs/.
    """
    return CELLS.sub(lambda match: _filled(match, family), text)


def _filled(match: re.Match, family: str) -> str:
    spec = [column.strip() for column in match['spec'].split(',')]
    rows = ''.join(_filled_row(line, spec, family) + '\n' for line in match['rows'].splitlines())
    return match[0][:match.start('rows') - match.start()] + rows


def _filled_row(line: str, spec: list[str], family: str) -> str:
    cells = line.strip('|').split('|')
    name = re.search(r'`(\w+\.py)`', cells[0])
    if not name:
        return line
    if len(spec) != len(cells) - 1:
        raise ValueError(f'configs/{family}/README.md: found {len(cells) - 1} cells after the first in the row of '
                         f'{name[1]}, expected {len(spec)}, one for each column of the comment `cells` above')
    found = _result(f'{family}/{name[1]}', [metric for metric in spec if metric not in ('*', '-')])
    values = [_cell(found, metric) if metric != '-' else cell.strip() for metric, cell in zip(spec, cells[1:])]
    return f'|{cells[0]}|' + ''.join(f' {value} |' if value else ' |' for value in values)


def _result(config: str, metrics: list[str]) -> dict[str, Any]:
    if config not in results():
        raise ValueError(f'configs/{config}: found in a table of its README, expected in the metafile.yml beside it')
    fitting = [result for result in results()[config] if not metrics or metrics[0] in result['Metrics']]
    return fitting[0] if fitting else {'Metrics': {}}


def _cell(result: dict[str, Any], metric: str) -> str:
    if metric != '*':
        return figure(result, metric)
    found = [figure(result, name) for name in result['Metrics']]
    return 'not measured' if set(found) <= {'not measured'} else ' / '.join(found)


def measured_tables(markdown: str) -> str:
    """A page with the tables that its comments ``measured`` ask for."""
    return MEASURED.sub(lambda match: _table(match[1].split()), markdown)


def _table(patterns: list[str]) -> str:
    known = results()
    missing = [pattern for pattern in patterns if not fnmatch.filter(known, pattern)]
    if missing:
        raise ValueError(f'<!-- measured: -->: no configuration of a metafile is {missing}')
    named = [(name, result) for name, found in known.items() if any(fnmatch.fnmatch(name, p) for p in patterns)
             for result in found if any(value is not None for value in result['Metrics'].values())]
    kinds = dict.fromkeys((result['Task'], result['Dataset']) for _, result in named)
    tables = [f'**{task}, {data}**\n\n' + _one_table([pair for pair in named if pair[1]['Task'] == task
                                                      and pair[1]['Dataset'] == data]) for task, data in kinds]
    return '\n\n'.join(tables) or 'Not measured.'


def _one_table(named: list[tuple[str, dict[str, Any]]]) -> str:
    metrics = [*dict.fromkeys(metric for _, result in named for metric in result['Metrics']), 'seeds']
    rows = [[f'`configs/{name}`', *(figure(result, metric) for metric in metrics)] for name, result in named]
    return markdown_table(['', *(metric.replace('_', ' ') for metric in metrics)], rows)


def main() -> None:
    """Write the cells of all families' pages."""
    for path in sorted(ROOT.glob('configs/*/README.md')):
        text = path.read_text(encoding='utf-8')
        if (filled := fill(text, path.parent.name)) != text:
            path.write_text(filled, encoding='utf-8')
            print(f'wrote {path.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
