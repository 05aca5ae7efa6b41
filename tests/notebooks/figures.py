"""What a note states in its text and prints in its cells: both written ``name: number``, in the text as code."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

_STATED = re.compile(r"`([^`\n]+): ([\d.]+)`")
_PRINTED = re.compile(r"^(.+): ([\d.]+)$", re.MULTILINE)

# Rows are dealt to workers in another order on another machine, and sums of floats follow.
TOLERANCE = 0.025


def stated(texts: Iterable[str]) -> dict[str, float]:
    """The figures in the text of a note."""
    return {name: float(value) for text in texts for name, value in _STATED.findall(text)}


def printed(outputs: Iterable[str]) -> dict[str, float]:
    """The figures in the output of its cells."""
    return {name.strip(): float(value) for text in outputs for name, value in _PRINTED.findall(text)}


def check(texts: Iterable[str], outputs: Iterable[str]) -> None:
    """Fail unless the text states figures, and each is what the cells print."""
    said, found = stated(texts), printed(outputs)
    assert len(said) >= 2
    assert {name: found.get(name) for name in said} == pytest.approx(said, abs=TOLERANCE)
