"""Factorization machines against MLlib's and against the bare arithmetic, on ratings of films; two workers against one, and
memory, on wide rows.

Both engines get the same DataFrame, cached and counted before the clock starts, in one session, and fit in turn. MLlib runs
``FMRegressor(factorSize=20, maxIter=100)`` with the step size that serves it best on the test rows; ours the settings below, chosen on
another fold than the one that is tested on here. Spark's evaluator computes the errors of both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from data import CLICK_FIELDS, REPOSITORY, Data, clicks
from harness import (
    CORES,
    Headline,
    Options,
    PeakMemory,
    Quality,
    Report,
    Table,
    cached,
    local_session,
    measure,
    median,
    medians,
    ratio,
    timed,
)

FACTORS = 20
MLLIB_ITERATIONS = 100
# Of 0.01, 0.03, 0.1, 0.3 and its default, 1, the one with the smallest error on the test rows: 0.946, 0.963, 1.24, 1.57, 2.12.
MLLIB_STEP = 0.01
TUNED = {
    "num_factors": FACTORS,
    "epochs": 6,
    "mini_batch_size": 2000,
    "linear_lr": 0.05,
    "factors_lr": 0.008,
    "linear_wd": 5e-4,
    "factors_wd": 2e-4,
    "factors_init_sigma": 0.005,
}
WIDE = {"num_factors": 8, "epochs": 1}
QUALITY = {"num_factors": 8, "epochs": 2, "linear_lr": 0.01, "factors_lr": 0.001, "seed": 1}
QUALITY_ROWS, QUALITY_FEATURES, QUALITY_WORKERS = (200_000, 50_000), 500_000, (1, 2, 4, 8, 16)
FITS = 3
PHASES = ("ingest", "setup", "train", "finish")


def compare_fits(data: Data, options: Options) -> Report:
    """Seconds of later fits by phase and of the training function alone, and the error on the test rows."""
    train, test = data.get("ratings"), data.get("ratings test")
    sessions = [measure(fits_in_turn, path=train.path, test=test.path) for _ in range(options.sessions)]
    mllib = median([seconds for session in sessions for seconds in session["mllib"]])
    ours = medians([fit for session in sessions for fit in session["ours"]])
    bare = median(measure(bare_loop, threads=1, path=train.path))
    gain = ratio(mllib, ours["wall"])
    columns = ["MLlib", "ours", "MLlib/ours", *PHASES, "bare loop"]
    fits = Table(f"Fit, MovieLens 100k, {FACTORS} factors: seconds", ["", *columns])
    fits.rows.append(["later", mllib, ours["wall"], gain, *(ours[phase] for phase in PHASES), bare])
    errors = Table("Root mean squared error on the test rows", ["", "MLlib", "ours"])
    errors.rows.append(["fold 1", *(f"{sessions[-1]['rmse'][engine]:.4f}" for engine in ("mllib", "ours"))])
    note = f"Medians of {FITS} fits in turn after a warm-up fit of each. bare loop: the training function on arrays, in one thread."
    rmse = sessions[-1]["rmse"]
    headline = Headline(
        f"factorization machines, MovieLens 100k, {FACTORS} factors", "MLlib, its best step size", mllib, ours["wall"],
        quality=Quality("test RMSE", rmse["mllib"], rmse["ours"]),
    )  # fmt: skip
    return Report([fits, errors], {"sessions": sessions, "bare": bare, "ratio": gain}, [note], [headline])


def fits_in_turn(path: str, test: str) -> dict[str, Any]:
    """Seconds of each fit of both engines after a warm-up, and the errors of the last models."""
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.regression import FMRegressor

    from sparkml_algos import FactorizationMachinesRegressor

    session = local_session()
    frame, held_out = cached(session, path), session.read.parquet(test)
    found: dict[str, Any] = {"mllib": [], "ours": []}
    for _ in range(FITS + 1):
        wall, peer = timed(lambda: FMRegressor(factorSize=FACTORS, maxIter=MLLIB_ITERATIONS, stepSize=MLLIB_STEP).fit(frame))
        found["mllib"].append(wall)
        wall, model = timed(lambda: FactorizationMachinesRegressor(**TUNED).fit(frame))
        found["ours"].append({"wall": wall, **model.training_summary.seconds})
    rmse = {name: RegressionEvaluator().evaluate(one.transform(held_out)) for name, one in (("mllib", peer), ("ours", model))}
    return {**{engine: fits[1:] for engine, fits in found.items()}, "rmse": rmse}


def compare_scaling(data: Data, options: Options) -> Report:
    """The train phase with one and with two workers, measured in turns, and the training function alone."""
    dataset = data.get("clicks")
    found = measure(train_phases, path=dataset.path, rounds=FITS)
    one, two = (median(found[str(workers)]) for workers in (1, CORES))
    bare = median(measure(bare_loop, threads=1, path=dataset.path, classifier=True))
    title = f"Scaling, {dataset.rows:,} x {dataset.features:,}: median seconds of the train phase, one epoch"
    table = Table(title, ["", "bare loop", "1 worker", "2 workers", "scaling 1->2"])
    table.rows.append([f"{WIDE['num_factors']} factors", bare, one, two, ratio(one, two)])
    note = f"{FITS} fits with each number of workers, in turns, in one session, after one to warm up. bare loop: rows in memory."
    return Report([table], {"seconds": found, "bare": bare, "scaling": ratio(one, two)}, [note])


def train_phases(path: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers."""
    from sparkml_algos import FactorizationMachinesBinaryClassifier

    frame = cached(local_session(), path)
    found: dict[str, list[float]] = {"1": [], str(CORES): []}
    for _ in range(rounds + 1):
        for workers, seconds in found.items():
            model = FactorizationMachinesBinaryClassifier(num_workers=int(workers), **WIDE).fit(frame)
            seconds.append(model.training_summary.seconds["train"])
    return {workers: seconds[1:] for workers, seconds in found.items()}


def measure_width(data: Data, options: Options) -> Report:
    """Seconds and memory of one epoch on very wide rows, through Spark."""
    dataset = data.get("wide clicks")
    found = [measure(fit_of_wide_rows, path=dataset.path, workers=workers) for workers in (1, CORES)]
    title = f"Fit, {dataset.rows:,} x {dataset.features:,}, {WIDE['num_factors']} factors, one epoch"
    table = Table(title, ["workers", "seconds", *PHASES, "MiB of a worker"])
    table.rows = [[one["workers"], one["wall"], *(one[phase] for phase in PHASES), one["mebibytes"]] for one in found]
    notes = [f"First fit of a session; {dataset.rows:,} rows of {CLICK_FIELDS} ones. Memory: the most a Python worker had resident."]
    return Report([table], {"fits": found}, notes)


def fit_of_wide_rows(path: str, workers: int) -> dict[str, Any]:
    """Seconds by phase, and the memory of the larger worker."""
    from sparkml_algos import FactorizationMachinesBinaryClassifier

    frame = local_session().read.parquet(path)
    with PeakMemory() as peak:
        wall, model = timed(lambda: FactorizationMachinesBinaryClassifier(num_workers=workers, **WIDE).fit(frame))
    return {"workers": workers, "wall": wall, **model.training_summary.seconds, "mebibytes": peak.mebibytes}


def compare_workers(data: Data, options: Options) -> Report:
    """What gangs of several sizes have learned, on rows that were not trained on: wide clicks, exchanged as `auto` says."""
    found = measure(quality_by_workers, threads=1)
    title = f"Quality by number of workers, {sum(QUALITY_ROWS):,} x {QUALITY_FEATURES:,}, two epochs"
    table = Table(title, ["workers", "AUC", "cross entropy"])
    table.rows = [[workers, f"{one['auc']:.4f}", f"{one['loss']:.4f}"] for workers, one in found.items()]
    note = f"{QUALITY_ROWS[0]:,} rows trained on, {QUALITY_ROWS[1]:,} others scored; each worker a thread of one process."
    return Report([table], found, [note])


def quality_by_workers() -> dict[str, dict[str, float]]:
    """Area under the curve and cross entropy by the number of workers."""
    sys.path.insert(0, str(REPOSITORY))
    from sklearn.metrics import log_loss, roc_auc_score

    from sparkml_algos import FactorizationMachinesBinaryClassifier
    from sparkml_algos.algorithms.factorization_machines.prediction import load
    from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.training.run import train_arrays
    from tests.gang import in_threads

    chunks = list(clicks(sum(QUALITY_ROWS), QUALITY_FEATURES))
    rows, label = sp.csr_matrix(sp.vstack([rows for rows, _ in chunks]), dtype=np.float32), np.concatenate([label for _, label in chunks])
    train, test = slice(0, QUALITY_ROWS[0]), slice(QUALITY_ROWS[0], None)
    settings, found = FactorizationMachinesBinaryClassifier(**QUALITY).hyperparameters(), {}
    for workers in QUALITY_WORKERS:

        def work(communicator: Any) -> Any:
            part = slice(train.start + communicator.rank, train.stop, communicator.size)
            return train_arrays(FACTORIZATION_MACHINES, settings, rows[part], label=label[part], communicator=communicator)

        predictor = load(in_threads(workers, work)[0], Hyperparameters(**settings), "cpu")
        probability = predictor(Batch(features=rows[test]))["probability"][:, 1]
        found[str(workers)] = {"auc": roc_auc_score(label[test], probability), "loss": log_loss(label[test], probability)}
    return found


def bare_loop(path: str, classifier: bool = False) -> list[float]:
    """Seconds of the epochs on the rows as a CSR matrix, without Spark, after a warm-up."""
    from sparkml_algos import FactorizationMachinesBinaryClassifier, FactorizationMachinesRegressor
    from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
    from sparkml_algos.training.run import train_arrays

    rows, label = read_sparse(path)
    estimator = FactorizationMachinesBinaryClassifier(**WIDE) if classifier else FactorizationMachinesRegressor(**TUNED)
    seconds = []
    for _ in range(FITS + 1):
        artifact = train_arrays(FACTORIZATION_MACHINES, estimator.hyperparameters(), rows, label=label)
        seconds.append(sum(epoch["seconds"] for epoch in artifact.values["history"]))
    return seconds[1:]


def read_sparse(path: str) -> tuple[sp.csr_matrix, np.ndarray]:
    """The sparse rows of a folder, float32, and their labels."""
    parts, labels = [], []
    for file in sorted(Path(path).glob("*.parquet")):
        table = pq.read_table(file)
        values, indices, size = (pc.struct_field(table["features"], name).combine_chunks() for name in ("values", "indices", "size"))
        data, offsets = values.flatten().to_numpy().astype(np.float32), values.offsets.to_numpy()
        parts.append(sp.csr_matrix((data, indices.flatten().to_numpy(), offsets), shape=(len(values), size[0].as_py())))
        labels.append(table["label"].to_numpy())
    return sp.vstack(parts, format="csr"), np.concatenate(labels)


CASES = {"movielens": compare_fits, "scaling": compare_scaling, "wide": measure_width, "workers": compare_workers}
