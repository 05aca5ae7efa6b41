"""From rows and settings to artifacts: the body of a worker, and the same without any cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.rows.batch import (
    BASE_MARGIN,
    GROUP,
    ID,
    INDICES,
    LABEL,
    SIZE,
    VALIDATION,
    VALUES,
    WEIGHT,
    Decoder,
    InvalidRows,
    LabelRange,
)
from sparkml_algos.rows.memory import default_shard_bytes
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.checkpoint import CheckpointStore
from sparkml_algos.training.job import Job

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """Everything a worker must know about a training besides the rows.

    Parameters
    ----------
    algorithm : Algorithm
    settings : sequence of dict
        A value for every hyperparameter of the algorithm, for each model that is wanted.
    decoder : Decoder
    seed : int
    input_mode : {"File", "Pipe"}
    max_shard_bytes : int, optional
        Of rows that a worker holds before it spills; by default from the memory it may use.
    checkpoint_dir : str, optional
    replicated : bool
        Whether every worker gets all rows.
    max_model_bytes : int, optional
        The most that all models together may take.
    """

    algorithm: Algorithm
    settings: Sequence[dict[str, Any]]
    decoder: Decoder
    seed: int = 0
    input_mode: str = "File"
    max_shard_bytes: int | None = None
    checkpoint_dir: str | None = None
    replicated: bool = False
    max_model_bytes: int | None = None


class Worker(Protocol):
    """What a worker's surroundings do for the training."""

    rank: int
    size: int
    device: str
    host: str
    workers_on_host: int
    spill_dir: str | None
    phase: str

    def connect(self) -> Communicator:
        """Meet the other workers once this one has its rows."""

    def report(self, progress: dict[str, Any]) -> None:
        """Show progress to whoever watches."""

    def warn(self, message: str) -> None:
        """Tell the user of trouble that the training survives."""


@dataclass
class Alone:
    """The surroundings of a single worker in this process."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    host: str = "127.0.0.1"
    workers_on_host: int = 1
    spill_dir: str | None = None
    phase: str = "ingest"
    communicator: Communicator = field(default_factory=SingleProcess)

    def connect(self) -> Communicator:
        return self.communicator

    def report(self, progress: dict[str, Any]) -> None:
        """Nobody watches."""

    def warn(self, message: str) -> None:
        logger.warning("%s", message)


def train(plan: TrainingPlan, worker: Worker, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, Artifact]]:
    """Train every setting of the plan on one ingest of the rows.

    Yields
    ------
    (str, Artifact)
        ``model/i`` for setting *i*, from worker 0, and ``report/rank``, values only, from every worker. Checkpoints stay until
        whoever receives the models removes them: a worker may still be lost on the way.
    """
    algorithm = plan.algorithm
    settings = [Hyperparameters(**setting) for setting in plan.settings]
    groups = algorithm.groups(settings)
    leaders = [settings[group[0]] for group in groups]
    clock = _Clock(worker)

    plan.decoder.where = f" of worker {worker.rank}'s shard"
    shard = Shard(
        batches,
        plan.decoder,
        input_mode=plan.input_mode,
        passes=sum(algorithm.passes(leader) for leader in leaders),
        max_bytes=plan.max_shard_bytes or default_shard_bytes(worker.workers_on_host),
        seed=plan.seed,
        rank=worker.rank,
        spill_dir=worker.spill_dir,
    )
    if plan.input_mode == "Pipe":
        shard.head(1)
    clock.enter("setup")
    communicator = worker.connect()
    _agree_on_rows(shard, communicator)
    _check_size(plan, settings, shard.num_features)

    clock.enter("train")
    checkpoints: list[str] = []
    for group, leader in zip(groups, leaders, strict=True):
        store = _checkpoints(plan, group, shard, communicator)
        job = Job(
            shard,
            communicator,
            seed=plan.seed,
            device=worker.device,
            host=worker.host,
            replicated=plan.replicated,
            checkpoints=store,
            report=worker.report,
            warn=worker.warn,
            last=group is groups[-1],
        )
        state = algorithm.train(leader, shard, communicator, job)
        checkpoints += [store.name] if store else []
        for index in group:
            model = algorithm.finalize(state, settings[index], communicator) if algorithm.finalize else state
            if worker.rank == 0:
                yield f"model/{index}", Artifact(model.arrays, {**model.values, "history": job.history})
    communicator.barrier()
    clock.enter("finish")
    report = {
        "rows": shard.num_rows,
        "validation_rows": sum(map(len, shard.validation)),
        "num_features": shard.num_features,
        "checkpoints": checkpoints,
        "seconds": clock.stop(),
    }
    yield f"report/{worker.rank}", Artifact(values=report)


def train_arrays(
    algorithm: Algorithm,
    hyperparameters: dict[str, Any],
    features: np.ndarray | sp.csr_matrix,
    *,
    label: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    validation: np.ndarray | None = None,
    id: np.ndarray | None = None,
    group: np.ndarray | None = None,
    base_margin: np.ndarray | None = None,
    classes: int | None = None,
    label_range: LabelRange | None = None,
    communicator: Communicator | None = None,
    seed: int = 0,
    **plan: Any,
) -> Artifact:
    """Train on arrays, without Spark: in a test, on a GPU machine, in a process of one's own cluster.

    Parameters
    ----------
    algorithm : Algorithm
    hyperparameters : dict
        A value for every hyperparameter of the algorithm.
    features : ndarray or csr_matrix, shape (rows, features)
        The rows of this process.
    label, weight : ndarray, shape (rows,), optional
    validation : ndarray of bool, shape (rows,), optional
        Which rows are for validation.
    id : ndarray of int64, shape (rows,), optional
        What the rows are called.
    group : ndarray of int, shape (rows,), optional
        Rows that are ranked together.
    base_margin : ndarray, shape (rows,), optional
        What the score of each row starts from.
    classes : int, optional
        Labels are checked to be integers below this.
    label_range : LabelRange, optional
        Labels are checked to be in it.
    communicator : Communicator, optional
        Connects this process with others that call the same; alone by default.
    seed : int
    **plan
        Further fields of `TrainingPlan`.

    Returns
    -------
    Artifact
        The model, on worker 0; on the others one without arrays.
    """
    communicator = communicator or SingleProcess()
    worker = Alone(rank=communicator.rank, size=communicator.size, communicator=communicator)
    scalars = {LABEL: label, WEIGHT: weight, VALIDATION: validation, ID: id, GROUP: group, BASE_MARGIN: base_margin}
    names = {name: name for name, values in scalars.items() if values is not None}
    accepted = {"missing_values": algorithm.missing_values, "counts": algorithm.counts}
    decoder = Decoder(["features"], classes=classes, label_range=label_range, **accepted, **names)
    training = TrainingPlan(algorithm, [hyperparameters], decoder, seed=seed, **plan)
    batches = record_batches(features, label, weight, validation=validation, id=id, group=group, base_margin=base_margin)
    results = dict(train(training, worker, batches))
    if worker.rank == 0:
        for name in results["report/0"].values["checkpoints"]:
            CheckpointStore(training.checkpoint_dir, name).clear()
    return results.get("model/0", Artifact())


def record_batches(
    features: np.ndarray | sp.csr_matrix,
    label: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    rows: int = 10_000,
    validation: np.ndarray | None = None,
    id: np.ndarray | None = None,
    group: np.ndarray | None = None,
    base_margin: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """Arrays as the record batches a `Decoder` reads."""
    for start in range(0, features.shape[0], rows):
        part = slice(start, start + rows)
        columns: dict[str, pa.Array] = {}
        block = features[part]
        if isinstance(block, np.ndarray):
            block = np.ascontiguousarray(block, np.float32)
            offsets = np.arange(0, block.size + 1, block.shape[1], dtype=np.int32)
            columns[VALUES] = pa.ListArray.from_arrays(offsets, block.ravel())
        else:
            block = block.tocsr()
            columns[VALUES] = pa.ListArray.from_arrays(block.indptr.astype(np.int32), block.data.astype(np.float32))
            columns[INDICES] = pa.ListArray.from_arrays(block.indptr.astype(np.int32), block.indices.astype(np.int32))
            columns[SIZE] = pa.array(np.full(block.shape[0], block.shape[1], np.int32))
        for name, column, dtype in (
            (LABEL, label, np.float32),
            (WEIGHT, weight, np.float32),
            (VALIDATION, validation, bool),
            (ID, id, np.int64),
            (GROUP, group, np.int64),
            (BASE_MARGIN, base_margin, np.float32),
        ):
            if column is not None:
                columns[name] = pa.array(np.asarray(column[part], dtype))
        yield pa.RecordBatch.from_pydict(columns)


def _agree_on_rows(shard: Shard, communicator: Communicator) -> None:
    """Give workers without rows the number of features of the others; refuse different ones."""
    found = communicator.allgather_json([shard.num_features, shard.num_rows])
    dimensions = {dimension for dimension, _ in found if dimension is not None}
    if len(dimensions) > 1:
        each = ", ".join(f"{dimension} on worker {rank}" for rank, (dimension, _) in enumerate(found) if dimension is not None)
        raise InvalidRows(f"rows differ in their number of features: {each}")
    if not any(rows is None or rows for _, rows in found) or not dimensions:
        raise InvalidRows("the dataset is empty: there is no row to train on, or none with a weight above 0")
    shard.num_features = dimensions.pop()


def _check_size(plan: TrainingPlan, settings: Sequence[Hyperparameters], num_features: int) -> None:
    """Refuse to train models that could not be sent to whoever asked for them."""
    if plan.algorithm.model_bytes is None or plan.max_model_bytes is None:
        return
    needed = sum(plan.algorithm.model_bytes(setting, num_features) for setting in settings)
    if needed > plan.max_model_bytes:
        models = "the model" if len(settings) == 1 else f"{len(settings)} models"
        size, limit = (f"{number / 2**20:,.1f} MiB" for number in (needed, plan.max_model_bytes))
        raise InvalidRows(
            f"{models} of {num_features} features would take {size}, more than the {limit} that the driver receives: raise "
            "spark.driver.maxResultSize, and spark.driver.memory with it, or make the model smaller"
        )


def _checkpoints(plan: TrainingPlan, group: Sequence[int], shard: Shard, communicator: Communicator) -> CheckpointStore | None:
    if not plan.checkpoint_dir:
        return None
    identity = {
        "algorithm": plan.algorithm.name,
        "settings": [plan.settings[index] for index in group],
        "seed": plan.seed,
        "num_features": shard.num_features,
        "rows": _total_rows(shard, communicator) if plan.input_mode == "File" else None,
    }
    store = CheckpointStore.of(plan.checkpoint_dir, identity)
    if communicator.rank == 0:
        store.check()
    return store


def _total_rows(shard: Shard, communicator: Communicator) -> int:
    return int(communicator.allreduce(np.array([shard.num_rows], np.int64))[0])


class _Clock:
    """Seconds by phase, and the phase the worker is in, for its error messages."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._seconds = worker, {}
        self._start = time.perf_counter()
        worker.phase = "ingest"

    def enter(self, phase: str) -> None:
        now = time.perf_counter()
        self._seconds[self._worker.phase] = round(now - self._start, 3)
        self._worker.phase, self._start = phase, now

    def stop(self) -> dict[str, float]:
        self.enter("done")
        return self._seconds
