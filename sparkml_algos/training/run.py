"""From rows and settings to artifacts: the body of a worker, and the same without any cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator, SingleProcess
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.kinds import InvalidRows
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
    compile, mixed_precision : bool
        How networks compute, see `arrays.params.NetworkParams`.
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
    compile: bool = False
    mixed_precision: bool = False


class Worker(Protocol):
    """What a worker's surroundings do for the training."""

    rank: int
    rank_in_lane: int
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

    def ask(self, answer: Any) -> dict[str, Any]:
        """The next task of a search, for whoever hands them out is told what came of the one before."""


@dataclass
class Alone:
    """The surroundings of a single worker in this process."""

    rank: int = 0
    rank_in_lane: int = 0
    size: int = 1
    device: str = "cpu"
    host: str = "127.0.0.1"
    workers_on_host: int = 1
    spill_dir: str | None = None
    phase: str = "ingest"
    communicator: Communicator = field(default_factory=SingleProcess)
    on_ask: Callable[[Any], dict[str, Any]] | None = None

    def connect(self) -> Communicator:
        return self.communicator

    def report(self, progress: dict[str, Any]) -> None:
        """Nobody watches."""

    def warn(self, message: str) -> None:
        logger.warning("%s", message)

    def ask(self, answer: Any) -> dict[str, Any]:
        assert self.on_ask is not None, "nobody hands out tasks"
        return self.on_ask(answer)


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
    clock = Clock(worker)

    import_ahead(algorithm.libraries)
    passes = sum(algorithm.passes(leader) for leader in leaders)
    plan.decoder.where = f" of worker {worker.rank}'s shard"
    shard = Shard(
        batches,
        plan.decoder,
        input_mode=plan.input_mode,
        passes=passes,
        max_bytes=plan.max_shard_bytes or default_shard_bytes(worker.workers_on_host),
        seed=plan.seed,
        rank=worker.rank,
        spill_dir=worker.spill_dir,
        keeps_digest=plan.checkpoint_dir is not None,
    )
    if plan.input_mode == "Pipe":
        shard.head(1)
    clock.enter("setup")
    communicator = worker.connect()
    agree_on_rows(shard, communicator)
    facts = shard.facts
    check_size(plan, settings, shard.num_features)

    clock.enter("train")
    checkpoints: list[str] = []
    waits: list[dict[str, float]] = []
    for group, leader in zip(groups, leaders, strict=True):
        store = _checkpoints(plan, group, passes > 1, shard, communicator)
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
            compile=plan.compile,
            mixed_precision=plan.mixed_precision,
        )
        state = algorithm.train(leader, shard, communicator, job)
        checkpoints += [store.name] if store else []
        waits += [job.input_wait] if job.input_wait else []
        for index in group:
            model = algorithm.finalize(state, settings[index], communicator) if algorithm.finalize else state
            if worker.rank == 0:
                yield f"model/{index}", Artifact(model.arrays, {**model.values, "history": job.history})
    communicator.barrier()
    clock.enter("finish")
    report = {
        "rows": shard.num_rows,
        "validation_rows": len(shard.validation),
        "facts": facts,
        "checkpoints": checkpoints,
        "input_wait": waits[-1] if waits else None,
        "seconds": clock.stop(),
    }
    yield f"report/{worker.rank}", Artifact(values=report)


def import_ahead(libraries: Sequence[str]) -> None:
    """Import libraries while rows arrive, for some take over a second; one that cannot be imported is the training's to miss."""

    def work() -> None:
        for library in libraries:
            with contextlib.suppress(ImportError):
                importlib.import_module(library)

    if not set(libraries) <= set(sys.modules):
        threading.Thread(target=work, daemon=True).start()


def train_arrays(
    algorithm: Algorithm,
    hyperparameters: dict[str, Any],
    features: Any = None,
    *,
    communicator: Communicator | None = None,
    seed: int = 0,
    **options: Any,
) -> Artifact:
    """Train on arrays, without Spark: in a test, on a GPU machine, in a process of one's own cluster.

    Parameters
    ----------
    algorithm : Algorithm
    hyperparameters : dict
        A value for every hyperparameter of the algorithm.
    features : ndarray or csr_matrix, shape (rows, features), optional
        The rows of this process, where the algorithm has a field of this role.
    communicator : Communicator, optional
        Connects this process with others that call the same; alone by default.
    seed : int
    **options
        Columns by role, such as ``label``, ``weight``, ``validation`` or ``tokens``, see `Kind.arrays` for what each kind takes; and
        further fields of `TrainingPlan`.

    Returns
    -------
    Artifact
        The model, on worker 0; on the others one without arrays.
    """
    communicator = communicator or SingleProcess()
    worker = Alone(rank=communicator.rank, size=communicator.size, communicator=communicator)
    columns = {field.role: options.pop(field.role) for field in algorithm.fields if field.role in options}
    columns = {role: values for role, values in {"features": features, **columns}.items() if values is not None}
    fields = [field for field in algorithm.fields_for(Hyperparameters(**hyperparameters)) if field.role in columns]
    plan = TrainingPlan(algorithm, [hyperparameters], Decoder([Source(field, [field.role]) for field in fields]), seed=seed, **options)
    results = dict(train(plan, worker, record_batches(fields, columns)))
    if worker.rank == 0:
        for name in results["report/0"].values["checkpoints"]:
            CheckpointStore(plan.checkpoint_dir, name).clear()
    return results.get("model/0", Artifact())


def agree_on_rows(shard: Shard, communicator: Communicator) -> None:
    """Let every worker know what the rows of all have shown; refuse what contradicts itself, and no rows."""
    found = communicator.allgather_json([shard.facts, shard.num_rows])
    shard.learn([facts for facts, _ in found])
    if not any(rows is None or rows for _, rows in found):
        raise InvalidRows("the dataset is empty: there is no row to train on, or none with a weight above 0")


def check_size(plan: TrainingPlan, settings: Sequence[Hyperparameters], num_features: int | None) -> None:
    """Refuse to train models that could not be sent to whoever asked for them."""
    if plan.algorithm.model_bytes is None or plan.max_model_bytes is None:
        return
    needed = sum(plan.algorithm.model_bytes(setting, num_features) for setting in settings)
    if needed > plan.max_model_bytes:
        models = "the model" if len(settings) == 1 else f"{len(settings)} models"
        size, limit = (f"{number / 2**20:,.1f} MiB" for number in (needed, plan.max_model_bytes))
        of_features = "" if num_features is None else f" of {num_features} features"
        raise InvalidRows(
            f"{models}{of_features} would take {size}, more than the {limit} that the driver receives: raise "
            "spark.driver.maxResultSize, and spark.driver.memory with it, or make the model smaller"
        )


def _checkpoints(plan: TrainingPlan, group: Sequence[int], keeps: bool, shard: Shard, communicator: Communicator) -> CheckpointStore | None:
    # A pipe that is read once has gone by when its first checkpoint is written, and could not be compared with another's rows.
    if not plan.checkpoint_dir or (plan.input_mode == "Pipe" and not keeps):
        return None
    identity = {
        "algorithm": plan.algorithm.name,
        "settings": [plan.settings[index] for index in group],
        "seed": plan.seed,
        "columns": {source.field.role: source.names for source in plan.decoder.sources},
        "num_features": shard.num_features,
        "rows": _rows(shard, communicator) if plan.input_mode == "File" else None,
    }
    store = CheckpointStore.of(plan.checkpoint_dir, identity)
    if communicator.rank == 0:
        store.check()
    return store


def _rows(shard: Shard, communicator: Communicator) -> list[int]:
    """Number and digest of the rows of all workers."""
    numbers, digests = zip(*communicator.allgather_json([shard.num_rows, str(shard.digest)]), strict=True)
    return [sum(numbers), sum(map(int, digests)) % (1 << 64)]


class Clock:
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
