"""Tiny data sets on disk for the tests."""
import json
from pathlib import Path

import numpy as np
from PIL import Image

SHARED_COCO = Path(__file__).parents[3] / 'shared' / 'coco_mini'


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise over a gradient (H, W, 3) uint8, so that resizing has edges and flat parts to get wrong."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
    return np.where(np.arange(height)[:, None, None] % 16 < 8, noise, ramp).astype(np.uint8)


def save_image(path: Path, height: int = 30, width: int = 40, seed: int = 0) -> Path:
    """Writes a random image; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random_image(height, width, seed)).save(path)
    return path


def coco(n: int = 3, height: int = 30, width: int = 40, **changes: object) -> dict:
    """A COCO json of n images with i boxes in image i (ids 10, 11, ...); ``changes`` replace top-level keys."""
    images = [{'id': 10 + i, 'file_name': f'{i}.jpg', 'height': height, 'width': width} for i in range(n)]
    annotations = [{'id': 100 * i + j, 'image_id': 10 + i, 'bbox': [j, 2 * j, 10 + i, 12],
                    'category_id': 7 - 4 * (j % 2)} for i in range(n) for j in range(i)]
    categories = [{'id': 7, 'name': 'cat'}, {'id': 3, 'name': 'dog'}]
    return {'images': images, 'annotations': annotations, 'categories': categories, **changes}


def write_json(path: Path, content: object) -> str:
    """Writes json and gives the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def coco_root(root: Path, n: int = 3, **changes: object) -> Path:
    """A data root with images/ and ann.json."""
    for i in range(n):
        save_image(root / 'images' / f'{i}.jpg', seed=i)
    write_json(root / 'ann.json', coco(n, **changes))
    return root


def panoptic_root(root: Path) -> Path:
    """One 30 x 40 image with a thing (id 1, class 'cat'), a stuff L (id 300, 'sky') and a tiny stuff (id 70000)."""
    save_image(root / 'images' / '0.png')
    segments = np.zeros((30, 40), np.int64)
    segments[5:20, 10:25] = 1
    segments[0:4, :] = 300
    segments[4:28, 0:2] = 300
    segments[25:29, 30:34] = 70000
    colours = np.stack([segments % 256, segments // 256 % 256, segments // 65536], axis=2).astype(np.uint8)
    (root / 'panoptic').mkdir()
    Image.fromarray(colours).save(root / 'panoptic' / '0.png')
    infos = [{'id': 1, 'category_id': 17, 'bbox': [10, 5, 14, 15], 'iscrowd': 0},
             {'id': 300, 'category_id': 187, 'bbox': [0, 0, 1, 1]},
             {'id': 70000, 'category_id': 5, 'bbox': [0, 0, 9, 9]}]
    write_json(root / 'panoptic.json', {
        'images': [{'id': 1, 'file_name': '0.png', 'height': 30, 'width': 40}],
        'annotations': [{'image_id': 1, 'file_name': '0.png', 'segments_info': infos}],
        'categories': [{'id': 187, 'name': 'sky', 'isthing': 0}, {'id': 17, 'name': 'cat', 'isthing': 1},
                       {'id': 5, 'name': 'rug', 'isthing': 0}]})
    return root
