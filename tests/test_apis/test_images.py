import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from rsc_mm.apis.images import BadImageError, read_images, read_one

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.png', '.jpg'])
def test_files_and_pil_images_stand_upright(tmp_path, orientation, ending):
    path, exif = tmp_path / f'a{ending}', Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif, quality=100, subsampling=0)
    upright = np.array(ImageOps.exif_transpose(Image.open(path)))
    for image in (path, str(path), Image.open(path)):
        found = read_one(image).permute(1, 2, 0).numpy()
        assert found.shape == upright.shape and np.abs(found.astype(int) - upright).max() <= 2  # two JPEG decoders


def test_every_kind_gives_the_same_pixels(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / 'a.png')
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    images, single = read_images([tmp_path / 'a.png', Image.fromarray(PIXELS), PIXELS, tensor, tensor / 255])
    assert not single and all(torch.equal(image, tensor) for image in images)
    assert read_images(PIXELS)[1]
    images, single = read_images(np.stack([PIXELS, PIXELS]))
    assert len(images) == 2 and not single and torch.equal(images[1], tensor)
    assert torch.equal(read_images(tensor[None])[0][0], tensor)


@pytest.mark.parametrize(('image', 'error', 'message'), [
    (3, TypeError, 'found int, expected a path, a PIL image'),
    (PIXELS[..., 0], ValueError, r'found an array \(5, 7\) uint8, expected \(H, W, 3\) uint8'),
    (PIXELS / 255, ValueError, 'float64, expected'),
    (torch.rand(7, 5, 3), ValueError, r'found a tensor \(7, 5, 3\), expected \(3, H, W\)'),
    (torch.randn(3, 4, 4), ValueError, r'expected 0 to 1 \(not normalised\)'),
    (torch.full((3, 4, 4), torch.nan), ValueError, 'nan to nan, expected 0 to 1'),
    (torch.zeros(3, 4, 4, dtype=torch.int32), ValueError, 'found a tensor of torch.int32'),
    ('nothing.jpg', BadImageError, 'nothing.jpg: found No such file')])
def test_what_is_no_image_is_refused(image, error, message):
    with pytest.raises(error, match=message):
        read_images(image)
