"""XGBoost against the library's own Spark integration, and by itself on public tables.

Named so, and not after the algorithm, because this folder is on the path of the workers, where it would hide the library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from data import REPOSITORY, Data, read_vectors
from harness import CORES, Headline, Options, PeakMemory, Quality, Report, Table, cached, local_session, measure, median, ratio, timed

SEED = 1
FITS = 3
ROUNDS = 50
GANG = 3

# Chosen on held-out rows of the training part.
ADULT = {"num_round": 150, "eta": 0.1, "max_depth": 5, "subsample": 0.8, "colsample_bytree": 0.5, "min_child_weight": 3}
HOUSING = {"num_round": 300, "eta": 0.1, "max_depth": 7, "subsample": 0.8, "colsample_bytree": 0.7, "min_child_weight": 3}


def compare_peers(data: Data, options: Options) -> Report:
    """Fit and transform beside ``xgboost.spark.SparkXGBClassifier`` with the same parameters and number of workers."""
    dataset = data.get("waves")
    table = Table(
        f"{dataset.title}, {ROUNDS} rounds, {CORES} workers",
        ["engine", "first fit s", "later s", "MiB of a worker", "all outputs rows/s", "prediction rows/s", "AUC"],
    )
    values: dict[str, Any] = {}
    engines = {
        "xgboost.spark": (peer_session, {}),
        "ours, in Python only": (our_session, {"bridge": "off"}),
        "ours": (our_session, {"bridge": "auto"}),
    }
    for name, (function, how) in engines.items():
        sessions = [measure(function, path=dataset.path, **how) for _ in range(options.sessions)]
        first = median([session["fits"][0] for session in sessions])
        later = median([seconds for session in sessions for seconds in session["fits"][1:]])
        speeds = [median([session[key] for session in sessions]) for key in ("all", "prediction")]
        memory, area = sessions[0]["mebibytes"], sessions[0]["auc"]
        table.rows.append([name, first, later, memory, *speeds, f"{area:.5f}"])
        values[name] = {
            "first": first, "later": later, "mebibytes": memory, "rows_per_second": speeds, "auc": area, "sessions": sessions,
        }  # fmt: skip
    peer = values["xgboost.spark"]
    values["ratios"] = {
        name: {
            "later fit": ratio(peer["later"], ours["later"]),
            "all outputs": ratio(ours["rows_per_second"][0], peer["rows_per_second"][0]),
            "prediction": ratio(ours["rows_per_second"][1], peer["rows_per_second"][1]),
        }
        for name, ours in values.items()
        if ours is not peer
    }
    notes = [
        "Each engine in a session of its own. 'MiB of a worker': the most that a Python worker had resident in the fits.",
        "'all outputs': prediction, rawPrediction, probability. 'prediction': that alone of ours; xgboost.spark always computes all, and"
        " Spark drops what is not selected.",
    ]
    ours, rates = values["ours"], (peer["rows_per_second"][0], values["ours"]["rows_per_second"][0])
    headlines = [
        Headline(
            f"boosted trees, {dataset.subject}, {ROUNDS} rounds", "xgboost.spark", peer["later"], ours["later"],
            quality=Quality("AUC", peer["auc"], ours["auc"]),
        ),
        Headline(f"transform of boosted trees, {dataset.subject}, every output", "xgboost.spark", *rates, "rows/s"),
    ]  # fmt: skip
    return Report([table], values, notes, headlines)


def peer_session(path: str) -> dict[str, Any]:
    """Of `SparkXGBClassifier`."""
    from xgboost.spark import SparkXGBClassifier

    estimator = SparkXGBClassifier(num_workers=CORES, n_estimators=ROUNDS, max_depth=6, max_bin=256, tree_method="hist", base_score=0.5)
    return _session(path, estimator, lambda model: model)


def our_session(path: str, bridge: str) -> dict[str, Any]:
    """Of ours, where the JVM bridge may join the session or where it is off."""
    from sparkml_algos import XGBoostClassifier

    estimator = XGBoostClassifier(num_workers=CORES, num_round=ROUNDS, max_depth=6, tree_method="hist", seed=SEED)
    return _session(path, estimator, lambda model: model.copy({model.rawPredictionCol: "", model.probabilityCol: ""}), bridge)


def _session(path: str, estimator: Any, slim: Callable[[Any], Any], bridge: str = "auto") -> dict[str, Any]:
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    frame = cached(local_session(bridge), path)
    rows = frame.count()
    with PeakMemory() as watch:
        fits = [timed(lambda: estimator.fit(frame)) for _ in range(FITS)]
    model = fits[-1][1]
    scored = model.transform(frame)
    return {
        "fits": [seconds for seconds, _ in fits],
        "mebibytes": watch.mebibytes,
        "all": rows / _seconds(scored.select("prediction", "rawPrediction", "probability")),
        "prediction": rows / _seconds(slim(model).transform(frame).select("prediction")),
        "auc": BinaryClassificationEvaluator(numBins=0).evaluate(scored),
    }


def _seconds(frame: Any) -> float:
    """The better of two computations of every row."""
    return min(timed(lambda: frame.write.format("noop").mode("overwrite").save())[0] for _ in range(2))


def quality(data: Data, options: Options) -> Report:
    """Accuracy and error on rows that were not trained on, beside the library alone and with several workers."""
    paths = {name: data.get(name.replace("_", " ")).path for name in ("census", "census_test", "housing", "housing_test")}
    found = measure(train_and_test, threads=CORES, **paths)
    table = Table("Quality on test rows", ["", "library alone", "ours, 1 worker", f"ours, {GANG} workers"])
    for name in ("accuracy", "AUC", "RMSE"):
        table.rows.append([name, *(f"{found[name][engine]:.5f}" for engine in ("library", "one", "several"))])
    notes = [
        f"Adult: {ADULT}; California housing, 100,000 $: {HOUSING}. Sampling draws other rows with other numbers of workers.",
        f"Largest difference of a prediction to the library's with one worker: {found['difference']:.2g}.",
    ]
    return Report([table], found, notes)


def train_and_test(census: str, census_test: str, housing: str, housing_test: str) -> dict[str, Any]:
    """Metrics by engine."""
    import xgboost as xgb
    from sklearn.metrics import mean_squared_error, roc_auc_score

    from sparkml_algos import XGBoostClassifier, XGBoostRegressor

    sys.path.insert(0, str(REPOSITORY))
    from tests.gang import ProcessGang

    found: dict[str, Any] = {"accuracy": {}, "AUC": {}, "RMSE": {}, "difference": 0.0}
    gang = ProcessGang(GANG)
    for estimator, train, test, objective in (
        (XGBoostClassifier(**ADULT, nthread=1), census, census_test, "binary:logistic"),
        (XGBoostRegressor(**HOUSING, nthread=1), housing, housing_test, "reg:squarederror"),
    ):
        rows, label = _read(train)
        test_rows, test_label = _read(test)
        settings = estimator.hyperparameters()
        params = {name: settings[name] for name in ADULT if name != "num_round"}
        params |= {"objective": objective, "base_score": 0.5, "nthread": 1}
        booster = xgb.train(params, xgb.QuantileDMatrix(rows, label), settings["num_round"])
        scores = {
            "library": booster.inplace_predict(test_rows),
            "one": share_of_training(None, settings, rows, label, test_rows),
            "several": gang(share_of_training, settings, rows, label, test_rows)[0],
        }
        found["difference"] = max(found["difference"], float(np.abs(scores["one"] - scores["library"]).max()))
        for engine, score in scores.items():
            if objective == "binary:logistic":
                found["accuracy"][engine] = float(((score > 0.5) == test_label).mean())
                found["AUC"][engine] = float(roc_auc_score(test_label, score))
            else:
                found["RMSE"][engine] = float(mean_squared_error(test_label, score) ** 0.5)
    gang.stop()
    return found


def share_of_training(communicator: Any, settings: dict[str, Any], rows: np.ndarray, label: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predictions for the test rows, after training on this worker's share of the others."""
    from sparkml_algos.algorithms.xgboost.prediction import predict
    from sparkml_algos.algorithms.xgboost.training import XGBOOST
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.training.run import train_arrays

    part = slice(None) if communicator is None else slice(communicator.rank, None, communicator.size)
    model = train_arrays(XGBOOST, settings, rows[part], label=label[part], communicator=communicator)
    if communicator is not None and communicator.rank:
        return np.empty(0)
    found = predict(model, test, Hyperparameters(missing="nan"))
    return found["probability"][:, 1] if settings["objective"] == "binary:logistic" else found["prediction"]


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    files = sorted(Path(path).glob("*.parquet"))
    return read_vectors(path), np.concatenate([pq.read_table(file, columns=["label"])["label"].to_numpy() for file in files])


CASES = {"quality": quality, "peers": compare_peers}
