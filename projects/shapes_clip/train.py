"""Trains the tiny Shapes CLIP: EVA-02-CLIP's image tower and CLIP's text tower on drawn image-caption pairs.

    python projects/shapes_clip/train.py --work-dir work_dirs/shapes_clip

Resumes by itself from latest.pt in the work directory. README.md beside this file tells how to make it fast on a CPU.
"""
import argparse
import math
import time
from pathlib import Path

import torch
from model import TEXT_ARCH, ShapesCLIP, contrastive_loss
from pool import held_out, load_pool, take_batch
from torch import Tensor, nn

from rsc_mm.datasets.shapes import CLASS_NAMES, SHAPES
from rsc_mm.models.text.text_tower import tokenize
from rsc_mm.utils.checkpoint import read_checkpoint

WARMUP_STEPS, SCALE_LIMITS, SAVE_EVERY = 300, (1.0, 100.0), 200


def make_optimizer(model: ShapesCLIP) -> torch.optim.AdamW:
    """AdamW; no weight decay on vectors, embeddings and the scale."""
    decay, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if parameter.ndim < 2 or 'embed' in name or 'cls_token' in name else decay).append(parameter)
    groups = [dict(params=decay, weight_decay=0.1), dict(params=plain, weight_decay=0.0)]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine to 0."""
    if step < WARMUP_STEPS:
        return peak * (step + 1) / WARMUP_STEPS
    return peak * 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)))


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


def train(args: argparse.Namespace, model: ShapesCLIP, pool: dict[str, Tensor]) -> None:
    """All steps, with a line every 20 and a checkpoint with accuracies every 200."""
    optimizer, steps, latest = make_optimizer(model), args.samples // args.batch, args.work_dir / 'latest.pt'
    images, labels = held_out()
    first, start = resume(latest, model, optimizer), time.time()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, steps, args.lr)
        loss = train_step(model, optimizer, take_batch(pool, step, args.batch, args.seed, args.device))
        seconds = (time.time() - start) / (step + 1 - first)
        if (step + 1) % 20 == 0:
            print(f'step {step + 1}/{steps} loss {loss:.3f} scale {model.logit_scale.exp():.1f} '
                  f'{args.batch / seconds:.0f} images/s eta {seconds * (steps - step - 1) / 60:.1f} min', flush=True)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            things, stuff = accuracy(model, images, labels, args.device)
            print(f'  held-out singles among 18 names: things {things:.1f} %, stuff {stuff:.1f} %', flush=True)
            save(latest, dict(model=model.state_dict(), optimizer=optimizer.state_dict(), step=step + 1, steps=steps,
                              seed=args.seed, batch=args.batch))


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_clip'))
    parser.add_argument('--samples', type=int, default=640_000, help='image-caption pairs seen')
    parser.add_argument('--pool', type=int, default=140_000, help='distinct images drawn')
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--lr', type=float, default=1.5e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    """Draws the pool and trains."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    pool = load_pool(args.work_dir / f'pool_{args.seed}_{args.pool}.pt', args.seed, args.pool)
    model = ShapesCLIP().to(args.device)
    model.worker[0].to(args.device)
    train(args, model, pool)


if __name__ == '__main__':
    main()
