import itertools
import json
import logging

import pytest
from mmengine.config import Config
from PIL import Image

from rsc_mm.engine.run_report import curve_groups, describe_recipe, headline_metrics, report_text
from rsc_mm.engine.training_log import TrainingLog, read_training_log
from rsc_mm.models.region_preprocessor import padding_share
from tests.test_engine.toy import KillAt, Numbers, toy_runner

HOOKS = dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2),
             loss_check=dict(type='LossCheckHook'), logger=dict(type='LoggerHook', interval=1),
             report=dict(type='rsc_mm.ReportHook'))
_numbers = itertools.count()  # MMEngine keeps visualizers by name


def write_log(folder, rows, end='\n'):
    folder.joinpath('vis_data').mkdir(parents=True)
    (folder / 'vis_data' / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)) + end)


def logged(work_dir, **fields):
    backends = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')],
                    name=f'{work_dir.name}_{next(_numbers)}')
    return toy_runner(work_dir, default_hooks=HOOKS, visualizer=backends, **fields)


def test_a_resumed_log_replaces_what_was_done_again(tmp_path):
    write_log(tmp_path / '20260101_000000', [dict(loss=3., step=10), dict(top1=5., step=1), dict(loss=2., step=20),
                                             dict(top1=6., step=2), dict(loss=9., step=30)])
    write_log(tmp_path / '20260102_000000', [dict(loss=1.5, step=20, time=0.5), dict(top1=7., time=1., step=2)],
              '\n{"loss": 1')  # cut by a kill
    log = read_training_log(tmp_path)
    assert log.curve('loss') == ([10, 20], [3., 1.5]) and log.curve('time') == ([20], [0.5])
    assert log.metric('top1') == ([10, 20], [5., 7.])
    assert log.validations == [dict(top1=5.), dict(top1=7.)]


def test_a_damaged_line_is_named(tmp_path):
    write_log(tmp_path / 'run', [dict(loss=1., step=1)], '\nbroken\n{"loss": 2, "step": 2}\n')
    with pytest.raises(ValueError, match=r"scalars\.json, line 2: found 'broken', expected one json object a line"):
        read_training_log(tmp_path)


def test_metrics_of_the_headline_come_first_and_all_where_there_is_none():
    log = TrainingLog(validations=[dict(boxes_top1=1., boxes_top5=2., seconds=3.)], validated_at=[4])
    assert list(curve_groups(log)['validation']) == ['boxes_top1']
    log.validations = [dict(recall=1.)]
    assert curve_groups(log)['validation'] == {'recall': ([4], [1.])}


def test_a_segmentation_draws_few_enough_curves_to_tell_apart():
    metrics = ['mIoU', 'mIoU_present', 'mAcc', 'mAcc_present', 'aAcc', 'mIoU_held_out', 'mIoU_present_held_out',
               'mAcc_held_out']
    assert headline_metrics(metrics) == ['mIoU', 'mIoU_held_out']
    assert headline_metrics(['PQ', 'SQ', 'RQ', 'PQ_things', 'mIoU']) == ['PQ', 'PQ_things', 'mIoU']
    assert headline_metrics(['boxes_top1', 'boxes_macc', 'boxes_top5']) == ['boxes_top1', 'boxes_macc']


def test_recipe_counts_epochs_or_steps():
    config = Config(dict(model=dict(type='rsc_mm.CLIPSelf'), train_cfg=dict(max_iters=7),
                         optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)), train_dataloader=dict(batch_size=2)))
    assert describe_recipe(config) == 'CLIPSelf, AdamW at 0.1, 7 steps, 2 images a process'


def test_padding_by_hand():
    """Two images on 3 x 4 tokens of 8 px: 9 rows of pixels reach into the second row of tokens."""
    assert padding_share([(9, 32), (24, 8)], (3, 4), 8) == pytest.approx(1 - (8 + 3) / 24)
    assert padding_share([(24, 32)], (3, 4), 8) == 0


def test_report_of_a_training_killed_and_resumed(tmp_path):
    killed = logged(tmp_path)
    killed.register_hook(KillAt(7))
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    assert not (tmp_path / 'report.md').exists()
    logged(tmp_path, resume=True, load_from=str(tmp_path / 'iter_6.pth')).train()
    text = (tmp_path / 'report.md').read_text()
    assert '| last logged step | 12 |' in text
    assert '| last checkpoint | iter_12.pth |' in text and '(curves.png)' in text
    assert read_training_log(tmp_path).curve('loss')[0] == list(range(1, 13))
    with Image.open(tmp_path / 'curves.png') as picture:
        assert min(picture.size) >= 200


def test_without_a_log_the_report_says_so(tmp_path):
    text = report_text(Config(dict(model=dict(type='Line'))), tmp_path, read_training_log(tmp_path))
    assert 'No curves' in text and 'curves.png' not in text


def test_what_keeps_the_report_from_being_written_is_logged_and_does_not_fail_the_training(tmp_path, caplog):
    (tmp_path / 'report.md').mkdir()
    runner = logged(tmp_path, images=Numbers(8), epochs=1)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.iter == 2
    record = next(record for record in caplog.records if 'report.md: not written' in record.getMessage())
    assert record.levelno == logging.WARNING and 'its checkpoints are saved' in record.getMessage()
