# Off-the-shelf segmentation of ADE20K, 150 classes (val), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, no background (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 7.7 / 16.7 / 21.9.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_ade20k.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$ADE_ROOT:data/ade/ADEChallengeData2016}}'
model = dict(classes='ade150')
test_dataloader = dict(
    dataset=dict(
        type='ADE20KDataset',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        data_root=data_root))
