# mmdet's Faster R-CNN of COCO's 80 classes with LVIS's 1,203 names, on R-SC-CLIPSelf's ViT-B/16, without training.
# Paper: none; F-VLM's fusion (Kuo et al., ICLR 2023, eq. 3). CHECKPOINT: the detector's, of MMDetection's model zoo.
# Command: python tools/test.py configs/rescoring/faster_rcnn_r50_lvis_names.py CHECKPOINT
# Measured here: not measured (LVIS and the weights are not at hand; the plumbing runs in a test on a real image)
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', '../_base_/models/rescoring_vitb16.py']
custom_imports = dict(imports=['rsc_mm.models', 'rsc_mm.models.detectors', 'rsc_mm.engine', 'rsc_mm.evaluation'])
model = dict(
    _delete_=True,
    type='rsc_mm.RescoredDetector',
    detector={{_base_.model}},
    backbone={{_base_.clip_backbone}},
    region_preprocessor={{_base_.clip_preprocessor}},
    classes='lvis',
    class_embeddings={{_base_.clip_embeddings}},
    detector_classes='coco')
data_root = '{{$LVIS_ROOT:data/lvis_v1}}'
test_dataloader = dict(
    dataset=dict(
        type='LVISV1Dataset', data_root=data_root, ann_file='annotations/lvis_v1_val.json', data_prefix=dict(img='')))
test_evaluator = dict(
    _delete_=True, type='rsc_mm.LVISDetectionMetric', ann_file=data_root + '/annotations/lvis_v1_val.json',
    metric='bbox')
train_dataloader = train_cfg = optim_wrapper = param_scheduler = None  # it is not trained
val_dataloader = val_cfg = val_evaluator = None
