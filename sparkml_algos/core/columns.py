"""Columns of a DataFrame by name, as users name them, and as what a field's kind reads of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    IntegralType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from sparkml_algos.rows.kinds import Bytes, ClassLabel, Flag, Key, Kind, Number, Text, Time, arrow_names
from sparkml_algos.rows.lists import BOX_PARTS, Boxes, Series, Tokens
from sparkml_algos.rows.vectors import INDICES, SIZE, Vector

# Names that people give to the first part of a box, in the order they are looked for.
_BOX_CLASSES = ("class_id", "label", "class")


@dataclass(frozen=True)
class Found:
    """A column of a DataFrame.

    Attributes
    ----------
    path : tuple of str
        Its name and, of a field within a struct, the names on the way there.
    column : Column
    field : StructField
        Its type and metadata.
    """

    path: tuple[str, ...]
    column: Column
    field: StructField

    @property
    def type(self) -> DataType:
        return self.field.dataType


def column(name: str) -> Column:
    """The top-level column of this very name, whatever characters it has."""
    return F.col(_quoted(name))


def find(dataset: DataFrame, name: str) -> Found | None:
    """The column that a name means to Spark: of this name, in the case that the session takes for the same, or a field within a struct
    (``struct.field``).

    Raises
    ------
    ValueError
        If several columns have the name.
    """
    path, within = [name], _same_name(dataset.schema, name, dataset)
    if not within and "." in name:
        path = name.split(".")
        within = [found] if (found := _nested(dataset.schema, path, dataset)) else []
    if len(within) > 1:
        raise ValueError(f"{name!r} is ambiguous: {len(within)} columns of the dataset have this name; drop or rename all but one")
    return Found(tuple(path), F.col(".".join(map(_quoted, path))), within[0]) if within else None


def existing(dataset: DataFrame, name: str) -> str | None:
    """The column that Spark could not tell from one of this name, if there is one."""
    same = _same_name(dataset.schema, name, dataset)
    return same[0].name if same else None


def is_case_sensitive(dataset: DataFrame) -> bool:
    """Whether names that differ in case only are different names."""
    return dataset.sparkSession.conf.get("spark.sql.caseSensitive", "false") == "true"


def refusal(kind: Kind, type_: DataType) -> str | None:
    """What a column must be instead, if a kind cannot be read from one of this type."""
    accepts, expected = _ACCEPTED[type(kind)]
    return None if accepts(kind, type_) else expected(kind)


def parts(kind: Kind, role: str, columns: Sequence[Found]) -> list[Column]:
    """What a decoder reads of a field, under the names it reads: of one column, or of several that make it up."""
    names = arrow_names(role, kind)
    if isinstance(kind, Vector):
        return [part.alias(name) for part, name in zip(_vector_parts(columns), names, strict=False)]
    (found,) = columns
    return [_READ[type(kind)](kind, found).alias(names[0])]


def is_number(type_: DataType) -> bool:
    return isinstance(type_, (NumericType, BooleanType))


def is_vector(type_: DataType) -> bool:
    """Whether it is Spark ML's type of vectors."""
    return isinstance(type_, VectorUDT)


def _vector_parts(columns: Sequence[Found]) -> list[Column]:
    if len(columns) > 1 or is_number(columns[0].type):
        return [F.array(*(found.column.cast("float") for found in columns))]
    (found,) = columns
    if not isinstance(found.type, VectorUDT):
        return [found.column.cast("array<float>")]
    vector = F.unwrap_udt(found.column)
    # On the way to Python a null list costs in proportion to the rows of its Arrow batch; that a row is dense its null size tells.
    indices = F.coalesce(vector[INDICES], F.array().cast("array<int>"))
    return [vector["values"].cast("array<float>"), indices, vector[SIZE]]


def _key(kind: Key, found: Found) -> Column:
    if isinstance(found.type, IntegralType):
        return found.column.cast("long")
    return F.when(found.column.isNotNull(), F.xxhash64(found.column))


def _tokens(kind: Tokens, found: Found) -> Column:
    if not isinstance(found.type, StringType):
        return found.column.cast("array<string>")
    words = F.split(F.trim(found.column), r"\s+")
    return F.when(F.trim(found.column) == "", F.array().cast("array<string>")).otherwise(words)


def _text(kind: Text, found: Found) -> Column:
    if isinstance(found.type, StringType):
        return found.column
    return F.when(found.column.isNotNull(), F.concat_ws(" ", found.column))


def _boxes(kind: Boxes, found: Found) -> Column:
    element = found.type.elementType
    names = _box_names(element) if isinstance(element, StructType) else list(range(len(BOX_PARTS)))
    return F.transform(
        found.column, lambda box: F.struct(*(box[name].cast("float").alias(part) for name, part in zip(names, BOX_PARTS, strict=True)))
    )


def _box_names(box: StructType) -> list[str] | None:
    """The fields of a struct that are the parts of a box; None if some are missing."""
    known = {field.name.lower(): field.name for field in box.fields if is_number(field.dataType)}
    class_name = next((name for name in _BOX_CLASSES if name in known), None)
    wanted = [class_name, *BOX_PARTS[1:]]
    return [known[name] for name in wanted] if all(name in known for name in wanted) else None


def _is_numbers(type_: DataType) -> bool:
    return isinstance(type_, ArrayType) and is_number(type_.elementType)


def _is_strings(type_: DataType) -> bool:
    return isinstance(type_, StringType) or isinstance(type_, ArrayType) and isinstance(type_.elementType, StringType)


def _is_boxes(type_: DataType) -> bool:
    if not isinstance(type_, ArrayType):
        return False
    element = type_.elementType
    return _is_numbers(element) or isinstance(element, StructType) and _box_names(element) is not None


_Accepts = Callable[[Kind, DataType], bool]
_ACCEPTED: dict[type[Kind], tuple[_Accepts, Callable[[Kind], str]]] = {
    Vector: (lambda kind, type_: isinstance(type_, VectorUDT) or _is_numbers(type_), lambda kind: "a Vector or an array of numbers"),
    Number: (lambda kind, type_: is_number(type_), lambda kind: "numeric"),
    ClassLabel: (lambda kind, type_: is_number(type_), lambda kind: "numeric"),
    Flag: (lambda kind, type_: isinstance(type_, BooleanType), lambda kind: "boolean"),
    Key: (lambda kind, type_: kind.hashed or isinstance(type_, IntegralType), lambda kind: "a whole number"),
    Tokens: (lambda kind, type_: _is_strings(type_), lambda kind: "a string or an array of strings"),
    Text: (lambda kind, type_: _is_strings(type_), lambda kind: "a string or an array of strings"),
    Bytes: (lambda kind, type_: isinstance(type_, BinaryType), lambda kind: "binary"),
    Series: (lambda kind, type_: _is_numbers(type_), lambda kind: "an array of numbers"),
    Boxes: (
        lambda kind, type_: _is_boxes(type_),
        lambda kind: f"an array of structs of {', '.join(BOX_PARTS)}, or of arrays of these numbers",
    ),
    Time: (
        lambda kind, type_: isinstance(type_, (TimestampType, TimestampNTZType, DateType)),
        lambda kind: "a timestamp or a date",
    ),
}
_READ: dict[type[Kind], Callable[[Kind, Found], Column]] = {
    Number: lambda kind, found: found.column.cast("float"),
    ClassLabel: lambda kind, found: found.column.cast("float"),
    Flag: lambda kind, found: found.column,
    Key: _key,
    Tokens: _tokens,
    Text: _text,
    Bytes: lambda kind, found: found.column,
    Series: lambda kind, found: found.column.cast("array<float>"),
    Boxes: _boxes,
    Time: lambda kind, found: found.column.cast("timestamp_ntz") if isinstance(found.type, DateType) else found.column,
}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _same_name(schema: StructType, name: str, dataset: DataFrame) -> list[StructField]:
    same = [field for field in schema.fields if field.name.lower() == name.lower()]
    exact = [field for field in same if field.name == name]
    # The session is asked only where the answer matters, for through Connect that takes a call.
    return exact if len(exact) < len(same) and is_case_sensitive(dataset) else same


def _nested(schema: StructType, path: Sequence[str], dataset: DataFrame) -> StructField | None:
    same = _same_name(schema, path[0], dataset)
    if len(same) != 1:
        return None
    if len(path) == 1:
        return same[0]
    return _nested(same[0].dataType, path[1:], dataset) if isinstance(same[0].dataType, StructType) else None
