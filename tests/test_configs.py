import ast
import importlib
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import Registry

import rsc_mm.engine  # noqa: F401  registers the hooks and loops
from rsc_mm.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS, HOOKS, LOOPS, METRICS, MODELS, READOUTS, TASK_UTILS
from tests.test_tools.common import REPOSITORY

LEAVES = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / 'configs').rglob('*.py')
                if '_base_' not in path.parts)
FAMILIES = sorted({Path(*leaf.parts[:2]) for leaf in LEAVES})
PROJECT_LEAVES = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / 'projects').rglob('*.py')
                        if re.search(r'^_base_ = ', path.read_text(), re.M))
STAGE_TWO = [leaf for leaf in LEAVES if leaf.stem.startswith('r_sc_') and 'e2e' not in leaf.stem]
HOSTS = ('mmdet', 'mmseg')
read = cache(Config.fromfile)  # not to be changed by who reads it


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES, ids=str)
def test_every_type_resolves_and_the_model_builds(leaf):
    config = read(leaf)
    if config.default_scope in HOSTS:
        return assert_types_resolve_in(config.default_scope, config)
    registries = (DATA_SAMPLERS, DATASETS, FUNCTIONS, HOOKS, LOOPS, METRICS, MODELS, READOUTS, TASK_UTILS)
    parts = [config.model, config.get('train_dataloader'), config.get('val_dataloader'), config.get('test_dataloader'),
             config.get('val_evaluator'), config.get('test_evaluator'), config.get('custom_hooks'),
             config.get('train_cfg'), config.get('test_cfg')]
    for name in types_in(_plain(parts)):
        assert name == 'Pretrained' or any(registry.get(name) for registry in registries), name
    model = _plain(config.model)
    for part in (model, model.get('rla') or {}):
        if 'class_embeddings' in part:
            part['class_embeddings'] = torch.zeros(3, 4)
    with torch.device('meta'):
        built = MODELS.build(model)
    assert built.backbone.patch_size == built.data_preprocessor.patch_size
    if config.model.data_preprocessor.crop_size:
        assert built.backbone.image_size == config.model.data_preprocessor.crop_size


def test_images_are_normalised_as_their_tower_was_trained():
    expected = {'SigLIPViT': (0.5, 0.5), 'PECoreViT': (0.5, 0.5), 'DINOv2ViT': (0.485, 0.229)}
    found = set()
    for leaf in LEAVES + PROJECT_LEAVES:
        if kind := re.search('|'.join(expected), leaf.read_text()):
            fields = read(leaf).model.data_preprocessor
            assert (fields.mean[0], fields.std[0]) == expected[kind[0]], leaf
            found.add(kind[0])
    assert found == set(expected)


@pytest.mark.parametrize('leaf', STAGE_TWO, ids=str)
def test_stage_two_reads_what_its_command_writes(leaf):
    """The Refiner of an R-SC config is that of the stage 1 config that its message names: file, fields and tower."""
    second = _plain(read(leaf).model)
    init_cfg = second['refiner'].pop('init_cfg')
    command = re.search(r'configs/[\w/]+\.py', init_cfg['command'])[0]
    first = _plain(read(Path(command)).model)
    assert init_cfg['checkpoint'] == f'work_dirs/{Path(command).stem}/refiner.pth'
    assert first['type'] == 'RefinerTrainer' and Path(command).name in leaf.read_text()
    assert first['refiner'] == second['refiner'] and first['backbone'] == second['backbone']


def test_no_two_configs_share_a_work_directory():
    assert len({leaf.stem for leaf in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize('leaf', LEAVES, ids=str)
def test_leaves_are_short_and_tell_what_was_measured(leaf):
    text = leaf.read_text()
    assert len(text.splitlines()) <= 30
    assert re.search(r'^# Commands?:', text, re.M)
    assert re.search(r'^# Measured here: ', text, re.M)
    command = re.search(r'configs/[\w/]+\.py', text)[0]
    assert Path(command).exists() and leaf.as_posix() in text


def test_a_leaf_has_at_most_two_levels_of_inheritance():
    levels = {str(leaf): inheritance_levels(REPOSITORY / leaf) for leaf in LEAVES + PROJECT_LEAVES}
    assert not {leaf: depth for leaf, depth in levels.items() if depth > 2}
    assert all(len(leaf.read_text().splitlines()) <= 30 for leaf in PROJECT_LEAVES)


def test_a_computed_base_is_followed():
    pytest.importorskip('mmseg')
    assert inheritance_levels(REPOSITORY / 'projects/dropin_mmseg/upernet_vitb16.py') == 2


def test_datasets_do_not_inherit_from_each_other():
    datasets = sorted((REPOSITORY / 'configs/_base_/datasets').glob('*.py'))
    assert datasets and not [path.name for path in datasets if bases_of(path)]


@pytest.mark.parametrize('family', FAMILIES, ids=str)
def test_every_family_has_a_page_and_a_metafile_of_its_configs(family):
    assert (family / 'README.md').exists()
    content = yaml.safe_load((family / 'metafile.yml').read_text())
    assert {model['Config'] for model in content['Models']} == {str(leaf) for leaf in LEAVES if family in leaf.parents}


def test_one_setting_moves_the_data(monkeypatch):
    monkeypatch.setenv('COCO_ROOT', '/somewhere/coco')
    config = Config.fromfile('configs/clipself/region_text_vitb16_coco.py')
    text = json.dumps(_plain(config.model)) + json.dumps(_plain(config.train_dataloader))
    assert text.count('/somewhere/coco') == 2 and 'data/coco' not in text


def test_roots_of_the_data_are_environment_variables():
    default = re.compile(r'data/(coco|lvis_v1|shapes|creatures|cc3m|objects365v1|VOCdevkit|ade|cityscapes)\b')
    for path in [*(REPOSITORY / 'configs').rglob('*.py'), *(REPOSITORY / path for path in PROJECT_LEAVES)]:
        lines = [re.sub(r'\{\{\$\w+_ROOT:[^}]+\}\}', '', line) for line in path.read_text().splitlines()]
        assert not [line for line in lines if default.search(line) and not line.startswith('#')], path


@pytest.mark.parametrize('leaf, default, library', [
    ('configs/evaluation/region_classification_lvis_vitb16.py', 'data/coco', None),
    ('projects/dropin_mmdet/atss_vitb16.py', 'data/coco', 'mmdet'),
    ('projects/dropin_mmdet/dino_vitb16.py', 'data/coco', 'mmdet'),
    ('projects/dropin_mmdet/mask_rcnn_vitb16.py', 'data/coco', 'mmdet'),
    ('projects/dropin_mmseg/upernet_vitb16.py', 'data/ade', 'mmseg')])
def test_the_root_moves_all_data_of_a_configuration(leaf, default, library, monkeypatch):
    if library:
        pytest.importorskip(library)
    for variable in ('COCO_ROOT', 'ADE_ROOT'):
        monkeypatch.setenv(variable, '/somewhere/else')
    config = Config.fromfile(leaf)
    parts = [config.get(f'{part}_{kind}') for part in ('train', 'val', 'test') for kind in ('dataloader', 'evaluator')]
    text = json.dumps(_plain(parts))
    assert '/somewhere/else' in text and default not in text


def test_a_root_has_one_default():
    """The same variable means the same folder in every configuration."""
    defaults = {}
    for path in [*(REPOSITORY / 'configs').rglob('*.py'), *(REPOSITORY / path for path in PROJECT_LEAVES)]:
        for name, default in re.findall(r'\{\{\$(\w+_ROOT):([^}]+)\}\}', path.read_text()):
            defaults.setdefault(name, set()).add(default)
    assert defaults['COCO_ROOT'] == {'data/coco'}
    assert not {name: found for name, found in defaults.items() if len(found) > 1}


def test_import_pulls_no_host_library():
    from tests.test_tools.common import run_tool
    code = ('import sys, rsc_mm, rsc_mm.models, rsc_mm.datasets, rsc_mm.evaluation, rsc_mm.engine, '
            'rsc_mm.apis; '
            "print([m for m in ('mmdet', 'mmseg', 'mmcv') if m in sys.modules])")
    assert run_tool(['-W', 'ignore', '-c', code]).strip().endswith('[]')


def bases_of(path: Path) -> list[Path]:
    """The files that a config names in ``_base_``, where it computes them, as MMEngine does, too."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            try:
                value = eval(ast.unparse(node.value))  # noqa: S307
            except ImportError:  # the host library is not installed: the base counts, and is not followed
                value = ast.unparse(node.value)
            names += [value] if isinstance(value, str) else value
    return [_base_path(path, name) for name in names]


def _base_path(path: Path, name: str) -> Path:
    library, _, rest = name.rpartition('::')
    spec = importlib.util.find_spec(library) if library else None
    return Path(spec.origin).parent / '.mim/configs' / rest if spec else path.parent / name


def inheritance_levels(path: Path) -> int:
    """Length of the longest chain of ``_base_`` that starts at a config: 0 without, 1 if its bases have none."""
    bases = bases_of(path) if path.exists() else []
    return 1 + max(inheritance_levels(base) for base in bases) if bases else 0


def _plain(part: object) -> object:
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    return [_plain(value) for value in part] if isinstance(part, (list, tuple)) else part


def types_in(part: object) -> list[str]:
    """Every value of a key ``type``, at any depth."""
    if isinstance(part, dict):
        own = [part['type']] if isinstance(part.get('type'), str) else []
        return own + [name for value in part.values() for name in types_in(value)]
    return [name for value in part for name in types_in(value)] if isinstance(part, (list, tuple)) else []


def assert_types_resolve_in(scope: str, config: Config) -> None:
    """Every type of a detection or segmentation config is in that library's registries, or is one of mmcv's ops."""
    pytest.importorskip(scope)
    ops = importlib.import_module('mmcv.ops')
    importlib.import_module(f'{scope}.utils').register_all_modules(init_default_scope=False)
    known = importlib.import_module(f'{scope}.registry')
    registries = [value for value in vars(known).values() if isinstance(value, Registry)]
    for name in types_in(_plain(config._cfg_dict.to_dict())):
        assert any(registry.get(name) for registry in registries) or hasattr(ops, name), name
