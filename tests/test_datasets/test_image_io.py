from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rsc_mm.datasets.image_io import BadImageError, image_shape, read_image, read_segments

from .toy import random_image, save_image


def pil_pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert('RGB'))


@pytest.mark.parametrize('name, mode, options', [
    ('rgb.jpg', 'RGB', {}), ('full.jpg', 'RGB', {'subsampling': 0}), ('progressive.jpg', 'RGB', {'progressive': True}),
    ('grey.jpg', 'L', {}), ('cmyk.jpg', 'CMYK', {}), ('rgb.png', 'RGB', {}), ('alpha.png', 'RGBA', {}),
    ('palette.png', 'P', {}), ('grey.png', 'L', {}), ('grey_alpha.png', 'LA', {}), ('bits.png', '1', {}),
    ('rgb.webp', 'RGB', {}), ('rgb.bmp', 'RGB', {}),
])
def test_pixels_are_those_of_pil(tmp_path: Path, name: str, mode: str, options: dict) -> None:
    Image.fromarray(random_image(31, 47)).convert(mode).save(tmp_path / name, **options)
    image = read_image(str(tmp_path / name))
    assert image.dtype == torch.uint8 and image.shape == (3, 31, 47)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pil_pixels(tmp_path / name))


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_16_bit_grey_is_scaled(tmp_path: Path, name: str) -> None:
    grey = np.array([[0, 257, 1000, 32896, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / name)
    image = read_image(str(tmp_path / name))
    assert image.tolist() == [[[0, 1, 4, 128, 255]]] * 3


@pytest.mark.parametrize('dtype', [np.float32, np.int32])
def test_32_bit_pixels_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.array([[0, 1], [2, 300]], dtype)).save(tmp_path / 'a.tif')
    with pytest.raises(BadImageError, match=r'a\.tif: found pixels of 32 bits .*convert it to 8 or 16 bits, exp'):
        read_image(str(tmp_path / 'a.tif'))


def test_segments_of_16_bits_are_bad(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / 's.png')
    with pytest.raises(BadImageError, match=r"s\.png: found pixels of mode 'I.*', which are no colours of a panoptic"):
        read_segments(str(tmp_path / 's.png'), (1, 2))


def test_exif_rotation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # rotate by 90 degrees to view
    Image.fromarray(random_image(20, 30)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(str(tmp_path / 'a.jpg')).shape == (3, 20, 30)


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
def test_truncated_file_is_bad(tmp_path: Path, name: str) -> None:
    path = save_image(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadImageError, match=rf'{name}: found .*truncated.*, expected'):
        read_image(str(path))


@pytest.mark.parametrize('content', [b'', b'no image at all', b'\xff\xd8\xff'])
def test_file_without_an_image_is_bad(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(BadImageError, match=r'a\.jpg: found .*, expected a complete') as caught:
        read_image(str(tmp_path / 'a.jpg'))
    assert ' at 0x' not in str(caught.value)
    assert image_shape(str(tmp_path / 'a.jpg')) == (1, 1)


def test_missing_file_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r'nowhere\.jpg: found No such file .*, expected a readable image'):
        read_image(str(tmp_path / 'nowhere.jpg'))


def test_image_shape_reads_the_header(tmp_path: Path) -> None:
    assert image_shape(str(save_image(tmp_path / 'a.jpg', 21, 34))) == (21, 34)


def test_segment_ids_are_base_256(tmp_path: Path) -> None:
    colours = np.array([[[1, 0, 0], [5, 2, 0]], [[0, 0, 3], [255, 255, 255]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / 's.png')
    assert read_segments(str(tmp_path / 's.png'), (2, 2)).tolist() == [[1, 517], [196608, 16777215]]


def test_segments_of_another_size_are_bad(tmp_path: Path) -> None:
    path = str(save_image(tmp_path / 's.png', 3, 4))
    with pytest.raises(BadImageError, match=r's\.png: found height x width 3 x 4 .*, expected 4 x 3'):
        read_segments(path, (4, 3))
