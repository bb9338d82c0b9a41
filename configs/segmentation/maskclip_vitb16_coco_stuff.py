# Off-the-shelf segmentation of COCO-Stuff 164k, 171 classes (val2017), EVA-02-CLIP ViT-B/16.
# Images: short side 448 px; windows of 336 px at stride 112; 80 templates.
# Scores: logit scale 40, no background (DeCLIP's settings).
# Paper: mIoU of EVA-CLIP / EVA-ClearCLIP / DeCLIP 9.7 / 20.4 / 25.3.
# Command: python tools/test.py configs/segmentation/maskclip_vitb16_coco_stuff.py CHECKPOINT
# Measured here: not measured.
_base_ = [
    '../_base_/models/maskclip_vitb16.py', '../_base_/datasets/segmentation_test.py',
    '../_base_/segmentation_runtime.py'
]
data_root = '{{$COCO_ROOT:data/coco}}'
model = dict(classes='coco_stuff')
test_dataloader = dict(
    dataset=dict(
        type='COCOStuffDataset',
        data_prefix=dict(img_path='val2017', seg_map_path='stuff_labels/val2017'),
        data_root=data_root))
