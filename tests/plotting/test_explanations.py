"""Attributions as bars, points and steps; partial dependence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sparkml_algos.explain import PartialDependence
from sparkml_algos.plotting import plot_explanations, plot_partial_dependence

TABLE = pd.DataFrame(
    {
        "a_label1": [1.0, -2.0, 3.0], "b_label1": [0.5, 0.5, 0.5], "c_label1": [0.0, 0.1, 0.0], "expected_label1": [10.0] * 3,
        "value_0": [7, 8, 9], "value_1": ["x", "y", "x"], "value_2": [1.0, 1.0, 1.0],
    }
)  # fmt: skip


@pytest.fixture
def explanation() -> SimpleNamespace:
    return SimpleNamespace(
        features=("a", "b", "c"), labels=("label0", "label1"), dataframe=TABLE, feature_values=lambda: TABLE,
        global_values=lambda agg_method: {"label1": {"a": 2.0, "b": 0.5, "c": -0.03}},
    )  # fmt: skip


def names(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_bars_are_the_largest_first(explanation):
    ax = plot_explanations(explanation, top=2)
    assert names(ax) == ["a", "b"] and [patch.get_width() for patch in ax.patches] == [2.0, 0.5]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_a_point_for_each_row_and_feature(explanation):
    ax = plot_explanations(explanation, "beeswarm")
    assert names(ax) == ["a", "b", "c"]
    x = [points.get_offsets()[:, 0].tolist() for points in ax.collections]
    assert x[0] == [1.0, -2.0, 3.0]
    beside = np.asarray(ax.collections[1].get_offsets())[:, 1]
    assert len(set(beside)) == 3 and np.all(np.abs(beside - 1) <= 0.4)
    colours = [{tuple(colour) for colour in points.get_facecolors()} for points in ax.collections]
    assert len(colours[0]) == 3 and len(colours[1]) == 1 and len(colours[2]) == 1


def test_steps_of_a_row_add_up(explanation):
    ax = plot_explanations(explanation, "waterfall", row=1)
    assert names(ax) == ["a", "b", "c"] and "10, expected, to 8.6" in ax.get_xlabel()
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([-2.0, 0.5, 0.1])
    assert names(plot_explanations(explanation, "waterfall", row=1, top=2)) == ["a", "2 others"]


def test_what_cannot_be_drawn_is_refused(explanation):
    for settings, said in (
        ({"kind": "pie"}, "kind is one of"),
        ({"label": "label7"}, "is not explained"),
        ({"top": 0}, "top is 1 or more"),
    ):
        with pytest.raises(ValueError, match=said):
            plot_explanations(explanation, **settings)
    with pytest.raises(ValueError, match="row is from 0 to 2"):
        plot_explanations(explanation, "waterfall", row=3)


def test_partial_dependence_of_numbers_and_categories():
    ax = plot_partial_dependence(PartialDependence("age", "numerical", (20.0, 30.0), ((0.2, 0.4), (0.8, 0.6)), (0.7, 0.3)))
    assert ax.lines[0].get_xydata().tolist() == [[20, 0.8], [30, 0.6]] and ax.get_xlabel() == "age"
    heights = [patch.get_height() for patch in ax.patches]
    assert heights[1] / heights[0] == pytest.approx(3 / 7)
    ax = plot_partial_dependence(PartialDependence("city", "categorical", ("Bern", "Zug"), ((1.0, 1.0),), (0.5, 0.5)))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Bern", "Zug"]
    with pytest.raises(ValueError, match="note: a text"):
        plot_partial_dependence(PartialDependence("note", "free_text", error="a text"))
