"""Requests: what a body of a content type holds for a model, as columns that are ready to be scored."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.formats import csv, json_instances, libsvm, recordio_protobuf
from sparkml_algos.formats.content_types import (
    CSV,
    IMAGES,
    JSON,
    JSON_LINES,
    LIBSVM,
    PARAMETERS,
    RECORDIO_PROTOBUF,
    X_LIBSVM,
    ContentType,
)
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.json_instances import Instances
from sparkml_algos.rows.fields import FEATURES, Field
from sparkml_algos.rows.identities import Name
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.kinds import Facts, Text
from sparkml_algos.rows.lists import Sentence, TokenIds, Tokens
from sparkml_algos.rows.vectors import Vector
from sparkml_algos.serving.answers import NPY
from sparkml_algos.serving.requests import columns_of_instances, columns_of_records

# A body of numbers up to this size is read without Arrow, whose reader takes half a millisecond to start.
SMALL_BODY = 1 << 15
GZIP = b"\x1f\x8b"
# What the service calls a text of BlazingText in JSON Lines.
SOURCE = "source"
MAX_SEQUENCE = 5000
TARGET = "target"
# What a translation is configured by.
MATRIX = "attention_matrix"
NAME = "<request>"
#: What reading a body may raise where it is not what it says.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, pa.ArrowException)


class TooLarge(ValueError):
    """A body with more bytes or rows than are allowed."""


@dataclass(frozen=True)
class Part:
    """Rows of a request that have the same columns.

    Attributes
    ----------
    columns : dict of str to array or list
        By role, as `SavedModel` takes them.
    rows : int
    places : ndarray of int, shape (rows,), optional
        Of the rows in the request; None: they are all of its rows.
    """

    columns: dict[str, Any]
    rows: int
    places: np.ndarray | None = None


@dataclass(frozen=True)
class Request:
    """What a body holds.

    Attributes
    ----------
    rows : int
    parts : list of Part
    limits : ndarray of int, shape (rows,), optional
        Labels that each row is to have at most.
    longest : tuple of int
        Tokens at which sequences of either side are cut, in place of what the model says.
    detailed : ndarray of bool, shape (rows,), optional
        Rows whose answers are to have what only those have that ask for it.
    words : list of str, optional
        What each row was asked about, which its answer repeats.
    echo : dict
        ``uid`` and ``metadata`` of records.
    """

    rows: int
    parts: list[Part]
    limits: np.ndarray | None = None
    longest: tuple[int, ...] = ()
    detailed: np.ndarray | None = None
    words: list[str] | None = None
    echo: dict[str, Sequence[str | None] | None] = field(default_factory=dict)


def decode(
    body: bytes,
    content_type: ContentType,
    fields: Sequence[Field],
    facts: Mapping[str, Facts],
    *,
    index_base: Literal[0, 1] = 0,
    max_bytes: int = 1 << 30,
) -> Request:
    """The request of a model with these fields.

    Parameters
    ----------
    body : bytes
        gzip or not.
    content_type : ContentType
        One that the model takes.
    fields : sequence of Field
    facts : dict of str to dict
        By role; where ``num_features`` is known, rows of other lengths are refused here.
    index_base : int
        Of the first feature in libsvm.
    max_bytes : int
        Of the body when it is unpacked.

    Raises
    ------
    FormatError
        Naming what is wrong, and where.
    TooLarge
    """
    if unknown := sorted(content_type.parameters.keys() - PARAMETERS):
        raise FormatError(f"content type {content_type.name}: parameter {unknown[0]!r} is not one of {', '.join(sorted(PARAMETERS))}", NAME)
    content_type.check_encoding()
    if body[:2] == GZIP:
        body = unpacked(body, max_bytes)
    name = content_type.name
    if name in (JSON, JSON_LINES):
        instances = (json_instances.decode if name == JSON else json_instances.decode_lines)(body, file=NAME)
        request = _of_instances(fields, instances)
    elif name == RECORDIO_PROTOBUF:
        records = recordio_protobuf.decode(body, file=NAME)
        columns = columns_of_records(fields, records) if len(records) else {}
        request = _whole(columns, len(records))
        request = replace(request, echo={"uid": records.uid, "metadata": records.metadata})
    elif name == CSV and not any(isinstance(field.kind, Vector) for field in fields):
        request = _of_strings(fields, body)
    elif name == CSV:
        request = _of_vectors(fields, _csv(body, content_type, _vector(fields)))
    elif name in (LIBSVM, X_LIBSVM):
        known = facts.get(FEATURES, {}).get("num_features")
        request = _of_vectors(fields, libsvm.decode(body, labelled=False, index_base=index_base, num_features=known, file=NAME).features)
    elif name == NPY:
        request = _of_vectors(fields, _npy(body))
    elif name in IMAGES:
        role = next(field.role for field in fields if isinstance(field.kind, Image))
        request = _whole({role: [body]}, 1)
    else:
        raise FormatError(f"content type {name!r} is not known", NAME)
    _check_widths(request, fields, facts)
    longest = _longest(content_type, fields)
    return replace(request, longest=longest) if longest else request


def unpacked(body: bytes, max_bytes: int) -> bytes:
    """What a gzip body holds, if it is not more than this."""
    found, rest = [], body
    total = 0
    try:
        while rest:
            stream = zlib.decompressobj(wbits=31)
            found.append(stream.decompress(rest, max_bytes - total + 1))
            total += len(found[-1])
            if total > max_bytes:
                raise TooLarge(f"the body unpacks to more than {max_bytes} bytes")
            if not stream.eof:
                raise FormatError("the gzip stream is cut off", NAME)
            rest = stream.unused_data
    except zlib.error as error:
        raise FormatError(f"not gzip: {error}", NAME) from error
    return b"".join(found)


def _whole(columns: dict[str, Any], rows: int) -> Request:
    return Request(rows, [Part(columns, rows)] if rows else [])


def _vector(fields: Sequence[Field]) -> Field:
    return next(field for field in fields if isinstance(field.kind, Vector))


def _of_vectors(fields: Sequence[Field], values: np.ndarray | sp.csr_matrix) -> Request:
    return _whole({_vector(fields).role: values}, values.shape[0])


def _csv(body: bytes, content_type: ContentType, field: Field) -> np.ndarray:
    missing = isinstance(field.kind, Vector) and field.kind.missing_values
    size, weights = content_type.integer("label_size", 0), content_type.flag("csv_weights")
    if not size and not weights and len(body) <= SMALL_BODY and not body.translate(None, b"0123456789.eE-,\r\n"):
        lines = body.split()
        cells = [line.split(b",") for line in lines]
        if cells and len({len(row) for row in cells}) == 1:
            try:
                with np.errstate(over="ignore"):
                    return np.array([list(map(float, row)) for row in cells]).astype(np.float32)
            except ValueError:
                pass  # the slower reader says what is wrong, or reads it as a missing value
    return csv.decode(body, label_size=size, weights=weights, missing=missing, file=NAME).features


def _npy(body: bytes) -> np.ndarray:
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, is_fortran, dtype = read(stream)
    except Exception as error:  # its header is Python's own syntax, and read so
        raise FormatError(f"not an array in NumPy's format: {error}", NAME) from error
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiub" or len(shape) not in (1, 2) or size != len(body) - stream.tell():
        expected = f"expected an array of numbers, (rows, features), got {dtype} {shape} of {len(body) - stream.tell()} bytes"
        raise FormatError(expected, NAME)
    values = np.frombuffer(body, dtype, offset=stream.tell()).reshape(shape, order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):
        return np.atleast_2d(values).astype(np.float32)


def _of_strings(fields: Sequence[Field], body: bytes) -> Request:
    """CSV of as many cells as there are fields that a row must have, in their order."""
    required = [field for field in fields if field.default is not None]
    tables = list(csv.read_strings(body, columns=len(required), file=NAME))
    columns: dict[str, Any] = {}
    for place, of_field in enumerate(required):
        columns[of_field.role] = [value for table in tables for value in table.column(place).to_pylist()]
    return _whole(columns, len(next(iter(columns.values()))))


def _of_instances(fields: Sequence[Field], instances: Instances) -> Request:
    roles = [field.role for field in fields]
    texts = [field for field in fields if isinstance(field.kind, Text | Tokens)]
    if TARGET in roles and any(one is not None for one in (instances.configuration, *instances.configurations)):
        raise FormatError("a forecast has the model's own samples and quantiles; set them on the model, not in the configuration", NAME)
    words = None
    if len(texts) == 1 and len(roles) == 1:
        instances, words = _of_texts(texts[0], instances)
    for of_field in fields:
        if isinstance(of_field.kind, Name):
            _check_names(fields, of_field, instances)
    if any(field.alone for field in fields):
        parts = _by_columns(fields, instances)
    else:
        parts = [Part(columns_of_instances(fields, instances), len(instances))] if len(instances) else []
    is_words = texts and isinstance(texts[0].kind, Tokens)
    limits = _limits(instances) if texts and not is_words else None
    detailed = _detailed(instances) if any(isinstance(field.kind, Sentence) for field in fields) else None
    return Request(len(instances), parts, limits, detailed=detailed, words=words if is_words else None)


def _of_texts(field: Field, instances: Instances) -> tuple[Instances, list[str] | None]:
    """Bare strings, and objects that have the text as ``source``, as objects that have it under its role."""
    items: list[Any] = []
    for row, item in enumerate(instances.items):
        value = item
        if isinstance(item, dict):
            data = item.get("data", item)
            value = data if isinstance(data, str) else data.get(field.role, data.get(SOURCE)) if isinstance(data, dict) else None
        if isinstance(value, list) and isinstance(field.kind, Tokens) and all(isinstance(word, str) for word in value):
            value = " ".join(value)
        if not isinstance(value, str):
            raise instances.error(row, f'expected a text: "…", {{"{SOURCE}": "…"}} or {{"{field.role}": "…"}}')
        items.append({**(item if isinstance(item, dict) else {}), field.role: value, "data": {field.role: value}})
    return replace(instances, items=items), [item[field.role] for item in items]


def _check_names(fields: Sequence[Field], field: Field, instances: Instances) -> None:
    """Refuse what would be a name only as the text of a list or an object."""
    required = [one.role for one in fields if one.default is not None]
    for row, item in enumerate(instances.items):
        data = item.get("data", item) if isinstance(item, dict) else {}
        values = data.get(FEATURES) if isinstance(data, dict) else None
        values = values.get("values") if isinstance(values, dict) else values
        if isinstance(values, list) and len(values) == len(required):
            given = values[required.index(field.role)]
        else:
            given = data.get(field.role) if isinstance(data, dict) else None
        if isinstance(given, bool) or not isinstance(given, str | int | None):
            raise instances.error(row, f"{field.role} must be a text or a whole number")


def _by_columns(fields: Sequence[Field], instances: Instances) -> list[Part]:
    """The instances with the same fields together: each may have some alone."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, item in enumerate(instances.items):
        data = item.get("data", item) if isinstance(item, dict) else {}
        has = tuple(field.role for field in fields if isinstance(data, dict) and data.get(field.role) is not None)
        if not has:
            raise instances.error(row, f"it has none of {', '.join(field.role for field in fields)}")
        groups.setdefault(has, []).append(row)
    parts = []
    for has, rows in groups.items():
        some = replace(
            instances,
            items=[instances.items[row] for row in rows],
            configurations=[instances.configurations[row] for row in rows],
            offsets=[instances.offsets[row] for row in rows] if instances.offsets else (),
        )
        columns = columns_of_instances([field for field in fields if field.role in has], some)
        parts.append(Part(columns, len(rows), None if len(groups) == 1 else np.array(rows)))
    return parts


def _limits(instances: Instances) -> np.ndarray | None:
    """How many labels each row may have: of its own ``k``, its configuration's, or that of the request."""
    overall = _k(instances.configuration, instances, None)
    found = []
    for row, (item, configuration) in enumerate(zip(instances.items, instances.configurations, strict=True)):
        own = _k(item, instances, row)
        found.append(own if own is not None else _k(configuration, instances, row))
    if overall is None and not any(found):
        return None
    return np.array([k if k is not None else overall if overall is not None else 0 for k in found], np.int64)


def _detailed(instances: Instances) -> np.ndarray:
    """Which instances ask for the matrix of attention: by their own configuration, or by that of the request."""
    overall = instances.configuration
    return np.array([_asks(overall if own is None else own, instances, row) for row, own in enumerate(instances.configurations)], bool)


def _asks(configuration: Any, instances: Instances, row: int) -> bool:
    given = {} if configuration is None else configuration
    value = str(given.get(MATRIX, "false")).lower() if isinstance(given, dict) else ""
    if value not in ("true", "false") or given.keys() - {MATRIX}:
        raise instances.error(row, f'the configuration must be like {{"{MATRIX}": "true"}}, got {str(configuration)[:60]}')
    return value == "true"


def _k(of: Any, instances: Instances, row: int | None) -> int | None:
    if of is None:
        return None
    k = of.get("k") if isinstance(of, dict) else of
    if not isinstance(of, dict) or k is not None and (type(k) is not int or not 1 <= k < 1 << 31):
        raise instances.error(row or 0, f'the configuration must be like {{"k": 2}}, with a whole number from 1, got {str(of)[:60]}')
    return k


def _longest(content_type: ContentType, fields: Sequence[Field]) -> tuple[int, ...]:
    text = content_type.parameters.get("infer_max_seqlens")
    if text is None:
        return ()
    sides = [field for field in fields if isinstance(field.kind, TokenIds)]
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal() and len(part) < 8]
    if not sides or len(numbers) != len(sides) or text.count(",") != len(numbers) - 1 or not all(1 <= n <= MAX_SEQUENCE for n in numbers):
        raise FormatError(f"infer_max_seqlens must be {len(sides)} whole numbers from 1 to {MAX_SEQUENCE}, got {text!r}", NAME)
    return tuple(numbers)


def _check_widths(request: Request, fields: Sequence[Field], facts: Mapping[str, Facts]) -> None:
    """Refuse vectors of another length than the model's, whatever memory they would take."""
    for part in request.parts:
        for of_field in fields:
            values = part.columns.get(of_field.role)
            known = facts.get(of_field.role, {}).get("num_features")
            shape: tuple[int, ...] = getattr(values, "shape", ())
            if known and len(shape) == 2 and shape[1] != known:
                raise FormatError(f"row 0: {of_field.role} has {shape[1]} values, expected {known}", NAME)
