from collections.abc import Sequence

from mmseg.datasets import BaseSegDataset

from rsc_mm.registry import DATASETS

from ..label_maps import IGNORE


@DATASETS.register_module()
class LabelMapDataset(BaseSegDataset):
    """mmseg's data set of images and label maps for any number of classes, also beyond 255.

    mmseg gives classes that are left out the label 255, which is a class where there are more; here it is 65535, and
    `LoadLabelMap` reads the maps. An empty folder is an error and no data set of length 0.

    Args:
        ignore_index: label of pixels without a class, as `LoadLabelMap` takes it.
        **kwargs: see mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: there is no image; the message names the folder.
    """

    PREPARE = ''
    """The command that makes the files, for messages."""

    def __init__(self, ignore_index: int = IGNORE, **kwargs: object) -> None:
        super().__init__(ignore_index=ignore_index, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """The label of every class of the files among ``new_classes``, 65535 for those left out.

        Args:
            new_classes: names to keep, of those in ``METAINFO``; None or all: no renumbering.

        Raises:
            ValueError: a name is not one of the data set's.
        """
        old_classes = cls.METAINFO.get('classes')
        if not new_classes or not old_classes or list(new_classes) == list(old_classes):
            return None
        unknown = sorted(set(new_classes) - set(old_classes))
        if unknown:
            raise ValueError(f"{cls.__name__}.metainfo['classes']: found {unknown[:8]}, expected names of its "
                             f'{len(old_classes)} classes')
        label = {name: i for i, name in enumerate(new_classes)}
        return {i: label.get(name, IGNORE) for i, name in enumerate(old_classes)}

    def load_data_list(self) -> list[dict]:
        """The images, see mmseg; at least one."""
        try:
            entries = super().load_data_list()
        except (AssertionError, FileNotFoundError) as error:
            raise FileNotFoundError(f'{type(self).__name__}: {error}; {self._expected()}') from error
        if not entries:
            raise FileNotFoundError(f'{type(self).__name__}: found no image; {self._expected()}')
        return entries

    def _expected(self) -> str:
        listed = f'those of {self.ann_file} as ' if self.ann_file else ''
        made = f'; {self.PREPARE} makes the files' if self.PREPARE else ''
        return (f"expected {listed}*{self.img_suffix} in {self.data_prefix['img_path']} with *{self.seg_map_suffix} in "
                f"{self.data_prefix['seg_map_path']}{made}")
