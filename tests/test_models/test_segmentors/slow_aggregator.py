"""An independent slow version of `CostAggregator`: one image, class, window and location after the other."""
import torch
from torch.nn import functional as F

from rsc_mm.models.segmentors import CostAggregator


def slow_logits(model: CostAggregator, image: torch.Tensor, text: torch.Tensor, guidance: list[torch.Tensor]
                ) -> torch.Tensor:
    """Logits (B, T, 4h, 4w), with the padding tokens written out; no pooling."""
    samples = zip(image, text, *guidance)
    return torch.stack([_sample(model, sample[0], sample[1], sample[2:]) for sample in samples])


def _sample(model, image, text, guidance):
    image, unit = F.normalize(image, dim=0), F.normalize(text, dim=-1)  # (D, h, w), (T, P, D)
    cost = torch.stack([torch.stack([(image * prompt[:, None, None]).sum(0) for prompt in prompts])
                        for prompts in unit])  # (T, P, h, w)
    chosen = list(range(len(text)))
    if model.pad_len and len(text) > model.pad_len:
        best = [float(maps.max()) for maps in cost]
        chosen = sorted(chosen, key=lambda t: -best[t])[:model.pad_len]
        cost, text = cost[chosen], unit[chosen]
    x = torch.stack([model.cost_embedding(maps[None])[0].permute(1, 2, 0) for maps in cost])  # (T, h, w, C)
    appearance = model.appearance_projection(guidance[0][None]).relu()[0].permute(1, 2, 0)  # (h, w, G)
    words = model.text_projection(F.normalize(text.mean(dim=1), dim=-1)).relu()  # (T, G)
    for spatial, classes in zip(model.spatial_layers, model.class_layers):
        guide = spatial.guidance_norm(appearance)
        for block in spatial.blocks:
            x = _swin(block, x, guide)
        x = x + _class_attention(classes, x, words)
    finer = [projection(g[None]).relu()
             for projection, g in zip(model.decoder_projections, guidance[1:])]
    logits = torch.stack([_decode(model.decoder, one, finer) for one in x])  # (K, 4h, 4w)
    everything = torch.full((len(unit), *logits.shape[1:]), -100.)
    for place, class_number in enumerate(chosen):
        everything[class_number] = logits[place]
    return everything


def _swin(block, x, guide):
    """(T, h, w, C): every token looks for the tokens of its window in the shifted grid."""
    classes, h, w, _ = x.shape
    window, shift = (min(h, w), 0) if min(h, w) <= block.window_size else (block.window_size, block.shift)
    normed = block.norm1(x)
    both = torch.cat([normed, guide.expand(classes, -1, -1, -1)], dim=-1)
    q, k = (F.linear(both, layer.weight, layer.bias) for layer in (block.q, block.k))
    v = block.v(normed)
    padded_h, padded_w = -(-h // window) * window, -(-w // window) * window
    key = {}
    for i in range(h):
        for j in range(w):
            row, column = (i - shift) % padded_h, (j - shift) % padded_w
            key[i, j] = row // window, column // window, i < shift, j < shift  # window, and wrapped around or not
    out = torch.zeros_like(x)
    for i, j in key:
        rows, columns = zip(*[place for place in key if key[place] == key[i, j]])
        out[:, i, j] = _softmax_attention(q[:, i, j], k[:, rows, columns], v[:, rows, columns], block.num_heads)
    x = x + block.proj(out)
    return x + block.mlp(block.norm2(x))


def _softmax_attention(q, k, v, heads):
    """One query for each class (T, C), its keys and values (T, n, C)."""
    parts = []
    for one_q, one_k, one_v in zip(q.chunk(heads, dim=1), k.chunk(heads, dim=2), v.chunk(heads, dim=2)):
        weights = ((one_k * one_q[:, None]).sum(2) / one_q.shape[1] ** 0.5).softmax(1)  # (T, n)
        parts.append((weights[:, :, None] * one_v).sum(1))
    return torch.cat(parts, dim=1)


def _class_attention(layer, x, words):
    """(T, h, w, C) -> (T, h, w, C), every location alone, all padding tokens written out."""
    out = torch.empty_like(x)
    missing = max(layer.pad_len - len(x), 0)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            tokens, guide = x[:, i, j], words
            if missing:
                tokens = torch.cat([tokens, layer.padding_token.expand(missing, -1)])
                guide = torch.cat([guide, layer.padding_guidance.expand(missing, -1)])
            normed = layer.norm1(tokens)
            both = torch.cat([normed, guide], dim=1)
            q = F.elu(F.linear(both, layer.q.weight, layer.q.bias)) + 1
            k = F.elu(F.linear(both, layer.k.weight, layer.k.bias)) + 1
            v = layer.v(normed)
            heads = []
            for one_q, one_k, one_v in zip(*(y.chunk(layer.num_heads, dim=1) for y in (q, k, v))):
                similarity = one_q @ one_k.t()  # (T', T')
                heads.append(similarity @ one_v / (similarity.sum(1, keepdim=True) + 1e-6))
            tokens = tokens + torch.cat(heads, dim=1)
            tokens = tokens + layer.mlp(layer.norm2(tokens))
            out[:, i, j] = tokens[:len(x)]
    return out


def _decode(decoder, x, finer):
    maps = x.permute(2, 0, 1)[None]  # (1, C, h, w)
    for step, guide in zip(decoder.steps, finer):
        maps = torch.cat([step.up(maps), guide], dim=1)
        maps = step.norm1(F.conv2d(maps, step.conv1.weight, padding=1)).relu()
        maps = step.norm2(step.conv2(maps)).relu()
    return decoder.head(maps)[0, 0]
