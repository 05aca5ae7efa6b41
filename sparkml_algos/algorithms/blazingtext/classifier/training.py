"""Training of the text classifier; no Spark here."""

from __future__ import annotations

import logging

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.algorithms.blazingtext.classifier.counting import Counted, count
from sparkml_algos.algorithms.blazingtext.classifier.descent import Parameters
from sparkml_algos.algorithms.blazingtext.classifier.params import FIELDS
from sparkml_algos.algorithms.blazingtext.classifier.prediction import load, probabilities
from sparkml_algos.algorithms.blazingtext.classifier.texts import Encoded, Encoder
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.progress import EarlyStopping
from sparkml_algos.training.watching import WatchedRows

logger = logging.getLogger(__name__)

# Texts of all workers that are turned into ids at a time.
BLOCK_ROWS = 4096
# Texts of all workers whose steps are computed from the same parameters, where there are several workers. With learning_rate 0.5, on
# newsgroups, windows of 16 (two workers) and 32 (two and four) gave the accuracy of single steps; of 128 (four) the training diverged.
WINDOW_ROWS = 16


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the classifier.

    Returns
    -------
    Artifact
        ``vectors`` (words + n-grams + 1, dim) and ``outputs`` (labels, dim), float32, see `descent.Parameters`, and what
        `Counted.to_arrays` and `Counted.to_values` have; in its values the figures of the epoch whose state this is, which that was, and
        what the inner loops ran on.
    """
    state = job.resume()
    counted = Counted.of(state.arrays, state.values) if state else count(shard.batches(), hyperparameters, communicator, job.replicated)
    training = _Training(hyperparameters, counted, communicator, job)
    training.resume(state)
    logger.info("text classifier: %d words, %d labels, by %s", len(counted.words), len(counted.labels), kernels.name())
    for epoch in job.epochs(hyperparameters.epochs):
        if training.is_over(epoch):
            break
        metrics = training.epoch(epoch)
        training.watch(epoch, metrics)
        job.end_epoch(training.state() if job.keeps_checkpoints else None, **metrics)
    return training.model()


class _Training:
    """A training between two epochs."""

    def __init__(self, hyperparameters: Hyperparameters, counted: Counted, communicator: Communicator, job: Job) -> None:
        self._settings, self._counted, self._communicator, self._job = hyperparameters, counted, communicator, job
        self._encode: Encoder = counted.encoder(hyperparameters.word_ngrams, hyperparameters.buckets)
        sizes = len(counted.words), len(counted.kept), len(counted.labels)
        self._parameters = Parameters.fresh(*sizes, hyperparameters.vector_dim, job.seed, communicator)
        self._watched = WatchedRows(job, 0)
        if hyperparameters.early_stopping and not self._watched.marks_validation:
            raise InvalidRows("early_stopping=True needs rows to validate on: name a validationIndicatorCol")
        self._stopping = EarlyStopping(hyperparameters.patience, larger_is_better=True) if hyperparameters.early_stopping else None
        self._best: dict[str, np.ndarray] | None = None
        self._figures: dict[str, float | int] = {}

    def is_over(self, epoch: int) -> bool:
        """Whether early stopping ends the training before this epoch, counted from 0."""
        return self._stopping is not None and self._stopping.is_over and epoch >= self._settings.min_epochs

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train on all texts once, in an order of their own; the figures of the epoch."""
        random = np.random.default_rng([self._job.seed, self._communicator.rank, epoch])
        workers, epochs = self._communicator.size, self._settings.epochs
        copies = workers if self._job.replicated else 1
        rows = BLOCK_ROWS * copies
        total = self._job.total_rows()
        steps = max(1, -(-total // rows))
        windows = max(1, round(total / copies / steps / WINDOW_ROWS))
        totals = np.zeros(2)
        for step, batch in enumerate(self._job.minibatches(rows, per_worker=0)):
            batch = batch.take(self._own(len(batch), random))
            encoded = self._encode(batch.text)
            passed = (epoch + (step + np.arange(len(batch)) / max(1, len(batch))) / steps) / epochs
            rates = (self._settings.learning_rate * (1 - passed)).astype(np.float32)
            targets = self._targets(batch, encoded, random)
            totals += [self._parameters.step(encoded.features, targets, rates, windows), len(batch)]
        totals = self._communicator.allreduce(totals)
        if not np.isfinite(totals[0]):
            raise FloatingPointError(f"the training loss is not finite in epoch {epoch + 1}: lower learning_rate")
        return {"train:loss": float(totals[0] / totals[1]), **self._validated()}

    def watch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Take note of the figures after an epoch."""
        if self._stopping is None:
            self._figures = {**metrics, "epoch": epoch + 1}
            return
        accuracy = metrics["validation:accuracy"]
        self._stopping.watch(accuracy)
        if self._best is None or accuracy > self._figures["validation:accuracy"]:
            self._figures = {**metrics, "epoch": epoch + 1}
            self._best = {"vectors": self._parameters.vectors.copy(), "outputs": self._parameters.outputs.copy()}

    def state(self) -> Artifact:
        """What `resume` needs."""
        stopping = None if self._stopping is None else [self._stopping.best, self._stopping.waited]
        best = {f"best/{name}": array for name, array in (self._best or {}).items()}
        values = {**self._counted.to_values(), "figures": self._figures, "stopping": stopping}
        return Artifact({**self._counted.to_arrays(), **self._arrays(), **best}, values)

    def resume(self, state: Artifact | None) -> None:
        """Go on from a checkpoint."""
        if state is None:
            return
        vectors, outputs = (state.arrays[name].copy() for name in ("vectors", "outputs"))
        self._parameters = Parameters(vectors, outputs, self._communicator)
        self._figures = state.values["figures"]
        self._best = {name: state.arrays[f"best/{name}"] for name in ("vectors", "outputs") if f"best/{name}" in state.arrays} or None
        if self._stopping is not None:
            self._stopping.best, self._stopping.waited = state.values["stopping"]

    def model(self) -> Artifact:
        """The model of the best epoch or, without early stopping, of the last."""
        values = {**self._counted.to_values(), **self._figures, "kernels": kernels.name()}
        return Artifact({**self._counted.to_arrays(), **(self._best or self._arrays())}, values)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"vectors": self._parameters.vectors, "outputs": self._parameters.outputs}

    def _own(self, rows: int, random: np.random.Generator) -> np.ndarray:
        """The rows of a mini-batch that this worker trains on, in random order: all, or its share where others have the same."""
        order = random.permutation(rows)
        return order[: int(rows / self._communicator.size + random.random())] if self._job.replicated else order

    def _targets(self, batch: Batch, encoded: Encoded, random: np.random.Generator) -> np.ndarray:
        """One of the labels of each text, any with the same chance, as in fastText."""
        labels = self._labels(batch, encoded)
        chosen = (labels.offsets[:-1] + random.random(len(batch)) * labels.lengths).astype(np.int64)
        return labels.values[chosen]

    def _labels(self, batch: Batch, encoded: Encoded) -> Ragged:
        return labels_of(batch, encoded, self._encode)

    def _validated(self) -> dict[str, float]:
        if not self._watched.marks_validation:
            return {}
        totals = np.zeros(2)
        for batch in self._watched.of_validation():
            encoded = self._encode(batch.text)
            best = probabilities(encoded.features, self._parameters.vectors, self._parameters.outputs).argmax(axis=1)
            totals += [hits(best, self._labels(batch, encoded)), len(batch)]
        totals = self._communicator.allreduce(totals)
        return {"validation:accuracy": float(totals[0] / totals[1])}


def labels_of(batch: Batch, encoded: Encoded, encoder: Encoder) -> Ragged:
    """Ids of the labels of each text: those in the text, and those of the label column, where an unknown one is -1."""
    if batch.label is None:
        return encoded.labels
    given = Ragged(encoder.label_ids(batch.label.values), batch.label.offsets)
    if not len(encoded.labels.values):
        return given
    return joined(given, encoded.labels)


def joined(one: Ragged, other: Ragged) -> Ragged:
    """Lists of numbers, each followed by the other of its row."""
    rows = np.concatenate([np.repeat(np.arange(len(part)), part.lengths) for part in (one, other)])
    values = np.concatenate([one.values, other.values])[np.argsort(rows, kind="stable")]
    return Ragged(values, one.offsets + other.offsets)


def hits(best: np.ndarray, labels: Ragged) -> int:
    """How many texts have the label that is most probable."""
    return len(np.unique(np.repeat(np.arange(len(labels)), labels.lengths)[labels.values == np.repeat(best, labels.lengths)]))


BLAZING_TEXT_CLASSIFIER = Algorithm(
    name="blazingtext",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: 1 + hyperparameters.epochs,
)
