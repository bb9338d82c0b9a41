"""Unsupervised segmentation: matching of clusters, the 27 classes, crops, and the CRF."""
import importlib.util
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')

from .cause_toy import cause  # noqa: E402, I001
from cause.datasets import COCO_STUFF_GROUPS, CITYSCAPES_CLASSES  # noqa: E402
from cause.metrics import confusion, match_clusters, matched_counts  # noqa: E402
from rsc_mm.datasets.label_sources import COCO_STUFF_IDS, coco_stuff_labels  # noqa: E402
from rsc_mm.datasets.label_maps import IGNORE, renumber  # noqa: E402


def metric(classes: int, **fields: object) -> cause.ClusterMetric:
    found = cause.ClusterMetric(per_class=False, **fields)
    found.dataset_meta = dict(classes=tuple(f'class {i}' for i in range(classes)))
    return found


def sample(found: torch.Tensor, true: torch.Tensor, field: str = 'pred_sem_seg') -> dict:
    return {field: dict(data=found[None]), 'gt_sem_seg': dict(data=true[None]), 'img_path': 'a.jpg'}


def scores(pairs: list[tuple[torch.Tensor, torch.Tensor]], classes: int, **fields: object) -> dict[str, float]:
    measure = metric(classes, **fields)
    measure.process(None, [sample(*pair) for pair in pairs])
    return measure.evaluate(len(pairs))


class TestMatching:

    def test_three_by_three_by_hand(self):
        joint = torch.tensor([[10, 9, 0], [9, 1, 0], [0, 0, 2]])
        # Greedily cluster 0 would take class 0 (10 + 1 + 2); 9 + 9 + 2 is more.
        assigned = match_clusters(joint)
        assert assigned.tolist() == [1, 0, 2]
        assert matched_counts(joint, assigned).tolist() == [[9, 9, 2], [10, 19, 2], [19, 10, 2]]

    def test_it_is_the_best_permutation(self):
        joint = torch.randint(50, (6, 6), generator=torch.Generator().manual_seed(0))
        best = max(sum(joint[i, j].item() for i, j in enumerate(order)) for order in permutations(range(6)))
        assert sum(joint[i, j].item() for i, j in enumerate(match_clusters(joint).tolist())) == best

    def test_other_numbers_of_the_clusters_change_nothing(self):
        generator = torch.Generator().manual_seed(0)
        true = torch.randint(5, (3, 8, 8), generator=generator)
        found = torch.where(torch.rand(3, 8, 8, generator=generator) < 0.6, true, torch.randint(5, (3, 8, 8)))
        first = scores(list(zip(found, true)), 5)
        moved = scores(list(zip(torch.tensor([3, 0, 4, 2, 1])[found], true)), 5)
        assert first == moved and scores(list(zip(torch.tensor([2, 0, 1, 4, 3])[true], true)), 5)['mIoU'] == 100

    def test_the_whole_data_set_is_matched_at_once(self):
        # Image by image either cluster would fit; over both images cluster 0 cannot be both classes.
        found = torch.zeros(1, 4).long(), torch.zeros(1, 2).long()
        images = [(found[0], torch.zeros(1, 4).long()), (found[1], torch.ones(1, 2).long())]
        found = scores(images, 2)
        assert found['aAcc'] == pytest.approx(100 * 4 / 6)
        assert found['mIoU'] == pytest.approx((100 * 4 / 6 + 0) / 2)  # class 1 was annotated and never found

    def test_clusters_without_a_class_are_wrong(self):
        joint = torch.tensor([[4, 0], [3, 0], [0, 5]])
        assigned = match_clusters(joint)
        assert assigned.tolist() == [0, -1, 1]
        assert matched_counts(joint, assigned).tolist() == [[4, 5], [4, 5], [7, 5]]
        pixels = torch.tensor([[0, 0, 1, 2]]), torch.tensor([[0, 0, 0, 1]])
        assert scores([pixels], 2, num_clusters=3)['aAcc'] == 75

    def test_fewer_clusters_than_classes(self):
        assert match_clusters(torch.tensor([[1, 7, 2]])).tolist() == [1]

    def test_pixels_without_annotation_do_not_count(self):
        counts = confusion(torch.tensor([[0, 1]]), torch.tensor([[255, 1]]), 2, 2, 255, 'a')
        assert counts.tolist() == [[0, 0], [0, 1]]

    def test_other_fields_of_a_sample(self):
        measure = metric(2, field='pred_crf')
        measure.process(None, [sample(torch.tensor([[0, 1]]), torch.tensor([[1, 0]]), 'pred_crf')])
        assert measure.evaluate(1)['aAcc'] == 100
        linear = cause.LinearProbeMetric(per_class=False)
        linear.dataset_meta = measure.dataset_meta
        linear.process(None, [sample(torch.tensor([[0, 1]]), torch.tensor([[1, 0]]), 'pred_linear')])
        assert linear.evaluate(1)['aAcc'] == 0  # classes are not matched

    @pytest.mark.parametrize('found, true, message', [
        ([[0, 2]], [[0, 1]], r'image a\.jpg: found clusters from 0 to 2, expected 0 to 1'),
        ([[0, 1]], [[0, 7]], r'image a\.jpg: found annotated labels from 0 to 7, expected 0 to 1'),
        ([[0]], [[0, 1]], r"image a\.jpg: found clusters of \(1, 1\), expected the annotation's \(1, 2\)")])
    def test_bad_labels_are_named(self, found, true, message):
        with pytest.raises(ValueError, match=message):
            metric(2).process(None, [sample(torch.tensor(found), torch.tensor(true))])

    def test_bad_fields_are_named(self):
        with pytest.raises(ValueError, match=r"image a\.jpg: found no 'pred_crf'.*pred_crf needs model\.crf"):
            metric(2, field='pred_crf').process(None, [sample(torch.zeros(1, 1), torch.zeros(1, 1))])
        with pytest.raises(ValueError, match=r'ClusterMetric\.ignore_index: found 1, which is one of the 2 classes'):
            metric(2, ignore_index=1).process(None, [sample(torch.zeros(1, 1), torch.zeros(1, 1))])


class TestClasses:

    def test_every_fine_number_of_coco_stuff_has_one_class(self):
        numbers = [number for numbers in COCO_STUFF_GROUPS.values() for number in numbers]
        # 182 numbers less the eleven that were never annotated, which belong to some things' groups all the same
        assert len(numbers) == len(set(numbers)) and set(numbers) <= set(range(182))
        assert {number - 1 for number in COCO_STUFF_IDS} <= set(numbers)
        assert len(COCO_STUFF_GROUPS) == 27 == len(cause.COCOStuff27Dataset.METAINFO['classes'])

    @pytest.mark.parametrize('number, name', [(0, 'person'), (1, 'vehicle'), (16, 'animal'), (61, 'furniture'),
                                              (105, 'sky'), (123, 'plant'), (154, 'water'), (181, 'solid')])
    def test_some_numbers_of_coco_stuff(self, number, name):
        classes = cause.COCOStuff27Dataset.METAINFO['classes']
        assert classes[cause.COCOStuff27Dataset.GROUPS[number]] == name

    def test_both_kinds_of_files_give_the_same(self):
        pixels = np.array([[number - 1 for number in COCO_STUFF_IDS] + [IGNORE]])
        prepared = coco_stuff_labels(pixels, 'a.png')[0]
        direct = renumber(pixels, cause.COCOStuff27Dataset.GROUPS)
        assert np.array_equal(direct, renumber(prepared, cause.COCOStuff27From171Dataset.GROUPS))
        assert set(direct[0].tolist()) == {*range(27), IGNORE}

    def test_cityscapes(self):
        found = renumber(np.array([[0, 6, 7, 8, 9, 33, 34, IGNORE]]), cause.Cityscapes27Dataset.GROUPS)
        assert found.tolist() == [[IGNORE, IGNORE, 0, 1, 2, 26, IGNORE, IGNORE]]
        assert len(CITYSCAPES_CLASSES) == 27
        assert (CITYSCAPES_CLASSES[4], CITYSCAPES_CLASSES[26]) == ('building', 'bicycle')

    def test_other_classes_are_refused(self):
        assert cause.Cityscapes27Dataset.get_label_map(CITYSCAPES_CLASSES) == cause.Cityscapes27Dataset.GROUPS
        with pytest.raises(ValueError, match=r"Cityscapes27Dataset\.metainfo\['classes'\]: found \['road'\].*the 27"):
            cause.Cityscapes27Dataset.get_label_map(['road'])

    def test_files_of_cityscapes_are_read(self, tmp_path):
        for folder in ('images/town', 'labels/town'):
            (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / 'images/town/a_leftImg8bit.png')
        labels = np.full((4, 6), 7, np.uint8)
        labels[0] = (26, 33, 6, 34, 255, 8)
        Image.fromarray(labels).save(tmp_path / 'labels/town/a_gtFine_labelIds.png')
        dataset = cause.Cityscapes27Dataset(
            data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=[dict(type='mmcv.LoadImageFromFile'), dict(type='rsc_mm.LoadLabelMap')])
        assert dataset[0]['gt_seg_map'][:2].tolist() == [[19, 26, 255, 255, 255, 1], [0] * 6]
        folders = dict(img_path=str(tmp_path / 'labels'), seg_map_path='x')
        with pytest.raises(FileNotFoundError, match=r'Cityscapes27Dataset: found no image; expected \*_leftImg8bit'):
            cause.Cityscapes27Dataset(data_prefix=folders, pipeline=[])


class TestCrops:

    class Images:
        """A data set of two images whose pixels are numbered."""
        metainfo = dict(classes=('a', ))

        def __len__(self) -> int:
            return 2

        def get_data_info(self, index: int) -> dict:
            return dict(img=np.arange(20).reshape(4, 5) + 100 * index, gt_seg_map=np.arange(20).reshape(4, 5),
                        seg_fields=['gt_seg_map'])

        pipeline = cause.HalfCrop()

    def test_five_places_of_every_image(self):
        data = cause.FiveCropDataset(self.Images())
        assert len(data) == 10 and data.metainfo['classes'] == ('a', )
        found = [data[i]['img'].tolist() for i in range(10)]
        assert found[:5] == [[[0, 1], [5, 6]], [[3, 4], [8, 9]], [[10, 11], [15, 16]], [[13, 14], [18, 19]],
                             [[6, 7], [11, 12]]]
        assert found[9] == [[106, 107], [111, 112]]
        last = data[9]
        assert last['gt_seg_map'].tolist() == [[6, 7], [11, 12]] and last['img_shape'] == (2, 2)

    def test_without_a_place_it_is_refused(self):
        with pytest.raises(ValueError, match=r"HalfCrop: found no 'place', expected the data set within"):
            cause.HalfCrop()(dict(img=np.zeros((4, 4))))


class TestCRF:

    def test_without_the_library_the_message_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(__import__('sys').modules, 'pydensecrf.densecrf', None)
        with pytest.raises(ImportError, match=r"pydensecrf2, which is not installed\. How: pip install -e '\.\[crf\]'"):
            cause.DenseCRF()

    @pytest.mark.skipif(not importlib.util.find_spec('pydensecrf'), reason='pydensecrf2 is not installed: extra [crf]')
    def test_it_moves_labels_to_the_colours(self):
        image = torch.zeros(3, 12, 16, dtype=torch.uint8)
        image[:, :, 8:] = 255
        true = (image[0] > 0).long()
        noisy = true.clone()
        noisy[3, 2], noisy[8, 12], noisy[5, 8] = 1, 0, 0
        probability = torch.nn.functional.one_hot(noisy, 2).permute(2, 0, 1) * 0.4 + 0.3
        assert torch.equal(cause.DenseCRF()(probability.log(), image), true)
