"""Length and learning rate of a training on a set of any size, and the configurations that run it."""
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from rsc_mm.apis.config import load_config
from rsc_mm.apis.description import TowerDescription

from .data import Images

CONFIGS = Path(__file__).parents[3] / 'configs'
SMALL_WIDTH = 384
"""Narrower towers take the recipe of Shapes, which was measured on one of width 192; all others the paper's."""
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 500, 6, 50
MOST_RAISE, LEAST_STEPS = 10, 250


@dataclass(frozen=True)
class Recipe:
    """A training whose learning rate is known to work: its configuration, images of a step, and number of steps."""

    config: str
    batch: int
    steps: int


# COCO's train2017 has 118,287 images: 6 epochs on 8 GPUs x 2, 8 x 4, and 4 epochs on 8 x 16.
RECIPES = {'clipself': Recipe('clipself/clipself_vitb16_cc3m.py', 16, 44358),
           'r_sc': Recipe('rsc/r_sc_clipself_vitb16_cc3m.py', 32, 22179),
           'refiner': Recipe('rsc/refiner_vitb16_cc3m.py', 128, 3696)}
SMALL_RECIPES = {'clipself': Recipe('shapes/clipself_grid.py', 8, 750),
                 'r_sc': Recipe('shapes/r_sc_clipself_grid.py', 8, 750),
                 'refiner': Recipe('shapes/refiner.py', 8, 750)}


@dataclass(frozen=True)
class Plan:
    """Numbers of a training.

    Attributes:
        epochs, steps: its length.
        warm_up: steps of the warm-up.
        lr: peak of the learning rate.
        rule: how the rate came about, in words.
    """

    epochs: int
    steps: int
    warm_up: int
    lr: float
    rule: str


def plan_training(recipe: Recipe, lr: float, images: int, batch: int, epochs: int | None = None,
                  chosen_lr: float | None = None) -> Plan:
    r"""Fit a recipe to the batch and the number of images.

    .. math:: \eta = \eta_0 \sqrt{B / B_0}\; \min(10, \max(1, \sqrt{S_0 / \max(S, 250)}))

    The square root of the batch is the usual scaling of Adam's rate. A training of fewer steps S than the recipe's
    :math:`S_0` takes larger ones, at most ten times as large, below 250 steps no larger still; a rule of thumb, which
    ``chosen_lr`` replaces. Epochs are those that give about 500 steps, between 6 and 50. The warm-up is a twentieth of
    the steps.

    Args:
        recipe: whose numbers have the index 0.
        lr: :math:`\eta_0`.
        images: number of images.
        batch: images of a step B.
        epochs: in the place of the rule.
        chosen_lr: in the place of the rule.

    Raises:
        ValueError: ``chosen_lr`` is not positive.
    """
    if chosen_lr is not None and not chosen_lr > 0:
        raise ValueError(f'--lr: found {chosen_lr}, expected a positive number')
    of_epoch = math.ceil(images / batch)
    epochs = epochs or min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(STEPS / of_epoch)))
    steps = epochs * of_epoch
    raised = min(MOST_RAISE, max(1., math.sqrt(recipe.steps / max(steps, LEAST_STEPS))))
    fitted = lr * math.sqrt(batch / recipe.batch) * raised
    rule = (f'{lr:g} of {recipe.config} x sqrt({batch} / {recipe.batch} images a step) x {raised:.2f} for {steps} '
            f'steps instead of {recipe.steps} (square root of their ratio, counting at least {LEAST_STEPS} steps, 1 to '
            f'{MOST_RAISE}) = {fitted:.3g}')
    if chosen_lr:
        rule = f'{chosen_lr:g}, as given by --lr; the rule says: {rule}'
    return Plan(epochs, steps, min(max(1, steps // 20), steps - 1), chosen_lr or fitted, rule)


def base_config(method: str, width: int) -> tuple[Recipe, Config]:
    """The recipe and the configuration that a method takes for a tower of a width.

    Args:
        method: 'clipself', 'r_sc' or 'refiner'.
        width: of the tower's tokens.
    """
    recipe = (SMALL_RECIPES if width < SMALL_WIDTH else RECIPES)[method]
    return recipe, load_config(CONFIGS / recipe.config)


def refiner_fields(tower: Any) -> dict[str, Any]:
    """Depths and widths of a Refiner: the papers' for ViT-B/16 and L/14, and those of Shapes, by one rule.

    Args:
        tower: with its ``depth``, ``width`` and ``num_prefix_tokens``.
    """
    depth = tower.depth
    return dict(type='Refiner', num_blocks=min(6, depth // 3), inter_layers=(3 * depth // 8, 7 * depth // 12),
                hidden_dims=min(4096, 16 * tower.width // 3), region_token=tower.num_prefix_tokens > 0)


def write_config(config: Config, out: Path, folder: Path, images: Images, tower: TowerDescription, clip: str,
                 plan: Plan, batch: int, patch: int, crop: int) -> Path:
    """Put tower, images and schedule into a base configuration, and write it as a whole.

    Args:
        config: see `base_config`; changed in place.
        out: file; the training goes into the folder beside it that its name says.
        folder: of the images.
        images: their annotation files.
        tower: what is adapted.
        clip: its weights.
        plan: length and learning rate.
        batch: images of a step.
        patch: of the tower in pixels.
        crop: the tower's native size in pixels.

    Returns:
        The file.
    """
    model, loader = config.model, config.train_dataloader
    model.backbone = {**tower.backbone, 'frozen_stages': 0, 'with_cp': bool(model.backbone.get('with_cp')),
                      'init_cfg': dict(type='Pretrained', checkpoint=clip)}
    model.data_preprocessor = dict(type='RegionPreprocessor', image_size=tower.image_size, crop_size=crop,
                                   patch_size=patch, layout='rectangle', mean=tower.mean, std=tower.std)
    workers = 4 if torch.cuda.is_available() else 0
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=workers > 0,
                  batch_sampler=dict(type='AspectRatioBatchSampler'))
    regions = loader.dataset.regions
    if images.boxes and regions.type == 'GridRegions':
        regions = dict(type='ProposalRegions', max_regions=20)
    loader.dataset = dict(type='RegionDataset', ann_file=str(images.train.resolve()), img_prefix=str(folder.resolve()),
                          regions=regions)
    config.train_cfg = dict(type='ResumableEpochLoop', max_epochs=plan.epochs)
    config.optim_wrapper.optimizer.lr = plan.lr
    config.param_scheduler = [
        dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=plan.warm_up),
        dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=plan.warm_up, end=plan.steps,
             T_max=plan.steps - plan.warm_up)] if plan.warm_up else []
    config.default_hooks.logger.update(interval=max(1, min(10, plan.steps // 20)), ignore_last=False)
    config.default_hooks.checkpoint.update(interval=max(1, plan.steps // 5), max_keep_ckpts=2)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator', 'test_cfg', 'test_dataloader', 'test_evaluator'):
        config[key] = None
    config.work_dir = str(out.with_suffix(''))
    out.parent.mkdir(parents=True, exist_ok=True)
    config.dump(out)
    return out
