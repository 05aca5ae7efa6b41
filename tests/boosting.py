"""Small trainings of boosted trees on arrays, and what the library by itself makes of the same rows."""

from __future__ import annotations

import numpy as np
import xgboost as xgb

from sparkml_algos import XGBoostClassifier, XGBoostRanker, XGBoostRegressor
from sparkml_algos.algorithms.xgboost.prediction import Predictions, load, loaded
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.run import train_arrays

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(2000, 5)).astype(np.float32)
SCORE = ROWS @ [1.0, -2.0, 0.5, 0.0, 0.0] + (ROWS[:, 3] > 0) * ROWS[:, 4]
TARGET = (SCORE + RANDOM.normal(0, 0.3, 2000) + 3).astype(np.float32)
HALF = (SCORE + RANDOM.logistic(size=2000) > 0).astype(np.float32)
THIRD = np.clip(np.round(SCORE + 1), 0, 2).astype(np.float32)
GROUP = np.repeat(np.arange(100), 20)
HELD = np.arange(2000) % 4 == 0
WEIGHT = (1 + np.arange(2000) % 3).astype(np.float32)

# The parameters of ours and of the library for the same small trainings.
SMALL = {"num_round": 8, "max_depth": 3, "nthread": 1}
LIBRARY = {"max_depth": 3, "nthread": 1, "base_score": 0.5}
TASKS = {"regressor": XGBoostRegressor, "classifier": XGBoostClassifier, "ranker": XGBoostRanker}


def fit(task, label, rows=ROWS, communicator=None, **options) -> Artifact:
    """Train on arrays; options are hyperparameters, or for `train_arrays`."""
    known = [name for key, param in TASKS[task].declared.items() if isinstance(param, Hyperparameter) for name in (key, *param.aliases)]
    own = {name: value for name, value in options.items() if name in known}
    plan = {name: value for name, value in options.items() if name not in own}
    return train_arrays(TASKS[task].algorithm(), settings(task, **own), rows, label=label, communicator=communicator, **plan)


def settings(task, **own) -> dict:
    return TASKS[task](**{**SMALL, **own}).hyperparameters()


def outputs(artifact, rows=ROWS, base_margin=None, **own) -> Predictions:
    return load(artifact, Hyperparameters(**{"missing": "nan", **own}), "cpu")(Batch(features=rows, base_margin=base_margin))


def alone(params, label, rows=ROWS, rounds=8, **fields) -> xgb.Booster:
    """The library by itself."""
    return xgb.train({**LIBRARY, **params}, xgb.QuantileDMatrix(rows, label, max_bin=params.get("max_bin", 256), **fields), rounds)


def same_trees(artifact, booster):
    assert loaded(artifact).get_dump(with_stats=True) == booster.get_dump(with_stats=True)
