"""Trains the tiny Creatures CLIP on drawn windows and writes creatures_clip.pt; resumes from latest.pt.

    python projects/creatures_clip/train.py --work-dir work_dirs/creatures_clip

First the image tower's tokens learn what lies in them (`LocalTask`), as EVA-02 is taught by masked image modelling
before EVA-02-CLIP is by captions; then both towers learn images and captions, while the tokens go on telling the colour
of their patch. On a CPU whose bfloat16 is faster than its float32 add --bfloat16.
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
SAMPLES, POOL, MOSAICS = 51_200, 20_000, 26_000
"""Windows seen, distinct windows, and mosaics seen before: the recipe of the shipped checkpoint."""
BATCH, RATE = 128, 1e-3


def shapes_training() -> object:
    """The training of the Shapes CLIP beside this folder, whose towers, loss and schedule are used; windows.py put its
    folder on the path."""
    path = Path(__file__).parents[1] / 'shapes_clip' / 'train.py'
    spec = importlib.util.spec_from_file_location('shapes_training', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


training = shapes_training()


class LocalTask(nn.Module):
    r"""Every token tells by a linear head the pattern and the mean colour of its patch; the head is thrown away.

    .. math:: L = -\frac{1}{|K|} \sum_{i \in K} \log p_i(c_i) + \frac{10}{3 N} \sum_i \|t_i - m_i\|^2

    K: the tokens whose pattern c is known (none in windows, where the first term is 0); t and m: the told and the mean
    colour, 0 to 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(ARCH['embed_dim'], len(TEXTURES) + 3)

    def forward(self, tokens: Tensor, images: Tensor, label: Tensor | None = None) -> tuple[Tensor, float]:
        """Loss, and the share of right patterns, of tokens (B, N, C), images (B, 3, 64, 64) uint8 and patterns (B, N),
        -1 where a patch has no one pattern."""
        colour = F.avg_pool2d(images / 255, 8).flatten(2).transpose(1, 2)  # (B, N, 3)
        logits, tone = self.head(tokens).split([len(TEXTURES), 3], dim=2)
        loss = 10 * F.mse_loss(tone, colour)
        if label is None:
            return loss, float('nan')
        known = label >= 0
        right = (logits.argmax(2) == label)[known].float().mean().item()
        return loss + F.cross_entropy(logits[known], label[known]), right


def take_mosaics(seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 64, 64) uint8 and the pattern of every patch (count, 64)."""
    drawn = [draw_mosaic(np.random.default_rng((seed, step, i))) for i in range(count)]
    return (torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2),
            torch.from_numpy(np.stack([label for _, label in drawn])).flatten(1))


def load_pool(path: Path, seed: int, count: int) -> dict[str, Tensor]:
    """Draws the training pool, or reads it where it was drawn before; the format is that of shapes_clip/pool.py."""
    if not path.exists():
        start, samples = time.time(), draw_pool(seed, count)
        captions, caption = np.unique([sample.caption for sample in samples], return_inverse=True)
        stated = np.zeros((len(captions), len(CREATURES.classes)), bool)
        stated[caption] = [sample.stated for sample in samples]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        pool = dict(images=images.permute(0, 3, 1, 2).contiguous(), caption=torch.from_numpy(caption),
                    tokens=tokenize(captions.tolist(), 32), stated=torch.from_numpy(stated),
                    facts=torch.from_numpy(np.stack([sample.facts for sample in samples])))
        training.save(path, pool)
        print(f'drew {count} images with {len(captions)} captions in {time.time() - start:.0f} s', flush=True)
    return torch.load(path)


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


def set_rate(optimizer: torch.optim.Optimizer, step: int, steps: int, warmup: int) -> None:
    """Linear warm-up, then cosine to 0."""
    stage = training.Stage(0, 0, RATE, warmup, aside=0, salience=False)
    for group in optimizer.param_groups:
        group['lr'] = training.learning_rate(stage, step, steps)


def learn_patterns(model: nn.Module, task: LocalTask, optimizer: torch.optim.Optimizer, count: int, seed: int) -> None:
    """The local task alone, on mosaics."""
    steps, start = count // BATCH, time.time()
    for step in range(steps):
        set_rate(optimizer, step, steps, warmup=50)
        images, label = take_mosaics(seed, step, BATCH)
        tokens = model.worker[0].vit.forward_features(model.normalise(images))[:, 1:].float()
        loss, right = task(tokens, images, label)
        update(model, optimizer, loss)
        if (step + 1) % 25 == 0:
            print(f'patterns, step {step + 1}/{steps} loss {loss:.3f} right {100 * right:.1f} '
                  f'{(time.time() - start) / (step + 1):.2f} s a step', flush=True)


def train_step(model: nn.Module, task: LocalTask, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> float:
    """One update by the contrastive loss and the local task; returns the former."""
    images, tokens, caption, true = batch
    vit = model.worker[0].vit
    features = vit.forward_features(model.normalise(images))
    embeddings = F.normalize(vit.forward_head(features).float(), dim=1)
    logits = model.logit_scale.exp() * embeddings @ model.encode_text(tokens).t()
    loss = training.contrastive_loss(logits, caption, true)
    update(model, optimizer, loss + task(features[:, 1:].float(), images)[0])
    return loss.item()


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Top-1 among all names in percent, of things and of stuff."""
    text = model.encode_text(tokenize([f'a photo of a {name}.' for name in CREATURES.classes], 32))
    right = 100. * ((model.encode_image(images) @ text.t()).argmax(1) == labels)
    is_thing = labels < len(CREATURES.things)
    return right[is_thing].mean().item(), right[~is_thing].mean().item()


def held_out(count: int = 12) -> tuple[Tensor, Tensor]:
    """Images of single classes that no pool holds, (M, 3, 64, 64) uint8, and labels (M,)."""
    images = [draw_single(name, np.random.default_rng((10 ** 6, index, i)))
              for index, name in enumerate(CREATURES.classes) for i in range(count)]
    labels = torch.arange(len(CREATURES.classes)).repeat_interleave(count)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), labels  # (M, 3, 64, 64)


def export(model: nn.Module, path: Path, meta: dict) -> None:
    """Writes ``vit.*``, ``text.*`` and ``logit_scale`` in float16 with the tower's description."""
    weights = {key.removeprefix('image.'): value.half().contiguous() for key, value in model.state_dict().items()
               if not key.endswith('attn_mask')}
    description = TowerDescription(dict(type='EVACLIPViT', arch=ARCH, readout='value'), image_size=SCENE_SIZE,
                                   text_arch=training.TEXT_ARCH, prompts='single')
    torch.save(dict(state_dict=weights, meta=dict(**description.to_meta(), **meta)), path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/creatures_clip'))
    parser.add_argument('--samples', type=int, default=SAMPLES, help='windows seen; default: %(default)s')
    parser.add_argument('--pool', type=int, default=POOL, help='distinct windows; default: %(default)s')
    parser.add_argument('--mosaics', type=int, default=MOSAICS, help='seen at first; default: %(default)s')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--bfloat16', action='store_true')
    return parser.parse_args()


def main() -> None:
    """Trains from the latest checkpoint if there is one, and exports."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    pool = load_pool(args.work_dir / f'pool_{args.seed}_{args.pool}.pt', args.seed, args.pool)
    model, task = training.ShapesCLIP(ARCH, args.bfloat16), LocalTask()
    both = nn.ModuleDict(dict(model=model, task=task))
    both.refresh = model.refresh  # what `resume` calls after loading
    optimizer = training.make_optimizer(both)
    path, steps = args.work_dir / 'latest.pt', args.samples // BATCH
    done, (images, labels) = training.resume(path, both, optimizer), held_out()
    if not done:
        learn_patterns(model, task, optimizer, args.mosaics, args.seed)
    start = time.time()
    for step in range(done, steps):
        set_rate(optimizer, step, steps, warmup=200)
        loss = train_step(model, task, optimizer, training.take_batch(pool, step, BATCH, args.seed, False))
        if (step + 1) % 50 == 0 or step + 1 == steps:
            things, stuff = accuracy(model, images, labels)
            seconds = (time.time() - start) / (step + 1 - done)
            print(f'step {step + 1}/{steps} loss {loss:.3f} scale {model.logit_scale.exp():.1f} things {things:.1f} '
                  f'stuff {stuff:.1f} {BATCH / seconds:.0f} images/s {seconds * (steps - step - 1) / 60:.1f} min',
                  flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            training.save(path, dict(model=both.state_dict(), optimizer=optimizer.state_dict(), step=step + 1))
    export(model, args.work_dir / 'creatures_clip.pt', dict(seed=args.seed, samples_seen=steps * BATCH))


if __name__ == '__main__':
    main()
