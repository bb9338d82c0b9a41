"""From a folder of images to an adapted tower and a report."""
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from rsc_mm.apis.config import load_runner_config
from rsc_mm.apis.description import TowerDescription
from rsc_mm.apis.publishing import read_text, write_safetensors
from rsc_mm.apis.text_embeddings import TextEmbeddings, read_text_tower
from rsc_mm.datasets import RegionDataset
from rsc_mm.engine import train
from rsc_mm.engine.safe_checkpoint_hook import last_checkpoint
from rsc_mm.models.distillers import ensemble
from rsc_mm.models.text import class_queries
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from rsc_mm.utils.files import replacing
from rsc_mm.utils.tables import write_json

from .data import Images, read_images, split_images
from .measures import Measurement, Texts, choose_alpha, compare
from .recipe import Plan, base_config, plan_training, refiner_fields, write_config
from .report import draw_before_and_after, report_text
from .towers import build_tower, describe_tower

DEFAULT_NAMES = 'coco_panoptic'
SETTINGS = 'settings.json'


@dataclass(frozen=True)
class Settings:
    """What a user asks for.

    Attributes:
        images: folder.
        out: folder of the result.
        clip: weights, see `describe_tower`.
        config: describes the tower where the weights do not.
        method: 'clipself' or 'r_sc'.
        names: file or vocabulary with class names for the report; default: COCO's 133.
        boxes: COCO-style json with boxes; default: cells of random grids.
        image_size: longest side in pixels.
        batch: images of a step.
        epochs, lr: in the place of the rules of `plan_training`.
    """

    images: str
    out: str
    clip: str
    config: str | None = None
    method: str = 'clipself'
    names: str | None = None
    boxes: str | None = None
    image_size: int | None = None
    batch: int = 4
    epochs: int | None = None
    lr: float | None = None


def adapt(settings: Settings) -> Path:
    """Check, train, choose the weights and report; called again, it goes on where it was interrupted.

    Args:
        settings: what is asked for.

    Returns:
        The report.

    Raises:
        FileNotFoundError, ValueError: an input is refused; the message says why.
    """
    start, out = time.time(), Path(settings.out)
    names = read_names(settings.names or DEFAULT_NAMES)
    described = describe_tower(settings.clip, settings.config, settings.image_size)
    check_folder(settings)
    announce('read the images', start)
    entries = read_images(Path(settings.images), Path(settings.boxes) if settings.boxes else None)
    write_json(out / SETTINGS, note(settings))  # from here on the folder is this run's
    images = split_images(entries, out, bool(settings.boxes))
    tower = build_tower(described)
    shape = dict(described=described, images=images, tower=tower)
    refiner = None
    if settings.method == 'r_sc':
        announce('stage 1: train the Refiner', start)
        refiner = _train(settings, 'refiner', None, **shape)[0] / 'refiner.pth'
    announce('train the tower', start)
    folder, plan = _train(settings, settings.method, refiner, **shape)
    announce('measure and choose the weights', start)
    return _finish(settings, described, images, names, folder, plan, start)


def note(settings: Settings) -> dict[str, Any]:
    """What the folder keeps of the settings.

    Args:
        settings: what is asked for.
    """
    return {key: value for key, value in asdict(settings).items() if key != 'out'}


def check_folder(settings: Settings) -> None:
    """Refuse a folder that is not this run's.

    Args:
        settings: what is asked for.

    Raises:
        ValueError: the folder holds something else, or a run of other settings.
    """
    out, wanted = Path(settings.out), note(settings)
    if (out / SETTINGS).is_file():
        found = json.loads((out / SETTINGS).read_text())
        other = {key: found.get(key) for key, value in wanted.items() if found.get(key) != value}
        if other:
            raise ValueError(f'--out {out}: holds a run of other settings: {other}, asked for '
                             f'{ {key: wanted[key] for key in other} }; take another folder, or give the same settings '
                             'to go on')
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'--out {out}: found something that is no run of tools/adapt.py, expected a new or empty '
                         'folder, or one that an interrupted run left')


def read_names(names: str) -> tuple[list[str], list[list[str]]]:
    """Class names and the texts of each.

    Args:
        names: file or vocabulary, see `read_class_names`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or a name stands twice; the message names the file.
    """
    try:
        return class_queries(names)
    except ValueError as error:
        raise ValueError(f'--names {names}: {error}') from error


def announce(step: str, start: float) -> None:
    """Say which step begins; training and measuring print their own progress and ETA.

    Args:
        step: in words.
        start: when the run began.
    """
    print(f'\n=== {step} ({time.time() - start:.0f} s so far)', flush=True)


def _train(settings: Settings, stage: str, refiner: Path | None, described: TowerDescription, images: Images,
           tower: Any) -> tuple[Path, Plan]:
    recipe, config = base_config(stage, tower.width)
    plan = plan_training(recipe, config.optim_wrapper.optimizer.lr, images.counts[0], settings.batch, settings.epochs,
                         settings.lr if stage != 'refiner' else None)
    if stage != 'clipself':
        config.model.refiner = refiner_fields(tower)
    if stage == 'r_sc':
        config.model.refiner.init_cfg = dict(type='Pretrained', checkpoint=str(refiner))
    if stage != 'refiner':
        config.custom_hooks = [dict(type='WeightEnsembleHook', alpha=1.0)]  # the share is chosen afterwards
    clip = str(Path(settings.clip).resolve()) if Path(settings.clip).is_file() else settings.clip
    name = 'refiner' if stage == 'refiner' else 'training'
    path = write_config(config, Path(settings.out, f'{name}.py'), Path(settings.images), images, described, clip, plan,
                        settings.batch, tower.patch_size, tower.image_size)
    folder = Path(settings.out, name)
    print(f'{plan.epochs} epochs, {plan.steps} steps; learning rate: {plan.rule}', flush=True)
    if not (folder / 'refiner.pth').exists():
        train(load_runner_config(path), 'auto')
        print_log(f'learning rate: {plan.rule}', 'current')
    return folder, plan


def _finish(settings: Settings, described: TowerDescription, images: Images, names: tuple[list[str], list[list[str]]],
            folder: Path, plan: Plan, start: float) -> Path:
    """Choose the weights, and write tower, pictures and report."""
    out = Path(settings.out)
    fields = load_runner_config(out / 'training.py').model.data_preprocessor
    texts, sets = embed(names, described, settings.clip), held_out_sets(out, images)
    original, student, mixed = (build_tower(described, settings.clip) for _ in range(3))
    load_clip_checkpoint(student, last_checkpoint(folder))
    found = compare(Measurement(original, dict(fields), *sets, texts), student, mixed)
    chosen = choose_alpha(found)
    mixed.load_state_dict(ensemble(student, original, chosen.alpha))
    file = out / 'tower.safetensors'
    with replacing(file) as beside:
        write_safetensors(mixed.cpu(), described, read_text(settings.clip), beside)
    preprocessor = MODELS.build({**fields, 'crop_size': None})
    draw_before_and_after([original.cpu(), mixed], preprocessor, sets[1], texts, out / 'pictures.png')
    facts = [*describe(settings, images, plan), ['curves', f'[{folder.name}/report.md]({folder.name}/report.md)'],
             ['this command took', f'{(time.time() - start) / 60:.1f} minutes']]
    title = f'{Path(settings.clip).stem} adapted to {Path(settings.images).name}'
    with replacing(out / 'report.md') as beside:
        beside.write_text(report_text(file, title, found, chosen, facts, names[0]), encoding='utf-8')
    return out / 'report.md'


def held_out_sets(out: Path, images: Images) -> tuple[RegionDataset, RegionDataset]:
    """The held-out images with their regions, and each as one region.

    Args:
        out: folder of the run.
        images: annotation files.
    """
    fields = dict(load_runner_config(out / 'training.py').train_dataloader.dataset, ann_file=str(images.held_out))
    del fields['type']
    return RegionDataset(**fields), RegionDataset(**{**fields, 'regions': dict(type='GridRegions', max_split=1)})


def describe(settings: Settings, images: Images, plan: Plan) -> list[list[str]]:
    """How a tower was trained, as rows of a table.

    Args:
        settings: what was asked for.
        images: annotation files.
        plan: length and learning rate.
    """
    trained, held_out = images.counts
    return [['method', settings.method], ['tower', settings.clip],
            ['images', f'{trained} trained on, {held_out} held out, {"boxes" if images.boxes else "grid cells"}'],
            ['length', f'{plan.epochs} epochs, {plan.steps} steps of {settings.batch} images'],
            ['learning rate', plan.rule]]


def embed(names: tuple[list[str], list[list[str]]], described: TowerDescription, clip: str) -> Texts:
    """Embeddings of class names by the tower's own text tower.

    Args:
        names: see `read_names`.
        described: of the tower.
        clip: file or tag with the text tower.
    """
    classes, queries = names
    make = TextEmbeddings(lambda: read_text_tower(described.text_arch, clip), described.prompts)
    owner = torch.tensor([i for i, texts in enumerate(queries) for _ in texts])
    return Texts(classes, make([text for texts in queries for text in texts]), owner)
