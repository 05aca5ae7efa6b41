"""What the algorithms of images have in common: settings of the service's by their names, and what of the rows is checked."""

from __future__ import annotations

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.job import Job

#: Values of ``kv_store``.
SYNCHRONOUS, ASYNCHRONOUS = "dist_sync", "dist_async"
#: What is said of the one that there is not.
NO_ASYNCHRONOUS = "kv_store='dist_async' is not supported: workers make every step together; leave it out, or 'dist_sync'"


def epochs_of(text: str | None) -> list[int]:
    """The epochs of ``lr_scheduler_step``, such as ``"10, 20"``, after each of which the learning rate falls; none of None, or of no text.

    Raises
    ------
    ValueError
        If these are not whole numbers, each larger than the one before.
    """
    parts = [part.strip() for part in text.split(",")] if text and text.strip() else []
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) < 10]
    if len(numbers) < len(parts) or sorted(set(numbers)) != numbers or 0 in numbers:
        raise ValueError(f"lr_scheduler_step must be epochs from 1 such as '10, 20', each larger than the one before, got {text!r}")
    return numbers


def check_samples(expected: int | None, job: Job) -> None:
    """Refuse a number of training images, ``num_training_samples``, that is not theirs; of a pipe they are not known before its end.

    Raises
    ------
    InvalidRows
    """
    total = job.total_rows()
    if expected is None or total is None:
        return
    rows = total // (job.communicator.size if job.replicated else 1)
    if rows != expected:
        raise InvalidRows(f"num_training_samples is {expected}, but there are {rows} rows to train on; correct it, or leave it out")
