"""What the page does, without a browser: texts of the page in, pictures of each tower out."""
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock
from urllib.parse import urlencode

import numpy as np
from PIL import Image, ImageOps

import rsc_mm
from rsc_mm.apis import DenseCLIP
from rsc_mm.apis.results import Result
from rsc_mm.datasets.shapes_scene import draw_scene
from rsc_mm.models.text import split_vocabulary

MAX_TOWERS = 3
MAX_NAMES = 40
"""As many as have colours that can be told apart."""
MAX_NAME_LENGTH = 100
MAX_BOXES = 50
MAX_PIXELS = 25_000_000
MAX_BYTES = 20 * 2 ** 20
MAX_SIDE = 1600
"""Larger images are reduced to this longest side, and points and boxes with them."""
EXAMPLE_NAMES = 'star, heart, circle, square, triangle, ring, cross, crescent, arrow, hourglass, stripes, checks, ' \
    'dots, bricks, waves, zigzags, mesh, clouds'


@dataclass(frozen=True)
class Request:
    """What one user asks for: nothing else is known of a user, so that no two can be mixed.

    Attributes:
        image: path of the image, '' for none.
        example: number of the example that it is, '' for an own image.
        names: of the classes, between commas, synonyms between semicolons.
        point: 'x, y' in pixels.
        boxes: 'x1, y1, x2, y2' in pixels, one a line.
    """

    image: str = ''
    example: str = ''
    names: str = ''
    point: str = ''
    boxes: str = ''


class Demo:
    """Up to three towers, and a detector if one of them was loaded with it.

    One request passes the towers at a time: a detector's names are a state of it.

    Args:
        towers: by title.

    Raises:
        ValueError: there are none, or more than three.
    """

    def __init__(self, towers: dict[str, DenseCLIP]) -> None:
        if not 1 <= len(towers) <= MAX_TOWERS:
            raise ValueError(f'towers: found {len(towers)}, expected 1 to {MAX_TOWERS}: they stand side by side')
        self.towers = towers
        self.lock = Lock()

    def class_map(self, request: Request) -> dict[str, Result]:
        """The class of every pixel, under each tower.

        Args:
            request: its image and names.
        """
        (image, _), names = read_image(request.image), read_names(request.names)
        return {title: tower.class_map(image, names) for title, tower in self.towers.items()}

    def affinity(self, request: Request) -> dict[str, Result]:
        """The cosine of every place with the one under the point, under each tower.

        Args:
            request: its image and point.
        """
        (image, scale), (x, y) = read_image(request.image), read_point(request.point)
        width, height = (round(side / scale) for side in image.size)
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f'point: found {x:g}, {y:g}, expected a place in the image of {width} x {height} pixels')
        point = (min(x * scale, image.width - 1), min(y * scale, image.height - 1))
        return {title: tower.affinity(image, point) for title, tower in self.towers.items()}

    def regions(self, request: Request) -> dict[str, Result]:
        """Names of the boxes under each tower; without boxes what the detector finds by the names.

        Args:
            request: its image, names and boxes.

        Raises:
            ValueError: there are neither boxes nor a detector.
        """
        (image, scale), names = read_image(request.image), read_names(request.names)
        boxes = [[side * scale for side in box] for box in read_boxes(request.boxes)]
        if boxes:
            return {title: tower.classify_regions(image, boxes, names) for title, tower in self.towers.items()}
        found = {title: tower.detect(image, names) for title, tower in self.towers.items() if tower.detector}
        if not found:
            raise ValueError('boxes: found none, expected x1, y1, x2, y2 in pixels, one box a line, such as '
                             '"72, 14, 104, 44" (a page that is started with --detector finds boxes itself)')
        return found

    def answer(self, action: Callable[[Request], dict[str, Result]],
               request: Request) -> tuple[list[tuple[str, Image.Image]], str]:
        """Titled pictures of an action, or none and the text of an error.

        Args:
            action: a method of this class.
            request: what the user asks for.
        """
        try:
            with self.lock:
                found = action(request)
            return [(title, result.picture()) for title, result in found.items()], ''
        except (ValueError, OSError, ImportError) as error:
            return [], str(error).replace(request.image, 'image') if request.image else str(error)
        except Exception as error:  # a defect: its user is told that it is none of theirs, and the page lives on
            traceback.print_exc()
            return [], f'{type(error).__name__} inside the page; its console has more'


def load_towers(checkpoints: list[str], detector: tuple[str, str] | None = None, text: str | None = None,
                device: str | None = None) -> dict[str, DenseCLIP]:
    """Towers by a title that tells them apart.

    Args:
        checkpoints: each as `rsc_mm.load` takes it.
        detector: configuration and checkpoint of a detector; its tower is the last.
        text: a CLIP file with the text tower, for towers that come without.
        device: where they run.
    """
    towers: dict[str, DenseCLIP] = {}
    for source in checkpoints:
        title = Path(source).name if Path(source).is_dir() else Path(source).stem
        title = title if title not in towers else f'{title} ({len(towers) + 1})'
        towers[title] = rsc_mm.load(source, device, text_checkpoint=text)
    if detector:
        model = rsc_mm.load(detector[0], device, checkpoint=detector[1], text_checkpoint=text)
        if model.detector is None:
            raise ValueError(f'--detector: found no detector in {detector[1]}, expected what the training of '
                             f'{detector[0]} saved')
        towers[f'{Path(detector[0]).stem} (detector)'] = model
    return towers


def write_examples(folder: Path, count: int = 6, factor: int = 3) -> list[str]:
    """Shapes scenes, drawn anew and always the same, enlarged so that they can be clicked on.

    Args:
        folder: where they are written.
        count: of scenes.
        factor: of the enlargement.
    """
    paths = []
    for number in range(count):
        scene = Image.fromarray(draw_scene(np.random.default_rng((2026, number))).image)
        paths.append(str(folder / f'example_{number}.png'))
        scene.resize([side * factor for side in scene.size], Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def read_image(path: str) -> tuple[Image.Image, float]:
    """An image, upright, of at most `MAX_SIDE` pixels, and by how much it was reduced: 1 for nothing.

    Args:
        path: of the upload.

    Raises:
        ValueError: there is none, it has too many pixels, or cannot be read.
    """
    if not path:
        raise ValueError('image: found none, expected one: choose an example, or drop your own')
    try:
        with Image.open(path) as file:
            width, height = file.size
            if width * height > MAX_PIXELS:  # before anything is decoded
                raise ValueError(f'image: found {width} x {height} pixels, expected at most {MAX_PIXELS // 10 ** 6} '
                                 'million: reduce it first')
            image = ImageOps.exif_transpose(file).convert('RGB')
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'image: cannot be read ({type(error).__name__}), expected a whole jpg, png or webp') \
            from error
    scale = min(1., MAX_SIDE / max(image.size))
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC)
    return image, scale


def read_names(text: str) -> list[str]:
    """Names between commas or on lines.

    Args:
        text: 'sky, dog; puppy'.

    Raises:
        ValueError: there are none, too many, or too long ones.
    """
    names = split_vocabulary(text.replace('\n', ','))
    if len(names) > MAX_NAMES:
        raise ValueError(f'names: found {len(names)}, expected at most {MAX_NAMES}')
    if long := [name for name in names if len(name) > MAX_NAME_LENGTH]:
        raise ValueError(f'names: found {long[0][:20]!r}... of {len(long[0])} characters, expected at most '
                         f'{MAX_NAME_LENGTH}')
    return names


def read_point(text: str) -> tuple[float, float]:
    """A point of two numbers.

    Args:
        text: 'x, y'.

    Raises:
        ValueError: it is something else.
    """
    x, y = read_numbers(text, 2, 'point', 'x, y in pixels, such as "88, 28": or click on the image')
    return x, y


def read_boxes(text: str) -> list[list[float]]:
    """Boxes of four numbers.

    Args:
        text: 'x1, y1, x2, y2', one a line.

    Raises:
        ValueError: a line is something else, or there are too many.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_BOXES:
        raise ValueError(f'boxes: found {len(lines)}, expected at most {MAX_BOXES}')
    return [read_numbers(line, 4, f'box {i}', 'x1, y1, x2, y2 in pixels, such as "72, 14, 104, 44"')
            for i, line in enumerate(lines)]


def read_numbers(text: str, count: int, what: str, expected: str) -> list[float]:
    """Numbers between commas or blanks.

    Args:
        text: of the page.
        count: how many there must be.
        what, expected: for the message.

    Raises:
        ValueError: other texts, or another number of them.
    """
    try:
        numbers = [float(part) for part in text.replace(',', ' ').split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f'{what}: found {text[:60]!r}, expected {expected}')
    return numbers


def write_query(request: Request, show: str) -> str:
    """The part of a link that restores a state; of an own image, which the link cannot hold, all but the image.

    Args:
        request: the state.
        show: what is on the page: 'class_map', 'affinity' or 'regions'.
    """
    kept = {key: value for key, value in asdict(request).items() if value and key != 'image'}
    return urlencode({**kept, 'show': show})


def read_query(query: dict[str, str], examples: list[str]) -> tuple[Request, str]:
    """What `write_query` wrote; what is not understood is left out, since anybody may write a link.

    Args:
        query: parameters of the link.
        examples: paths of the example images.

    Returns:
        The state, and what to show: '' for nothing.
    """
    texts = {field.name: str(query.get(field.name, ''))[:5000] for field in fields(Request) if field.name != 'image'}
    example = texts.pop('example')
    known = example.isascii() and example.isdecimal() and int(example[:6]) < len(examples)
    example = example if known else ''
    show = query.get('show', '')
    state = Request(image=examples[int(example)] if example else '', example=example, **texts)
    return state, show if show in ('class_map', 'affinity', 'regions') else ''
