"""What a training loop trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.progress import EpochResult, Progress


class Learner(ABC):
    """Parameters that mini-batches move.

    Attributes
    ----------
    larger_is_better : bool
        Of the figure that is watched.
    served_by_all : bool
        Whether every worker goes back to the best state, or worker 0 alone, which is enough where the model is made by that one.
    """

    larger_is_better: bool = False
    served_by_all: bool = True

    def begin_step(self, progress: Progress) -> None:  # noqa: B027 - most learners draw nothing at random
        """Know where the training stands before the `gradient` of its next mini-batch."""

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

    def served(self) -> Artifact:
        """Of that, what a model is made of; without collectives, for only worker 0 is asked. The arrays may be the learner's own."""
        return self.state()

    def serve(self, best: Artifact) -> None:
        """Take back what `served` gave; the training has ended."""
        self.restore(best)
