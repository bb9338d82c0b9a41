"""Detectors of the public F-ViT code (mmdet 2.x) in this package's key names."""
import torch

from rsc_mm.utils.checkpoint import CheckpointError, Weights, vision_weights

TEMPERATURE = ('roi_head.bbox_head.detect_temperature', 'roi_head.bbox_head.fc_cls.temperature')
EMBEDDINGS = 'roi_head.bbox_head.all_embeddings'
# Created by the reference's base class and never used.
UNUSED = ('roi_head.bbox_head.fc_cls.weight', 'roi_head.bbox_head.fc_cls.bias')
PREFIXES = (('backbone.interpolate1.', 'neck.up4.'), ('backbone.interpolate2.0.', 'neck.up2.'),
            ('neck.', 'neck.fpn.'), ('rpn_head.', 'rpn_head.'), ('roi_head.bbox_head.', 'roi_head.bbox_head.'),
            ('roi_head.mask_head.', 'roi_head.mask_head.'))


def convert_reference_fvit(state_dict: Weights) -> tuple[Weights, torch.Tensor]:
    """A detector of the public F-ViT code in the keys of `FViT`.

    ========================================== ==========================================
    reference                                  here
    ========================================== ==========================================
    backbone.visual.*                          backbone.vit.* (see `rsc_mm.utils.checkpoint`)
    backbone.interpolate1.{0,1,3}.*            neck.up4.{0,1,3}.*
    backbone.interpolate2.0.*                  neck.up2.*
    neck.{lateral,fpn}_convs.*                 neck.fpn.{lateral,fpn}_convs.*
    rpn_head.*                                 rpn_head.*
    roi_head.bbox_head.detect_temperature      roi_head.bbox_head.fc_cls.temperature
    roi_head.bbox_head.all_embeddings (D, T+1) returned transposed, (T+1, D)
    roi_head.bbox_head.fc_cls.*                dropped: the reference creates it and never uses it
    roi_head.{bbox,mask}_head.*                roi_head.{bbox,mask}_head.*
    ========================================== ==========================================

    Args:
        state_dict: the reference's, unwrapped.

    Returns:
        The weights for `FViT`, and the class embeddings (T+1, D), the background last.

    Raises:
        CheckpointError: a key is unknown, or the tower or the embeddings are missing.
    """
    tower = {key.removeprefix('backbone.'): value for key, value in state_dict.items()
             if key.startswith('backbone.visual.')}
    if not tower or EMBEDDINGS not in state_dict:
        raise CheckpointError(f"the F-ViT checkpoint: found the keys {sorted(state_dict)[:5]} ..., expected "
                              f"'backbone.visual.*' and {EMBEDDINGS!r}, as the public F-ViT code saves them")
    weights = {f'backbone.vit.{key}': value for key, value in vision_weights(tower, 'the F-ViT checkpoint').items()}
    rest = [key for key in state_dict if not key.startswith('backbone.visual.') and key not in (EMBEDDINGS, *UNUSED)]
    weights.update({_rename(key): state_dict[key] for key in rest})
    return weights, state_dict[EMBEDDINGS].t().contiguous()


def _rename(key: str) -> str:
    if key == TEMPERATURE[0]:
        return TEMPERATURE[1]
    for old, new in PREFIXES:
        if key.startswith(old):
            return new + key.removeprefix(old)
    raise CheckpointError(f'the F-ViT checkpoint: unknown key {key!r}, expected keys that start with one of '
                          f'{[old for old, _ in PREFIXES]}')
