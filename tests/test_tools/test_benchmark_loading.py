from pathlib import Path

import torch

from rsc_mm.apis.benchmarks.loading import benchmark_loader, pil_item
from rsc_mm.datasets import RegionDataset, region_collate
from rsc_mm.models.region_preprocessor import RegionPreprocessor
from tests.test_datasets.toy import save_image


def test_both_sides_do_the_same_work(tmp_path: Path) -> None:
    path = save_image(tmp_path / 'a.jpg', 60, 80)
    item = RegionDataset({'type': 'GridRegions'}, img_prefix=str(tmp_path))[0]
    result = RegionPreprocessor(96, 32, 1, backend='pil')(region_collate([item]))
    image, crops = pil_item(str(path), item['data_samples'].crop_boxes, 96, 32)
    torch.testing.assert_close(result['images'][0], image, rtol=0, atol=1e-5)
    torch.testing.assert_close(result['crops'], crops, rtol=0, atol=1e-5)


def test_reports_both_speeds(tmp_path: Path) -> None:
    save_image(tmp_path / 'a.jpg', 60, 80)
    result = benchmark_loader(str(tmp_path), 96, 32, repeats=1)
    assert result['images'] == 1 and result['crops_per_image'] >= 1
    assert result['ratio'] == result['tensor_images_per_s'] / result['pil_images_per_s'] > 0
