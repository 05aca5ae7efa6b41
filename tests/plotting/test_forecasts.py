"""A forecast behind its series."""

from __future__ import annotations

import pandas as pd
import pytest

from sparkml_algos.plotting import plot_forecast

STEPS = {
    "time": [5, 4],
    "mean": [2.0, 1.0],
    "quantiles": [{"0.1": 1.0, "0.5": 2.1, "0.9": 3.0}, {"0.1": 0.0, "0.5": 1.1, "0.9": 2.0}],
}


@pytest.mark.parametrize("table", [lambda rows: rows, pd.DataFrame], ids=["mapping", "pandas"])
def test_bands_median_and_mean_follow_the_series(table):
    ax = plot_forecast(table(STEPS), table({"time": [2, 1, 3], "value": [20.0, 10.0, 30.0]}), actual={"time": [4], "value": [1.5]})
    history, median, mean, actual = ax.lines
    assert history.get_xydata().tolist() == [[1, 10], [2, 20], [3, 30]]
    assert median.get_xydata().tolist() == [[4, 1.1], [5, 2.1]] and mean.get_xydata().tolist() == [[4, 1], [5, 2]]
    assert actual.get_xydata().tolist() == [[4, 1.5]]
    (band,) = ax.collections
    assert band.get_label() == "0.1 to 0.9" and band.get_datalim(ax.transData).extents.tolist() == [4, 0, 5, 3]


def test_a_point_forecast_has_its_mean_alone():
    ax = plot_forecast({"time": [1, 2], "mean": [3, 4]}, quantiles=None)
    assert len(ax.lines) == 1 and not ax.collections


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"the forecast has no quantile 0.2; it has 0.1, 0.5, 0.9"):
        plot_forecast(STEPS, bands=[(0.2, 0.9)])
    with pytest.raises(ValueError, match="nothing to draw of the forecast"):
        plot_forecast(STEPS, mean=None, quantiles=None)
