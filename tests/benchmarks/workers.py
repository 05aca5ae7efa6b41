"""How training scales with workers: strong and weak scaling, what they send each other and how long they wait for it.

Workers are processes of this machine connected by `TcpCommunicator`, without Spark, so what is measured is training alone. A machine of two
cores cannot show more than a factor of 2: with three workers look at the bytes, and at the share of time spent in collectives.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import REPOSITORY, Data
from harness import CORES, Options, Report, Table, measure, median, ratio

from sparkml_algos.algorithms.factorization_machines.machine import EXCHANGES_PER_EPOCH, STEPS_APART
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.tcp import SMALL_BYTES
from sparkml_algos.training.job import MIN_ROWS_PER_WORKER

SEED = 1
FITS = 3
GANGS = (1, 2, 3)

# A network of 10 Gbit/s and the latency of a message on it, for the model of a large cluster.
BYTES_PER_SECOND = 1.2e9
SECONDS_PER_MESSAGE = 1e-4
CLUSTER_WORKERS, CLUSTER_BYTES = 100, 100e9

# What they exchange: the sum of an array in each step or once, or after some steps the rows of one that they have touched, with owners.
TRAININGS: dict[str, dict[str, Any]] = {
    "k-means, 64 features, k=100": {"maker": "KMeans", "settings": {"k": 100}, "rows": 600_000, "features": 64, "exchange": "sum"},
    "PCA, 784 features, 50 components": {
        "maker": "PCA",
        "settings": {"num_components": 50},
        "rows": 120_000,
        "features": 784,
        "exchange": "once",
    },
    "linear, 784 features, 10 classes": {
        "maker": "LinearLearnerMultiClassClassifier",
        "settings": {"num_classes": 10, "epochs": 2},
        "rows": 90_000,
        "features": 784,
        "exchange": "sum",
    },
    "factorization machines, 1,000,000 sparse features": {
        "maker": "FactorizationMachinesRegressor",
        "settings": {"num_factors": 8, "epochs": 1},
        "rows": 300_000,
        "features": 1_000_000,
        "nonzeros": 20,
        "exchange": "owners",
    },
}


def compare_gangs(data: Data, options: Options) -> Report:
    """Each training with 1, 2 and 3 workers: all rows shared out (strong), and a third of them for each (weak)."""
    columns = ["training", "workers", "strong s", "speed-up", "weak s", "efficiency", "in collectives", "MB sent by each", "collectives"]
    table, values = Table(f"Train phase of workers with one thread each, on {CORES} cores", columns), {}
    for title, training in TRAININGS.items():
        found = {workers: measure(train_in_gang, threads=1, training=training, workers=workers) for workers in GANGS}
        values[title] = found
        for workers, one in found.items():
            strong, weak = one["strong"]["seconds"], one["weak"]["seconds"]
            table.rows.append(
                [
                    title if workers == 1 else "",
                    workers,
                    strong,
                    f"{ratio(found[1]['strong']['seconds'], strong):.2f}",
                    weak,
                    f"{ratio(found[1]['weak']['seconds'], weak):.2f}",
                    f"{one['strong']['share']:.0%}",
                    f"{one['strong']['bytes'] / 1e6:,.1f}",
                    one["strong"]["collectives"],
                ]
            )
    notes = [
        f"Median of {FITS} fits after a warm-up; the slowest worker counts. In collectives: mean share of the phase, waiting for each "
        "other included, of strong scaling; bytes and number of collectives too.",
        f"The model has mini-batches of at least {MIN_ROWS_PER_WORKER} rows a worker, which linear models and factorization machines have "
        f"with mini_batch_size={CLUSTER_WORKERS * MIN_ROWS_PER_WORKER:,}.",
    ]
    return Report([table, large_cluster(values)], values, notes)


def large_cluster(values: dict[str, Any]) -> Table:
    """What the measured constants give for a large cluster: an epoch of each training on 100 GB and 100 workers."""
    columns = ["training", "rows", "arithmetic s", "collectives s", "GB sent by each", "MB exchanged each time", "exchanges"]
    title = (
        f"Model of {CLUSTER_WORKERS} workers and {CLUSTER_BYTES / 1e9:.0f} GB of rows: an epoch, network of "
        f"{BYTES_PER_SECOND / 1e9:g} GB/s, {SECONDS_PER_MESSAGE * 1e6:.0f} µs a message"
    )
    table = Table(title, columns)
    for name, training in TRAININGS.items():
        epochs = training["settings"].get("epochs", 1)
        bytes_per_row = 8 * training["nonzeros"] if "nonzeros" in training else 4 * training["features"]
        rows = CLUSTER_BYTES / bytes_per_row
        alone = values[name][1]["strong"]
        arithmetic = alone["seconds"] / epochs / training["rows"] * rows / CLUSTER_WORKERS
        # With two workers each exchange sends its array once.
        exchanged = values[name][2]["strong"]["bytes"] / epochs / exchanges_per_epoch(training, training["rows"], 2)
        exchanges = exchanges_per_epoch(training, rows, CLUSTER_WORKERS)
        if training["exchange"] == "owners":
            here, there = steps_apart(training, training["rows"], 2), steps_apart(training, rows, CLUSTER_WORKERS)
            exchanged *= rows_moved(training, CLUSTER_WORKERS, there) / rows_moved(training, 2, here)
            messages, sent = 2 * (CLUSTER_WORKERS - 1), exchanged
        elif exchanged <= SMALL_BYTES:
            messages, sent = math.ceil(math.log2(CLUSTER_WORKERS)), exchanged * math.ceil(math.log2(CLUSTER_WORKERS))
        else:
            messages, sent = 2 * (CLUSTER_WORKERS - 1), 2 * exchanged
        collectives = exchanges * (messages * SECONDS_PER_MESSAGE + sent / BYTES_PER_SECOND)
        row = [
            name,
            f"{rows:,.0f}",
            arithmetic,
            collectives,
            f"{exchanges * sent / 1e9:,.2f}",
            f"{exchanged / 1e6:,.3f}",
            f"{exchanges:,.0f}",
        ]
        table.rows.append(row)
    return table


def rows_moved(training: dict[str, Any], workers: int, apart: int) -> float:
    """Of the array whose rows have owners, those that a worker sends in an exchange: what it has touched of the others' rows, then what it
    owns of all that was touched."""
    rows = rows_per_step(training, workers) * apart
    touched = [-math.expm1(-part * training["nonzeros"] / training["features"]) for part in (rows / workers, rows)]
    return training["features"] * (touched[0] * (1 - 1 / workers) + touched[1] / workers * (workers - 1))


def rows_per_step(training: dict[str, Any], workers: int) -> int:
    """Of all workers; see `Job.minibatches`."""
    asked = estimator_of(training).hyperparameters()["mini_batch_size"]
    return max(asked, workers * min(asked, MIN_ROWS_PER_WORKER))


def exchanges_per_epoch(training: dict[str, Any], rows: float, workers: int) -> float:
    if training["exchange"] == "once":
        return 1
    return math.ceil(rows / rows_per_step(training, workers) / steps_apart(training, rows, workers))


def steps_apart(training: dict[str, Any], rows: float, workers: int) -> int:
    """Steps between two exchanges."""
    if training["exchange"] != "owners":
        return 1
    return max(1, min(STEPS_APART, int(rows / rows_per_step(training, workers)) // EXCHANGES_PER_EPOCH))


# ----------------------------------------------------------------------------------------------------- inside such a process


def train_in_gang(training: dict[str, Any], workers: int) -> dict[str, dict[str, float]]:
    """Medians over the fits, of strong and of weak scaling."""
    sys.path.insert(0, str(REPOSITORY))
    from tests.gang import ProcessGang

    gang = ProcessGang(workers)
    try:
        return {
            "strong": summary(gang(train_share, training, training["rows"] // workers)),
            "weak": summary(gang(train_share, training, training["rows"] // max(GANGS))),
        }
    finally:
        gang.stop()


def summary(found: list[list[dict[str, float]]]) -> dict[str, float]:
    """Of what each worker measured in each fit: the slowest worker's seconds, means of the rest, and medians over the fits."""
    fits = list(zip(*found, strict=True))
    return {
        "seconds": median([max(one["seconds"] for one in fit) for fit in fits]),
        "share": median([float(np.mean([one["waiting"] / one["seconds"] for one in fit])) for fit in fits]),
        "bytes": median([float(np.mean([one["bytes"] for one in fit])) for fit in fits]),
        "collectives": fits[-1][0]["collectives"],
    }


def train_share(communicator: Communicator, training: dict[str, Any], rows: int) -> list[dict[str, float]]:
    """A worker's part: seconds, of these in collectives, bytes sent and number of collectives, for each fit after a warm-up."""
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.training.run import Alone, TrainingPlan, train

    estimator = estimator_of(training)
    features, label = make_rows(training, rows, communicator.rank)
    columns = {"features": features, **({"label": label} if "labelCol" in estimator.declared else {})}
    fields = [field for field in estimator.fields() if field.role in columns]
    found = []
    for _ in range(FITS + 1):
        metered = Metered(communicator)
        worker = Alone(rank=communicator.rank, size=communicator.size, communicator=metered)
        decoder = Decoder([Source(field, [field.role]) for field in fields])
        plan = TrainingPlan(estimator.algorithm(), [estimator.hyperparameters()], decoder, seed=SEED)
        report = dict(train(plan, worker, record_batches(fields, columns)))[f"report/{communicator.rank}"]
        found.append({"seconds": report.values["seconds"]["train"], **metered.found()})
    return found[1:]


def estimator_of(training: dict[str, Any]) -> Any:
    import sparkml_algos

    return getattr(sparkml_algos, training["maker"])(**training["settings"], seed=SEED)


def make_rows(training: dict[str, Any], rows: int, rank: int) -> tuple[Any, np.ndarray]:
    """Rows of a worker, and labels that follow from them."""
    random = np.random.default_rng([SEED, rank])
    width = training["features"]
    if "nonzeros" in training:
        indices = np.sort(random.integers(0, width, (rows, training["nonzeros"]), dtype=np.int32), axis=1)
        offsets = np.arange(0, indices.size + 1, training["nonzeros"])
        features = sp.csr_matrix((np.ones(indices.size, np.float32), indices.ravel(), offsets), (rows, width))
        features.sum_duplicates()
        return features, (indices[:, 0] % 7).astype(np.float32)
    center = np.random.default_rng(SEED).normal(size=(10, width)).astype(np.float32)
    label = random.integers(0, 10, rows)
    return center[label] + random.normal(size=(rows, width)).astype(np.float32), label.astype(np.float32)


class Metered(Communicator):
    """The collectives of another communicator, with the seconds spent in them."""

    def __init__(self, communicator: Communicator) -> None:
        self.rank, self.size, self.timeout = communicator.rank, communicator.size, communicator.timeout
        self._communicator, self._seconds, self._calls = communicator, 0.0, 0
        self._sent_before = communicator.bytes_sent

    def found(self) -> dict[str, float]:
        sent = self._communicator.bytes_sent - self._sent_before
        return {"waiting": self._seconds, "bytes": sent, "collectives": self._calls}

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        return self._timed(self._communicator.allreduce, array, operation)

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        return self._timed(self._communicator.broadcast, array, root)

    def allgather(self, array: np.ndarray, lengths: Sequence[int] | None = None) -> list[np.ndarray]:
        return self._timed(self._communicator.allgather, array, lengths)

    def alltoall(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self._timed(self._communicator.alltoall, arrays)

    def gather(self, array: np.ndarray, root: int = 0) -> list[np.ndarray]:
        return self._timed(self._communicator.gather, array, root)

    def _timed(self, collective: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = collective(*arguments)
        self._seconds += time.perf_counter() - start
        self._calls += 1
        return result


CASES: dict[str, Callable[[Data, Options], Report]] = {"gangs": compare_gangs}
