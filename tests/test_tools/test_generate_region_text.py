import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from rsc_mm.apis.command_line import run_tool
from rsc_mm.apis.region_text import Matcher
from rsc_mm.datasets import RegionDataset
from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD
from rsc_mm.models.text import CLIPTextEncoder, class_embeddings, read_class_names
from rsc_mm.utils.checkpoint import export_state_dict
from tests.towers import GOLDEN_ARCH, tiny_eva

TOOL = Path(__file__).parents[2] / 'tools' / 'data' / 'generate_region_text.py'
TEXT = {'embed_dim': 24, 'context_length': 24, 'width': 16, 'heads': 2, 'layers': 2}
NOUNS = ['dog', 'cat', 'red car', 'tree', 'wall', 'sky', 'boat', 'hat']
SIZES = [(48, 64), (80, 40), (64, 64), (50, 70)]
BOXES = [[[5, 5, 30, 20], [0, 0, 64, 48], [60, 40, 3, 3]], [[10.5, 20.25, 20, 40]], [[8, 8, 40, 40], [0, 30, 20, 20]],
         []]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location('generate_region_text', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Four images, six proposals, captions, random towers, and a configuration of them."""
    rng = np.random.default_rng(0)
    (tmp_path / 'train').mkdir()
    for i, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).resize(size[::-1]).save(
            tmp_path / 'train' / f'{i}.png')
    images = [{'id': 10 + i, 'file_name': f'{i}.png', 'height': h, 'width': w} for i, (h, w) in enumerate(SIZES)]
    boxes = [{'image_id': 10 + i, 'bbox': box} for i, image in enumerate(BOXES) for box in image]
    (tmp_path / 'proposals.json').write_text(json.dumps({'images': images, 'annotations': boxes}))
    captions = [{'image_id': 10, 'caption': 'A dog near a hat.'}, {'image_id': 10, 'caption': 'Two dogs under the sky'},
                {'image_id': 11, 'caption': 'nothing of note'}, {'image_id': 12, 'caption': 'the wall and a dog'}]
    (tmp_path / 'captions.json').write_text(json.dumps({'annotations': captions}))
    (tmp_path / 'nouns.txt').write_text('\n'.join(NOUNS))
    torch.save(export_state_dict(tiny_eva(), 'ours'), tmp_path / 'vision.pt')
    torch.manual_seed(1)
    torch.save(CLIPTextEncoder(TEXT, None).state_dict(), tmp_path / 'text.pt')
    text_encoder = {'arch': TEXT, 'checkpoint': str(tmp_path / 'text.pt')}
    Config({
        'model': {'backbone': {'type': 'rsc_mm.EVACLIPViT', 'arch': GOLDEN_ARCH,
                               'init_cfg': {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'vision.pt')}},
                  'data_preprocessor': {'type': 'rsc_mm.RegionPreprocessor', 'image_size': 128, 'crop_size': 64,
                                        'patch_size': 16, 'multiscale': (64, 128)}},
        'val_evaluator': {'class_embeddings': {'text_encoder': text_encoder}},
        'train_dataloader': {'dataset': {'type': 'rsc_mm.RegionDataset', 'data_root': str(tmp_path),
                                         'ann_file': 'proposals.json', 'img_prefix': 'train',
                                         'regions': {'type': 'ProposalRegions'}}},
    }).dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def run(tool: ModuleType, config: Path, *options: str, out: str = 'out.json') -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['tool', str(config), out, '--prompts', 'single', '--workers', '0',
                                    '--batch-size', '1', *options])
        run_tool(tool.main)
    return json.loads(Path(out).read_text())


def slow_scores(i: int, box: list[float], nouns: list[str]) -> torch.Tensor:
    """Cosines of one proposal's crop with the nouns, by PIL: x 1.5, clipped, longest side 64, centred on black."""
    x, y, w, h = box
    with Image.open(f'train/{i}.png') as image:
        crop = image.crop((max(x - w / 4, 0), max(y - h / 4, 0), min(x + w * 1.25, image.width),
                           min(y + h * 1.25, image.height)))
    scale = 64 / max(crop.size)
    crop = crop.resize((round(crop.width * scale), round(crop.height * scale)), Image.Resampling.BICUBIC)
    canvas = Image.new('RGB', (64, 64))
    canvas.paste(crop, ((64 - crop.width) // 2, (64 - crop.height) // 2))
    pixels = (np.asarray(canvas) / 255 - CLIP_MEAN) / CLIP_STD
    with torch.no_grad():
        feature = tiny_eva().encode_image(torch.from_numpy(pixels).float().permute(2, 0, 1)[None], normalize=True)[0]
    return class_embeddings(nouns, CLIPTextEncoder(TEXT, 'text.pt'), 'single') @ feature


def test_every_proposal_gets_the_nearest_noun(tool: ModuleType, config: Path) -> None:
    content = run(tool, config, '--nouns', 'nouns.txt')
    assert [category['name'] for category in content['categories']] == NOUNS
    assert [image['id'] for image in content['images']] == [10, 11, 12]  # the last has no proposal
    large = [*BOXES[0][:2], *BOXES[1], *BOXES[2]]  # 3 x 3 is too small
    assert [row['bbox'] for row in content['annotations']] == large
    for row in content['annotations']:
        scores = slow_scores(row['image_id'] - 10, row['bbox'], NOUNS)
        assert scores[row['category_id'] - 1] >= scores.max() - 2e-3
        assert row['score'] == pytest.approx(scores.max().item(), abs=2e-3)
    assert not Path('out.json.part').exists()


def test_region_text_and_its_embeddings_read_the_file(tool: ModuleType, config: Path) -> None:
    run(tool, config, '--nouns', 'nouns.txt')
    dataset = RegionDataset({'type': 'RegionTextRegions'}, 'out.json', img_prefix='train')
    item = dataset[0]
    assert len(dataset) == 3 and item['data_samples'].boxes.shape == (2, 4) and item['data_samples'].labels.max() < 8
    assert read_class_names('out.json') == list(dataset.metainfo['classes']) == NOUNS


def test_own_captions_restrict_the_nouns(tool: ModuleType, config: Path) -> None:
    content = run(tool, config, '--nouns', 'nouns.txt', '--captions', 'captions.json', '--own-captions')
    named = {10: {'dog', 'hat', 'sky'}, 12: {'wall', 'dog'}}  # no caption of image 11 names a noun
    assert {image['id'] for image in content['images']} == set(named)
    for row in content['annotations']:
        own = sorted(named[row['image_id']])
        scores = slow_scores(row['image_id'] - 10, row['bbox'], own)
        assert NOUNS[row['category_id'] - 1] in named[row['image_id']]
        assert row['score'] == pytest.approx(scores.max().item(), abs=2e-3)


def test_nouns_from_captions(tool: ModuleType, config: Path) -> None:
    content = run(tool, config, '--captions', 'captions.json', '--min-count', '1', '--max-regions', '1')
    assert [category['name'] for category in content['categories']] == ['dog', 'hat', 'sky', 'wall']
    assert len(content['annotations']) == 3


def test_interrupted_and_repeated_is_the_same_file(tool: ModuleType, config: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tool, config, '--nouns', 'nouns.txt', out='whole.json')
    calls, match = [], Matcher.__call__

    def killed(self: object, batch: dict) -> list:
        calls.append([sample.img_id for sample in batch['data_samples']])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return list(match(self, batch))

    monkeypatch.setattr(Matcher, '__call__', killed)
    with pytest.raises(KeyboardInterrupt):
        run(tool, config, '--nouns', 'nouns.txt')
    with Path('out.json.part').open('a') as file:
        file.write('{"id": 11, "sha')  # a line that was cut off
    assert run(tool, config, '--nouns', 'nouns.txt') == whole
    assert calls == [[10], [11], [11], [12]]
    run(tool, config, '--nouns', 'nouns.txt')
    assert len(calls) == 4  # finished: nothing is done again


def test_other_settings_do_not_continue_a_run(tool: ModuleType, config: Path) -> None:
    Path('out.json.part').write_text('{"key": "other"}\n')
    with pytest.raises(SystemExit, match=r'out\.json\.part: found an unfinished run with other'):
        run(tool, config, '--nouns', 'nouns.txt')


@pytest.mark.parametrize(('options', 'message'), [
    ([], None), (['--nouns', 'nouns.txt', '--own-captions'], None),
    (['--captions', 'nouns.txt'], r'--captions nouns\.txt: found .*expected COCO json'),
    (['--captions', 'captions.json'], 'no noun in at least 10 captions'),
    (['--nouns', 'nouns.txt', '--cfg-options', 'train_dataloader.dataset.ann_file=None'], 'ann_file'),
    (['--nouns', 'nouns.txt', '--cfg-options', 'model.backbone.init_cfg=None'], r"backbone: found no 'init_cfg'"),
    (['--nouns', 'nouns.txt', '--cfg-options', 'val_evaluator=None'], r'no class_embeddings\.text_encoder')])
def test_bad_input(tool: ModuleType, config: Path, options: list[str], message: str | None) -> None:
    with pytest.raises(SystemExit, match=message):
        run(tool, config, *options)
