"""What an endpoint and batch inference need of a model, whatever it is: bytes in, columns to score, bytes out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.serving.answers import Columns
from sparkml_algos.serving.bodies import Request


@dataclass(frozen=True)
class Options:
    """How a model is served.

    Attributes
    ----------
    outputs : tuple of str
        What XGBoost answers, see `answers.XGBOOST_KEYS`; its score where there is none.
    index_base : int
        Of the first feature in libsvm.
    columns : tuple of str
        Of pipelines: what the cells of a line of CSV are; by default the columns that it reads, in the order in which its stages do.
    device : str
        Where models compute, as torch calls it.
    max_bytes : int
        Of a body when it is unpacked.
    """

    outputs: tuple[str, ...] = ()
    index_base: Literal[0, 1] = 0
    columns: tuple[str, ...] = ()
    device: str = "cpu"
    max_bytes: int = 1 << 30


@dataclass(frozen=True)
class Work:
    """Rows to be scored; those of several requests with an equal ``key`` may be scored together.

    Attributes
    ----------
    key : hashable
    columns : dict of str to column
    rows : int
    variant : Variant
    """

    key: Hashable
    columns: dict[str, Any]
    rows: int
    variant: Variant


@dataclass(frozen=True)
class Variant:
    """What a request may ask of the answers to its rows.

    Attributes
    ----------
    verbose : bool
    labels : int
        Most probable labels of a text; 0: as many as the model says.
    longest : tuple of int
        See `Request`.
    """

    verbose: bool = False
    labels: int = 0
    longest: tuple[int, ...] = ()


def signature(columns: Mapping[str, Any]) -> tuple[Hashable, ...]:
    """What columns of rows that are scored together have in common."""
    return tuple((name, type(column), column.shape[1:] if hasattr(column, "shape") else ()) for name, column in columns.items())


class Servable(Protocol):
    """What an endpoint needs of a model.

    Attributes
    ----------
    name : str
        Of its class.
    requests, responses : tuple of str
        Content types that it takes and gives, the first where none is asked for.
    """

    name: str
    requests: tuple[str, ...]
    responses: tuple[str, ...]

    def decode(self, body: bytes, content_type: ContentType) -> Request:
        """What a body holds."""

    def work(self, request: Request, accept: ContentType) -> list[Work]:
        """What is to be scored for it, part by part."""

    def score(self, columns: Mapping[str, Any], variant: Variant) -> Columns:
        """Fields of the answers to rows."""

    def respond(self, request: Request, found: Sequence[Columns], accept: ContentType) -> bytes:
        """The body of the response."""

    def response_type(self, content_type: ContentType, accept: ContentType) -> ContentType:
        """What the response is, where this is asked for."""
