from pathlib import Path

import torch

from rsc_mm.apis.benchmarks.loading import benchmark_loader, benchmark_shards, pil_item, write_both
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


def test_a_shard_beside_the_same_images_as_files(tmp_path: Path) -> None:
    for name in ('b/x.jpg', 'a.png'):
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        save_image(tmp_path / 'images' / name, 60, 80)
    write_both(str(tmp_path / 'images'), tmp_path / 'files', tmp_path / 'shards')
    items = [[dataset[i] for i in range(2)] for dataset in (
        RegionDataset({'type': 'GridRegions'}, img_prefix=str(tmp_path / kind)) for kind in ('files', 'shards'))]
    assert [Path(item['data_samples'].img_path).name for item in items[1]] == ['000000000.png', '000000001.jpg']
    for file, shard in zip(*items):
        assert torch.equal(file['inputs'], shard['inputs'])
        assert torch.equal(file['data_samples'].boxes, shard['data_samples'].boxes)
    result = benchmark_shards(str(tmp_path / 'images'), repeats=1)
    assert result['images'] == 2 and result['ratio'] == result['shard_images_per_s'] / result['file_images_per_s'] > 0
