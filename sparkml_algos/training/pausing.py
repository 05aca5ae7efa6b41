"""A training that waits after some of its epochs, with all that it holds, until it is gone on with or given up.

It runs in a thread of its own, which is what waits. So every algorithm can do it, and what it ends with is what it ends with in one go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class GivenUp(BaseException):
    """Nobody will go on with the training that this is raised in."""


class Pausable(Generic[Result]):
    """A training, from its begin on.

    Parameters
    ----------
    train : callable
        ``train()`` trains, and has `after_epoch` called after each epoch that another one is to follow.
    """

    def __init__(self, train: Callable[[], Result]) -> None:
        self._train = train
        self._until: int | None = None
        self._goes_on, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._waits, self._is_given_up = False, False
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def advance(self, until: int | None) -> bool:
        """Train until so many epochs are over, or to the end: from its begin it needs no thread for that. Whether it waits then, which it
        does not if it has ended before.

        Raises
        ------
        Exception
            What the training has failed of.
        """
        self._until, self._waits = until, False
        if self._thread is not None:
            self._goes_on.release()
        elif until is None:
            self._result.append(self._train())
            return False
        else:
            self._thread = threading.Thread(target=self._work, name="a training that may wait", daemon=True)
            self._thread.start()
        self._stands.acquire()
        if self._error is not None:
            raise self._error
        return self._waits

    @property
    def result(self) -> Result:
        """What a training that has ended has given."""
        return self._result[0]

    def give_up(self) -> None:
        """End a training that waits; what it holds is let go when this returns."""
        if self._waits and self._thread is not None:
            self._is_given_up = True
            self._goes_on.release()
            self._thread.join()

    def after_epoch(self, epochs: int) -> None:
        """So many epochs are over: wait, if they are as many as were wanted."""
        if self._until is None or epochs < self._until:
            return
        self._waits = True
        self._stands.release()
        self._goes_on.acquire()
        if self._is_given_up:
            raise GivenUp

    def _work(self) -> None:
        try:
            self._result.append(self._train())
        except GivenUp:
            return
        except BaseException as error:
            self._error = error
        self._stands.release()
