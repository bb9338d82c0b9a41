"""Trains the tiny Shapes CLIP: EVA-02-CLIP's image tower and CLIP's text tower on drawn image-caption pairs.

    python projects/shapes_clip/train.py --work-dir work_dirs/shapes_clip

Resumes by itself from latest.pt in the work directory. README.md beside this file tells how to make it fast on a CPU.
"""
import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from model import TEXT_ARCH, ShapesCLIP, contrastive_loss
from pool import held_out, load_pool, take_batch
from torch import Tensor, nn

from rsc_mm.datasets.shapes import CLASS_NAMES, SHAPES
from rsc_mm.models.text.text_tower import tokenize
from rsc_mm.utils.checkpoint import read_checkpoint

SCALE_LIMITS, SAVE_EVERY = (1.0, 100.0), 100


@dataclass
class Stage:
    """One part of the recipe: samples seen, pool of images, peak learning rate and warm-up.

    The first stage takes every caption that fits as true. The second teaches what comes first: a large central thing
    before the stuff around it, the stuff before things at the border; its pool holds images of the latter kind.
    """

    samples: int
    pool: int
    lr: float
    warmup: int
    aside: float
    salience: bool


STAGES = [Stage(640_000, 140_000, 1.5e-3, 300, aside=0.0, salience=False),
          Stage(160_000, 60_000, 5e-4, 50, aside=0.2, salience=True)]


def make_optimizer(model: ShapesCLIP) -> torch.optim.AdamW:
    """AdamW; no weight decay on vectors, embeddings and the scale."""
    decay, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if parameter.ndim < 2 or 'embed' in name or 'cls_token' in name else decay).append(parameter)
    groups = [dict(params=decay, weight_decay=0.1), dict(params=plain, weight_decay=0.0)]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Linear warm-up, then cosine to 0."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - stage.warmup) / max(1, steps - stage.warmup)))


def train_step(model: ShapesCLIP, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> float:
    """One update; returns the loss."""
    images, tokens, caption, true = batch
    logits = model.logit_scale.exp() * model.encode_image(images) @ model.encode_text(tokens).t()
    loss = contrastive_loss(logits, caption, true)
    optimizer.zero_grad()
    loss.backward()
    model.collect_gradients()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(*map(math.log, SCALE_LIMITS))
    model.refresh()
    return loss.item()


@torch.no_grad()
def accuracy(model: ShapesCLIP, images: Tensor, labels: Tensor, device: str) -> tuple[float, float]:
    """Top-1 among all 18 names in percent, of things and of stuff."""
    prompts = [f'a photo of a {name}.' for name in CLASS_NAMES]
    text = model.encode_text(tokenize(prompts, TEXT_ARCH['context_length']).to(device))
    named = torch.cat([(model.encode_image(part.to(device)) @ text.t()).argmax(1).cpu() for part in images.split(225)])
    right = 100 * (named == labels).float()
    is_thing = labels < len(SHAPES)
    return right[is_thing].mean().item(), right[~is_thing].mean().item()


def save(path: Path, state: dict) -> None:
    """Writes whole or not at all."""
    torch.save(state, path.with_suffix('.tmp'))
    path.with_suffix('.tmp').rename(path)


def resume(path: Path, model: ShapesCLIP, optimizer: torch.optim.Optimizer) -> int:
    """Loads the latest checkpoint if there is one; returns the number of steps done."""
    if not path.exists():
        return 0
    state = read_checkpoint(path)
    model.load_state_dict(state['model'])
    optimizer.load_state_dict(state['optimizer'])
    model.refresh()
    print(f"resumed at step {state['step']}", flush=True)
    return state['step']


def train_stage(args: argparse.Namespace, number: int, before: int, done: int, model: ShapesCLIP,
                optimizer: torch.optim.Optimizer) -> None:
    """One stage, with a line every 20 steps and a checkpoint with accuracies every 100.

    Args:
        args: Command line.
        number: Position in STAGES.
        before: Steps of all earlier stages.
        done: Steps done in all, more than ``before`` when resumed within the stage.
        model: The towers.
        optimizer: Over both towers.
    """
    stage, seed = STAGES[number], args.seed + number
    pool = load_pool(args.work_dir / f'pool_{seed}_{stage.pool}.pt', seed, stage.pool, stage.aside)
    (images, labels), steps, start = held_out(), stage.samples // args.batch, time.time()
    for step in range(done - before, steps):
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(stage, step, steps)
        batch = take_batch(pool, step, args.batch, seed, stage.salience)
        loss = train_step(model, optimizer, tuple(x.to(args.device) for x in batch))
        seconds = (time.time() - start) / (step + 1 - done + before)
        if (step + 1) % 20 == 0:
            print(f'stage {number + 1} step {step + 1}/{steps} loss {loss:.3f} scale {model.logit_scale.exp():.1f} '
                  f'{args.batch / seconds:.0f} images/s eta {seconds * (steps - step - 1) / 60:.1f} min', flush=True)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            things, stuff = accuracy(model, images, labels, args.device)
            print(f'  held-out singles among 18 names: things {things:.1f} %, stuff {stuff:.1f} %', flush=True)
            save(args.work_dir / 'latest.pt', dict(
                model=model.state_dict(), optimizer=optimizer.state_dict(), step=before + step + 1, seed=args.seed,
                samples=(before + step + 1) * args.batch))


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_clip'))
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    """Trains all stages, from the latest checkpoint if there is one."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    model = ShapesCLIP().to(args.device)
    model.worker[0].to(args.device)
    optimizer = make_optimizer(model)
    done, before = resume(args.work_dir / 'latest.pt', model, optimizer), 0
    for number, stage in enumerate(STAGES):
        steps = stage.samples // args.batch
        if done < before + steps:
            train_stage(args, number, before, max(done, before), model, optimizer)
        before += steps


if __name__ == '__main__':
    main()
