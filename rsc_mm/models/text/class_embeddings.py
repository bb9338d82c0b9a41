"""Class embeddings: made from names by a text tower and kept on disk, or read from a file."""
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from torch.nn import functional as F

from rsc_mm.registry import MODELS

from .class_names import read_aliases, read_class_names
from .embedding_files import read_embeddings, unit_rows, write_embeddings
from .prompts import fill_prompts, prompt_templates
from .text_encoder import CLIPTextEncoder

CONFIG_KEYS = ('names', 'text_encoder', 'prompts', 'cache_dir', 'synonyms', 'aliases')
DEFAULT_CACHE = 'work_dirs/class_embeddings'


def class_embeddings(names: Sequence[str], text_encoder: CLIPTextEncoder, prompts: str | Sequence[str] = 'vild',
                     cache_dir: str | Path | None = None, synonyms: str | None = None,
                     aliases: Mapping[str, str] | None = None) -> torch.Tensor:
    r"""One unit embedding for each class: the mean over templates (ViLD, sec. 3.2; CLIP, sec. 3.1.4).

    .. math:: e_c = \mathrm{norm}\Big(\frac{1}{P} \sum_p \mathrm{norm}(\mathrm{text}(\mathrm{template}_p(c)))\Big)

    Args:
        names: T class names; cleaned as `clean_name` says.
        text_encoder: the text tower.
        prompts: 'vild' (63 templates), 'imagenet' (80), 'single', or a list of templates.
        cache_dir: where results are kept, by a hash of the tower's weights, the templates and the names; None: nowhere.
        synonyms: separator of synonyms inside a name, ',' for ADE-847; the mean then runs over all of them. None takes
            the name as it is.
        aliases: what prompts read in the place of some names, see `read_aliases`.

    Returns:
        (T, D) float32, unit norm, on the CPU.

    Raises:
        ValueError: a name or the prompt set is empty or unknown, a text is too long, or a cached file is damaged.
    """
    names = read_class_names(list(names))
    words = [(aliases or {}).get(name, name) for name in names]
    if not cache_dir:
        return _encode_classes(words, text_encoder, prompts, synonyms)
    path = Path(cache_dir) / f'{_key(names, words, text_encoder, prompts, synonyms)}.safetensors'
    if not path.is_file():
        write_embeddings(path, names, _encode_classes(words, text_encoder, prompts, synonyms))
    return _read_cache(path, names)  # also after writing, so that every run gets the same bits


def load_class_embeddings(spec: torch.Tensor | str | Path | dict, names: Sequence[str] | None = None,
                          aliases: Mapping[str, str] | None = None) -> torch.Tensor:
    """Class embeddings from whatever a config holds.

    Args:
        spec: a tensor (T, D); a file (.safetensors or .pt of this package, F-ViT's .pt, CLIPSelf's .npy); or a dict
            that makes them: ``dict(names='coco_panoptic', text_encoder=dict(arch='EVA02-B-16', checkpoint=PATH),
            prompts='vild', cache_dir=DIR, synonyms=None, aliases='voc20')``, where names may be anything
            `read_class_names` takes and is by default the argument ``names``; cache_dir is by default `DEFAULT_CACHE`;
            aliases may be anything `read_aliases` takes and are by default those of the names.
        names: the T classes in the order in which they are wanted; rows of a spec with names are chosen by name. None
            or empty: all rows.
        aliases: what prompts read in the place of these names; a field ``aliases`` of the spec wins.

    Returns:
        (T, D) float32, unit norm, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: names are missing (all are listed), their number differs, or a field of the dict is unknown.
    """
    if isinstance(spec, dict):
        found, embeddings = _from_config(spec, names, aliases)
    elif isinstance(spec, (str, Path)):
        found, embeddings = read_embeddings(spec)
    else:
        found, embeddings = None, unit_rows(torch.as_tensor(spec), 'the given class embeddings')
    source = f'class embeddings {spec}' if isinstance(spec, (str, Path)) else 'the given class embeddings'
    return _select(found, embeddings, list(names), source) if names else embeddings


def spec_aliases(spec: dict, aliases: Mapping[str, str] | None = None) -> dict[str, str]:
    """What prompts read in the place of names by a spec of `load_class_embeddings`.

    Args:
        spec: a dict with a text tower; its field ``aliases`` wins, those of its field ``names`` stand behind.
        aliases: those of the names in question.
    """
    if 'aliases' in spec:
        return read_aliases(spec['aliases'])
    return {**read_aliases(spec.get('names')), **(aliases or {})}


def spec_source(spec: dict) -> list:
    """What the embeddings of a spec of `load_class_embeddings` depend on beside words and weights, of plain values.

    Args:
        spec: a dict with a text tower.
    """
    source = [spec['text_encoder']['arch'], prompt_templates(spec.get('prompts', 'vild')), spec.get('synonyms')]
    return json.loads(json.dumps(source))


def _from_config(spec: dict, names: Sequence[str] | None,
                 aliases: Mapping[str, str] | None) -> tuple[list[str], torch.Tensor]:
    unknown = sorted(set(spec) - set(CONFIG_KEYS))
    if unknown or 'text_encoder' not in spec or not (names or 'names' in spec):
        raise ValueError(f"config 'class_embeddings': found the fields {sorted(spec)} (unknown: {unknown}), expected "
                         f"'text_encoder', 'names' and any of {CONFIG_KEYS[2:]}")
    found = read_class_names(spec.get('names', names))
    aliases = spec_aliases(spec, aliases)
    encoder = MODELS.build({'type': 'CLIPTextEncoder', **spec['text_encoder'], '_scope_': 'rsc_mm'}).to(get_device())
    return found, class_embeddings(found, encoder, spec.get('prompts', 'vild'), spec.get('cache_dir', DEFAULT_CACHE),
                                   spec.get('synonyms'), aliases)


def _select(found: list[str] | None, embeddings: torch.Tensor, names: list[str], source: str) -> torch.Tensor:
    """The rows of ``names`` (T, D); without names in the source the order must already be theirs."""
    if found is None:
        if len(embeddings) != len(names):
            raise ValueError(f'{source}: found {len(embeddings)} rows without names, expected '
                             f'{len(names)}, one for each class in label order')
        return embeddings
    row = {name: i for i, name in enumerate(found)}
    missing = [name for name in names if name not in row]
    if missing:
        raise ValueError(f'{source}: found {len(found)} names, but not {missing}; write a file that '
                         'holds them with tools/data/dump_text_embeddings.py')
    return embeddings[[row[name] for name in names]]


def _encode_classes(names: list[str], text_encoder: CLIPTextEncoder, prompts: str | Sequence[str],
                    synonyms: str | None) -> torch.Tensor:
    rows, start = [], time.monotonic()
    reported = start
    for i, name in enumerate(names):
        words = name.split(synonyms) if synonyms else [name]
        texts = [text for word in words for text in fill_prompts(word, prompts)]
        rows.append(F.normalize(text_encoder.encode(texts).mean(dim=0), dim=0).cpu())
        if time.monotonic() - reported > 10:
            reported = time.monotonic()
            left = (reported - start) / (i + 1) * (len(names) - i - 1)
            print_log(f'class embeddings: {i + 1} of {len(names)}, about {left:.0f} s left', logger='current')
    return torch.stack(rows)


def _key(names: list[str], words: list[str], text_encoder: CLIPTextEncoder, prompts: str | Sequence[str],
         synonyms: str | None) -> str:
    """Hash of all that the file holds and the embeddings depend on."""
    digest = hashlib.sha256()
    content = [names, prompt_templates(prompts), synonyms, sorted(text_encoder.fields.items())]
    if words != names:  # else as before there were aliases, so that files of then are found
        content.append(words)
    digest.update(json.dumps(content).encode())
    for key, value in sorted(text_encoder.tower.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.float().cpu().contiguous().numpy())
    return digest.hexdigest()[:32]


def _read_cache(path: Path, names: list[str]) -> torch.Tensor:
    try:
        found, embeddings = read_embeddings(path)
        if found != names:
            raise ValueError(f'class embeddings {path}: found other names than the cache key says')
        return embeddings
    except ValueError as error:
        raise ValueError(f'{error}; it is a cached file: delete it and run again') from error
