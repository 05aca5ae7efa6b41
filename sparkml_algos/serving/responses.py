"""Answers as bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats import json_instances, recordio_protobuf
from sparkml_algos.formats.columns import Column, RecordBatch
from sparkml_algos.formats.content_types import CSV, JSON, JSON_LINES, PNG
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.serving.answers import Columns
from sparkml_algos.serving.values import values_of

#: Of a single row their answer in JSON is its object, in no list.
SINGLE_OBJECTS = ("object_detection",)
#: Their answers in RecordIO are among the features, as whole numbers.
IN_FEATURES = ("seq2seq",)
# A JSON response to an image is this field of the answer, bare.
_BARE_FIELDS = {"image_classification": "prediction"}
#: Of these, which fields are among the features, and their type; the others are not in RecordIO.
TENSORS: Mapping[str, Mapping[str, type[np.generic]]] = {"semantic_segmentation": {"target": np.float32, "shape": np.int32}}


def encode(
    columns: Columns, rows: int, content_type: str, algorithm: str, *, quoted: bool = True, echo: Mapping[str, Sequence[str | None] | None]
) -> bytes:
    """A body of a content type.

    Parameters
    ----------
    columns : dict of str to column
        Fields by name, an entry a row.
    rows : int
    content_type : str
        Name only.
    algorithm : str
        Says how the list of a JSON response is called.
    quoted : bool
        Whether a list in a cell of CSV is in quotes.
    echo : mapping
        ``uid`` and ``metadata`` of records, which come back with them.
    """
    if content_type in (JSON, JSON_LINES):
        return encode_objects(objects(columns, rows), content_type, algorithm)
    if content_type == CSV:
        return csv(columns, rows, quoted)
    if content_type == PNG:
        return _image(columns, rows)
    if algorithm in TENSORS:
        features = {name: Column.of(_lists(columns[name], type_)) for name, type_ in TENSORS[algorithm].items()}
        return recordio_protobuf.encode(RecordBatch(rows, features, {}, **echo)) if rows else b""
    if algorithm in IN_FEATURES:
        features = {name: Column.of(_as_int32(values)) for name, values in columns.items()}
        return recordio_protobuf.encode(RecordBatch(rows, features, {}, **echo)) if rows else b""
    labels = {name: Column.of(_as_float32(values)) for name, values in columns.items()}
    return recordio_protobuf.encode(RecordBatch(rows, {}, labels, **echo)) if rows else b""


def encode_objects(items: list[dict[str, Any]], content_type: str, algorithm: str) -> bytes:
    """A body of JSON or JSON Lines of an object a row."""
    if content_type == JSON_LINES:
        return b"".join(_dumped(item) + b"\n" for item in items)
    if algorithm in _BARE_FIELDS and len(items) == 1:
        return _dumped(items[0][_BARE_FIELDS[algorithm]])
    if algorithm in SINGLE_OBJECTS:
        return _dumped(items[0] if len(items) == 1 else {"predictions": items})
    if algorithm in json_instances.BARE_LISTS:
        return _dumped(items)
    return b'{"%s":%s}' % (json_instances.RESPONSE_LISTS.get(algorithm, "predictions").encode(), _dumped(items))


def objects(columns: Columns, rows: int) -> list[dict[str, Any]]:
    """An object a row. What is no number is null: JSON has no NaN."""
    lists = [values_of(column) for column in columns.values()]
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)] if lists else [{} for _ in range(rows)]


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def _dumped(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def csv(columns: Columns, rows: int, quoted: bool) -> bytes:
    """A line a row, a cell a field; lists in brackets."""
    cells = [[_cell(value, quoted) for value in _raw_values(column)] for column in columns.values()]
    return "".join(",".join(row) + "\n" for row in zip(*cells, strict=True)).encode() if rows else b""


def _raw_values(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else values_of(column)


def _cell(value: Any, quoted: bool) -> str:
    if isinstance(value, list):
        text = "[" + ", ".join(_cell(item, False) for item in value) + "]"
        return '"' + text.replace('"', '""') + '"' if quoted else text
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"' if any(sign in value for sign in '",\r\n') else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _as_float32(values: Any) -> np.ndarray:
    array = np.asarray(values, np.float32)
    return array if array.ndim > 1 else array[:, None]


def _as_int32(values: Any) -> Ragged:
    if not isinstance(values, Ragged) or not isinstance(values.values, np.ndarray):
        raise FormatError("words have no place in RecordIO, which holds their ids: ask with ids, or for JSON", "<response>")
    return Ragged(values.values.astype(np.int32), values.offsets)


def _image(columns: Columns, rows: int) -> bytes:
    """The only answer, which is an image."""
    if rows != 1:
        raise FormatError(f"an answer as {PNG} is to one image, and the request has {rows}: ask for {JSON}", "<response>")
    (found,) = next(iter(columns.values())).to_pylist()
    return bytes(found)


def _lists(values: pa.ListArray, type_: type[np.generic]) -> Ragged:
    """Numbers of each row."""
    offsets = values.offsets.to_numpy()
    return Ragged(values.flatten().to_numpy(zero_copy_only=False).astype(type_, copy=False), (offsets - offsets[0]).astype(np.int64))


def plain(column: Any) -> Any:
    """A column of a pipeline as answers have it: sparse vectors with their zeros."""
    return column.toarray() if sp.issparse(column) else column
