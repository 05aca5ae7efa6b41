"""Anomalies on a series."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from sparkml_algos.plotting import plot_anomalies

SERIES = {"time": [3, 1, 2, 4], "value": [30.0, 10.0, 20.0, 40.0], "score": [0.7, 0.9, 2.0, 1.6], "odd": [0.0, 0.0, 1.0, 0.0]}


def test_steps_that_score_above_the_threshold_are_dots_on_the_series():
    class Model:
        threshold = 1.5

    for threshold in (1.5, Model()):
        ax = plot_anomalies(SERIES, threshold=threshold)
        series, odd = ax.lines
        assert series.get_xydata().tolist() == [[1, 10], [2, 20], [3, 30], [4, 40]]
        assert odd.get_xydata().tolist() == [[2, 20], [4, 40]]
        scores, line = ax.figure.axes[-1].lines
        assert scores.get_xydata().tolist() == [[1, 0.9], [2, 2.0], [3, 0.7], [4, 1.6]] and set(line.get_ydata()) == {1.5}


def test_scores_stand_below_the_series():
    ax = plot_anomalies(SERIES, threshold=1.5)
    below = ax.figure.axes[-1]

    def height(axes, value):
        return axes.transAxes.inverted().transform(axes.transData.transform((1, value)))[1]

    assert height(below, 2.0) < height(ax, 10.0) and height(below, 0) == 0
    assert min(ax.get_yticks()) >= 8 and max(below.get_yticks()) <= 2.1


def test_a_column_may_say_what_is_anomalous_and_scores_may_be_left_out():
    ax = plot_anomalies(pd.DataFrame(SERIES), prediction="odd", score=None)
    assert ax.lines[1].get_xydata().tolist() == [[2, 20]] and ax.figure.axes == [ax]
    assert ax.get_legend().get_texts()[1].get_text() == "anomalous: 1 of 4"


def test_a_series_of_spark_may_have_times_and_nothing_odd(spark):
    start = datetime.datetime(2020, 1, 1)
    rows = [(start + datetime.timedelta(hours=hour), float(hour), 1.0) for hour in (2, 0, 1)]
    frame = spark.createDataFrame(rows, "`the.time` timestamp, load double, score double")
    ax = plot_anomalies(frame, time="the.time", value="load", threshold=3.0)
    assert ax.lines[0].get_ydata().tolist() == [0, 1, 2] and len(ax.lines[1].get_xdata()) == 0
    assert np.diff(ax.lines[0].get_xdata(orig=False)).tolist() == pytest.approx([1 / 24, 1 / 24])


def test_something_must_say_what_is_anomalous():
    for given in ({}, {"threshold": 1.0, "score": None}):
        with pytest.raises(ValueError, match="nothing says which steps are anomalous: give prediction, a column, or threshold"):
            plot_anomalies(SERIES, **given)
    with pytest.raises(ValueError, match="plot_anomalies needs the columns 'load'; there are 'time'"):
        plot_anomalies(SERIES, value="load", threshold=1.0)
