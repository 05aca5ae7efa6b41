"""A factorization machine that learns.

A step touches only the features of its mini-batch: their rows of the table of parameters are gathered, moved by Adam together with their
memory, and put back. Workers exchange these rows alone, after every mini-batch or after several, see `exchange`; where the table is large
and the exchange is after every one, each worker moves its own rows, and has a memory of no others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse as sp

from sparkml_algos import kernels
from sparkml_algos.algorithms.factorization_machines.exchange import Ways, merge_memory
from sparkml_algos.algorithms.factorization_machines.metrics import loss_metric, loss_value, make_loss, metrics, sums
from sparkml_algos.algorithms.factorization_machines.preparation import Preparation
from sparkml_algos.algorithms.factorization_machines.rows import CompiledRows, Room, Rows
from sparkml_algos.algorithms.factorization_machines.steps import CompiledAdam
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.sparse_sums import SparseSums, has_owners, only_owned, rows_of_others
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.optimizers import EPSILON, Adam, put_rows
from sparkml_algos.training.progress import Best, EpochResult, Progress
from sparkml_algos.training.watching import WatchedRows

# Mini-batches between two exchanges of a large table at most, and exchanges of an epoch at least, unless `exchange_every` says otherwise.
STEPS_APART = 256
EXCHANGES_PER_EPOCH = 2
# Features · (num_factors + 2) beyond which a table is wide: a mini-batch touches little of it.
WIDE_TABLE = 1 << 20
# Features whose start is drawn at a time.
BLOCK = 1 << 16


class Machine(Learner):
    """A factorization machine that learns.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    features : int
    job : Job
    communicator : Communicator
    preparation : Preparation
    watched : WatchedRows

    Attributes
    ----------
    bias : ndarray of float32, shape (1,)
    table : ndarray of float32, shape (features, 1 + factors)
        Of each feature the linear weight, then the factors; for labels as they are trained on.
    steps_apart : int
        Steps that workers make between two exchanges; 1 where each is exact.
    compiled : bool
        Whether kernels run, on all workers: theirs would differ from NumPy's in the last bits.
    """

    served_by_all = False

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        features: int,
        job: Job,
        communicator: Communicator,
        preparation: Preparation,
        watched: WatchedRows,
    ) -> None:
        self.hyperparameters, self._communicator = hyperparameters, communicator
        self._preparation, self._watched = preparation, watched
        self._empty = job.shard.empty
        self._keeps_checkpoints = job.keeps_checkpoints
        self._device = None if job.device == "cpu" else job.device
        self.bias, self.table = start(hyperparameters, features, job.random)
        self.compiled = bool(communicator.allreduce(np.array([kernels.available()], np.int64), "min")[0])
        self._room = Room(features) if self.compiled else None
        self._loss = make_loss(hyperparameters)
        adam = CompiledAdam if self.compiled else Adam
        self._optimizer = adam([self.bias, self.table], epsilon=EPSILON if hyperparameters.eps is None else hyperparameters.eps)
        is_large = has_owners(*self.table.shape, communicator)
        rows = None if communicator.size == 1 else job.total_rows()
        is_wide = self.table.shape[0] * (self.table.shape[1] + 1) > WIDE_TABLE
        self.steps_apart = _steps_apart(hyperparameters, communicator, is_wide, rows)
        # Mini-batches have of each worker's rows the same share, see `Job.minibatches`; of a pipe the workers' parts are equal.
        self._parts = communicator.size if rows is None else rows / max(1, job.shard.num_rows)
        self._ways = Ways(self.bias, self.table, communicator, self.compiled) if self.steps_apart > 1 else None
        self._has_owners = is_large and self._ways is None
        self._rates, self._decay = ([_of(hyperparameters, "bias", name), self._by_column(name)] for name in ("lr", "wd"))
        self._totals = np.zeros(2)

    @property
    def steps(self) -> int:
        """Steps done."""
        return self._optimizer.steps

    def gradient(self, batch: Batch) -> SparseSums:
        """Sums over the rows: derivative by the bias, loss, weight; derivatives by the rows of the table that the features touch. The loss
        is left out where all training rows will be looked at after the epoch."""
        if not len(batch):
            return SparseSums(np.zeros(3), np.empty(0, np.int32), np.empty((0, self.table.shape[1]), np.float32), len(self.table))
        rows = self._rows(batch.features)
        label, weight = self._preparation.label(batch.label), batch.weight
        with np.errstate(over="ignore", invalid="ignore"):  # the loss at the end of the epoch tells
            scores = rows.scores(self.bias[0], rows.taken_from(self.table))[None, None]
            if self._watched.has_all:
                value, slope = np.zeros(1), self._loss.slope(scores, label)[0, 0]
            else:
                (value,), ((slope,),) = self._loss(scores, label)
            if weight is not None:
                value, slope = value * weight, slope * weight
            total = len(batch) if weight is None else weight.sum(dtype=np.float64)
            totals = np.array([slope.sum(dtype=np.float64), value.sum(dtype=np.float64), total])
            return SparseSums(totals, rows.columns, rows.gradient(slope).astype(np.float32, copy=False), len(self.table))

    def combine(self, part: SparseSums, communicator: Communicator) -> SparseSums:
        if self._ways is not None:
            return part
        return part.at_owners(communicator) if self._has_owners else part.over_workers(communicator)

    def update(self, sums: SparseSums, progress: Progress) -> None:
        if self._ways is None:
            if sums.totals[2]:
                self._step(sums, 1.0)
            return
        if sums.totals[2]:
            self._ways.note(sums.ids, sums.totals[2])
            self._step(sums, self._parts)  # its rows stand for those of the whole mini-batch
        else:
            self._optimizer.steps += 1
        self._ways.steps += 1
        if self._ways.steps == self.steps_apart:
            self._ways.exchange()

    def _step(self, sums: SparseSums, share: float) -> None:
        """A step by the sums over some rows, of which a mini-batch has `share` times as many."""
        slope, loss, weight = sums.totals
        self._totals += loss, weight
        with np.errstate(over="ignore", invalid="ignore"):
            gradients = [np.array([slope], np.float32), sums.rows]
            for gradient in gradients:
                gradient *= 1 / weight if self.hyperparameters.rescale_grad is None else self.hyperparameters.rescale_grad * share
                if self.hyperparameters.clip_gradient is not None:
                    np.clip(gradient, -self.hyperparameters.clip_gradient, self.hyperparameters.clip_gradient, out=gradient)
            self._optimizer.step(gradients, self._rates, rows=[None, sums.ids], decay=self._decay)
        if self._has_owners:
            for ids, rows in rows_of_others(sums.ids, self.table.take(sums.ids, axis=0), self._communicator):
                put_rows(self.table, ids, rows)

    def end_epoch(self, progress: Progress) -> EpochResult:
        if self._ways is not None:
            if self._ways.steps:
                self._ways.exchange()
            if progress.epoch + 1 < self.hyperparameters.epochs:
                for memory in self._optimizer.memory:
                    merge_memory(*memory, self._communicator)
        loss = self._training_loss()
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the training loss is not finite in epoch {progress.epoch + 1}: lower bias_lr, linear_lr and factors_lr, "
                "or the start (…_init_…), or scale the features"
            )
        figure = loss_metric(self.hyperparameters)
        found = {f"train:{figure}": loss_value(loss, self.hyperparameters)}
        if not self._watched.marks_validation:
            return EpochResult(found, found[f"train:{figure}"])
        held_out = metrics(self._sums(self._watched.of_validation()), self.hyperparameters)
        found |= {f"validation:{name}": value for name, value in held_out.items()}
        return EpochResult(found, found[f"validation:{figure}"])

    def state(self) -> Artifact:
        memory = self._optimizer.state()
        if self._has_owners and self._keeps_checkpoints:
            memory = self._with_memory_of_table(memory, self._communicator.allreduce)  # each worker has its own rows', and 0 elsewhere
        return Artifact({**self.served().arrays, **memory})

    def restore(self, state: Artifact) -> None:
        self.serve(state)
        if self._ways is not None:
            self._ways.begin()
        memory = {name: array for name, array in state.arrays.items() if name not in ("bias", "table")}
        if self._has_owners:
            memory = self._with_memory_of_table(memory, lambda whole: only_owned(whole, self._communicator))
        self._optimizer.restore(memory)

    def served(self) -> Artifact:
        return Artifact({"bias": self.bias, "table": self.table})

    def serve(self, best: Artifact) -> None:
        self.bias[...], self.table[...] = best.arrays["bias"], best.arrays["table"]

    def model(self, best: Best) -> Artifact:
        """What was learned, in the label's units, right on worker 0; of no use to a training that goes on."""
        shift, scale = self._preparation.label_shift, self._preparation.label_scale
        bias = self.bias.astype(np.float64) * scale + shift
        if scale != 1:
            self.table[:, 0] *= np.float32(scale)
            self.table[:, 1:] *= np.float32(scale**0.5)
        values = {**best.result.metrics, "epoch": best.epoch + 1, "kernels": kernels.name() if self.compiled else "numpy"}
        return Artifact({"bias": bias, "linear": self.table[:, 0], "factors": self.table[:, 1:]}, values)

    def _training_loss(self) -> float:
        """The mean loss in the label's units, on all training rows now, or on the mini-batches of the epoch, each before its step."""
        totals, self._totals = self._totals, np.zeros(2)
        if self._watched.has_all:
            found = self._sums(self._watched.of_training())
            return float(found["loss"] / found["weight"])
        if self._ways is not None:
            totals = self._communicator.allreduce(totals)
        return float(totals[0] / totals[1]) * self._preparation.label_scale**2

    def _sums(self, rows: Iterable[Batch]) -> dict[str, np.ndarray]:
        """What the rows of all workers contribute to the metrics."""
        parts = []
        with np.errstate(over="ignore", invalid="ignore"):
            for batch in itertools.chain([self._empty()], rows):
                parts.append(sums(self._scores(batch.features), batch.label, batch.weights, self.hyperparameters))
            own = np.array([list(part.values()) for part in parts]).sum(axis=0)
        return dict(zip(parts[0], self._communicator.allreduce(own), strict=True))

    def _scores(self, features: Features) -> np.ndarray:
        """f of each row in the label's units, computed with 64 bits."""
        rows = Rows(features, np.float64)
        scores = rows.scores(float(self.bias[0]), self.table.take(rows.columns, axis=0).astype(np.float64))
        return scores * self._preparation.label_scale + self._preparation.label_shift

    def _rows(self, features: Features) -> Rows | CompiledRows:
        """Some rows, with the arithmetic of the training."""
        if self._room is not None and sp.issparse(features):
            return CompiledRows(features, self._preparation.dtype, self._room)
        return Rows(features, self._preparation.dtype, self._device)

    def _with_memory_of_table(self, memory: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        """The optimizer's memory with what it knows of the table changed."""
        return {name: change(array) if array.shape == self.table.shape else array for name, array in memory.items()}

    def _by_column(self, name: str) -> np.ndarray:
        """A setting of the linear weights and the factors, as a row of the table."""
        linear, factors = (_of(self.hyperparameters, group, name) for group in ("linear", "factors"))
        return np.array([linear] + [factors] * (self.table.shape[1] - 1), np.float32)


def _steps_apart(hyperparameters: Hyperparameters, communicator: Communicator, is_wide: bool, rows: int | None) -> int:
    """Steps between two exchanges; 1 with a table that is not wide, of which every mini-batch may touch much."""
    if communicator.size == 1:
        return 1
    if hyperparameters.exchange_every != "auto":
        return hyperparameters.exchange_every
    if not is_wide or rows is None:
        return STEPS_APART if is_wide else 1
    return max(1, min(STEPS_APART, -(-rows // hyperparameters.mini_batch_size) // EXCHANGES_PER_EPOCH))


def start(hyperparameters: Hyperparameters, features: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bias and table to start from, float32."""
    bias, table = np.empty(1, np.float32), np.empty((features, 1 + hyperparameters.num_factors), np.float32)
    _draw(hyperparameters, "bias", bias, random)
    for first in range(0, features, BLOCK):
        block = table[first : first + BLOCK]
        _draw(hyperparameters, "linear", block[:, 0], random)
        _draw(hyperparameters, "factors", block[:, 1:], random)
    return bias, table


def _draw(hyperparameters: Hyperparameters, group: str, out: np.ndarray, random: np.random.Generator) -> None:
    method = _of(hyperparameters, group, "init_method")
    if method == "constant":
        out[...] = _of(hyperparameters, group, "init_value")
    elif method == "uniform":
        out[...] = (2 * random.random(out.shape, np.float32) - 1) * np.float32(_of(hyperparameters, group, "init_scale"))
    else:
        out[...] = random.standard_normal(out.shape, np.float32) * np.float32(_of(hyperparameters, group, "init_sigma"))


def _of(hyperparameters: Hyperparameters, group: str, name: str) -> float | str:
    return getattr(hyperparameters, f"{group}_{name}")
