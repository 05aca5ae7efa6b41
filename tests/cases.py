"""The algorithms the generic checks run over: what to fit, on what, and how to tell whether two models are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkml_algos import KMeans, KMeansModel
from sparkml_algos.core.estimator import AlgorithmEstimator, AlgorithmModel
from tests.averaging import Averaging, AveragingModel
from tests.datasets import blobs, grid, in_order

ROWS, BLOB = blobs(240, grid(4, features=3), seed=1)


@dataclass(frozen=True)
class Case:
    """An algorithm under the generic checks.

    Parameters
    ----------
    estimator, model : type
    settings : dict
        Constructor keywords for a fit on `ROWS`, four well separated blobs of three features.
    essence : callable
        The numbers that make a model, comparable between models.
    grid : tuple
        A hyperparameter and two values of it.
    """

    estimator: type[AlgorithmEstimator]
    model: type[AlgorithmModel]
    settings: dict[str, Any]
    essence: Callable[[AlgorithmModel], np.ndarray]
    grid: tuple[str, list[Any]]

    def make(self, **settings: Any) -> AlgorithmEstimator:
        return self.estimator(**{**self.settings, **settings})

    def __str__(self) -> str:
        return self.estimator.__name__


CASES = [
    Case(KMeans, KMeansModel, {"k": 4}, lambda model: in_order(model.cluster_centers), ("k", [2, 4])),
    Case(Averaging, AveragingModel, {}, lambda model: model.mean, ("scale", [1.0, 2.0])),
]
