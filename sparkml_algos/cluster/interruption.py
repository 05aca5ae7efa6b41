"""An interruption comes through: whatever a cancelled job or a broken connection raises in its wake, Ctrl-C is KeyboardInterrupt.

PySpark's own handler of Ctrl-C cancels all jobs first. Where that fails, its error takes the place of the interruption; and so do errors of
whoever cleans up over the connection that the interruption has cut.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTIONS = (KeyboardInterrupt, SystemExit)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, an interruption leaves as itself: the KeyboardInterrupt of Ctrl-C, the SystemExit of another signal's handler. What it was
    replaced by is its context. One that was swallowed is raised at the end.

    An interruption that was being handled already, as in a fit inside ``except KeyboardInterrupt``, does not count.
    """
    outside, noted = sys.exc_info()[1], []
    stop_listening = _listen(noted)
    try:
        yield
    except BaseException as error:
        interruption = noted[0] if noted else _interruption_behind(error, outside)
        if interruption is None or interruption is error:
            raise
        raise interruption from None
    else:
        if noted:
            raise noted[0]
    finally:
        stop_listening()


def _listen(noted: list[BaseException]) -> Callable[[], None]:
    """Note what the handler of Ctrl-C raises, until the function that is returned is called."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return lambda: None

    def handler(number: int, frame: object) -> None:
        try:
            before(number, frame)
        except BaseException as error:
            noted.append(error if not isinstance(error, Exception) else KeyboardInterrupt())
            raise noted[-1] from None

    def stop() -> None:
        if signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handler)
    return stop


def _interruption_behind(error: BaseException | None, outside: BaseException | None) -> BaseException | None:
    """The interruption that an exception is or has taken the place of."""
    met: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or error is outside or id(error) in met:
            continue
        if isinstance(error, INTERRUPTIONS):
            return error
        met.add(id(error))
        waiting += [error.__context__, error.__cause__]
    return None
