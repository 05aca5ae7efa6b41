"""One training of one algorithm: its settings, epochs, mini-batches in step, metrics, checkpoints, progress."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.checkpoint import CheckpointStore

logger = logging.getLogger(__name__)

# Rows a worker handles per step at least (or the whole mini-batch where that is smaller), so that with many workers the arithmetic
# of a step still outweighs the exchange of its result.
MIN_ROWS_PER_WORKER = 512


class Job:
    """The hands of a training function: everything but its arithmetic.

    Parameters
    ----------
    shard : Shard
    communicator : Communicator
    seed : int
    device : str
        ``cpu`` or a CUDA device.
    replicated : bool
        Whether every worker has all rows, in an order of its own.
    host : str
        Address under which the other workers reach this one.
    checkpoints : CheckpointStore, optional
    report : callable, optional
        ``report(dict)`` receives the progress of worker 0.
    warn : callable
        ``warn(message)`` tells the user of trouble that the training survives.
    last : bool
        Whether no other training will use the shard, which this one may then release.
    compile, mixed_precision : bool
        How networks compute, see `arrays.params.NetworkParams`.
    is_hopeless : callable, optional
        ``is_hopeless(history)``, of worker 0, says after each epoch whether there is to be no other; of all workers, its word counts.
    after_epoch : callable, optional
        ``after_epoch(epochs)`` is called, on every worker, after each epoch that another one is to follow, with the number of those that
        are over; the training goes on when it returns.
    is_watched : bool
        Whether anybody will see the metrics of epochs. An algorithm that measures for nothing else may leave it to the last one.

    Attributes
    ----------
    history : list of dict
        Metrics in the order they were recorded, one dictionary per epoch.
    was_stopped : bool
        Whether `is_hopeless` has ended the training before its time.
    input_wait : dict of str to float or None
        Where threads prepare mini-batches, how long this worker has waited for them, see `prepared.PreparedBatches.report`.
    """

    def __init__(
        self,
        shard: Shard,
        communicator: Communicator,
        *,
        seed: int = 0,
        device: str = "cpu",
        replicated: bool = False,
        host: str = "127.0.0.1",
        checkpoints: CheckpointStore | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
        warn: Callable[[str], None] = logger.warning,
        last: bool = False,
        compile: bool = False,
        mixed_precision: bool = False,
        is_hopeless: Callable[[list[dict[str, Any]]], bool] | None = None,
        after_epoch: Callable[[int], None] | None = None,
        is_watched: bool = True,
    ) -> None:
        self.shard, self.communicator = shard, communicator
        self.seed, self.device, self.replicated, self.host = seed, device, replicated, host
        self.last, self.compile, self.mixed_precision, self.is_watched = last, compile, mixed_precision, is_watched
        self.history: list[dict[str, Any]] = []
        self.was_stopped = False
        self.input_wait: dict[str, float] | None = None
        self._checkpoints, self._report, self._warn, self._is_hopeless = checkpoints, report, warn, is_hopeless
        self._after_epoch = after_epoch
        self._store_fails = False
        self._rows: str | None = None
        self._resumed_epochs = 0
        self._steps_per_epoch: int | None = None

    @property
    def random(self) -> np.random.Generator:
        """The same random numbers on every worker."""
        return np.random.default_rng(self.seed)

    def resume(self) -> Artifact | None:
        """The state of the newest checkpoint, the same on every worker; None to start from the beginning."""
        found = self._checkpoints.load() if self._checkpoints and self.communicator.rank == 0 else None
        header = [found[0], found[1].values.pop("history", []), found[1].values.pop("digest_of_rows", None)] if found else None
        header = self.communicator.allgather_json(header)[0]
        if header is None:
            return None
        done, history, rows = header
        self.shard.drain()
        if rows != self._digest():
            self._warn("a checkpoint of a training with these settings on other rows is not used")
            return None
        self._resumed_epochs, self.history = done, history
        logger.info("resuming after epoch %d", self._resumed_epochs)
        return self.broadcast(found[1] if found else None)

    @property
    def epochs_done(self) -> int:
        """Epochs that the checkpoint which `resume` has found stands behind; 0 without one."""
        return self._resumed_epochs

    @property
    def epoch(self) -> int:
        """The present epoch, counted from 0."""
        return self._epoch

    def broadcast(self, artifact: Artifact | None) -> Artifact:
        """The artifact of worker 0 on every worker."""
        return broadcast(artifact, self.communicator)

    def epochs(self, total: int | None) -> Iterator[int]:
        """Epochs that are still to be done, counted from 0; None where whoever asks for them knows when to end."""
        self._total_epochs = total
        for self._epoch in itertools.count(self._resumed_epochs) if total is None else range(self._resumed_epochs, total):
            if self.was_stopped:
                return
            self._epoch_start = time.perf_counter()
            yield self._epoch

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether the state that some worker gives to `end_epoch` is kept; the same on every worker."""
        return self._checkpoints is not None

    @property
    def writes_checkpoints(self) -> bool:
        """Whether the state that this worker gives to `end_epoch` is kept."""
        return self.keeps_checkpoints and self.communicator.rank == 0

    def _digest(self) -> str:
        """A number that tells the rows of all workers from others; a text, for JSON has no such integers."""
        parts = self.communicator.allgather_json(str(self.shard.digest))
        return str(sum(map(int, parts)) % (1 << 64))

    def end_epoch(self, state: Artifact | None, **metrics: float) -> None:
        """Record metrics, write a checkpoint; `state` is what `resume` will return, None to write none after this epoch."""
        seconds = time.perf_counter() - self._epoch_start
        self.history.append({"epoch": self._epoch + 1, "seconds": round(seconds, 3), **metrics})
        if self.keeps_checkpoints and self._rows is None:
            self._rows = self._digest()
        if state is not None and self.writes_checkpoints:
            self._save(Artifact(state.arrays, {**state.values, "history": self.history, "digest_of_rows": self._rows}))
        self._tell(self._epoch + 1, **metrics)
        is_last = self._total_epochs is not None and self._epoch + 1 >= self._total_epochs
        if self._is_hopeless is not None and not is_last:
            told = self.communicator.rank == 0 and self._is_hopeless(self.history)
            self.was_stopped = bool(self.communicator.allgather_json(told)[0])
        if self._after_epoch is not None and not is_last and not self.was_stopped:
            self._after_epoch(self._epoch + 1)

    def warn(self, message: str) -> None:
        """Tell the user of trouble that the training survives; every worker may call this, and worker 0 speaks for all."""
        if self.communicator.rank == 0:
            self._warn(message)

    def _save(self, state: Artifact) -> None:
        """Write a checkpoint. A store that fails costs what it would have saved if a worker is lost too, so training goes on."""
        try:
            self._checkpoints.save(self._epoch + 1, state)
        except OSError as error:
            if not self._store_fails:
                self._warn(f"no checkpoint after epoch {self._epoch + 1}, training goes on and later epochs are tried again: {error}")
            self._store_fails = True
        else:
            if self._store_fails:
                self._warn(f"checkpoints are written again, since epoch {self._epoch + 1}")
            self._store_fails = False

    def minibatches(self, rows: int, per_worker: int = MIN_ROWS_PER_WORKER, passes: int = 1) -> Iterator[Batch]:
        """This worker's part of each mini-batch of `rows` rows; every worker gets the same number of them, some perhaps without rows.

        A worker takes at least `per_worker` rows per step, or all `rows` where that is less; with 0 a mini-batch has as many rows
        on any number of workers.

        Where the number of rows is known, every worker cuts its shard into equally many even parts, so each step is a sample of all
        shards however uneven they are. A pipe is cut as it arrives until the last worker's has run dry.

        With `passes` the rows come so often, each time in another order; give the same number in every epoch, and 1 in the first pass
        over a pipe.
        """
        size = self.communicator.size
        rows = max(rows, size * min(rows, per_worker))
        total = self.total_rows()
        if total is not None:
            steps = max(1, -(-total // rows))
            self._steps_per_epoch = passes * steps
            sizes = np.diff(np.linspace(0, self.shard.num_rows, steps + 1).astype(int))
            orders = range(self._epoch * passes, (self._epoch + 1) * passes)
            batches = itertools.chain.from_iterable(self.shard.minibatches(order, iter(sizes)) for order in orders)
        else:
            batches = self._until_all_dry(self.shard.minibatches(self._epoch, itertools.repeat(-(-rows // size))))
        for step, batch in enumerate(batches):
            yield batch
            if self._steps_per_epoch:
                self._tell(self._epoch + (step + 1) / self._steps_per_epoch)

    def total_rows(self) -> int | None:
        """Rows of all workers; None while a pipe is still being read for the first time."""
        known = self.communicator.allreduce(np.array([self.shard.num_rows is not None, self.shard.num_rows or 0], np.int64))
        return int(known[1]) if known[0] == self.communicator.size else None

    def _until_all_dry(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            batch = next(batches, None)
            if self.communicator.allreduce(np.array([batch is not None], np.int64))[0] == 0:
                return
            yield self.shard.empty() if batch is None else batch

    def tell(self, share: float) -> None:
        """Show that a share of the present epoch is over."""
        self._tell(self._epoch + share)

    def _tell(self, epochs_done: float, **metrics: float) -> None:
        if self._report and self.communicator.rank == 0:
            total = self._epoch + 1 if self._total_epochs is None else self._total_epochs
            self._report({"done": epochs_done, "total": total, **metrics})


def broadcast(artifact: Artifact | None, communicator: Communicator) -> Artifact:
    """The artifact of worker 0 on every worker."""
    header = None
    if artifact is not None:
        arrays = {name: [array.dtype.str, list(array.shape)] for name, array in artifact.arrays.items()}
        header = {"values": artifact.values, "arrays": arrays}
    header = communicator.allgather_json(header)[0]
    result = Artifact(values=header["values"])
    for name, (dtype, shape) in header["arrays"].items():
        array = np.zeros(shape, dtype) if artifact is None else artifact.arrays[name]
        result.arrays[name] = communicator.broadcast(array)
    return result
