"""The elbow."""

from __future__ import annotations

import pandas as pd
import pytest

from sparkml_algos.plotting import plot_elbow


def test_the_elbow_is_drawn_in_order_of_k_from_any_table():
    for table in (pd.DataFrame({"k": [4, 2, 3], "msd": [1.0, 9.0, 3.0]}), {"msd": [1.0, 9.0, 3.0], "k": [4, 2, 3], "ssd": [0, 0, 0]}):
        (line,) = plot_elbow(table).lines
        assert line.get_xydata().tolist() == [[2, 9], [3, 3], [4, 1]]


def test_the_distance_starts_at_zero_and_k_is_whole():
    ax = plot_elbow({"k": [2, 3], "msd": [9.0, 8.0]})
    assert ax.get_ylim()[0] == 0 and all(float(tick).is_integer() for tick in ax.get_xticks())


def test_a_table_that_is_no_elbow_is_refused():
    with pytest.raises(ValueError, match="plot_elbow needs the columns 'msd'; there are 'k', 'ssd'"):
        plot_elbow({"k": [1], "ssd": [2]})
    with pytest.raises(ValueError, match="plot_elbow has no row to draw"):
        plot_elbow(pd.DataFrame({"k": [], "msd": []}))
