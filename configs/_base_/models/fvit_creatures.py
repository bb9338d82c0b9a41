# F-ViT in small, on the tiny EVA-CLIP of projects/creatures_clip: patch 8, levels at strides 2, 4, 8 and 16; anchors of
# 32, 64, 128 and 256 px for things of 90 to 160 px. Narrower than on Shapes, since a scene has twice the cells.
_base_ = 'fvit_vitb16.py'
sync_bn = None  # for CPUs: PyTorch's SyncBatchNorm needs a GPU
clip_checkpoint = 'projects/creatures_clip/creatures_clip.pt'
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615], std=[68.5005327, 66.6321579, 70.32316305],
        pad_size_divisor=16),
    backbone=dict(
        arch=dict(
            _delete_=True, img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=2, num_classes=128,
            ref_feat_shape=(8, 8)),
        out_indices=(0, 1, 2, 3),
        frozen_stages=4,
        init_cfg=dict(type='Pretrained', checkpoint=clip_checkpoint)),
    neck=dict(in_channels=128, out_channels=32, num_outs=4),
    rpn_head=dict(
        in_channels=32, feat_channels=32, num_convs=1,
        anchor_generator=dict(scales=[16], strides=[2, 4, 8, 16])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=32, featmap_strides=[2, 4, 8, 16], finest_scale=28),
        bbox_head=dict(
            classes='creatures_things',
            base_classes='creatures_base',
            class_embeddings=dict(
                prompts='single',
                text_encoder=dict(
                    arch=dict(_delete_=True, embed_dim=128, context_length=32, width=64, heads=4, layers=4),
                    checkpoint=clip_checkpoint)),
            clip_temperature=30.0,  # chosen on the dev split: configs/creatures/README.md
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=128)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=300, max_per_img=200),
        rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)))
