"""At its defaults the linear learner is as good on real data as exact or converged solvers are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sparkml_algos import LinearLearnerBinaryClassifier, LinearLearnerMultiClassClassifier, LinearLearnerRegressor
from sparkml_algos.algorithms.linear_learner.metrics import area_under_roc
from sparkml_algos.algorithms.linear_learner.prediction import LinearPredictor, load
from sparkml_algos.algorithms.linear_learner.training import LINEAR_LEARNER
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.run import train_arrays
from tests.datasets import DATA, read_table

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def needs(path):
    return pytest.mark.skipif(not (DATA / path).exists(), reason=f"{DATA / path} is not there")


def fit(estimator, rows, label, classes=None):
    """A model and its predictions for further rows."""
    hyperparameters = estimator.hyperparameters()
    artifact = train_arrays(LINEAR_LEARNER, hyperparameters, rows, label=label)
    predictor = load(artifact, Hyperparameters(**hyperparameters), "cpu")
    return artifact, lambda others: predictor(Batch(features=others))


def raw_scores(artifact, rows):
    return LinearPredictor(artifact, Hyperparameters()).scores(rows)


def split(rows, label) -> Split:
    """Four fifths to train on, a fifth to test with."""
    order = np.random.default_rng(0).permutation(len(label))
    train, test = np.split(order, [4 * len(order) // 5])
    rows = rows.astype(np.float32)
    return rows[train], label[train], rows[test], label[test]


def california() -> Split:
    table = read_table("california_housing/housing.csv.gz")
    table["total_bedrooms"] = table["total_bedrooms"].fillna(table["total_bedrooms"].median())
    label = table.pop("median_house_value").to_numpy()
    return split(pd.get_dummies(table, columns=["ocean_proximity"]).to_numpy(float), label)


def bikes() -> Split:
    table = read_table("bike_sharing/hour.csv.gz").drop(columns=["instant", "dteday", "casual", "registered"])
    label = table.pop("cnt").to_numpy(float)
    return split(pd.get_dummies(table, columns=["season", "mnth", "hr", "weekday", "weathersit"]).to_numpy(float), label)


@cache
def adult() -> Split:
    parts = [read_table(f"adult/adult_{name}.csv.gz") for name in ("train", "test")]
    table = pd.concat(parts)
    label = (table.pop(table.columns[-1]).str.strip() == ">50K").to_numpy(float)
    rows = pd.get_dummies(table).to_numpy(np.float32)
    first = len(parts[0])
    return rows[:first], label[:first], rows[first:], label[first:]


@pytest.mark.parametrize("models", [1, "auto"])
@pytest.mark.parametrize(
    "load",
    [
        pytest.param(california, marks=needs("california_housing/housing.csv.gz")),
        pytest.param(bikes, marks=needs("bike_sharing/hour.csv.gz")),
    ],
    ids=lambda load: load.__name__,
)
def test_regression_is_within_a_percent_of_exact_least_squares(load, models):
    rows, label, test_rows, test_label = load()
    exact = LinearRegression().fit(rows.astype(float), label)
    _, predictions = fit(LinearLearnerRegressor(num_models=models), rows, label)
    for part, target in ((rows, label), (test_rows, test_label)):
        least = np.mean((exact.predict(part.astype(float)) - target) ** 2) ** 0.5
        assert np.mean((predictions(part)["score"] - target) ** 2) ** 0.5 < 1.01 * least


@needs("adult/adult_test.csv.gz")
@pytest.mark.parametrize("models", [1, "auto"])
def test_logistic_loss_on_adult_is_within_half_a_percent_of_the_converged(models):
    rows, label, test_rows, test_label = adult()
    shift, scale = rows.mean(axis=0, dtype=float), rows.std(axis=0, dtype=float)
    converged = LogisticRegression(C=np.inf, max_iter=2000, tol=1e-6).fit((rows - shift) / scale, label)
    artifact, _ = fit(LinearLearnerBinaryClassifier(num_models=models), rows, label, 2)

    def loss(score):
        return np.mean(np.logaddexp(0, np.where(label > 0, -score, score)))

    assert loss(raw_scores(artifact, rows)[:, 0]) < 1.005 * loss(converged.decision_function((rows - shift) / scale))
    assert area_under_roc(raw_scores(artifact, test_rows)[:, 0], test_label, np.ones(len(test_label))) >= 0.900


@needs("adult/adult_test.csv.gz")
@pytest.mark.parametrize(("criterion", "position"), [("precision_at_target_recall", 1), ("recall_at_target_precision", 0)])
def test_targets_on_adult_are_held_on_the_test_rows(criterion, position):
    rows, label, test_rows, test_label = adult()
    estimator = LinearLearnerBinaryClassifier(num_models=1, binary_classifier_model_selection_criteria=criterion)
    predicted = fit(estimator, rows, label, 2)[1](test_rows)["predicted_label"]
    shares = [test_label[predicted == 1].mean(), predicted[test_label == 1].mean()]
    # Two standard errors of a share of some 3,000 test rows and of as many calibration rows.
    assert shares[position] == pytest.approx(0.8, abs=0.02)


@needs("letter/letter.csv.gz")
def test_letters_are_recognised_as_well_as_by_logistic_regression():
    table = read_table("letter/letter.csv.gz", keep_default_na=False)
    label = table.pop("letter").map(lambda letter: ord(letter) - ord("A")).to_numpy()
    rows = table.to_numpy(np.float32)
    _, predictions = fit(LinearLearnerMultiClassClassifier(), rows[:16_000], label[:16_000], 26)
    assert (predictions(rows[16_000:])["predicted_label"] == label[16_000:]).mean() >= 0.77
