"""Numbers that tell how good predictions are, against scikit-learn; in parts or at once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from sparkml_algos.arrays.evaluation import AreaUnderCurve, ClassesError, LogLoss, NumbersError

RANDOM = np.random.default_rng(0)
LABEL, SCORE = RANDOM.integers(0, 2, 400).astype(float), np.round(RANDOM.normal(size=400), 1)
CLASS, GUESS = (RANDOM.integers(0, 4, 400).astype(float) for _ in range(2))
WEIGHT = RANDOM.uniform(0.5, 2, 400)
ONES = np.ones(400)


def value(measure, predicted, label, weight):
    """Told in parts."""
    cuts = [slice(0, 150), slice(150, 150), slice(150, 400)]
    return measure.value(np.concatenate([measure.part(predicted[cut], label[cut], weight[cut]) for cut in cuts]))


@pytest.mark.parametrize("weight", [ONES, WEIGHT])
def test_area_under_roc(weight):
    found = value(AreaUnderCurve("raw", bins=0), np.stack([-SCORE, SCORE], axis=1), LABEL, weight)
    assert found == pytest.approx(metrics.roc_auc_score(LABEL, SCORE, sample_weight=weight), abs=1e-12)


def test_area_under_precision_and_recall():
    precision, recall, _ = metrics.precision_recall_curve(LABEL, SCORE)
    precision[-1] = precision[-2]  # where Spark's curve begins
    assert value(AreaUnderCurve("raw", "areaUnderPR", 0), SCORE, LABEL, ONES) == pytest.approx(metrics.auc(recall, precision), abs=1e-12)


def test_a_curve_of_few_points_is_near_the_exact_one():
    score = RANDOM.normal(size=400)
    coarse, exact = (value(AreaUnderCurve("raw", bins=bins), score, LABEL, ONES) for bins in (50, 0))
    assert coarse != exact
    assert coarse == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("weight", [ONES, WEIGHT])
@pytest.mark.parametrize(
    ("name", "reference"), [("mse", metrics.mean_squared_error), ("mae", metrics.mean_absolute_error), ("r2", metrics.r2_score)]
)
def test_errors_of_numbers(name, reference, weight):
    if name == "r2" and weight is WEIGHT:
        pytest.skip("Spark's own weighting")
    label = SCORE * 2 + LABEL
    assert value(NumbersError("prediction", name), SCORE, label, weight) == pytest.approx(reference(label, SCORE, sample_weight=weight))


@pytest.mark.parametrize("weight", [ONES, WEIGHT])
@pytest.mark.parametrize(
    ("measure", "reference", "options"),
    [
        (ClassesError("p", "accuracy"), metrics.accuracy_score, {}),
        (ClassesError("p", "f1"), metrics.f1_score, {"average": "weighted"}),
        (ClassesError("p", "weightedPrecision"), metrics.precision_score, {"average": "weighted"}),
        (ClassesError("p", "weightedRecall"), metrics.recall_score, {"average": "weighted"}),
        (ClassesError("p", "weightedFMeasure", beta=2.0), metrics.fbeta_score, {"average": "weighted", "beta": 2.0}),
        (ClassesError("p", "precisionByLabel", label=2.0), metrics.precision_score, {"average": None, "labels": [2.0]}),
        (ClassesError("p", "hammingLoss"), metrics.zero_one_loss, {}),
    ],
)
def test_errors_of_classes(measure, reference, options, weight):
    wanted = np.ravel(reference(CLASS, GUESS, sample_weight=weight, **options))[0]
    assert value(measure, GUESS, CLASS, weight) == pytest.approx(wanted, abs=1e-12)


def test_log_loss():
    probability = RANDOM.dirichlet(np.ones(4), 400)
    wanted = metrics.log_loss(CLASS, probability, sample_weight=WEIGHT)
    assert value(LogLoss("probability"), probability, CLASS, WEIGHT) == pytest.approx(wanted, abs=1e-12)
