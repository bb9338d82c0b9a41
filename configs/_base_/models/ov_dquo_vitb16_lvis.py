# What OV-LVIS changes: 1,203 classes, of which a step of training sees 100, the novel prior and the number of boxes.
_base_ = 'ov_dquo_vitb16.py'
model = dict(
    bbox_head=dict(
        classes='lvis',
        base_classes='lvis_base',
        num_sampled_classes=100,
        novel_prior=8.0),
    test_cfg=dict(max_per_img=300))
