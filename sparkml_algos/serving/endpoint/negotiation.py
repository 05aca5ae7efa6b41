"""What a request is in, and what its answer is to be in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.serving.contract import Servable

# Headers that are longer are read anew each time: what is remembered must not grow with what requests hold.
REMEMBERED = 256

T = TypeVar("T")


class Refused(Exception):
    """A request that gets no answer but why.

    Parameters
    ----------
    code : int
        HTTP's.
    message : str
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Remembered(Generic[T]):
    """A reader of headers that remembers what it has read, of those that are no longer than headers usually are."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read, self.remembered = read, functools.lru_cache(1024)(read)

    def __call__(self, text: str) -> T:
        return self.remembered(text) if len(text) <= REMEMBERED else self._read(text)


@_Remembered
def _parsed(text: str) -> ContentType:
    return ContentType.parse(text)


@_Remembered
def _wanted(text: str) -> tuple[ContentType, ...]:
    """What an Accept header names, what is liked best first."""
    found = []
    for place, part in enumerate(text.split(",")):
        kind = ContentType.parse(part) if part.strip() else ContentType("*/*")
        try:
            quality = float(kind.parameters.get("q", "1"))
        except ValueError:
            quality = 1.0
        parameters = {name: value for name, value in kind.parameters.items() if name != "q"}
        if quality > 0:
            found.append((-quality, place, ContentType(kind.name, parameters)))
    return tuple(kind for _, _, kind in sorted(found, key=lambda item: item[:2]))


def content_type_of(model: Servable, text: str) -> ContentType:
    """What a request is in, by its header; `Refused` if the model does not take it."""
    try:
        kind = _parsed(text) if text else None
    except FormatError as error:
        raise Refused(415, error.reason) from error
    if kind is None or kind.name not in model.requests:
        given = f"content type {kind.name!r} is" if kind else "no content type is given; it must be"
        raise Refused(415, f"{given} not one of {', '.join(model.requests)}" if kind else f"{given} one of {', '.join(model.requests)}")
    return kind


def response_type_of(model: Servable, content_type: ContentType, text: str) -> ContentType:
    """What the answer will be in, by the header Accept; `Refused` if the model gives nothing of it."""
    try:
        wanted = _wanted(text)
    except FormatError as error:
        raise Refused(406, error.reason) from error
    for kind in (model.response_type(content_type, kind) for kind in wanted or (ContentType("*/*"),)):
        if kind.name == "*/*":
            return ContentType(model.responses[0], kind.parameters)
        if kind.name.endswith("/*"):
            match = next((name for name in model.responses if name.startswith(kind.name[:-1])), None)
            if match:
                return ContentType(match, kind.parameters)
        elif kind.name in model.responses:
            return kind
    raise Refused(406, f"{text!r} is not one of {', '.join(model.responses)}")
