# Off-the-shelf segmentation of COCO-Object, 80 things and background (val2017), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, background: 26 texts and threshold 0.2 (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 15.3 / 30.2 / 36.4.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_coco_object.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$COCO_ROOT:data/coco}}'
model = dict(classes='coco_object', background='background', threshold=0.2)
test_dataloader = dict(
    dataset=dict(
        type='rsc_mm.COCOObjectDataset',
        data_prefix=dict(img_path='val2017', seg_map_path='stuff_labels/val2017'),
        data_root=data_root))
