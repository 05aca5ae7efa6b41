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

from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.training.job import Job
from sparkml_algos.training.learner import Learner
from sparkml_algos.training.progress import Best, Clock, EarlyStopping, EpochResult, Progress
from sparkml_algos.training.start import Start

__all__ = ["Best", "EarlyStopping", "EpochResult", "Learner", "Progress", "Start", "fit"]

# Trainings of fewer steps are worth a warning, unless they were ended because nothing was gained any more.
FEW_STEPS = 50


def fit(
    learner: Learner,
    job: Job,
    communicator: Communicator,
    *,
    epochs: int,
    mini_batch_size: int,
    stopping: EarlyStopping | None = None,
    min_steps_per_epoch: int = 1,
    start: Start | None = None,
) -> Best:
    """Train until the epochs are over or nothing is gained any more, then go back to the best state.

    Where there is a checkpoint, the training goes on from it.

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
    min_steps_per_epoch : int
        About how many steps an epoch has at least: where rows are so few that a pass makes fewer, it has several passes, each in an order
        of its own.
    start : Start, optional
        The start of this training, where something was learned from the rows before.

    Returns
    -------
    Best
        Epoch and figures of the state that the learner is left in.
    """
    start = start or Start(job)
    best, clock = Best(learner.larger_is_better), Clock()
    step, done = start.resume(learner, best, clock, stopping), start.epochs_done
    for epoch in job.epochs(epochs):
        if stopping is not None and stopping.is_over:
            break
        passes, per_epoch = _passes(job, mini_batch_size, min_steps_per_epoch)
        total = None if per_epoch is None else step + (epochs - epoch) * per_epoch
        clock.expect(step, stopping.end_in_sight(step, per_epoch, total) if stopping is not None and total is not None else total)
        for batch in job.minibatches(mini_batch_size, per_worker=0, passes=passes):
            progress = Progress(epoch, step, total, clock.elapsed(step))
            learner.begin_step(progress)
            learner.update(learner.combine(learner.gradient(batch), communicator), progress)
            step += 1
        result, done = learner.end_epoch(Progress(epoch, step, total, clock.elapsed(step))), epoch + 1
        if stopping is not None:
            stopping.watch(result.watched)
        best.see(epoch, result, learner.served if communicator.rank == 0 and done < epochs else None)
        job.end_epoch(start.checkpoint(learner, best, clock, stopping, step), **result.metrics)
    if step < FEW_STEPS and (stopping is None or not stopping.is_over):
        _warn_of_few_steps(job, step, epochs, mini_batch_size)
    if best.epoch + 1 != done:
        _serve(learner, best, job, communicator)
    return best


def _serve(learner: Learner, best: Best, job: Job, communicator: Communicator) -> None:
    """Go back to the best state."""
    if learner.served_by_all:
        learner.serve(job.broadcast(best.state))
    elif communicator.rank == 0:
        learner.serve(best.state)


def _passes(job: Job, mini_batch_size: int, min_steps: int) -> tuple[int, int | None]:
    """Passes of the next epoch, and its steps; one, and None, in the first pass over a pipe, whose end is not in sight."""
    rows = job.total_rows()
    if rows is None:
        return 1, None
    steps = max(1, -(-rows // mini_batch_size))
    passes = max(1, round(min_steps / steps))
    return passes, passes * steps


def _warn_of_few_steps(job: Job, steps: int, epochs: int, mini_batch_size: int) -> None:
    rows = job.total_rows()
    job.warn(
        f"training made only {steps} steps: {rows} rows in mini-batches of {mini_batch_size}, {epochs} epoch{'s' if epochs > 1 else ''}. "
        "The model may be far from what these rows can tell: raise epochs, or lower mini_batch_size"
    )
