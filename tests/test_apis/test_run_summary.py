import json

from rsc_mm.apis import load_config
from rsc_mm.apis.run_summary import summarise_run
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
