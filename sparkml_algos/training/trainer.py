"""The loop that mini-batch algorithms share: steps kept in time over workers, metrics, early stopping, checkpoints.

What is trained is a `Learner`: it turns a mini-batch into sums over its rows, and the sums of all workers into a step. The loop neither
knows nor cares whether the parameters are NumPy arrays or live in a torch module on a GPU. Since sums are added up, not means averaged, k
workers with a part of the mini-batch each make the step that one worker would make with all of it, up to rounding, however unevenly the
rows are spread. The sums are one flat array, and a step costs one exchange of it, unless a learner says otherwise: one that moves a few
rows of large arrays exchanges these alone, and shares out the step, see `collectives.sparse_sums`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job


@dataclass(frozen=True)
class Progress:
    """Where the training stands.

    Attributes
    ----------
    epoch, step : int
        Counted from 0.
    total_steps : int or None
        Steps of all epochs; None in the first pass over a pipe, whose end is not in sight.
    """

    epoch: int
    step: int
    total_steps: int | None


@dataclass(frozen=True)
class EpochResult:
    """What a learner has to say at the end of an epoch; the same on every worker.

    Attributes
    ----------
    metrics : dict of str to float
        For the history.
    watched : float
        The figure early stopping watches.
    """

    metrics: dict[str, float]
    watched: float


class Learner(ABC):
    """Parameters that mini-batches move."""

    @abstractmethod
    def gradient(self, batch: Batch) -> Any:
        """Sums over the rows of this worker's part of a mini-batch, which may have none, of all that `update` needs: a flat array of
        one length and type on every worker, or what `combine` takes."""

    def combine(self, part: Any, communicator: Communicator) -> Any:
        """The sums over the parts of all workers, the same to the last bit on every worker.

        A learner whose `gradient` is not a flat array overrides this. It may leave to each worker a part of the sums and of the step, if
        `update` brings the parameters of all workers in line.
        """
        return communicator.allreduce(part)

    @abstractmethod
    def update(self, sums: Any, progress: Progress) -> None:
        """Make a step from the sums over the whole mini-batch; the same on every worker."""

    @abstractmethod
    def end_epoch(self, progress: Progress) -> EpochResult:
        """Look at what the epoch has brought; may use collectives."""

    @abstractmethod
    def state(self) -> Artifact:
        """Everything a training that goes on later must be given back: parameters and the optimizer's memory."""

    @abstractmethod
    def restore(self, state: Artifact) -> None:
        """Take back what `state` gave."""


@dataclass
class EarlyStopping:
    """Ends a training that no longer gains.

    Parameters
    ----------
    patience : int
        Epochs in a row without a gain after which it ends.
    tolerance : float
        A gain counts from this share of the best value so far on.
    larger_is_better : bool

    Attributes
    ----------
    best : float or None
    waited : int
        Epochs since the last gain.
    """

    patience: int
    tolerance: float = 0.0
    larger_is_better: bool = False
    best: float | None = field(default=None)
    waited: int = 0

    @property
    def is_over(self) -> bool:
        return self.waited >= self.patience

    def watch(self, value: float) -> None:
        """Take note of the value after another epoch."""
        if self.best is None or not np.isfinite(self.best):
            self.best = value
            return
        gain = (value - self.best) * (1 if self.larger_is_better else -1)
        enough = gain > 0 and gain >= self.tolerance * abs(self.best)
        self.waited = 0 if enough else self.waited + 1
        self.best = value if gain > 0 else self.best


def fit(
    learner: Learner,
    job: Job,
    communicator: Communicator,
    *,
    epochs: int,
    mini_batch_size: int,
    stopping: EarlyStopping | None = None,
) -> None:
    """Train until the epochs are over or nothing is gained any more, from the newest checkpoint on if there is one.

    Parameters
    ----------
    learner : Learner
        Equal on every worker; holds the result.
    job : Job
    communicator : Communicator
    epochs : int
    mini_batch_size : int
        Rows of a mini-batch, of all workers together.
    stopping : EarlyStopping, optional
    """
    step = 0
    state = job.resume()
    if state is not None:
        step = state.values["step"]
        if stopping is not None:
            stopping.best, stopping.waited = state.values["best"], state.values["waited"]
        learner.restore(state)
    for epoch in job.epochs(epochs):
        if stopping is not None and stopping.is_over:
            return
        total = _total_steps(job, mini_batch_size, epochs, epoch, step)
        for batch in job.minibatches(mini_batch_size, per_worker=0):
            sums = learner.combine(learner.gradient(batch), communicator)
            learner.update(sums, Progress(epoch, step, total))
            step += 1
        result = learner.end_epoch(Progress(epoch, step, total))
        if stopping is not None:
            stopping.watch(result.watched)
        state = learner.state()
        stopped = {"best": stopping.best, "waited": stopping.waited} if stopping is not None else {}
        job.end_epoch(Artifact(state.arrays, {**state.values, "step": step, **stopped}), **result.metrics)


def _total_steps(job: Job, mini_batch_size: int, epochs: int, epoch: int, step: int) -> int | None:
    """Steps done and still to come. A pipe's first pass may have been cut into more steps than the later ones."""
    rows = job.total_rows()
    return None if rows is None else step + (epochs - epoch) * max(1, -(-rows // mini_batch_size))
