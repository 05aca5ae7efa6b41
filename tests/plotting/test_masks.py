"""Classes of pixels over an image."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.images.decoding import encode_png
from sparkml_algos.plotting import plot_masks
from sparkml_algos.plotting.masks import colour

GREY = np.full((4, 6, 3), 100, np.uint8)
MASK = np.repeat(np.array([[0, 0, 1, 1, 2, 2]], np.uint8), 4, axis=0)


@pytest.mark.parametrize("form", [lambda pixels: pixels, encode_png], ids=["arrays", "files"])
def test_pixels_are_coloured_by_their_class(form):
    ax = plot_masks(form(GREY), form(MASK), opacity=1.0)
    drawn = ax.images[0].get_array()
    assert drawn.shape == (4, 6, 3)
    for column, number in ((0, 0), (3, 1), (5, 2)):
        np.testing.assert_allclose(drawn[0, column] / 255, colour(number), atol=1 / 255)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]


def test_the_true_mask_is_at_the_right_and_what_is_left_out_has_no_colour():
    truth = MASK.copy()
    truth[:, :2] = 255
    ax = plot_masks(GREY, MASK, truth, names=["sky", "road", "car"], opacity=0.5)
    drawn = np.asarray(ax.images[0].get_array())
    assert drawn.shape == (4, 12, 3)
    assert (drawn[:, 6:8] == 100).all() and (drawn[:, :2] != 100).any()
    assert (drawn[:, 8:] == drawn[:, 2:6]).all()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sky", "road", "car"]


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"the mask is of shape \(4, 5\), the image of \(4, 6\)"):
        plot_masks(GREY, MASK[:, :5])
    with pytest.raises(ValueError, match="the mask has the class 2, and there are 2 names"):
        plot_masks(GREY, MASK, names=["sky", "road"])
