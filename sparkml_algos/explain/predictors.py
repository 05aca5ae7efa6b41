"""Kernel SHAP within the task that has the rows: of this library's models of features, whose predictor scores mixtures as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.explain.kernel import Coalitions
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import FEATURES
from sparkml_algos.rows.predictor import Predictor

LEAST_PROBABILITY = 1e-12
_NAMES = ("probability", "prediction")
# Numbers of the mixtures that are scored at a time: 4 MiB.
_NUMBERS = 1 << 20


def output_of(model: Any, output: str | None) -> Output | None:
    """What the predictor calls the output that is explained; None where a model is scored by its `transform` alone."""
    if not isinstance(model, AlgorithmModel) or type(model)._transform is not AlgorithmModel._transform:
        return None
    read = [field.role for field in model.fields() if field.scoring and (field.role == FEATURES or model.value(field.param))]
    if read != [FEATURES]:
        return None
    by_name = {model.value(one.param): one for one in model.own_outputs()}
    names = _NAMES if output is None else (output,)
    found = next((by_name[name] for name in names if name in by_name), None)
    return found if found is not None and type(found) is Output and found.type in ("double", "vector", "float") else None


def attributions_in_tasks(
    model: AlgorithmModel, dataset: DataFrame, x: Column, output: Output, base: np.ndarray, chosen: Coalitions, logit: bool
) -> tuple[Column, int]:
    """Attributions of each row, label by label with the expected output after those of the features, as one array; and the number of
    labels.

    Parameters
    ----------
    model : AlgorithmModel
    dataset : DataFrame
    x : Column
        The features as an array.
    output : Output
        What is explained.
    base : ndarray of float64, shape (rows, features)
        The baseline.
    chosen : Coalitions
    logit : bool

    Returns
    -------
    (Column, int)
    """
    import pandas as pd

    algorithm, settings, field = model.algorithm(), Hyperparameters(**model.hyperparameters()), output.field
    artifact = model.artifact
    assert artifact is not None
    ensure_importable(dataset.sparkSession, [*ALWAYS, *algorithm.libraries])
    labels = _scores(algorithm.load(artifact, settings, "cpu"), field, base, logit).shape[1]
    opened: Opened[Predictor] = Opened(ship(artifact, dataset.sparkSession), lambda one: algorithm.load(one, settings, "cpu"))
    explainer = _Explainer(opened, field, base.astype(np.float32), chosen, logit)

    def explained(rows):  # noqa: ANN001, ANN202 - annotated below, for Spark looks them up at run time
        return pd.Series(list(explainer(rows.tolist())))

    explained.__annotations__ = {"rows": pd.Series, "return": pd.Series}
    make: Callable[..., Any] = F.pandas_udf
    return make(explained, "array<double>")(x), labels


@dataclass(frozen=True)
class _Explainer:
    opened: Opened[Predictor]
    field: str
    base: np.ndarray
    chosen: Coalitions
    logit: bool

    def __call__(self, rows: Sequence[np.ndarray | None]) -> np.ndarray:
        """Of rows of features, shape (rows, labels · (features + 1))."""
        features = self.base.shape[1]
        if not len(rows):
            return np.empty((0, features + 1))
        lengths = {-1 if row is None else len(row) for row in rows}
        if lengths != {features}:
            told = ", ".join("null" if length < 0 else str(length) for length in sorted(lengths))
            raise ValueError(f"rows to explain have {told} features; those of the baseline have {features}")
        x = np.stack([np.asarray(row, np.float32) for row in rows])
        predictor = self.opened.get()
        of_rows, expected = (_scores(predictor, self.field, one, self.logit) for one in (x, self.base))
        expected = expected.mean(axis=0)
        masks = self.chosen.left_in
        means = np.empty((len(x) * len(masks), of_rows.shape[1]))
        block = max(1, _NUMBERS // self.base.size)
        for start in range(0, len(means), block):
            place = np.arange(start, min(start + block, len(means)))
            row, mixture = np.divmod(place, len(masks))
            mixed = np.where(masks[mixture][:, None, :], x[row][:, None, :], self.base)
            scores = _scores(predictor, self.field, mixed.reshape(-1, features), self.logit)
            means[place] = scores.reshape(len(place), len(self.base), -1).mean(axis=1)
        outputs = means.reshape(len(x), len(masks), -1)
        found = np.empty((len(x), of_rows.shape[1], features + 1))
        for i in range(len(x)):
            found[i, :, :features] = self.chosen.attributions(outputs[i], expected, of_rows[i]).T
        found[:, :, features] = expected
        return found.reshape(len(x), -1)


def _scores(predictor: Predictor, field: str, x: np.ndarray, logit: bool) -> np.ndarray:
    """Outputs of rows, shape (rows, labels)."""
    found = np.asarray(predictor(Batch(features=np.ascontiguousarray(x, np.float32)))[field], np.float64).reshape(len(x), -1)
    if not logit:
        return found
    inside = np.clip(found, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(inside / (1 - inside))
