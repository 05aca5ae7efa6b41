"""Boxes around what was found in an image."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.images.decoding import encode_png
from sparkml_algos.plotting import plot_detections

IMAGE = np.zeros((30, 40, 3), np.uint8)
FOUND = [
    {"class_id": 1, "score": 0.9, "left": 2.0, "top": 3.0, "width": 10.0, "height": 5.0},
    {"class_id": 0, "score": 0.3, "left": 20.0, "top": 3.0, "width": 10.0, "height": 5.0},
]


@pytest.mark.parametrize("image", [IMAGE, encode_png(IMAGE)], ids=["pixels", "file"])
def test_boxes_and_names_of_what_is_probable_are_drawn_and_what_is_there(image):
    ax = plot_detections(image, FOUND, [{"class_id": 0, "left": 1, "top": 1, "width": 4, "height": 4}], names=["a cell", "a dot"])
    assert [text.get_text() for text in ax.texts] == ["a dot 0.90"]
    assert [patch.get_bbox().bounds for patch in ax.patches] == [(1, 1, 4, 4), (2, 3, 10, 5)]
    assert [patch.get_linestyle() for patch in ax.patches] == ["--", "-"]


def test_all_are_drawn_where_that_is_asked_for():
    ax = plot_detections(IMAGE, FOUND, least_score=0)
    assert [text.get_text() for text in ax.texts] == ["0 0.30", "1 0.90"]


def test_a_class_without_a_name_is_refused():
    with pytest.raises(ValueError, match="a detection of class 1, and there are 1 names"):
        plot_detections(IMAGE, FOUND, names=["a cell"])
