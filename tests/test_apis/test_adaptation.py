import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import rsc_mm
from rsc_mm.apis.adaptation import Settings, adapt, plan_training, read_images, split_images
from rsc_mm.apis.adaptation.adapt import SETTINGS, check_folder, note, read_names
from rsc_mm.apis.adaptation.measures import Measured, Measurement, Texts, choose_alpha
from rsc_mm.apis.adaptation.recipe import RECIPES, SMALL_RECIPES, Recipe, refiner_fields
from rsc_mm.apis.adaptation.towers import describe_tower
from rsc_mm.datasets import RegionDataset
from rsc_mm.utils.checkpoint import CheckpointError
from rsc_mm.utils.tables import write_json
from tests.test_tools.common import REPOSITORY, run_tool

CLIP = str(REPOSITORY / 'projects/shapes_clip/shapes_clip.pt')


@pytest.fixture
def folder(tmp_path):
    """12 images of two sizes, one in a sub-folder."""
    rng = np.random.default_rng(0)
    root = tmp_path / 'images'
    (root / 'more').mkdir(parents=True)
    for i in range(12):
        pixels = rng.integers(0, 256, (48, 64 if i % 2 else 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / ('more' if i == 0 else '') / f'{i:02}.png')
    return root


def boxes_of(names, path, empty=()):
    images = [dict(id=i, file_name=name, height=48, width=64 if i % 2 else 80) for i, name in enumerate(names)]
    annotations = [dict(id=i, image_id=i, bbox=[4, 6, 20, 30]) for i in range(len(names)) if i not in empty]
    path.write_text(json.dumps(dict(images=images, annotations=annotations)))
    return path


def names_in(folder):
    return [f'{"more/" if i == 0 else ""}{i:02}.png' for i in range(12)]


def test_length_and_rate_by_hand():
    recipe = Recipe('x.py', batch=16, steps=40000)
    plan = plan_training(recipe, 1e-5, images=48, batch=4)
    assert (plan.epochs, plan.steps, plan.warm_up) == (42, 504, 25)  # 12 steps an epoch, 500 / 12 = 41.7
    assert plan.lr == pytest.approx(1e-5 * 0.5 * (40000 / 504)**0.5)
    assert plan_training(recipe, 1e-5, 48, 4, epochs=1).lr == pytest.approx(1e-5 * 0.5 * 10)  # capped at ten times
    large = plan_training(recipe, 1e-5, 160000, 16)
    assert (large.epochs, large.steps) == (6, 60000) and large.lr == pytest.approx(1e-5)  # longer: not below
    assert plan_training(recipe, 1e-5, 10, 4).epochs == 50
    with pytest.raises(ValueError, match='--lr: found 0, expected a positive number'):
        plan_training(recipe, 1e-5, 48, 4, chosen_lr=0)
    chosen = plan_training(recipe, 1e-5, 48, 4, chosen_lr=0.25)
    assert chosen.lr == 0.25 and 'as given by --lr' in chosen.rule


@pytest.mark.parametrize('images', [1, 2, 7])
def test_a_warm_up_always_ends_before_the_training(images):
    plan = plan_training(SMALL_RECIPES['clipself'], 1e-3, images, 4, epochs=1)
    assert 0 <= plan.warm_up < plan.steps == -(-images // 4)


def test_the_papers_refiners_come_out_of_one_rule():
    for depth, width, expected in ((12, 768, (4, (4, 7), 4096)), (24, 1024, (6, (9, 14), 4096)),
                                   (6, 192, (2, (2, 3), 1024))):
        found = refiner_fields(SimpleNamespace(depth=depth, width=width, num_prefix_tokens=1))
        assert (found['num_blocks'], found['inter_layers'], found['hidden_dims']) == expected
    assert not refiner_fields(SimpleNamespace(depth=12, width=768, num_prefix_tokens=0))['region_token']


def test_every_recipe_is_a_configuration():
    for recipe in (*RECIPES.values(), *SMALL_RECIPES.values()):
        assert (REPOSITORY / 'configs' / recipe.config).is_file()


def test_every_fifth_image_is_held_out(folder, tmp_path):
    images = split_images(read_images(folder), tmp_path)
    assert images.counts == (10, 2) and not images.boxes
    parts = [json.loads(path.read_text()) for path in (images.train, images.held_out)]
    named = [{image['file_name'] for image in part['images']} for part in parts]
    assert named[0] | named[1] == set(names_in(folder)) and not named[0] & named[1]
    assert all((image['height'], image['width']) in ((48, 64), (48, 80)) for image in parts[0]['images'])


def test_boxes_go_with_their_images_and_others_are_left_out(folder, tmp_path):
    entries = read_images(folder, boxes_of(names_in(folder), tmp_path / 'boxes.json', empty=(3, )))
    images = split_images(entries, tmp_path, True)
    assert images.counts == (9, 2) and images.boxes
    train = json.loads(images.train.read_text())
    assert '03.png' not in {image['file_name'] for image in train['images']}
    assert [row['bbox'] for row in train['annotations']] == [[4, 6, 20, 30]] * 9


def test_bad_images_and_boxes_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"boxes\.json: found 1 of 2 images that are not .*\['cat\.png'\] first"):
        read_images(folder, boxes_of(['01.png', 'cat.png'], tmp_path / 'boxes.json'))
    with pytest.raises(ValueError, match='found 1 images with boxes, expected at least 10'):
        read_images(folder, boxes_of(['01.png'], tmp_path / 'boxes.json'))
    (folder / '05.png').write_bytes((folder / '05.png').read_bytes()[:200])
    with pytest.raises(ValueError, match=r'(?s)found 1 of 12 images that cannot be read.*05\.png'):
        read_images(folder)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty: found no image file'):
        read_images(tmp_path / 'empty')


def test_bad_names_name_their_file(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('\n \n')
    with pytest.raises(ValueError, match=r'--names .*names\.txt: '):
        read_names(str(path))
    path.write_text('dog; puppy\ncat\ndog\n')
    with pytest.raises(ValueError, match=r"--names .*names\.txt: classes: found \['dog'\] twice"):
        read_names(str(path))


def test_a_folder_of_another_run_is_refused(tmp_path):
    settings = Settings('images', str(tmp_path / 'out'), CLIP)
    check_folder(settings)
    write_json(tmp_path / 'out' / SETTINGS, note(settings))
    check_folder(settings)
    with pytest.raises(ValueError, match=r"holds a run of other settings: \{'batch': 4\}, asked for \{'batch': 8\}"):
        check_folder(Settings('images', str(tmp_path / 'out'), CLIP, batch=8))
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'thesis.tex').touch()
    with pytest.raises(ValueError, match=r'found something that is no run of tools/adapt\.py'):
        check_folder(Settings('images', str(tmp_path / 'other'), CLIP))


def test_towers_say_what_they_are_or_a_configuration_does(tmp_path):
    assert describe_tower(CLIP).image_size == 128 and describe_tower(CLIP, image_size=64).image_size == 64
    named = describe_tower('open_clip::EVA02-B-16/merged2b_s8b_b131k')
    assert named.backbone['arch'] == 'eva02_base_patch16_clip_224' and named.image_size == 1024
    with pytest.raises(ValueError, match="found the model 'RN50', expected one of .*--config CONFIG"):
        describe_tower('open_clip::RN50/openai')
    torch.save({'x': torch.zeros(1)}, tmp_path / 'x.pt')
    with pytest.raises(CheckpointError, match='give that configuration by --config'):
        describe_tower(str(tmp_path / 'x.pt'))


def test_the_share_that_agrees_best_and_keeps_retrieval():
    found = [Measured(0., 10., 100.), Measured(.5, 40., 95.), Measured(.7, 50., 91.), Measured(1., 60., 80.)]
    assert choose_alpha(found) is found[2]
    assert choose_alpha([found[0], found[3], Measured(.3, 20., 85.)]).alpha == .3


class Shifted(torch.nn.Module):
    """A tower of colours: an image's embedding is its mean; the dense map may name every region alike."""

    patch_size = 8

    def __init__(self, lost: bool) -> None:
        super().__init__()
        self.lost = lost

    def encode_image(self, images, normalize):
        return F.normalize(images.mean((2, 3)), dim=1)

    def encode_dense(self, images):
        dense = F.avg_pool2d(images, self.patch_size)
        return torch.eye(3)[0].view(1, 3, 1, 1).expand_as(dense) if self.lost else dense


def test_agreement_by_hand(tmp_path):
    """Four images of red, red, green, blue: a map that names all of them red agrees with half of the crops."""
    colours = ((255, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    for i, colour in enumerate(colours):
        Image.new('RGB', (32, 32), colour).save(tmp_path / f'{i}.png')
    fields = dict(type='RegionPreprocessor', image_size=32, crop_size=32, patch_size=8, mean=(0, 0, 0), std=(1, 1, 1))
    data = RegionDataset(dict(type='GridRegions', max_split=1), img_prefix=str(tmp_path))
    texts = Texts(['red', 'green', 'blue'], torch.eye(3), torch.arange(3))
    measurement = Measurement(Shifted(False), fields, data, data, texts)
    assert measurement.measure(Shifted(False), 0.) == Measured(0., 100., 100., 50.)
    assert measurement.measure(Shifted(True), 1.) == Measured(1., 50., 100., 50.)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['clipself', 'r_sc'])
def test_from_a_folder_to_a_tower_that_loads(folder, tmp_path, monkeypatch, method):
    monkeypatch.chdir(REPOSITORY)
    settings = Settings(str(folder), str(tmp_path / 'out'), CLIP, method=method, epochs=1, image_size=64)
    text = adapt(settings).read_text()
    assert '| original | ' in text and '(chosen)' in text and '10 trained on, 2 held out, grid cells' in text
    assert {'pictures.png', 'tower.safetensors', 'training.py', 'train.json'} <= {
        path.name for path in (tmp_path / 'out').iterdir()}
    assert (tmp_path / 'out/training/report.md').is_file()
    assert (tmp_path / 'out/refiner/refiner.pth').is_file() == (method == 'r_sc')
    code = text.split('```python')[1].split('```')[0].replace('photo.jpg', str(folder / '01.png'))
    monkeypatch.chdir(tmp_path)
    exec(code, {'rsc_mm': rsc_mm})
    assert (tmp_path / 'map.png').is_file()


def test_the_tool_ends_in_one_line(folder, tmp_path):
    found = run_tool(['tools/adapt.py', str(tmp_path / 'none'), '--out', str(tmp_path / 'out'), '--clip', CLIP], 1)
    assert 'none: found no such folder' in found and 'Traceback' not in found
    assert not (tmp_path / 'out').exists()
