"""The site: its examples run, its commands fit their configurations, its numbers are those of the metafiles."""
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from mmengine.config import DictAction

from rsc_mm.apis import load_config
from tests.test_tools.common import REPOSITORY

PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / 'docs').rglob('*.md'))
FAMILIES = sorted(path.parent.name for path in REPOSITORY.glob('configs/*/metafile.yml'))
CONFIGURATIONS = 'docs/howto/backbone.md'  # built in tests/test_setup.py
EXPORTED = 'docs/export.md'  # reads what its command writes: tests/test_apis/test_export covers it at less cost


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', (REPOSITORY / page).read_text(), re.M | re.S)


def module(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f'docs/{name}.py')
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder to write into, with the repository's around."""
    for name in ('configs', 'projects', 'docs'):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('page', [page for page in PAGES if page not in (CONFIGURATIONS, EXPORTED)
                                  and blocks(page, 'python')])
def test_the_python_of_a_page_runs(page, folder, capsys):
    names: dict = {}
    for block in blocks(page, 'python'):
        exec(compile(block, page, 'exec'), names)  # noqa: S102
    printed = capsys.readouterr().out
    for promised in re.findall(r'^print\(.*\) +# (\S.*)$', '\n'.join(blocks(page, 'python')), re.M):
        assert promised.partition(':')[0] in printed.replace('torch.Size([', '(').replace('])', ')')


def test_start_writes_the_pictures_it_names(folder):
    exec(compile(blocks('docs/start.md', 'python')[0], 'start.md', 'exec'), {})  # noqa: S102
    assert all((folder / name).stat().st_size > 1000 for name in ('map.png', 'affinity.png'))


@pytest.mark.parametrize('page', [*PAGES, 'README.md', *(f'configs/{family}/README.md' for family in FAMILIES)])
def test_the_options_of_commands_are_fields_of_their_configurations(page, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for command in re.findall(r'^(?:python|bash) tools/(?:dist_)?(?:train|test)\.(?:py|sh) (.*)$',
                              '\n'.join(blocks(page, 'bash')).replace('\\\n', ' '), re.M):
        words = shlex.split(command, comments=True)
        if '$' in words[0] or '--cfg-options' not in words or not words[0].endswith('.py'):
            continue
        options = [word for word in words[words.index('--cfg-options') + 1:] if '=' in word]
        pairs = dict(option.split('=', 1) for option in options)
        assert load_config(words[0], {key: DictAction._parse_iterable(value) for key, value in pairs.items()})


class TestMeasured:

    @pytest.fixture
    def measured(self) -> ModuleType:
        return module('measured')

    @pytest.mark.parametrize('family', FAMILIES)
    def test_cells_of_a_family_are_those_of_its_metafile(self, measured, family):
        page = (REPOSITORY / 'configs' / family / 'README.md').read_text()
        assert measured.fill(page, family) == page, 'run: python docs/measured.py'

    def test_a_figure_has_its_deviation_or_its_seeds(self, measured):
        result = {'Metrics': {'boxes_top1': 71.06, 'coupling_ratio': 1., 'AP50_base': 79.15, 'mIoU': None},
                  'Deviations': {'boxes_top1': .5, 'coupling_ratio': .004}, 'Per seed': {'AP50_base': [77.7, 80.6]},
                  'Seeds': [0, 1]}
        assert measured.figure(result, 'boxes_top1') == '71.1 ± 0.5'
        assert measured.figure(result, 'coupling_ratio') == '1.00 ± 0.00'
        assert measured.figure(result, 'AP50_base') == '79.2 (77.7, 80.6)'
        assert measured.figure(result, 'mIoU') == 'not measured' and measured.figure(result, 'mAcc') == ''
        assert measured.figure(result, 'seeds') == '0, 1'

    def test_cells_are_filled_and_hands_are_left_alone(self, measured, monkeypatch):
        found = {'new/a.py': [{'Metrics': {'x': 1., 'y': 2.5}}], 'new/b.py': [{'Metrics': {'x': None, 'y': None}}]}
        monkeypatch.setattr(measured, 'results', lambda: found)
        page = ('<!-- cells: -, y, * -->\n| | p | y | all |\n|---|---|---|---|\n| A, `a.py` | 7 | ? | ? |\n'
                '| `b.py` | 8 | ? | ? |\n| by hand | ? | ? | ? |\n\ntext\n')
        rows = measured.fill(page, 'new').splitlines()[3:6]
        assert rows == ['| A, `a.py` | 7 | 2.5 | 1.0 / 2.5 |', '| `b.py` | 8 | not measured | not measured |',
                        '| by hand | ? | ? | ? |']

    def test_bad_tables_are_named(self, measured, monkeypatch):
        monkeypatch.setattr(measured, 'results', lambda: {'new/a.py': [{'Metrics': {'x': 1.}}]})
        head = '<!-- cells: x -->\n| | x |\n|---|---|\n'
        with pytest.raises(ValueError, match=r'new/README\.md: found 2 cells after the first in the row of a\.py'):
            measured.fill(head + '| `a.py` | 1 | 2 |\n', 'new')
        with pytest.raises(ValueError, match=r'configs/new/c\.py: found in a table of its README, expected in the'):
            measured.fill(head + '| `c.py` | 1 |\n', 'new')
        with pytest.raises(ValueError, match=r"no configuration of a metafile is \['old/\*'\]"):
            measured.measured_tables('<!-- measured: old/* -->')

    def test_a_page_gets_its_tables(self, measured, monkeypatch):
        result = {'Task': 'Naming', 'Dataset': 'Toys', 'Metrics': {'top_1': 12.}, 'Seeds': [3]}
        unmeasured = {**result, 'Metrics': {'top_1': None}}
        monkeypatch.setattr(measured, 'results', lambda: {'n/a.py': [result], 'n/b.py': [unmeasured]})
        table = measured.measured_tables('<!-- measured: n/*.py -->')
        assert table == '**Naming, Toys**\n\n|  | top 1 | seeds |\n| --- | --- | --- |\n| `configs/n/a.py` | 12.0 | 3 |'
        assert measured.measured_tables('<!-- measured: n/b.py -->') == 'Not measured.'


@pytest.mark.skipif(not importlib.util.find_spec('mkdocs'), reason='mkdocs is not installed: the extra [docs]')
class TestHooks:

    @pytest.fixture
    def hooks(self, monkeypatch) -> ModuleType:
        monkeypatch.syspath_prepend(REPOSITORY / 'docs')
        yield module('hooks')
        sys.modules.pop('measured', None)

    @pytest.mark.parametrize('link, beside_code, expected', [
        ('../../configs/rsc/README.md', False, '../configs/rsc/README.md'), ('../README.md', False, 'README.md'),
        ('../towers.md', False, '../towers.md'), ('docs/creatures.png', True, 'creatures.png'),
        ('../../docs/towers.md', True, '../../towers.md'), ('../shapes/README.md', True, '../shapes/README.md')])
    def test_links_of_the_repository_become_those_of_the_site(self, hooks, link, beside_code, expected):
        assert hooks.site_link(link, beside_code) == expected

    def test_pages_that_nobody_lists_are_in_their_section(self, hooks):
        nav = [{'Tasks': [{'Detection': 'configs/fvit/README.md'}]}, {'Projects': []}]
        tasks, projects = (next(iter(item.values())) for item in hooks.on_config(SimpleNamespace(nav=nav)).nav)
        assert 'configs/fvit/README.md' not in tasks and 'configs/catseg/README.md' in tasks
        assert 'projects/shapes_clip/README.md' in projects

    def test_equations_become_mathml(self, hooks):
        content = hooks.on_page_content(r'<p><span class="arithmatex">\(a &lt; b\)</span></p>', None, None, None)
        assert content.startswith('<p><math') and '<mi>a</mi><mo>&#x0003C;</mo><mi>b</mi>' in content

    def test_equations_of_docstrings(self):
        text = 'One.\n\n    .. math:: a = b,\n              c\n\n    With :math:`d`.'
        assert module('docstrings').to_markdown(text) == 'One.\n\n    $$ a = b, c $$\n\n    With $d$.'

    def test_tables_of_docstrings(self):
        to_markdown = module('docstrings').to_markdown
        head, body = '=== ====\na   b\n=== ====\n', '1   x | y\n.pt     z\n=== ===='
        assert to_markdown(head + body) == '| a | b |\n| --- | --- |\n| 1 | x \\| y |\n| .pt | z |'
        assert to_markdown('=== ====\n' + body) == '|  |  |\n| --- | --- |\n| 1 | x \\| y |\n| .pt | z |'


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::ResourceWarning')  # jupyter's own
@pytest.mark.skipif(not importlib.util.find_spec('nbclient'), reason='nbclient is not installed: the extra [docs]')
@pytest.mark.parametrize('path', sorted(REPOSITORY.glob('projects/notebooks/*.ipynb')), ids=lambda path: path.name)
def test_the_notebook_runs(path, folder, monkeypatch):
    import nbformat
    from nbclient import NotebookClient
    monkeypatch.setenv('PYTHONPATH', str(REPOSITORY))
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=120, resources={'metadata': {'path': str(folder)}}).execute()
    printed = ''.join(output.get('text', '') for cell in notebook.cells for output in cell.get('outputs', []))
    assert 'heart' in printed and '(128, 16, 16) (128,) 1.0' in printed
    assert all((folder / f'work_dirs/notebook_{name}.png').stat().st_size > 1000 for name in ('map', 'affinity'))
