import pytest
import torch
from mmengine.config import Config

from rsc_mm.models.detectors import convert_reference_fvit
from rsc_mm.models.heads import TextClassifier
from rsc_mm.models.text import write_embeddings
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import EVA_TO_TIMM, CheckpointError
from tests.test_models.test_detectors.tiny import embeddings, tiny_fvit
from tests.test_tools.common import REPOSITORY

REFERENCE = {'neck.up4.': 'backbone.interpolate1.', 'neck.up2.': 'backbone.interpolate2.0.', 'neck.fpn.': 'neck.',
             'roi_head.bbox_head.fc_cls.temperature': 'roi_head.bbox_head.detect_temperature'}


VOCABULARY = ('fc_cls.embeddings', 'fc_cls.vocabulary')  # ours; the reference holds 'all_embeddings'


def reference_keys(weights):
    """The inverse of the key table, written independently: our keys as the reference names them."""
    renamed = {}
    for key, value in weights.items():
        if key.endswith(VOCABULARY):
            continue
        if key.startswith('backbone.vit.'):
            key = key.replace('backbone.vit.', 'backbone.visual.')
            for old, new in EVA_TO_TIMM:
                key = key.replace(new, old)
        for new, old in REFERENCE.items():
            key = old + key.removeprefix(new) if key.startswith(new) else key
        renamed[key] = value
    width = weights['roi_head.bbox_head.fc_reg.weight'].shape[1]
    extra = {'backbone.visual.rope.freqs_cos': torch.zeros(4), 'backbone.visual.blocks.0.attn.rope.freqs_sin':
             torch.zeros(4), 'roi_head.bbox_head.fc_cls.weight': torch.zeros(5, width),
             'roi_head.bbox_head.fc_cls.bias': torch.zeros(5),
             'roi_head.bbox_head.all_embeddings': embeddings().t()}
    return {**renamed, **extra}


def test_round_trip_gives_the_same_detector():
    first, second = tiny_fvit(masks=True), tiny_fvit(seed=1, masks=True)
    reference = reference_keys(first.state_dict())
    assert {'backbone.interpolate1.1.running_var', 'backbone.interpolate2.0.weight', 'neck.lateral_convs.3.bn.weight',
            'backbone.visual.blocks.3.attn.q_bias', 'roi_head.bbox_head.detect_temperature',
            'roi_head.mask_head.conv_logits.weight', 'rpn_head.rpn_conv.1.bn.bias'} <= reference.keys()
    weights, rows = convert_reference_fvit(reference)
    assert torch.equal(rows, embeddings())
    second.load_state_dict(weights)  # strict
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize('name, dim, count', [('fvit_vitb16', 512, 65), ('fvit_vitl14', 768, 65),
                                              ('fvit_vitb16_lvis', 512, 1203)])
def test_true_shapes(name, dim, count, tmp_path):
    """Every tensor of a B/16 or L/14 detector finds its place, on the meta device."""
    config = Config.fromfile(REPOSITORY / f'configs/_base_/models/{name}.py').model
    classes = [f'class {i}' for i in range(count)]
    write_embeddings(tmp_path / 'classes.safetensors', [*classes, 'background'], torch.randn(count + 1, dim))
    config.roi_head.bbox_head.update(classes=classes, base_classes=classes[:10],
                                     class_embeddings=str(tmp_path / 'classes.safetensors'))
    with torch.device('meta'):
        model = MODELS.build(config)
    reference = {key: value.to('meta') for key, value in reference_keys(model.state_dict()).items()}
    shapes = {'backbone.interpolate1.0.weight': (model.backbone.width, model.backbone.width, 2, 2),
              'roi_head.bbox_head.cls_fcs.0.weight': (dim, dim), 'roi_head.bbox_head.fc_reg.weight': (4, dim),
              'roi_head.bbox_head.shared_fcs.0.weight': (dim, 256 * 49), 'neck.fpn_convs.4.conv.weight': None,
              'rpn_head.rpn_cls.weight': (3, 256, 1, 1)}
    for key, shape in shapes.items():
        assert shape is None and key not in reference or tuple(reference[key].shape) == shape
    weights, _ = convert_reference_fvit(reference)
    assert {key: value.shape for key, value in weights.items()} == {
        key: value.shape for key, value in model.state_dict().items() if not key.endswith(VOCABULARY)}
    assert isinstance(model.roi_head.bbox_head.fc_cls, TextClassifier)
    assert ('rpn_head.rpn_conv.0.bn.weight' in weights) == (count == 1203)


def test_strangers_and_missing_parts_are_named():
    reference = reference_keys(tiny_fvit().state_dict())
    with pytest.raises(CheckpointError, match="unknown key 'roi_head.shared_head.weight'"):
        convert_reference_fvit({**reference, 'roi_head.shared_head.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match="expected 'backbone.visual"):
        convert_reference_fvit({key: value for key, value in reference.items() if 'all_embeddings' not in key})
