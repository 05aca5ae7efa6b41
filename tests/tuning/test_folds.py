"""In which order lanes get the trainings of folds and settings."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from sparkml_algos import XGBoostClassifier
from sparkml_algos.core.trials import END
from sparkml_algos.tuning.validators import _Grid

FOLDS = [0, 1, 2]


def grid(settings=4, **options):
    estimator = XGBoostClassifier()
    return _Grid([estimator.copy({estimator.max_depth: depth + 1}) for depth in range(settings)], FOLDS, keeps=False, **options)


def done(grid, lanes, metric=lambda number: float(number)):
    """The folds that each lane gets, where all tasks take as long."""
    found = [[] for _ in range(lanes)]
    while True:
        tasks = [grid.next(lane) for lane in range(lanes)]
        if all(task is END for task in tasks):
            return found
        for lane, task in enumerate(tasks):
            if task is not END:
                found[lane].append(task.fold)
                grid.take(lane, [{"trial": number, "measured": metric(number)} for number, _, _ in task.settings])


def test_a_lane_changes_its_rows_as_seldom_as_it_can():
    assert done(grid(), 1) == [[0] * 4 + [1] * 4 + [2] * 4]


def test_lanes_begin_with_other_rows_and_share_what_is_left():
    assert done(grid(), 2) == [[0] * 4 + [2] * 2, [1] * 4 + [2] * 2]


def test_more_lanes_than_folds_share_them():
    assert done(grid(), 4) == [[0, 0, 1], [1] * 3, [2] * 3, [0, 0, 2]]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_every_training_is_done_once_and_the_best_at_last(lanes):
    whole = grid(choose=lambda metrics: int(metrics.argmax()))
    folds = done(whole, lanes, metric=lambda number: -(((number % 4) - 2.0) ** 2))
    assert sorted(chain(*folds), key=str) == [*[0] * 4, *[1] * 4, *[2] * 4, None]
    assert (whole.best, np.mean(whole.metrics, axis=0).tolist()) == (2, [-4.0, -1.0, 0.0, -1.0])
