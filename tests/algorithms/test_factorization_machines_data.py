"""Factorization machines learn ratings of films from who rates what, on the official first fold."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos import FactorizationMachinesRegressor
from sparkml_algos.algorithms.factorization_machines.prediction import load
from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.run import train_arrays
from tests.datasets import DATA, read_table

RATINGS = "movielens_100k/ratings.csv.gz"
USERS, FILMS = 943, 1682

# Chosen on the second fold.
TUNED = {
    "num_factors": 20,
    "epochs": 6,
    "mini_batch_size": 2000,
    "linear_lr": 0.05,
    "factors_lr": 0.008,
    "linear_wd": 5e-4,
    "factors_wd": 2e-4,
    "factors_init_sigma": 0.005,
}


@pytest.fixture(scope="module")
def ratings():
    """Users and films as ones, ratings from 1 to 5, and whether they are of the first fold's test rows."""
    table = read_table(RATINGS)
    columns = np.stack([table["user_id"] - 1, USERS + table["item_id"] - 1], axis=1).ravel()
    ones, ends = np.ones(len(columns), np.float32), np.arange(0, len(columns) + 1, 2)
    rows = sp.csr_matrix((ones, columns, ends), shape=(len(table), USERS + FILMS))
    return rows, table["rating"].to_numpy(np.float32), (table["fold"] == 1).to_numpy()


def error_on_test_rows(ratings, **settings):
    rows, label, is_test = ratings
    hyperparameters = FactorizationMachinesRegressor(**settings).hyperparameters()
    artifact = train_arrays(FACTORIZATION_MACHINES, hyperparameters, rows[~is_test], label=label[~is_test])
    error = load(artifact, Hyperparameters(**hyperparameters), "cpu")(Batch(features=rows[is_test]))["score"] - label[is_test]
    return float(np.mean(error**2) ** 0.5)


needs_ratings = pytest.mark.skipif(not (DATA / RATINGS).exists(), reason=f"{DATA / RATINGS} is not there")


@needs_ratings
def test_tuned_settings_predict_better_than_users_and_films_alone(ratings):
    without_pairs = error_on_test_rows(ratings, **{**TUNED, "factors_lr": 0, "factors_init_method": "constant", "factors_init_value": 0})
    assert error_on_test_rows(ratings, **TUNED) < 0.93 < 0.94 < without_pairs < 0.98


@needs_ratings
def test_the_default_learning_rates_learn_too(ratings):
    is_test, label = ratings[2], ratings[1]
    assert error_on_test_rows(ratings, num_factors=20, epochs=20) < 0.9 * label[is_test].std()
