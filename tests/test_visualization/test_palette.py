import numpy as np
import pytest

from rsc_mm.visualization.figures import add_legend, class_colours, panels
from rsc_mm.visualization.palette import RESERVED, class_palette, oklab


def distances(colours: list) -> np.ndarray:
    lab = oklab(np.array(colours))
    return np.linalg.norm(lab[:, None] - lab, axis=2) + 9 * np.eye(len(lab))


def test_colours_differ_from_each_other_and_from_what_means_something_else() -> None:
    assert distances(class_palette(40)).min() > 0.11
    assert distances([*RESERVED, *class_palette(40)]).min() > 0.11
    assert len({tuple(colour) for colour in class_palette(1203)}) == 1203


def test_the_first_colours_do_not_depend_on_the_count() -> None:
    assert class_palette(5) == class_palette(150)[:5] and class_palette(0) == []
    class_palette(3)[0][0] = -1  # what a caller does to its list reaches nobody else
    assert class_palette(3)[0][0] >= 0


def test_too_many_colours_are_refused() -> None:
    with pytest.raises(ValueError, match=r'count: found 99999, expected at most \d{4}'):
        class_palette(99999)


def test_oklab_of_known_colours() -> None:
    lab = oklab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]]))
    np.testing.assert_allclose(lab, [[1, 0, 0], [0, 0, 0], [0.628, 0.225, 0.126]], atol=1e-3)


def test_legend_names_the_classes_in_their_colours_and_makes_room() -> None:
    figure, axes = panels(1, 2, (1.5, 1.5))
    add_legend(figure, ['cat', 'a rather long name'], 'Grey: no class.')
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['cat', 'a rather long name']
    assert [patch.get_facecolor() for patch in figure.legends[0].get_patches()] == [class_colours(2)(i) for i in (0, 1)]
    assert figure.texts[0].get_text() == 'Grey: no class.' and figure.get_size_inches()[1] > 1.5
    assert axes[0, 0].get_position().y0 > 0.2
