"""Pictures of runs side by side."""

from __future__ import annotations

import pandas as pd
import pytest

from sparkml_algos.plotting import plot_runs


class Compared:
    """What `tracking.compare` gives."""

    def frame(self):
        return pd.DataFrame({"run": ["a", "b", "c"], "depth": [2, 4, 8], "booster": ["tree", "dart", None], "auc": [0.7, 0.9, None]})

    def differences(self):
        return pd.DataFrame({"a": [2, "tree"]}, index=["depth", "booster"])

    def history(self, metric):
        return pd.DataFrame({"a": [0.5, 0.7], "b": [0.9, None]}, index=[1, 2])


def test_a_line_for_each_run():
    drawn = {line.get_label(): list(line.get_ydata()) for line in plot_runs(Compared(), "line", "auc").get_lines()}
    assert drawn == {"a": [0.5, 0.7], "b": [0.9]}


def test_bars_points_and_counts_are_of_runs_that_have_it():
    assert [bar.get_height() for bar in plot_runs(Compared(), "bar", "auc").patches] == [0.7, 0.9]
    assert plot_runs(Compared(), "scatter", "auc", "depth").collections[0].get_offsets().tolist() == [[2, 0.7], [4, 0.9]]
    assert sum(bar.get_height() for bar in plot_runs(Compared(), "histogram", "auc").patches) == 2


def test_parallel_coordinates_go_through_what_differs():
    ax = plot_runs(Compared(), "parallel", "auc")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["depth", "booster", "auc"]
    assert [list(line.get_ydata()) for line in ax.get_lines()] == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("pie", "auc"), "kind must be one of"), (("bar", "loss"), "no run has 'loss'"), (("scatter", "auc", "eta"), "x must be one of")],
)
def test_what_cannot_be_drawn_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        plot_runs(Compared(), *arguments)
