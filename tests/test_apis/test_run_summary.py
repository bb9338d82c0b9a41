import json

from rsc_mm.apis import load_config
from rsc_mm.apis.run_summary import licences, summarise_run
from tests.test_tools.common import REPOSITORY


def test_a_run_in_a_few_words(tmp_path):
    logs = tmp_path / '20260101_000000' / 'vis_data'
    logs.mkdir(parents=True)
    rows = [dict(loss=0.5, step=10), dict(boxes_top1=10., data_time=0.1, step=20), dict(loss=0.4, step=30),
            dict(boxes_top1=71.25, stuff_masks_top1=96., time=0.2, step=40)]
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)) + '\n')
    config = load_config(REPOSITORY / 'configs/shapes/clipself_proposals.py')
    summary = summarise_run(config, tmp_path / 'iter_40.pth')
    assert summary['metrics'] == dict(boxes_top1=71.25, stuff_masks_top1=96.)
    assert summary['recipe'].startswith('CLIPSelf, AdamW at ') and '8 images a process' in summary['recipe']
    assert summary['data'] == 'annotations/proposals_train.json, train, ProposalRegions'
    (tmp_path / 'metrics.json').write_text('{"boxes_top1": 12}')
    assert summarise_run(config, 'elsewhere.pth', tmp_path / 'metrics.json')['metrics'] == dict(boxes_top1=12)
    assert summarise_run(config, tmp_path / 'none' / 'x.pth')['metrics'] == {}


def test_original_tower_and_teacher_with_their_licences():
    summary = summarise_run(load_config(REPOSITORY / 'configs/declip/declip_vitb16.py'), 'none/x.pth')
    original = '`eva02_base_patch16_clip_224`, EVA02_CLIP_B_psz16_s8B.pt, licence: mit (merged2b)'
    assert summary['original'] == original
    vision = '`vit_base_patch14_reg4_dinov2`, dinov2_vitb14_reg4_pretrain.pth, licence: apache-2.0 (lvd142m)'
    assert summary['teacher'] == f'the original tower; {vision}'
    summary = summarise_run(load_config(REPOSITORY / 'configs/shapes/declip_qq.py'), 'none/x.pth')
    assert summary['original'] == '`EVACLIPViT` of an own size, shapes_clip.pt, licence: not stated'
    assert summary['teacher'] == 'the original tower; `VFMTeacher` of an own size, shapes_vfm.pt, licence: not stated'
    evaluation = load_config(REPOSITORY / 'configs/shapes/region_classification.py')
    assert summarise_run(evaluation, 'none/x.pth')['teacher'] == ''


def test_weights_of_several_publishers_are_named_by_licence():
    found = licences('vit_base_patch16_clip_quickgelu_224')
    assert 'cc-by-nc-4.0 (metaclip_2pt5b, metaclip_400m)' in found and '(openai)' in found
    assert licences('no_such_network') == 'not stated'
