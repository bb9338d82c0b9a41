import pytest

from rsc_mm.apis import load_config, load_runner_config
from tests.test_tools.common import REPOSITORY

CONFIG = REPOSITORY / 'configs/shapes/region_classification.py'


def test_overrides_and_work_directory(tmp_path):
    config = load_config(CONFIG, {'test_dataloader.batch_size': 3})
    assert config.test_dataloader.batch_size == 3
    assert load_runner_config(CONFIG).work_dir == 'work_dirs/region_classification'
    assert load_runner_config(str(CONFIG), work_dir=str(tmp_path)).work_dir == str(tmp_path)
    assert load_runner_config(CONFIG, {'work_dir': 'mine'}, launcher='none').work_dir == 'mine'


def test_no_workers_are_not_kept():
    config = load_runner_config(CONFIG, {'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': True})
    assert config.test_dataloader.persistent_workers is False
    config = load_runner_config(CONFIG, {'test_dataloader.num_workers': 1, 'test_dataloader.persistent_workers': True})
    assert config.test_dataloader.persistent_workers is True


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='configuration nothing.py: no such file'):
        load_config('nothing.py')
    with pytest.raises(IsADirectoryError, match='found a folder, expected a file such as configs/'):
        load_config(tmp_path)


def test_no_tool_imports_another():
    names = {path.stem for path in (REPOSITORY / 'tools').rglob('*.py')}
    for path in (REPOSITORY / 'tools').rglob('*.py'):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (['from'], ['import']):
                assert words[1].partition('.')[0] not in names, f'{path}: {line}'
