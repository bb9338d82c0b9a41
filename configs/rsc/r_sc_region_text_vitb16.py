# R-SC-Region-Text on nouns matched to proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px (Qiu et al., ICLR 2025,
# sec. 3.4).
# Paper: table 1: boxes / thing masks / stuff masks top-1 72.0 / 74.3 / 41.6; table 3: OV-COCO novel AP50 37.0, OV-LVIS
#        mask AP_r 23.6
# Commands: bash tools/dist_train.sh configs/rsc/refiner_vitb16.py 8
#           bash tools/dist_train.sh configs/rsc/r_sc_region_text_vitb16.py 8
# Measured here: not measured (the weights and the data are not at hand: see README.md)
_base_ = [
    '../_base_/models/r_sc_vitb16.py',
    '../_base_/datasets/coco_region_text.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/r_sc_6e.py', '../_base_/default_runtime.py'
]
model = dict(
    rla=dict(
        type='NounAlignment',
        class_embeddings=dict(
            names='{{$COCO_ROOT:data/coco}}/region_text/region_text_train2017.json',
            prompts='vild',
            text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16',
                              checkpoint='data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt'))),
    data_preprocessor=dict(crop_size=None))
train_dataloader = dict(batch_size=4)
