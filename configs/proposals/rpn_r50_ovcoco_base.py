# Class-agnostic proposals: RPN, ResNet-50 FPN, on the 48 base classes of OV-COCO (CLIPSelf, ICLR 2024, sec. 4.2).
# Paper: no figure of the RPN itself; with its proposals CLIPSelf reaches boxes top-1 74.0 (table 2).
# Command: bash tools/dist_train.sh configs/proposals/rpn_r50_ovcoco_base.py 8
# Measured here: not measured (the data are not at hand; the plumbing runs in a test on real images)
_base_ = 'mmdet::rpn/rpn_r50_fpn_1x_coco.py'
data_root = '{{$COCO_ROOT:data/coco}}'
train_dataloader = dict(
    batch_size=2, dataset=dict(data_root=data_root, ann_file='annotations/instances_train2017_base.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/instances_val2017_ov.json'))
test_dataloader = val_dataloader
# Not mmdet's 'proposal_fast': it stops where images differ in their number of objects, with NumPy 1.24 or newer.
val_evaluator = dict(ann_file=data_root + '/annotations/instances_val2017_ov.json', metric='proposal')
test_evaluator = val_evaluator
