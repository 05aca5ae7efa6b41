"""Columns that an algorithm reads, each declared once.

From a field come the Param that names the column, the check of the DataFrame, the Spark expression, the decoding of Arrow, the column of a
batch, the spill, and how requests without Spark name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkml_algos.rows.kinds import Flag, Key, Kind, Number
from sparkml_algos.rows.vectors import Vector

#: The roles that mean the same to every algorithm.
FEATURES, LABEL, WEIGHT, VALIDATION = "features", "label", "weight", "validation"


@dataclass(frozen=True)
class Field:
    """A column that an algorithm reads.

    Parameters
    ----------
    role : str
        What the column is to the algorithm, and its name in a batch: ``features``, ``label``, ``tokens``, ``image`` …
    kind : Kind
        What its values are.
    doc : str
        One line.
    default : str, optional
        Name of the column unless the user gives another; without it the column may be left out.
    param : str, optional
        Param that names the column; the role with ``Col`` by default.
    list_param : str, optional
        Param that names several columns instead, which make up the one.
    training, scoring, evaluating : bool
        Whether `fit`, `transform` and `evaluate` read it.
    alone : bool
        Whether a process without Spark may score it without the others of which this is so.
    """

    role: str
    kind: Kind
    doc: str
    default: str | None = None
    param: str = ""
    list_param: str | None = None
    training: bool = True
    scoring: bool = False
    evaluating: bool = False
    alone: bool = False

    def __post_init__(self) -> None:
        if not self.param:
            first, *others = self.role.split("_")
            object.__setattr__(self, "param", "".join([first, *(part.capitalize() for part in others), "Col"]))

    @property
    def on_model(self) -> bool:
        """Whether a fitted model reads it."""
        return self.scoring or self.evaluating

    def of(self, kind: Kind) -> Field:
        """The same column with values of another kind."""
        return replace(self, kind=kind)


@dataclass(frozen=True)
class Source:
    """A field, and the user's columns that are it: one, or several that make it up."""

    field: Field
    names: Sequence[str]


def features(doc: str = "Features: a Vector column (dense, sparse or mixed) or an array of numbers.", **options: Any) -> Field:
    """What most algorithms learn from; options are those of `Vector`."""
    return Field(FEATURES, Vector(**options), doc, default="features", list_param="featuresCols", scoring=True, evaluating=True)


def label(kind: Kind = Number(), doc: str = "Label column, numeric.", **options: Any) -> Field:  # noqa: B008 - it is frozen
    """What supervised algorithms learn to predict."""
    return Field(LABEL, kind, doc, default="label", evaluating=True, **options)


def weight() -> Field:
    """What a row counts for; a row of weight 0 is left out."""
    doc = "Weight column, numeric and not negative; every row weighs 1 without it."
    return Field(WEIGHT, Number(minimum=0, zero_leaves_out=True), doc, evaluating=True)


def validation() -> Field:
    """Which rows are not trained on."""
    doc = "Boolean column, true for rows to validate on; they are not trained on."
    return Field(VALIDATION, Flag(), doc, param="validationIndicatorCol")


def id(doc: str) -> Field:
    """What the rows are called."""
    return Field("id", Key(), doc)


def group() -> Field:
    """Which rows belong together."""
    doc = "Group column: rows with the same value are ranked together; of any type."
    return Field("group", Key(hashed=True), doc, evaluating=True)


def base_margin() -> Field:
    """Where the score of a row starts."""
    doc = "Column that the score of each row starts from, numeric; read by transform too."
    return Field("base_margin", Number(), doc, scoring=True, evaluating=True)
