"""Columns of a DataFrame by name, as users name them, and as what a field's kind reads of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    FractionalType,
    IntegralType,
    MapType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from sparkml_algos.images.decoding import STRUCT_MAGIC
from sparkml_algos.rows.boxes import BOX_PARTS, Boxes
from sparkml_algos.rows.categories import Categories
from sparkml_algos.rows.classes import ClassSet
from sparkml_algos.rows.identities import Ipv4, Name
from sparkml_algos.rows.images import Image, Mask
from sparkml_algos.rows.kinds import Bytes, ClassLabel, Flag, Key, Kind, Number, Text, Time, arrow_names
from sparkml_algos.rows.lists import Labels, Sentence, TokenIds, Tokens
from sparkml_algos.rows.series import Series, SeriesOfRows
from sparkml_algos.rows.vectors import INDICES, SIZE, Vector

# Fields of the struct that Spark's source of images gives, in their order, and those of them that say what its bytes are.
_IMAGE_STRUCT = ("origin", "height", "width", "nChannels", "mode", "data")
_IMAGE_NUMBERS = _IMAGE_STRUCT[1:5]
_IMAGE_TYPES = "binary, as the source binaryFile gives it, or the struct of the source image"

# Names that people give to the first part of a box, in the order they are looked for; and to its corners, where it has these.
_BOX_CLASSES = ("class_id", "label", "class")
_BOX_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Found:
    """A column of a DataFrame.

    Attributes
    ----------
    path : tuple of str
        Its name as the dataset has it and, of a field within a struct, the names on the way there.
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
    """The column that a name means to Spark: the one of this very name, whatever characters it has; else what is within a struct, an array
    of structs or a map (``struct.field``, with backticks around a part that has dots). Names that differ in case only are the same where
    the session takes them for that.

    Parameters
    ----------
    dataset : DataFrame
    name : str

    Returns
    -------
    Found or None
        None if there is no such column.

    Raises
    ------
    ValueError
        If several columns, or fields of a struct, have the name.
    """
    paths = _paths(dataset, dataset.schema, [name]) or _paths(dataset, dataset.schema, _parts_of(name))
    if len(paths) > 1:
        names = ", ".join(sorted({repr(".".join(field.name for field in path)) for path in paths}))
        raise ValueError(f"{name!r} is ambiguous: {len(paths)} columns of the dataset have this name ({names}); drop or rename all but one")
    if not paths:
        return None
    path = tuple(field.name for field in paths[0])
    return Found(path, F.col(".".join(map(_quoted, path))), paths[0][-1])


def needed(dataset: DataFrame, name: str, what: str, *, numeric: bool = False) -> Found:
    """The column that a name means, see `find`; `what` names the argument that it was given as.

    Raises
    ------
    ValueError
        If there is none, or it is not of numbers or booleans where it has to be.
    """
    found = find(dataset, name)
    if found is None:
        raise ValueError(f"{what}: there is no column {name!r}; the columns are {', '.join(dataset.columns)}")
    if numeric and not is_number(found.type):
        raise ValueError(f"{what}: column {name!r} is {found.type.simpleString()}; a number is needed")
    return found


def existing(dataset: DataFrame, name: str) -> str | None:
    """The column that Spark could not tell from one of this name, if there is one."""
    same = _same_name(dataset.schema, name, dataset)
    return same[0].name if same else None


def twice(dataset: DataFrame, names: Sequence[str]) -> list[str]:
    """Names that others of these names are to Spark, too."""
    lowered = [name.lower() for name in names]
    found = [name for name, low in zip(names, lowered, strict=True) if lowered.count(low) > 1]
    return [name for name in found if names.count(name) > 1 or not is_case_sensitive(dataset)]


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


def is_ordered(type_: DataType) -> bool:
    """Whether Spark can sort by it, and make groups of it."""
    if isinstance(type_, ArrayType):
        return is_ordered(type_.elementType)
    if isinstance(type_, StructType):
        return all(is_ordered(field.dataType) for field in type_.fields)
    return isinstance(type_, AtomicType) and type_.typeName() not in ("variant", "interval")


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


def _name(kind: Name, found: Found) -> Column:
    return F.when(found.column.isNotNull(), F.xxhash64(found.column.cast("string")))


def _tokens(kind: Tokens, found: Found) -> Column:
    if not isinstance(found.type, StringType):
        return found.column.cast("array<string>")
    # Beside a blank at the beginning or the end is a word of no letters.
    return F.array_remove(F.split(found.column, r"\s+"), "")


def _sentence(kind: Sentence, found: Found) -> Column:
    return found.column.cast("array<long>") if is_ids(found.type) else _tokens(Tokens(), found)


def _time(kind: Time, found: Found) -> Column:
    is_of_clock = kind.of_clock and not isinstance(found.type, StringType)
    return found.column.cast("timestamp_ntz") if is_of_clock or isinstance(found.type, DateType) else found.column


def _token_ids(kind: TokenIds | Categories, found: Found) -> Column:
    if isinstance(found.type, IntegralType):
        return F.when(found.column.isNotNull(), F.array(found.column.cast("long")))
    return found.column.cast("array<long>")


def _text(kind: Text, found: Found) -> Column:
    if isinstance(found.type, StringType):
        return found.column
    return F.when(~F.exists(found.column, lambda word: word.isNull()), F.concat_ws(" ", found.column))


def _labels(kind: Labels, found: Found) -> Column:
    if isinstance(found.type, ArrayType):
        return F.transform(found.column, lambda item: _label(item, found.type.elementType))
    return F.when(found.column.isNotNull(), F.array(_label(found.column, found.type)))


def _label(value: Column, type_: DataType) -> Column:
    """The name of a class; a number that is whole has no point in it."""
    if isinstance(type_, FractionalType):
        return F.when(value == F.floor(value), value.cast("long").cast("string")).otherwise(value.cast("string"))
    return value.cast("string")


def _image(kind: Image, found: Found) -> Column:
    """A file as it is; the struct of Spark's source of images as `images.decoding.pack_struct` packs it."""
    if isinstance(found.type, BinaryType):
        return found.column
    hexadecimal = (F.lpad(F.hex(found.column[name].cast("long")), 16, "0") for name in _IMAGE_NUMBERS)
    numbers = (F.unhex(F.substring(text, 9, 8)) for text in hexadecimal)
    return F.concat(F.lit(bytearray(STRUCT_MAGIC)), *numbers, found.column["data"])


def _is_image(type_: DataType) -> bool:
    if not isinstance(type_, StructType):
        return isinstance(type_, BinaryType)
    return set(_IMAGE_STRUCT[1:]) <= {field.name for field in type_.fields} and isinstance(type_["data"].dataType, BinaryType)


def _boxes(kind: Boxes, found: Found) -> Column:
    element = found.type.elementType
    names = _box_names(element) if isinstance(element, StructType) else list(range(len(BOX_PARTS)))
    if names is None:
        corners = _box_names(element, _BOX_CORNERS)
        return F.transform(found.column, lambda box: _of_corners(*(box[name].cast("float") for name in corners)))
    return F.transform(
        found.column, lambda box: F.struct(*(box[name].cast("float").alias(part) for name, part in zip(names, BOX_PARTS, strict=True)))
    )


def _of_corners(number: Column, left: Column, top: Column, right: Column, bottom: Column) -> Column:
    values = number, left, top, right - left, bottom - top
    return F.struct(*(value.alias(part) for value, part in zip(values, BOX_PARTS, strict=True)))


def _box_names(box: StructType, parts: Sequence[str] = BOX_PARTS[1:]) -> list[str] | None:
    """The fields of a struct that are the class and the parts of a box; None if some are missing."""
    known = {field.name.lower(): field.name for field in box.fields if is_number(field.dataType)}
    class_name = next((name for name in _BOX_CLASSES if name in known), None)
    wanted = [class_name, *parts]
    return [known[name] for name in wanted] if all(name in known for name in wanted) else None


def _is_numbers(type_: DataType) -> bool:
    return isinstance(type_, ArrayType) and is_number(type_.elementType)


def _is_ids(type_: DataType) -> bool:
    return isinstance(type_, IntegralType) or is_ids(type_)


def is_ids(type_: DataType) -> bool:
    """Whether it is an array of whole numbers."""
    return isinstance(type_, ArrayType) and isinstance(type_.elementType, IntegralType)


def _is_strings(type_: DataType) -> bool:
    return isinstance(type_, StringType) or isinstance(type_, ArrayType) and isinstance(type_.elementType, StringType)


def _is_labels(type_: DataType) -> bool:
    element = type_.elementType if isinstance(type_, ArrayType) else type_
    return isinstance(element, StringType) or is_number(element)


def _is_boxes(type_: DataType) -> bool:
    if not isinstance(type_, ArrayType):
        return False
    element = type_.elementType
    if not isinstance(element, StructType):
        return _is_numbers(element)
    return _box_names(element) is not None or _box_names(element, _BOX_CORNERS) is not None


_Accepts = Callable[[Kind, DataType], bool]
_ACCEPTED: dict[type[Kind], tuple[_Accepts, Callable[[Kind], str]]] = {
    Vector: (lambda kind, type_: isinstance(type_, VectorUDT) or _is_numbers(type_), lambda kind: "a Vector or an array of numbers"),
    Number: (lambda kind, type_: is_number(type_), lambda kind: "numeric"),
    ClassLabel: (lambda kind, type_: is_number(type_), lambda kind: "numeric"),
    Flag: (lambda kind, type_: isinstance(type_, BooleanType), lambda kind: "boolean"),
    Key: (lambda kind, type_: kind.hashed or isinstance(type_, IntegralType), lambda kind: "a whole number"),
    Tokens: (lambda kind, type_: _is_strings(type_), lambda kind: "a string or an array of strings"),
    Labels: (lambda kind, type_: _is_labels(type_), lambda kind: "a string, a number, or an array of them"),
    TokenIds: (lambda kind, type_: _is_ids(type_), lambda kind: "a whole number or an array of whole numbers"),
    Sentence: (
        lambda kind, type_: _is_strings(type_) or is_ids(type_),
        lambda kind: "a string, an array of strings, or an array of whole numbers",
    ),
    Text: (lambda kind, type_: _is_strings(type_), lambda kind: "a string or an array of strings"),
    Name: (lambda kind, type_: isinstance(type_, (StringType, IntegralType)), lambda kind: "a string or a whole number"),
    Ipv4: (lambda kind, type_: isinstance(type_, StringType), lambda kind: "a string"),
    Bytes: (lambda kind, type_: isinstance(type_, BinaryType), lambda kind: "binary"),
    Image: (lambda kind, type_: _is_image(type_), lambda kind: _IMAGE_TYPES),
    Mask: (lambda kind, type_: _is_image(type_), lambda kind: _IMAGE_TYPES),
    ClassSet: (lambda kind, type_: _is_numbers(type_), lambda kind: "an array of numbers"),
    Series: (lambda kind, type_: _is_numbers(type_), lambda kind: "an array of numbers"),
    SeriesOfRows: (
        lambda kind, type_: isinstance(type_, ArrayType) and _is_numbers(type_.elementType),
        lambda kind: "an array of arrays of numbers",
    ),
    Categories: (lambda kind, type_: _is_ids(type_), lambda kind: "a whole number or an array of whole numbers"),
    Boxes: (
        lambda kind, type_: _is_boxes(type_),
        lambda kind: (
            f"an array of structs of {', '.join(BOX_PARTS)}, or of arrays of these numbers; or with {', '.join(_BOX_CORNERS)} in structs"
        ),
    ),
    Time: (
        lambda kind, type_: isinstance(type_, (TimestampType, TimestampNTZType, DateType, *((StringType,) if kind.of_clock else ()))),
        lambda kind: "a timestamp, a date or a text of one" if kind.of_clock else "a timestamp or a date",
    ),
}
_READ: dict[type[Kind], Callable[[Kind, Found], Column]] = {
    Number: lambda kind, found: found.column.cast("float"),
    ClassLabel: lambda kind, found: found.column.cast("float"),
    Flag: lambda kind, found: found.column,
    Key: _key,
    Tokens: _tokens,
    Labels: _labels,
    TokenIds: _token_ids,
    Sentence: _sentence,
    Text: _text,
    Name: _name,
    Ipv4: lambda kind, found: found.column,
    Bytes: lambda kind, found: found.column,
    Image: _image,
    Mask: _image,
    ClassSet: lambda kind, found: found.column.cast("array<float>"),
    Series: lambda kind, found: found.column.cast("array<float>"),
    Boxes: _boxes,
    SeriesOfRows: lambda kind, found: found.column.cast("array<array<float>>"),
    Categories: _token_ids,
    Time: _time,
}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


# A part of a name with dots in it, with backticks around it or without.
_PART = r"`((?:[^`]|``)*)`|([^.`]+)"
_DOTTED = re.compile(rf"(?:{_PART})(?:\.(?:{_PART}))+|`(?:[^`]|``)*`")


def _parts_of(name: str) -> list[str]:
    """The names on the way to a field, as Spark reads them out of one; none if it would not."""
    if not _DOTTED.fullmatch(name):
        return []
    return [quoted.replace("``", "`") or plain for quoted, plain in re.findall(_PART, name)]


def _same_name(schema: StructType, name: str, dataset: DataFrame) -> list[StructField]:
    same = [field for field in schema.fields if field.name.lower() == name.lower()]
    exact = [field for field in same if field.name == name]
    # The session is asked only where the answer matters, for through Connect that takes a call.
    return exact if len(exact) < len(same) and is_case_sensitive(dataset) else same


def _paths(dataset: DataFrame, schema: StructType, names: Sequence[str]) -> list[list[StructField]]:
    """All ways through the columns of a schema, and what is in them, that have these names."""
    if not names:
        return []
    first, *others = names
    found = _same_name(schema, first, dataset)
    if not others:
        return [[field] for field in found]
    return [[field, *within] for field in found for within in _within(dataset, field.dataType, others)]


def _within(dataset: DataFrame, type_: DataType, names: Sequence[str]) -> list[list[StructField]]:
    if isinstance(type_, StructType):
        return _paths(dataset, type_, names)
    if isinstance(type_, ArrayType):  # the field of all structs, as an array
        found = _within(dataset, type_.elementType, names) if isinstance(type_.elementType, StructType) else []
        return [[*path[:-1], StructField(path[-1].name, ArrayType(path[-1].dataType))] for path in found]
    if isinstance(type_, MapType) and isinstance(type_.keyType, StringType):
        value, others = StructField(names[0], type_.valueType), names[1:]
        return [[value, *within] for within in _within(dataset, type_.valueType, others)] if others else [[value]]
    return []
