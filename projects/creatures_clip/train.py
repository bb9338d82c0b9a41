"""Trains the tiny Creatures CLIP on drawn windows and writes creatures_clip.pt; resumes from latest.pt.

    python projects/creatures_clip/train.py --work-dir work_dirs/creatures_clip --samples 600000

On a CPU whose bfloat16 is faster than its float32 add --bfloat16.
"""
import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np
import torch
from windows import draw_pool, draw_single

from rsc_mm.apis.description import TowerDescription
from rsc_mm.datasets.creatures_scene import CREATURES
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
        stated = np.zeros((len(captions), len(CREATURES.classes)), bool)
        stated[caption] = [sample.stated for sample in samples]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        pool = dict(images=images.permute(0, 3, 1, 2).contiguous(), caption=torch.from_numpy(caption),
                    tokens=tokenize(captions.tolist(), 32), stated=torch.from_numpy(stated),
                    facts=torch.from_numpy(np.stack([sample.facts for sample in samples])))
        torch.save(pool, path.with_suffix('.tmp'))
        path.with_suffix('.tmp').rename(path)
        print(f'drew {count} images with {len(captions)} captions in {time.time() - start:.0f} s', flush=True)
    return torch.load(path)


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
    parser.add_argument('--bfloat16', action='store_true')
    return parser.parse_args()


def main() -> None:
    """Trains from the latest checkpoint if there is one, and exports."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    pool = load_pool(args.work_dir / f'pool_{args.seed}_{args.pool}.pt', args.seed, args.pool)
    model = training.ShapesCLIP(ARCH, args.bfloat16)
    optimizer = training.make_optimizer(model)
    path, steps = args.work_dir / 'latest.pt', args.samples // args.batch
    stage = training.Stage(args.samples, args.pool, args.lr, 200, aside=0, salience=False)
    done, (images, labels), start = training.resume(path, model, optimizer), held_out(), time.time()
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group['lr'] = training.learning_rate(stage, step, steps)
        loss = training.train_step(model, optimizer, training.take_batch(pool, step, args.batch, args.seed, False))
        if (step + 1) % 50 == 0 or step + 1 == steps:
            things, stuff = accuracy(model, images, labels)
            seconds = (time.time() - start) / (step + 1 - done)
            print(f'step {step + 1}/{steps} loss {loss:.3f} scale {model.logit_scale.exp():.1f} things {things:.1f} '
                  f'stuff {stuff:.1f} {args.batch / seconds:.0f} images/s {seconds * (steps - step - 1) / 60:.1f} min',
                  flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            training.save(path, dict(model=model.state_dict(), optimizer=optimizer.state_dict(), step=step + 1))
    export(model, args.work_dir / 'creatures_clip.pt', dict(seed=args.seed, samples_seen=steps * args.batch))


training = shapes_training()

if __name__ == '__main__':
    main()
