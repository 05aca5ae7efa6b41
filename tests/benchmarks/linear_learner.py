"""The linear learner against MLlib's: fits of many classes, many models against one, two workers against one, on MNIST; transform of
every kind of model.

Both engines get the same DataFrame in a session of the same settings, cached and counted before the clock starts. MLlib runs
``LogisticRegression(maxIter=50)`` without penalty, ours is at its defaults but for what a table says. Losses and accuracies are computed
from weights and biases by one function here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from data import Data, read_vectors
from harness import (
    CORES,
    Headline,
    Options,
    Quality,
    Report,
    Table,
    cached,
    local_session,
    measure,
    median,
    ratio,
    score_rates,
    score_times,
    timed,
)

if TYPE_CHECKING:
    from sparkml_algos import LinearLearnerMultiClassClassifierModel

SEED = 1
MLLIB_ITERATIONS = 50
FITS = 3
# The model that a dataset is transformed with.
TRANSFORMED = {"labelled mnist": "many classes", "adult": "two classes", "sparse adult": "two classes", "california": "regression"}
# Of the models to transform with: their speed does not depend on how good they are.
TRANSFORM_ITERATIONS = 5


def compare_fits(data: Data, options: Options) -> Report:
    """First and later fits of fresh sessions, and what comes out of them."""
    train, test = data.get("labelled mnist"), data.get("labelled mnist test")
    engines = {
        "MLlib": (fits_of_mllib, {}),
        "ours, 1 model": (fits_of_ours, {"num_models": 1}),
        "ours, 32 models": (fits_of_ours, {"num_models": 32}),
    }
    table = Table(f"Fit, {train.title}", ["engine", "first s", "later s", "MLlib/engine", "train loss", "test accuracy"])
    values: dict[str, Any] = {}
    for name, (function, settings) in engines.items():
        sessions = [measure(function, path=train.path, fits=FITS, **settings) for _ in range(options.sessions)]
        first = median([session["seconds"][0] for session in sessions])
        later = median([seconds for session in sessions for seconds in session["seconds"][1:]])
        weights, bias = np.array(sessions[-1]["weights"]), np.array(sessions[-1]["bias"])
        loss, _ = quality(train.path, weights, bias)
        _, accuracy = quality(test.path, weights, bias)
        values[name] = {"first": first, "later": later, "loss": loss, "accuracy": accuracy, "sessions": sessions}
        gain = ratio(values["MLlib"]["later"], later)
        table.rows.append([name, first, later, gain, f"{loss:.4f}", f"{accuracy:.4f}"])
    for value in values.values():
        for session in value["sessions"]:
            del session["weights"], session["bias"]
    peer, ours = values["MLlib"], values["ours, 1 model"]
    headline = Headline(
        f"softmax regression, {train.subject}", f"MLlib, {MLLIB_ITERATIONS} iterations", peer["later"], ours["later"],
        quality=Quality("test accuracy", peer["accuracy"], ours["accuracy"]),
    )  # fmt: skip
    return Report([table], values, ["'first' is the first fit of a fresh session, 'later' the median of the fits after it."], [headline])


def fits_of_mllib(path: str, fits: int) -> dict[str, Any]:
    """Seconds of each fit in one session, weights and biases of the last."""
    from pyspark.ml.classification import LogisticRegression

    frame = cached(local_session(), path)
    measured = [timed(lambda: LogisticRegression(maxIter=MLLIB_ITERATIONS).fit(frame)) for _ in range(fits)]
    model = measured[-1][1]
    return {
        "seconds": [seconds for seconds, _ in measured],
        "weights": model.coefficientMatrix.toArray().tolist(),
        "bias": model.interceptVector.toArray().tolist(),
    }


def fits_of_ours(path: str, fits: int, **settings: Any) -> dict[str, Any]:
    """Seconds of each fit in one session and by phase, weights and biases of the last."""
    frame = cached(local_session(), path)
    measured = [timed(lambda: _ours(frame, **settings)) for _ in range(fits)]
    model = measured[-1][1]
    return {
        "seconds": [seconds for seconds, _ in measured],
        "phases": [one.training_summary.seconds for _, one in measured],
        "weights": model.coefficientMatrix.tolist(),
        "bias": model.interceptVector.tolist(),
    }


def compare_scaling(data: Data, options: Options) -> Report:
    """The train phase with one and with two workers, measured in turns."""
    dataset = data.get("labelled mnist")
    table, values = Table("Scaling: median seconds of the train phase", ["models", "1 worker", "2 workers", "scaling 1->2"]), {}
    for models in (1, 32):
        found = measure(train_phases, path=dataset.path, rounds=FITS, num_models=models)
        one, two = (median(found[str(workers)]) for workers in (1, CORES))
        table.rows.append([models, one, two, ratio(one, two)])
        values[str(models)] = {"seconds": found, "scaling": ratio(one, two)}
    return Report([table], values, [f"{FITS} fits with each number of workers, in turns, in one session, after one to warm up."])


def train_phases(path: str, rounds: int, num_models: int) -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers."""
    frame = cached(local_session(), path)
    _ours(frame, num_models=num_models, epochs=1)
    found: dict[str, list[float]] = {"1": [], str(CORES): []}
    for _ in range(rounds):
        for workers, seconds in found.items():
            seconds.append(_ours(frame, num_models=num_models, num_workers=int(workers)).training_summary.seconds["train"])
    return found


def quality(path: str, weights: np.ndarray, bias: np.ndarray) -> tuple[float, float]:
    """Mean logistic loss and accuracy on the rows of a folder, in float64."""
    rows = read_vectors(path)
    files = sorted(Path(path).glob("*.parquet"))
    label = np.concatenate([pq.read_table(file, columns=["label"])["label"].to_numpy() for file in files]).astype(int)
    scores = rows.astype(np.float64) @ weights.T + bias
    shifted = scores - scores.max(axis=1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(label)), label]
    return float(loss.mean()), float((scores.argmax(axis=1) == label).mean())


def compare_transforms(data: Data, options: Options) -> Report:
    """Rows per second of transform."""
    datasets = {data.get(name): kind for name, kind in TRANSFORMED.items()}
    found = [(dataset, measure(transforms, path=dataset.path, kind=kind)) for dataset, kind in datasets.items()]
    return score_rates("linear models", found)


def transforms(path: str, kind: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of each transform, by source and engine."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.regression import LinearRegression

    from sparkml_algos import LinearLearnerBinaryClassifier, LinearLearnerMultiClassClassifier, LinearLearnerRegressor

    peer, estimator = {
        "regression": (LinearRegression, LinearLearnerRegressor),
        "two classes": (LogisticRegression, LinearLearnerBinaryClassifier),
        "many classes": (LogisticRegression, LinearLearnerMultiClassClassifier),
    }[kind]
    return score_times(path, lambda sample: (peer(maxIter=TRANSFORM_ITERATIONS).fit(sample), estimator(num_models=1, epochs=1).fit(sample)))


def _ours(frame: Any, **settings: Any) -> LinearLearnerMultiClassClassifierModel:
    from sparkml_algos import LinearLearnerMultiClassClassifier

    return LinearLearnerMultiClassClassifier(seed=SEED, **settings).fit(frame)


CASES = {"mnist": compare_fits, "scaling": compare_scaling, "transform": compare_transforms}
