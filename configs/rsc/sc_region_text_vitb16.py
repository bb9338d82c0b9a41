# SC-Region-Text on nouns matched to proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px (Qiu et al., ICLR 2025,
# sec. 3.2).
# Paper: table 3: OV-COCO novel AP50 35.8
# Command: bash tools/dist_train.sh configs/rsc/sc_region_text_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_region_text.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
model = dict(
    type='SCRLA',
    scd_loss=dict(type='SCDLoss', loss_weight=0.2),
    rla=dict(
        type='NounAlignment',
        class_embeddings=dict(
            names='{{$COCO_ROOT:data/coco}}/region_text/region_text_train2017.json',
            prompts='vild',
            text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16',
                              checkpoint='data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'))),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(batch_size=4)
