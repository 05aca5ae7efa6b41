"""Whether a tracking server answers, which is asked before MLflow is: that tries every request for minutes."""

from __future__ import annotations

import logging
import ssl
import threading
import time
import urllib.error
import urllib.request

logger = logging.getLogger(__name__)

# A server that begins to be silent may be starting anew, and is waited for so long.
SECONDS_OF_PATIENCE = 10.0
SECONDS_FOR_AN_ANSWER = 5.0
SECONDS_BETWEEN_QUESTIONS = 1.0
# For so long it is taken for there without being asked, and for away.
SECONDS_THERE, SECONDS_AWAY = 5.0, 60.0

_lock = threading.Lock()
_known: dict[str, tuple[bool, float]] = {}  # by address, whether it was there, and when


def is_there(uri: str) -> bool:
    """Whether a store can be asked for something; a file or a database always can. A server that answers no more is waited for a little,
    once, and the user is told of it, once."""
    if not uri.startswith(("http://", "https://")):
        return True
    with _lock:  # who comes meanwhile waits for the same answer
        was_there, at = _known.get(uri, (True, -SECONDS_THERE))
        if time.monotonic() - at < (SECONDS_THERE if was_there else SECONDS_AWAY):
            return was_there
        there = _answers_within(uri, SECONDS_OF_PATIENCE if was_there else 0.0)
        _known[uri] = (there, time.monotonic())
        if was_there and not there:
            logger.warning("the tracking server %s does not answer: what happens until it does is not recorded", uri)
        elif there and not was_there:
            logger.warning("the tracking server %s answers again", uri)
        return there


def doubt(uri: str) -> None:
    """A request has failed: the server is asked anew before the next one."""
    with _lock:
        if _known.get(uri, (False, 0.0))[0]:
            del _known[uri]


def _answers_within(uri: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not _answers(uri):
        if time.monotonic() + SECONDS_BETWEEN_QUESTIONS > end:
            return False
        time.sleep(SECONDS_BETWEEN_QUESTIONS)
    return True


def _answers(uri: str) -> bool:
    """Whether anything comes back. Who it is, and whether we may ask, is for the requests themselves to find out."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SECONDS_FOR_AN_ANSWER, context=context):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):  # of what urllib makes of an address, too
        return False
