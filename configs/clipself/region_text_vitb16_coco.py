# Region-Text (RegionCLIP) on nouns matched to proposals of COCO, EVA-02-CLIP ViT-B/16, 1024 px:
# the baseline of CLIPSelf (Wu et al., ICLR 2024).
# Paper: boxes / thing masks / stuff masks top-1 71.1 / 73.7 / 34.2; OV-COCO novel AP50 34.4
# Command: bash tools/dist_train.sh configs/clipself/region_text_vitb16_coco.py 8
# Measured here: not measured
_base_ = [
    '../_base_/models/clipself_vitb16.py',
    '../_base_/datasets/coco_region_text.py', '../_base_/datasets/coco_panoptic_val.py',
    '../_base_/schedules/adamw_6e.py', '../_base_/default_runtime.py'
]
model = dict(
    type='RegionText',
    class_embeddings=dict(
        names='{{$COCO_ROOT:data/coco}}/region_text/region_text_train2017.json',
        prompts='vild',
        text_encoder=dict(type='CLIPTextEncoder', arch='EVA02-B-16',
                          checkpoint='data/checkpoints/EVA02_CLIP_B_psz16_s8B.pt')),
    data_preprocessor=dict(crop_size=None))
