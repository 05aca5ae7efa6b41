"""What is said once of a thing that is accepted and has no effect."""

from __future__ import annotations

import logging

logger = logging.getLogger(__package__)

_said: set[str] = set()


def say_once(message: str) -> None:
    """Log a warning, unless this process has logged the same one before."""
    if message not in _said:
        _said.add(message)
        logger.warning(message)
