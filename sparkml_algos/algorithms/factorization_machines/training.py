"""Training of a factorization machine, and scoring with it; no Spark here.

A step touches only the features of its mini-batch: their rows of the table of parameters are gathered, moved by Adam together with their
memory, and put back. Workers exchange these rows alone; where the table is large each moves its own ones, and has a memory of no others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparkml_algos.algorithms.factorization_machines.metrics import loss_metric, loss_value, make_loss, metrics, sums
from sparkml_algos.algorithms.factorization_machines.params import FIELDS
from sparkml_algos.algorithms.factorization_machines.rows import Rows
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.collectives.sparse_sums import SparseSums, has_owners, only_owned, rows_of_others
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import ClassLabel, InvalidRows
from sparkml_algos.rows.predictor import predicting
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.losses import sigmoid
from sparkml_algos.training.optimizers import EPSILON, Adam, put_rows
from sparkml_algos.training.trainer import EpochResult, Learner, Progress, fit

# Features whose start is drawn at a time.
BLOCK = 1 << 16


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train a factorization machine.

    Returns
    -------
    Artifact
        ``bias`` (1,), ``linear`` (features,) and ``factors`` (features, factors), float32; in its values the metrics of the last epoch.
    """
    machine = Machine(hyperparameters, shard.num_features, job, communicator)
    fit(machine, job, communicator, epochs=hyperparameters.epochs, mini_batch_size=hyperparameters.mini_batch_size)
    return machine.model()


class Machine(Learner):
    """A factorization machine that learns.

    Attributes
    ----------
    bias : ndarray of float32, shape (1,)
    table : ndarray of float32, shape (features, 1 + factors)
        Of each feature the linear weight, then the factors.
    """

    def __init__(self, hyperparameters: Hyperparameters, features: int, job: Job, communicator: Communicator) -> None:
        self.hyperparameters, self._shard, self._communicator = hyperparameters, job.shard, communicator
        self._keeps_checkpoints = job.keeps_checkpoints
        self._device = None if job.device == "cpu" else job.device
        self.bias, self.table = start(hyperparameters, features, job.random)
        self._has_owners = has_owners(*self.table.shape, communicator)
        self._loss = make_loss(hyperparameters)
        self._optimizer = Adam([self.bias, self.table], epsilon=EPSILON if hyperparameters.eps is None else hyperparameters.eps)
        self._rates, self._decay = ([_of(hyperparameters, "bias", name), self._by_column(name)] for name in ("lr", "wd"))
        self._totals = np.zeros(2)
        self._metrics: dict[str, float] = {}

    def gradient(self, batch: Batch) -> SparseSums:
        """Sums over the rows: derivative by the bias, loss, weight; derivatives by the rows of the table that the features touch."""
        if not len(batch):
            return SparseSums(np.zeros(3), np.empty(0, np.int32), np.empty((0, self.table.shape[1]), np.float32), len(self.table))
        rows = Rows(batch.features, device=self._device)
        with np.errstate(over="ignore", invalid="ignore"):  # the loss at the end of the epoch tells
            scores = rows.scores(self.bias[0], self.table.take(rows.columns, axis=0))
            value, slope = self._loss(scores[None, None], batch.label)
            value, slope = value[0], slope[0, 0]
            if batch.weight is not None:
                value, slope = value * batch.weight, slope * batch.weight
            weight = len(batch) if batch.weight is None else batch.weight.sum(dtype=np.float64)
            totals = np.array([slope.sum(dtype=np.float64), value.sum(dtype=np.float64), weight])
            return SparseSums(totals, rows.columns, rows.gradient(slope), len(self.table))

    def combine(self, part: SparseSums, communicator: Communicator) -> SparseSums:
        return part.at_owners(communicator) if self._has_owners else part.over_workers(communicator)

    def update(self, sums: SparseSums, progress: Progress) -> None:
        slope, loss, weight = sums.totals
        if weight == 0:
            return
        self._totals += loss, weight
        with np.errstate(over="ignore", invalid="ignore"):
            gradients = [np.array([slope], np.float32), sums.rows]
            for gradient in gradients:
                gradient *= 1 / weight if self.hyperparameters.rescale_grad is None else self.hyperparameters.rescale_grad
                if self.hyperparameters.clip_gradient is not None:
                    np.clip(gradient, -self.hyperparameters.clip_gradient, self.hyperparameters.clip_gradient, out=gradient)
            _, moved = self._optimizer.step(gradients, self._rates, rows=[None, sums.ids], decay=self._decay)
        if self._has_owners:
            for ids, rows in rows_of_others(sums.ids, moved, self._communicator):
                put_rows(self.table, ids, rows)

    def end_epoch(self, progress: Progress) -> EpochResult:
        loss = float(self._totals[0] / self._totals[1])
        self._totals[:] = 0
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the training loss is not finite in epoch {progress.epoch + 1}: lower bias_lr, linear_lr and factors_lr, "
                "or the start (…_init_…), or scale the features"
            )
        self._metrics = {f"train:{loss_metric(self.hyperparameters)}": loss_value(loss, self.hyperparameters)}
        if self._shard.marks_validation:
            self._metrics |= {f"validation:{name}": value for name, value in self._validate().items()}
        return EpochResult(self._metrics, loss)

    def state(self) -> Artifact:
        memory = self._optimizer.state()
        if self._has_owners and self._keeps_checkpoints:
            memory = self._with_memory_of_table(memory, self._communicator.allreduce)  # each worker has its own rows', and 0 elsewhere
        return Artifact({"bias": self.bias, "table": self.table, **memory}, {"metrics": self._metrics})

    def restore(self, state: Artifact) -> None:
        self.bias[...], self.table[...] = state.arrays["bias"], state.arrays["table"]
        memory = {name: array for name, array in state.arrays.items() if name not in ("bias", "table")}
        if self._has_owners:
            memory = self._with_memory_of_table(memory, lambda whole: only_owned(whole, self._communicator))
        self._optimizer.restore(memory)
        self._metrics = state.values["metrics"]

    def model(self) -> Artifact:
        """What was learned."""
        return Artifact({"bias": self.bias, "linear": self.table[:, 0], "factors": self.table[:, 1:]}, dict(self._metrics))

    def _validate(self) -> dict[str, float]:
        """Metrics on the validation rows of all workers."""
        parts = []
        for batch in [self._shard.empty(), *self._shard.validation]:
            scores = raw_scores(self.bias, self.table[:, 0], self.table[:, 1:], batch.features)
            parts.append(sums(scores, batch.label, batch.weights, self.hyperparameters))
        own = np.array([list(part.values()) for part in parts]).sum(axis=0)
        totals = dict(zip(parts[0], self._communicator.allreduce(own), strict=True))
        if not totals["weight"]:
            raise InvalidRows("no row is marked for validation; mark some, or leave validationIndicatorCol unset")
        return metrics(totals, self.hyperparameters)

    def _with_memory_of_table(
        self, memory: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The optimizer's memory with what it knows of the table changed."""
        return {name: change(array) if array.shape == self.table.shape else array for name, array in memory.items()}

    def _by_column(self, name: str) -> np.ndarray:
        """A setting of the linear weights and the factors, as a row of the table."""
        linear, factors = (_of(self.hyperparameters, group, name) for group in ("linear", "factors"))
        return np.array([linear] + [factors] * (self.table.shape[1] - 1), np.float32)


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


# ------------------------------------------------------------------------------------------------------------------- scoring


def raw_scores(bias: np.ndarray, linear: np.ndarray, factors: np.ndarray, features: Features) -> np.ndarray:
    """f of each row, shape (rows,), computed in float64."""
    rows = Rows(features, np.float64)
    table = np.column_stack([linear[rows.columns], factors[rows.columns]]).astype(np.float64)
    return rows.scores(float(bias[0]), table)


def raw_threshold(artifact: Artifact) -> float:
    """The raw score from which on a row is of class 1; a probability of one half unless it was set."""
    return artifact.values.get("raw_threshold", 0.0)


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Score rows.

    Returns
    -------
    dict
        ``score`` (rows,) of a regression. Of a classifier ``predicted_label`` (rows,), ``raw`` and ``probability`` (rows, 2).
    """
    score = raw_scores(*(artifact.arrays[name] for name in ("bias", "linear", "factors")), features)
    if hyperparameters.predictor_type == "regressor":
        return {"score": score}
    return {
        "predicted_label": (score >= raw_threshold(artifact)).astype(np.float64),
        "raw": np.stack([-score, score], axis=1),
        "probability": np.stack([sigmoid(-score), sigmoid(score)], axis=1),
    }


FACTORIZATION_MACHINES = Algorithm(
    name="factorization_machines",
    fields=FIELDS,
    kinds=lambda hyperparameters: {LABEL: ClassLabel(2)} if hyperparameters.predictor_type == "binary_classifier" else {},
    train=train,
    load=predicting(predict),
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 4 * (1 + hyperparameters.num_factors) * num_features,
)
