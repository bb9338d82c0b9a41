"""Trains the tiny Creatures CLIP on drawn windows and writes creatures_clip.pt; resumes from latest.pt.

    python projects/creatures_clip/train.py --work-dir work_dirs/creatures_clip --samples 600000

On a CPU whose bfloat16 is faster than its float32 add --bfloat16.
"""
import argparse
import importlib.util
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from windows import draw_mosaic, draw_pool, draw_single

from rsc_mm.apis.description import TowerDescription
from rsc_mm.datasets.creatures_scene import CREATURES
from rsc_mm.datasets.shapes import TEXTURES
from rsc_mm.models.text.text_tower import tokenize

ARCH = dict(img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128, ref_feat_shape=(8, 8))
SCENE_SIZE = 192


def shapes_training() -> object:
    """The training of the Shapes CLIP beside this folder, whose towers, loss and steps are used; windows.py put its
    folder on the path."""
    path = Path(__file__).parents[1] / 'shapes_clip' / 'train.py'
    spec = importlib.util.spec_from_file_location('shapes_training', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_pool(path: Path, seed: int, count: int) -> dict[str, torch.Tensor]:
    """Draws the training pool, or reads it where it was drawn before; the format is that of shapes_clip/pool.py."""
    if not path.exists():
        start, samples = time.time(), draw_pool(seed, count)
        captions, caption = np.unique([sample.caption for sample in samples], return_inverse=True)
        stated = np.zeros((len(captions), len(samples[0].stated)), bool)
        stated[caption] = [sample.stated for sample in samples]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        pool = dict(images=images.permute(0, 3, 1, 2).contiguous(), caption=torch.from_numpy(caption),
                    tokens=tokenize(captions.tolist(), 32), stated=torch.from_numpy(stated),
                    facts=torch.from_numpy(np.stack([sample.facts for sample in samples])))
        torch.save(pool, path.with_suffix('.tmp'))
        path.with_suffix('.tmp').rename(path)
        print(f'drew {count} images with {len(captions)} captions in {time.time() - start:.0f} s', flush=True)
    return torch.load(path)


class LocalTask(nn.Module):
    """What masked image modelling is to EVA-02: every token tells, by a linear head that is thrown away, the mean
    colour of its patch and, in mosaics, the pattern."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(ARCH['embed_dim'], len(TEXTURES) + 3)

    def forward(self, tokens: Tensor, images: Tensor, label: Tensor) -> tuple[Tensor, float]:
        """Loss, and the share of right patterns, of tokens (B, N, C), images (B, 3, 64, 64) and patterns (B, N)."""
        colour = F.avg_pool2d(images / 255, 8).flatten(2).transpose(1, 2)  # (B, N, 3)
        logits, tone = self.head(tokens).split([len(TEXTURES), 3], dim=2)
        loss, known = 10 * F.mse_loss(tone, colour), label >= 0
        if not known.any():
            return loss, float('nan')
        right = (logits.argmax(2) == label)[known].float().mean().item()
        return loss + F.cross_entropy(logits[known], label[known]), right


def take_mosaics(seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 64, 64) uint8 and the pattern of every patch (count, 64)."""
    drawn = [draw_mosaic(np.random.default_rng((seed, step, i))) for i in range(count)]
    if not drawn:
        return torch.zeros(0, 3, 64, 64, dtype=torch.uint8), torch.zeros(0, 64, dtype=torch.long)
    return (torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2),
            torch.from_numpy(np.stack([label for _, label in drawn])).flatten(1))


def update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of all parameters."""
    optimizer.zero_grad()
    for parameter in model.worker[0].parameters():
        parameter.grad = None
    loss.backward()
    model.collect_gradients()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(*map(math.log, training.SCALE_LIMITS))
    model.refresh()


def learn_patterns(model: nn.Module, task: LocalTask, optimizer: torch.optim.Optimizer, args: argparse.Namespace
                   ) -> None:
    """The local task alone, on mosaics."""
    stage, steps, start = training.Stage(0, 0, args.lr, 50, 0, False), args.patterns // args.batch, time.time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group['lr'] = training.learning_rate(stage, step, steps)
        images, label = take_mosaics(args.seed, step, args.batch)
        tokens = model.worker[0].vit.forward_features(model.normalise(images))[:, 1:].float()
        loss, right = task(tokens, images, label)
        update(model, optimizer, loss)
        if (step + 1) % 25 == 0:
            print(f'patterns, step {step + 1}/{steps} loss {loss:.3f} right {100 * right:.1f} '
                  f'{(time.time() - start) / (step + 1):.2f} s a step', flush=True)


def train_step(model: nn.Module, task: LocalTask, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...],
               args: argparse.Namespace, step: int) -> tuple[float, float]:
    """One update by the contrastive loss on windows and the local task on windows and mosaics; both losses."""
    images, tokens, caption, true = batch
    mosaics, label = take_mosaics(args.seed + 1, step, args.mosaics)
    label = torch.cat([label.new_full((len(images), 64), -1), label])
    everything, vit = torch.cat([images, mosaics]), model.worker[0].vit
    features = vit.forward_features(model.normalise(everything))
    embeddings = F.normalize(vit.forward_head(features[:len(images)]).float(), dim=1)
    logits = model.logit_scale.exp() * embeddings @ model.encode_text(tokens).t()
    loss = training.contrastive_loss(logits, caption, true)
    local = task(features[:, 1:].float(), everything, label)[0]
    update(model, optimizer, loss + args.local * local)
    return loss.item(), local.item()


@torch.no_grad()
def accuracy(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Top-1 among all names in percent, of things and of stuff."""
    text = model.encode_text(tokenize([f'a photo of a {name}.' for name in CREATURES.classes], 32))
    right = 100. * ((model.encode_image(images) @ text.t()).argmax(1) == labels)
    is_thing = labels < len(CREATURES.things)
    return right[is_thing].mean().item(), right[~is_thing].mean().item()


def held_out(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of single classes that no pool holds, (M, 3, 64, 64) uint8, and labels (M,)."""
    images = [draw_single(name, np.random.default_rng((10 ** 6, index, i)))
              for index, name in enumerate(CREATURES.classes) for i in range(count)]
    labels = torch.arange(len(CREATURES.classes)).repeat_interleave(count)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), labels  # (M, 3, 64, 64)


def export(model: torch.nn.Module, path: Path, meta: dict) -> None:
    """Writes ``vit.*``, ``text.*`` and ``logit_scale`` in float16 with the tower's description."""
    weights = {key.removeprefix('image.'): value.half().contiguous() for key, value in model.state_dict().items()
               if not key.endswith('attn_mask')}
    description = TowerDescription(dict(type='EVACLIPViT', arch=ARCH, readout='value'), image_size=SCENE_SIZE,
                                   text_arch=training.TEXT_ARCH, prompts='single')
    torch.save(dict(state_dict=weights, meta=dict(**description.to_meta(), **meta)), path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/creatures_clip'))
    parser.add_argument('--samples', type=int, default=600_000, help='seen in all; default: %(default)s')
    parser.add_argument('--pool', type=int, default=60_000, help='distinct images; default: %(default)s')
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--patterns', type=int, default=40_000, help='mosaics seen at first; default: %(default)s')
    parser.add_argument('--local', type=float, default=1., help='weight of the local task; default: %(default)s')
    parser.add_argument('--mosaics', type=int, default=32, help='beside every batch; default: %(default)s')
    parser.add_argument('--bfloat16', action='store_true')
    return parser.parse_args()


def main() -> None:
    """Trains from the latest checkpoint if there is one, and exports."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    pool = load_pool(args.work_dir / f'pool_{args.seed}_{args.pool}.pt', args.seed, args.pool)
    model = training.ShapesCLIP(ARCH, args.bfloat16)
    task = LocalTask()
    optimizer = training.make_optimizer(nn.ModuleDict(dict(model=model, task=task)))
    path, steps = args.work_dir / 'latest.pt', args.samples // args.batch
    stage = training.Stage(args.samples, args.pool, args.lr, 200, aside=0, salience=False)
    both = nn.ModuleDict(dict(model=model, task=task))
    both.refresh = model.refresh
    done, (images, labels) = training.resume(path, both, optimizer), held_out()
    if not done and args.patterns:
        learn_patterns(model, task, optimizer, args)
    start = time.time()
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group['lr'] = training.learning_rate(stage, step, steps)
        batch = training.take_batch(pool, step, args.batch, args.seed, False)
        loss, local = train_step(model, task, optimizer, batch, args, step)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            things, stuff = accuracy(model, images, labels)
            seconds = (time.time() - start) / (step + 1 - done)
            print(f'step {step + 1}/{steps} loss {loss:.3f} local {local:.3f} scale {model.logit_scale.exp():.1f} '
                  f'things {things:.1f} stuff {stuff:.1f} {args.batch / seconds:.0f} images/s '
                  f'{seconds * (steps - step - 1) / 60:.1f} min', flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            training.save(path, dict(model=both.state_dict(), optimizer=optimizer.state_dict(), step=step + 1))
    export(model, args.work_dir / 'creatures_clip.pt', dict(seed=args.seed, samples_seen=steps * args.batch))


training = shapes_training()

if __name__ == '__main__':
    main()
