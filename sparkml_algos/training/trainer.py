"""The loop that mini-batch algorithms share: steps kept in time over workers, metrics, early stopping, the best state, checkpoints.

What is trained is a `Learner`: it turns a mini-batch into sums over its rows, and the sums of all workers into a step. The loop neither
knows nor cares whether the parameters are NumPy arrays or live in a torch module on a GPU. Since sums are added up, not means averaged, k
workers with a part of the mini-batch each make the step that one worker would make with all of it, up to rounding, however unevenly the
rows are spread. The sums are one flat array, and a step costs one exchange of it, unless a learner says otherwise: one that moves a few
rows of large arrays exchanges these alone, and shares out the step, see `collectives.sparse_sums`.

A learner that watches a figure ends in the state in which that figure was best, whenever the training ended and however often it was
resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.progress import Best, Clock, EarlyStopping, EpochResult, Progress
from sparkml_algos.training.start import Start

__all__ = ["Best", "EarlyStopping", "EpochResult", "Learner", "Progress", "Start", "fit"]

# Trainings of fewer steps are worth a warning, unless they were ended because nothing was gained any more.
FEW_STEPS = 50


class Batches(Protocol):
    """Mini-batches by epoch."""

    def steps(self, epoch: int) -> int | None:
        """Steps of an epoch, counted from 0; None where that is not known before."""

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """This worker's part of each mini-batch of an epoch, of which every worker has equally many."""


def fit(
    learner: Learner,
    job: Job,
    communicator: Communicator,
    *,
    epochs: int | None,
    mini_batch_size: int,
    stopping: EarlyStopping | None = None,
    min_epochs: int = 0,
    min_steps_per_epoch: int = 1,
    batches: Batches | None = None,
    start: Start | None = None,
    advice: str = "raise epochs, or lower mini_batch_size",
) -> Best:
    """Train until the epochs are over or nothing is gained any more, then go back to the best state.

    Where there is a checkpoint, the training goes on from it.

    Parameters
    ----------
    learner : Learner
        Equal on every worker; holds the result.
    job : Job
    communicator : Communicator
    epochs : int or None
        None where nothing but early stopping ends the training.
    mini_batch_size : int
        Rows of a mini-batch, of all workers together.
    stopping : EarlyStopping, optional
    min_epochs : int
        Epochs before which it does not end the training.
    min_steps_per_epoch : int
        About how many steps an epoch has at least: where rows are so few that a pass makes fewer, it has several passes, each in an order
        of its own.
    batches : Batches, optional
        What an epoch is, where it is not some passes over the rows.
    start : Start, optional
        The start of this training, where something was learned from the rows before.
    advice : str
        What to do about a training of few steps.

    Returns
    -------
    Best
        Epoch and figures of the state that the learner is left in.
    """
    start = start or Start(job)
    best, clock = Best(learner.larger_is_better), Clock()
    step, done = start.resume(learner, best, clock, stopping), start.epochs_done
    batches = batches or Passes(job, mini_batch_size, min_steps_per_epoch)
    for epoch in job.epochs(epochs):
        if stopping is not None and stopping.is_over and epoch >= min_epochs:
            break
        per_epoch = batches.steps(epoch)
        total = None if per_epoch is None or epochs is None else step + (epochs - epoch) * per_epoch
        end = total if stopping is None or total is None else stopping.end_in_sight(step, per_epoch, total, min_epochs - epoch)
        clock.expect(step, end)
        for batch in batches.of_epoch(epoch):
            progress = Progress(epoch, step, total, clock.elapsed(step))
            learner.begin_step(progress)
            learner.update(learner.combine(learner.gradient(batch), communicator), progress)
            step += 1
        result, done = learner.end_epoch(Progress(epoch, step, total, clock.elapsed(step))), epoch + 1
        if stopping is not None:
            stopping.watch(result.watched)
        best.see(epoch, result, learner.served if communicator.rank == 0 and (epochs is None or done < epochs) else None)
        job.end_epoch(start.checkpoint(learner, best, clock, stopping, step), **result.metrics)
    if step < FEW_STEPS and (stopping is None or not stopping.is_over):
        _warn_of_few_steps(job, step, done, mini_batch_size, advice)
    if best.epoch + 1 != done:
        _serve(learner, best, job, communicator)
    return best


def _serve(learner: Learner, best: Best, job: Job, communicator: Communicator) -> None:
    """Go back to the best state."""
    if learner.served_by_all:
        learner.serve(job.broadcast(best.state))
    elif communicator.rank == 0:
        learner.serve(best.state)


class Passes:
    """Epochs of one pass over the rows, or of several where a pass makes few steps."""

    def __init__(self, job: Job, mini_batch_size: int, min_steps: int) -> None:
        self._job, self._mini_batch_size, self._min_steps, self._passes = job, mini_batch_size, min_steps, 1

    def steps(self, epoch: int) -> int | None:
        """Of the next epoch; None in the first pass over a pipe, whose end is not in sight, and which is the whole epoch."""
        rows = self._job.total_rows()
        if rows is None:
            return None
        steps = max(1, -(-rows // self._mini_batch_size))
        self._passes = max(1, round(self._min_steps / steps))
        return self._passes * steps

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        return self._job.minibatches(self._mini_batch_size, per_worker=0, passes=self._passes)


def _warn_of_few_steps(job: Job, steps: int, epochs: int, mini_batch_size: int, advice: str) -> None:
    rows = job.total_rows()
    job.warn(
        f"training made only {steps} steps: {rows} rows in mini-batches of {mini_batch_size}, {epochs} epoch{'s' if epochs > 1 else ''}. "
        f"The model may be far from what these rows can tell: {advice}"
    )
