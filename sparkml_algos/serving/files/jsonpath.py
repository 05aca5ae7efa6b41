"""The part of JSONPath that filters of batch inference have: ``$``, ``.name``, ``.*``, ``['a','b']``, ``[0,2]``, ``[-1]``, ``[s:e]``.

A path to one value gives the value, one to several a list; steps on a list of several go on in each.

Libraries of JSONPath pass over what a path does not find, where a filter must name the record and the step at fault, and read far more of
the language than the service, which would have to be refused. The tests hold what is read here against jsonpath-ng.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: The service's longest filter.
MAX_LENGTH = 63

_NAME = re.compile(r"\.([A-Za-z_][\w-]*)")
_WILD = re.compile(r"\.\*|\[\*\]")
_NAMES = re.compile(r"""\[\s*((?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*)\s*\]""")
_PLACES = re.compile(r"\[\s*(-?\d{1,9}(?:\s*,\s*-?\d{1,9})*)\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*\]")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


class PathError(ValueError):
    """A path that is none, or that leads nowhere in a record."""


@dataclass(frozen=True)
class _Step:
    """``names``, ``places``, ``slice`` or everything."""

    text: str
    names: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    slice: slice | None = None

    @property
    def is_several(self) -> bool:
        return not (len(self.names) == 1 or len(self.places) == 1)

    @property
    def is_of_lists(self) -> bool:
        return bool(self.places) or self.slice is not None

    def found(self, value: Any) -> list[Any]:
        if self.names:
            if not isinstance(value, dict):
                raise PathError(f"{self.text} is of an object, the value is a {_kind(value)}")
            if missing := [name for name in self.names if name not in value]:
                raise PathError(f"{self.text}: the object has no {missing[0]!r}; it has {', '.join(value) or 'nothing'}")
            return [value[name] for name in self.names]
        if self.is_of_lists and not isinstance(value, list):
            raise PathError(f"{self.text} is of a list, the value is a {_kind(value)}")
        if self.places:
            if outside := [place for place in self.places if not -len(value) <= place < len(value)]:
                raise PathError(f"{self.text}: there is no place {outside[0]} in a list of {len(value)}")
            return [value[place] for place in self.places]
        if self.slice is not None:
            return value[self.slice]
        if isinstance(value, dict):
            return list(value.values())
        if isinstance(value, list):
            return list(value)
        raise PathError(f"{self.text} is of a list or an object, the value is a {_kind(value)}")


class Path:
    """A filter.

    Parameters
    ----------
    text : str
    records_are_lists : bool
        Whether it is for records of CSV, which have no names.

    Raises
    ------
    PathError
    """

    def __init__(self, text: str, *, records_are_lists: bool = False) -> None:
        if not text.startswith("$") or len(text) > MAX_LENGTH:
            raise PathError(f"{text!r} is no path: it begins with $ and has at most {MAX_LENGTH} characters")
        self.text, self._steps = text, _steps(text)
        if records_are_lists and (names := [step for step in self._steps if step.names]):
            raise PathError(f"{text!r}: {names[0].text} is a name; records of CSV have places only, such as $[0] or $[1:]")

    @property
    def is_all(self) -> bool:
        """Whether it leaves a record as it is."""
        return not self._steps

    def __call__(self, record: Any) -> Any:
        """What it leaves of a record.

        Raises
        ------
        PathError
            If it leads nowhere.
        """
        values, several = [record], False
        for step in self._steps:
            values = [found for value in values for found in step.found(value)]
            several = several or step.is_several
        return values if several else values[0]

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


def _steps(text: str) -> Sequence[_Step]:
    steps, place = [], 1
    while place < len(text):
        for pattern in (_WILD, _NAME, _NAMES, _PLACES, _SLICE):
            if match := pattern.match(text, place):
                break
        else:
            raise PathError(f"{text!r}: {text[place:]!r} is none of .name, .*, ['a','b'], [0,2], [-1], [1:3]")
        steps.append(_step(pattern, match))
        place = match.end()
    return steps


def _step(pattern: re.Pattern[str], match: re.Match[str]) -> _Step:
    text = match.group()
    if pattern is _NAME:
        return _Step(text, names=(match.group(1),))
    if pattern is _NAMES:
        return _Step(text, names=tuple(a or b for a, b in _QUOTED.findall(match.group(1))))
    if pattern is _PLACES:
        return _Step(text, places=tuple(int(part) for part in match.group(1).split(",")))
    if pattern is _SLICE:
        start, end = (None if part is None else int(part) for part in match.groups())
        return _Step(text, slice=slice(start, end))
    return _Step(text)


def _kind(value: Any) -> str:
    return {dict: "object", list: "list", str: "text", bool: "truth value", type(None): "null"}.get(type(value), "number")
