"""Metrics of rounds while training, and of a finished model on other rows."""

from __future__ import annotations

import numpy as np
import xgboost as xgb

from sparkml_algos.algorithms.xgboost.objectives import BINARY, MULTICLASS, metric_names
from sparkml_algos.algorithms.xgboost.prediction import Predictions, load
from sparkml_algos.algorithms.xgboost.settings import library_metrics, source_metric
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch

# Probabilities are kept so far from 0 and 1 in a logarithm, as the library keeps them.
LEAST_PROBABILITY = 1e-16


class RoundMetrics:
    """The metrics of each round on the rows of all workers, by the service's names, such as ``train:rmse``, in the order asked for.

    The library adds up its own over the workers (of auc and aucpr it takes a mean over the workers, weighted by their rows). accuracy and
    mse follow from them; f1 is counted from predictions.
    """

    def __init__(self, h: Hyperparameters, communicator: Communicator, data: dict[str, xgb.DMatrix]) -> None:
        self._h, self._communicator, self._data = h, communicator, data
        self._names = metric_names(h.eval_metric)
        self._has_library_metrics = not self._names or bool(library_metrics(self._names, h.objective))

    def __call__(self, booster: xgb.Booster, number: int) -> dict[str, float]:
        found = {}
        if self._has_library_metrics:
            watched = [(matrix, channel) for channel, matrix in self._data.items()]
            found = _parsed(booster.eval_set(watched, number))
        if not self._names:
            return found
        return {f"{channel}:{name}": self._metric(name, channel, found, booster) for channel in self._data for name in self._names}

    def _metric(self, name: str, channel: str, found: dict[str, float], booster: xgb.Booster) -> float:
        source = source_metric(name, self._h.objective)
        if source is None:
            return self._f1(booster, self._data[channel])
        # The library writes the numbers of error@0.5 and the like in its own way, so they are found by their place.
        place = library_metrics(self._names, self._h.objective).index(source)
        value = [value for key, value in found.items() if key.startswith(f"{channel}:")][place]
        return {"accuracy": 1 - value, "mse": value**2}.get(name, value)

    def _f1(self, booster: xgb.Booster, matrix: xgb.DMatrix) -> float:
        margin = booster.predict(matrix, output_margin=True)
        predicted = margin > 0 if self._h.objective in BINARY else margin.reshape(len(margin), -1).argmax(axis=1)
        classes = 2 if self._h.objective in BINARY else self._h.num_class
        weight = matrix.get_weight() if matrix.get_weight().size else np.ones(matrix.num_row(), np.float32)
        counts = class_counts(predicted.astype(np.int64), matrix.get_label().astype(np.int64), weight, classes)
        return macro_f1(self._communicator.allreduce(counts))


def _parsed(line: str) -> dict[str, float]:
    """What the library says of a round: ``[0]\\ttrain-rmse:0.5\\tvalidation-rmse:0.7``."""
    found = {}
    for part in line.split("\t")[1:]:
        name, value = part.rsplit(":", 1)
        channel, metric = name.split("-", 1)
        found[f"{channel}:{metric}"] = float(value)
    return found


def class_counts(predicted: np.ndarray, label: np.ndarray, weight: np.ndarray, classes: int) -> np.ndarray:
    """Weight of rows by class: predicted rightly, predicted, labelled; shape (3, classes)."""
    right = predicted == label
    return np.stack(
        [
            np.bincount(label[right], weight[right], classes),
            np.bincount(predicted, weight, classes),
            np.bincount(label, weight, classes),
        ]
    )


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 of the classes that are predicted or labelled."""
    right, predicted, labelled = counts[:, counts[1:].sum(axis=0) > 0]
    return float(np.mean(2 * right / (predicted + labelled)))


class Sums:
    """What a batch contributes to the metrics of a finished model."""

    def __init__(self, artifact: Artifact, h: Hyperparameters, classes: int | None) -> None:
        self._artifact, self._h, self._classes = artifact, h, classes

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        predicted = load(self._artifact, self._h, "cpu")(batch)
        weight = batch.weights
        if self._classes is None:
            error = predicted["prediction"] - batch.label
            return {"weight": weight.sum(), "squares": weight @ error**2, "absolutes": weight @ np.abs(error)}
        counts = class_counts(predicted["prediction"].astype(np.int64), batch.label.astype(np.int64), weight, self._classes)
        return {"weight": weight.sum(), "counts": counts, **self._of_probabilities(predicted, batch.label.astype(np.int64), weight)}

    def _of_probabilities(self, predicted: Predictions, label: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
        if self._artifact.values["objective"] == "binary:hinge":
            return {}
        probability = predicted["probability"]
        likelihood = np.clip(probability[np.arange(len(label)), label], LEAST_PROBABILITY, 1)
        found = {"logloss": -weight @ np.log(likelihood)}
        for threshold in error_thresholds(self._h):
            found[f"error@{threshold}"] = weight @ ((probability[:, 1] > float(threshold)) != label)
        return found


def error_thresholds(h: Hyperparameters) -> list[str]:
    """The thresholds of ``error@t`` in `eval_metric`."""
    return [name.split("@")[1] for name in metric_names(h.eval_metric) if name.startswith("error@")]


def metrics(totals: dict[str, np.ndarray], objective: str) -> dict[str, float]:
    """The metrics that the sums over all rows make."""
    weight = float(totals["weight"])
    if "squares" in totals:
        mse = float(totals["squares"]) / weight
        return {"rmse": mse**0.5, "mse": mse, "mae": float(totals["absolutes"]) / weight}
    many = objective in MULTICLASS
    accuracy = float(totals["counts"][0].sum()) / weight
    found = {"accuracy": accuracy, "merror" if many else "error": 1 - accuracy, "f1": macro_f1(totals["counts"])}
    if "logloss" in totals:
        found["mlogloss" if many else "logloss"] = float(totals["logloss"]) / weight
    return found | {name: float(value) / weight for name, value in totals.items() if name.startswith("error@")}
