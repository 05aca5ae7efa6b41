"""Histories of trainings."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos import TrainingSummary
from sparkml_algos.plotting import plot_training_history

HISTORY = [
    {"epoch": 1, "seconds": 0.1, "train:auc": 0.7, "train:rmse": 5.0, "validation:auc": 0.6, "validation:rmse": 6.0},
    {"epoch": 2, "seconds": 0.1, "train:auc": 0.8, "train:rmse": 3.0, "validation:auc": 0.9, "validation:rmse": 4.0},
    {"epoch": 3, "seconds": 0.1, "train:auc": 0.9, "train:rmse": 2.0, "validation:auc": 0.8, "validation:rmse": 4.5},
]


def points(line):
    return line.get_xydata().tolist()


def test_both_kinds_of_rows_have_a_curve_and_the_best_epoch_of_the_validation_rows_is_marked():
    ax = plot_training_history(HISTORY)
    train, validation, mark, best = ax.lines
    assert points(train) == [[1, 5], [2, 3], [3, 2]] and points(validation) == [[1, 6], [2, 4], [3, 4.5]]
    assert list(mark.get_xdata()) == [2, 2] and points(best) == [[2, 4]]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["training rows", "validation rows", "best: 4 in epoch 2"] and ax.get_ylabel() == "rmse"


def test_of_some_metrics_more_is_better():
    assert points(plot_training_history(HISTORY, "auc").lines[-1]) == [[2, 0.9]]
    assert points(plot_training_history(HISTORY, "auc", larger_is_better=False).lines[-1]) == [[1, 0.6]]


def test_without_validation_rows_the_training_rows_say_what_is_best():
    history = [{"epoch": epoch["epoch"], "train:rmse": epoch["train:rmse"]} for epoch in HISTORY]
    ax = plot_training_history(history)
    assert points(ax.lines[0]) == [[1, 5], [2, 3], [3, 2]] and points(ax.lines[-1]) == [[3, 2]]


def test_a_metric_that_is_no_number_is_not_the_best():
    history = [{"epoch": 1, "train:auc": float("nan")}, {"epoch": 2, "train:auc": 0.4}]
    assert points(plot_training_history(history).lines[-1]) == [[2, 0.4]]
    (line,) = plot_training_history(history[:1]).lines
    assert np.isnan(line.get_ydata()).all()


def test_a_model_or_its_summary_is_taken_as_it_is():
    summary = TrainingSummary(1, 9, [9], {}, "barrier", 0, {}, history=HISTORY)

    class Model:
        training_summary = summary

        @staticmethod
        def algorithm():
            return type("Boosting", (), {"unit": "rounds"})

    for source, unit in ((summary, "epoch"), (Model(), "round")):
        ax = plot_training_history(source)
        assert points(ax.lines[1]) == [[1, 6], [2, 4], [3, 4.5]] and ax.get_xlabel() == unit


def test_what_has_no_such_metric_is_refused():
    with pytest.raises(ValueError, match="the history has no metric 'mae'; it has 'auc', 'rmse'"):
        plot_training_history(HISTORY, "mae")
    with pytest.raises(ValueError, match="there is no history of a training to draw"):
        plot_training_history(TrainingSummary(1, 9, [9], {}, "barrier", 0, {}))
    with pytest.raises(ValueError, match="the history has no metrics to draw"):
        plot_training_history([{"epoch": 1, "seconds": 0.2}])
