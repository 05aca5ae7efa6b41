"""Time series as DeepAR has them: JSON Lines and Parquet of training, requests and responses of forecasts. Both ways.

A line or row is a series: ``start``, ``target`` and, if there are such, ``cat`` and ``dynamic_feat``. Missing steps are ``null`` or
``"NaN"`` in JSON, null or NaN in Parquet, NaN here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats import json_instances, recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.json_instances import Instances

# Series of a Parquet file that are read at a time.
BATCH_SERIES = 1024
# What a response may hold.
OUTPUT_TYPES = ("mean", "quantiles", "samples")
_MARKER = "_SUCCESS"
# What categories are below: those of 31 bits, of which there are embeddings.
_MOST_CATEGORIES = 1 << 31


@dataclass(frozen=True)
class SeriesRows:
    """Series.

    Attributes
    ----------
    start : ndarray of datetime64[us], shape (series,)
    target : Ragged of float32
        NaN where missing.
    cat : ndarray of int64, shape (series, features), optional
    dynamic_feat : Ragged of float32, optional
        A vector a step, a number for each feature.
    """

    start: np.ndarray
    target: Ragged
    cat: np.ndarray | None = None
    dynamic_feat: Ragged | None = None

    def __len__(self) -> int:
        return len(self.start)

    def columns(self) -> dict[str, Any]:
        """Those that are there, by the role that a model knows them by."""
        found = {"start": self.start, "target": self.target, "cat": self.cat, "dynamic_feat": self.dynamic_feat}
        return {role: column for role, column in found.items() if column is not None}


@dataclass(frozen=True)
class Configuration:
    """What is asked for in a forecast; the defaults are the service's.

    Attributes
    ----------
    num_samples : int
    output_types : tuple of str
        Of `OUTPUT_TYPES`.
    quantiles : tuple of str
        As texts, by which the response names them.
    """

    num_samples: int = 100
    output_types: tuple[str, ...] = ("mean", "quantiles")
    quantiles: tuple[str, ...] = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9")

    @classmethod
    def of(cls, given: Mapping[str, Any] | str | None) -> Configuration:
        """From a request's object, or the text of the service's variable ``DEEPAR_INFERENCE_CONFIG``.

        Raises
        ------
        FormatError
            Naming the entry that is wrong.
        """
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise FormatError(f"the configuration is no JSON: {error}", "<configuration>") from error
        if given is not None and not isinstance(given, Mapping):
            raise FormatError(f"the configuration must be an object, got {given!r}", "<configuration>")
        found = cls()
        values: dict[str, Any] = {}
        for name, value in (given or {}).items():
            if name == "num_samples":
                is_right = type(value) is int and value > 0
            elif name == "output_types":
                is_right = isinstance(value, list) and bool(value) and set(value) <= set(OUTPUT_TYPES)
            elif name == "quantiles":
                is_right = isinstance(value, list) and all(_is_share(item) for item in value)
                value = [str(item) for item in value] if is_right else value
            else:
                raise FormatError(f"the configuration has no {name!r}; it has num_samples, output_types and quantiles", "<configuration>")
            if not is_right:
                raise FormatError(f"{name} of the configuration cannot be {value!r}", "<configuration>")
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**{**vars(found), **values})

    @property
    def levels(self) -> list[float]:
        """The quantiles as numbers."""
        return [float(text) for text in self.quantiles]


def _is_share(item: Any) -> bool:
    try:
        return not isinstance(item, bool) and 0 < float(item) < 1
    except (TypeError, ValueError):
        return False


def read_lines(source: BinaryIO | bytes, *, file: str = "<stream>", block_bytes: int = recordio.BLOCK_BYTES) -> Iterator[SeriesRows]:
    """Series of JSON Lines, gzip or not, in batches of about ``block_bytes`` bytes of text.

    Raises
    ------
    FormatError
        With file and offset.
    """
    for instances in json_instances.read_lines(source, file=file, block_bytes=block_bytes):
        yield of_instances(instances)


def decode_lines(data: bytes, *, file: str = "<bytes>") -> SeriesRows:
    """All series of JSON Lines; takes and refuses what `read_lines` does."""
    return of_instances(json_instances.decode_lines(data, file=file))


def encode_lines(rows: SeriesRows) -> bytes:
    """Series as JSON Lines of the service; a missing step is ``"NaN"``."""
    lines = []
    for row in range(len(rows)):
        line: dict[str, Any] = {"start": _written(rows.start[row]), "target": _numbers(rows.target[row])}
        if rows.cat is not None:
            line["cat"] = rows.cat[row].tolist()
        if rows.dynamic_feat is not None:
            line["dynamic_feat"] = [_numbers(series) for series in rows.dynamic_feat[row].T]
        lines.append(line)
    return json_instances.encode_lines(lines)


def read_parquet(source: str | Path | BinaryIO) -> Iterator[SeriesRows]:
    """Series of a Parquet file, `BATCH_SERIES` at a time; ``start`` may be text or a timestamp.

    Raises
    ------
    FormatError
        If it is no Parquet, or a column is missing or of another type.
    """
    file = str(source) if isinstance(source, str | Path) else "<stream>"
    try:
        parquet = pq.ParquetFile(source)
        for batch in parquet.iter_batches(BATCH_SERIES):
            yield _of_arrow(batch, file)
    except pa.ArrowInvalid as error:
        raise FormatError(f"not Parquet: {error}", file) from error


def write_parquet(rows: SeriesRows, sink: str | Path | BinaryIO) -> None:
    """Series as a Parquet file of the service, compressed by snappy."""
    columns: dict[str, pa.Array] = {
        "start": pa.array(rows.start.astype("datetime64[us]")),
        "target": pa.ListArray.from_arrays(rows.target.offsets.astype(np.int32), pa.array(rows.target.values, pa.float32())),
    }
    if rows.cat is not None:
        columns["cat"] = pa.array(rows.cat.tolist(), pa.list_(pa.int64()))
    if rows.dynamic_feat is not None:
        series = [[np.ascontiguousarray(one) for one in steps.T] for steps in rows.dynamic_feat]
        columns["dynamic_feat"] = pa.array(series, pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table(columns), sink, compression="snappy")


def read_folder(path: str | Path) -> Iterator[SeriesRows]:
    """Series of a file, or of all files of a folder and those within it: ``.json``, ``.json.gz`` and ``.parquet``. Names that begin with a
    dot, and the marker ``_SUCCESS``, are skipped, as the service does.

    Raises
    ------
    FormatError
        Naming a file of another kind.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        inside = file.relative_to(path).parts if file != path else (file.name,)
        if any(part.startswith(".") for part in inside) or file.name == _MARKER:
            continue
        if file.name.endswith(".parquet"):
            yield from read_parquet(file)
        elif file.name.endswith((".json", ".json.gz")):
            with file.open("rb") as stream:
                yield from read_lines(stream, file=str(file))
        else:
            raise FormatError("expected a name that ends with .json, .json.gz or .parquet", str(file))


def decode_request(data: bytes, *, file: str = "<bytes>") -> tuple[SeriesRows, Configuration]:
    """A JSON request ``{"instances": [{"start": …, "target": […]}], "configuration": {…}}``.

    Raises
    ------
    FormatError
    """
    instances = json_instances.decode(data, file=file)
    return of_instances(instances), Configuration.of(json.loads(data).get("configuration"))


def predictions(outputs: Mapping[str, Any], configuration: Configuration) -> list[dict[str, Any]]:
    """The objects of a response.

    Parameters
    ----------
    outputs : mapping
        What a model says of series: ``mean``, ``quantiles`` in the order of the configuration's, and ``samples``, as far as asked for.
    configuration : Configuration

    Raises
    ------
    FormatError
        If there is not what is asked for, as of a model that forecasts points.
    """
    missing = [name for name in configuration.output_types if name not in outputs]
    if missing:
        raise FormatError(f"the model has no {' and no '.join(missing)}, for it forecasts points; ask for the mean", "<configuration>")
    found: list[dict[str, Any]] = [{} for _ in range(len(outputs["mean"]))]
    for name in OUTPUT_TYPES:
        if name in configuration.output_types:
            for one, value in zip(found, _listed(outputs[name]), strict=True):
                one[name] = dict(zip(configuration.quantiles, value, strict=True)) if name == "quantiles" else value
    return found


def encode_response(outputs: Mapping[str, Any], configuration: Configuration) -> bytes:
    """``{"predictions": […]}``, see `predictions`."""
    return json_instances.encode(predictions(outputs, configuration), "deepar")


def encode_response_lines(outputs: Mapping[str, Any], configuration: Configuration) -> bytes:
    """The same as JSON Lines."""
    return json_instances.encode_lines(predictions(outputs, configuration))


def of_instances(instances: Instances) -> SeriesRows:
    """The series of instances.

    Raises
    ------
    FormatError
        Naming the instance and what it lacks; all have categories, or dynamic features, or none has.
    """
    target = _ragged(instances.series("target"))
    start = np.array([_start(instances, row) for row in range(len(instances))], "datetime64[us]")
    cat = dynamic = None
    if _have(instances, "cat"):
        lists = [_categories(instances, row) for row in range(len(instances))]
        unlike = next((row for row, one in enumerate(lists) if len(one) != len(lists[0])), None)
        if unlike is not None:
            raise _error(instances, unlike, f"cat has {len(lists[unlike])} categories, where the first has {len(lists[0])}")
        cat = np.array(lists, np.int64).reshape(len(instances), -1)
    if _have(instances, "dynamic_feat"):
        parts = [_features(instances, row) for row in range(len(instances))]
        unlike = next((row for row, one in enumerate(parts) if one.shape[1] != parts[0].shape[1]), None)
        if unlike is not None:
            raise _error(instances, unlike, f"dynamic_feat has {parts[unlike].shape[1]} series, where the first has {parts[0].shape[1]}")
        dynamic = _ragged(parts)
    return SeriesRows(start, target, cat, dynamic)


def _have(instances: Instances, name: str) -> bool:
    has = [isinstance(item, dict) and item.get(name) is not None for item in instances.items]
    if any(has) and not all(has):
        raise _error(instances, has.index(False), f"it has no {name}, where others do")
    return any(has)


def _start(instances: Instances, row: int) -> np.datetime64:
    text = instances.items[row].get("start")
    try:
        return np.datetime64(pa.scalar(text if isinstance(text, str) else "", pa.string()).cast(pa.timestamp("us")).as_py(), "us")
    except pa.ArrowInvalid:
        raise _error(instances, row, f"start is {text!r}, expected a time such as 2024-01-31 12:00:00") from None


def _categories(instances: Instances, row: int) -> list[int]:
    found = instances.items[row]["cat"]
    items = found if isinstance(found, list) else [found]
    if not all(type(item) in (int, float) and 0 <= item < _MOST_CATEGORIES and item == int(item) for item in items):
        raise _error(instances, row, "cat must be whole numbers from 0")
    return [int(item) for item in items]


def _features(instances: Instances, row: int) -> np.ndarray:
    """Shape (steps, features)."""
    found = instances.items[row]["dynamic_feat"]
    is_right = isinstance(found, list) and all(isinstance(series, list) for series in found)
    if not is_right or not all(type(value) in (int, float) for series in found for value in series):
        raise _error(instances, row, "dynamic_feat must be lists of numbers, of which none is missing")
    if len({len(series) for series in found}) > 1:
        raise _error(instances, row, f"dynamic_feat has series of different lengths: {', '.join(str(len(series)) for series in found)}")
    return np.array(found, np.float32).reshape(len(found), -1).T


def _error(instances: Instances, row: int, reason: str) -> FormatError:
    return FormatError(f"instance {row}: {reason}", instances.file, instances.offsets[row] if instances.offsets else None)


def _of_arrow(batch: pa.RecordBatch, file: str) -> SeriesRows:
    missing = [name for name in ("start", "target") if name not in batch.schema.names]
    if missing:
        raise FormatError(f"no column {' and no column '.join(missing)}; there are {', '.join(batch.schema.names)}", file)
    columns = {name: batch[name] for name in ("start", "target", "cat", "dynamic_feat") if name in batch.schema.names}
    if nulls := [name for name, column in columns.items() if column.null_count]:
        raise FormatError(f"column {nulls[0]} is null in a row", file)
    try:
        start = columns["start"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False).view("datetime64[us]")
        target = columns["target"].cast(pa.list_(pa.float32()))
        cat = columns["cat"].cast(pa.list_(pa.int64())).to_pylist() if "cat" in columns else None
        dynamic = columns["dynamic_feat"].cast(pa.list_(pa.list_(pa.float32()))).to_pylist() if "dynamic_feat" in columns else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FormatError(f"a column is of another type: {error}", file) from error
    offsets = target.offsets.to_numpy().astype(np.int64)
    values = target.values.slice(offsets[0], offsets[-1] - offsets[0]).to_numpy(zero_copy_only=False).astype(np.float32)
    parts = None if dynamic is None else [np.array(one, np.float32).reshape(len(one), -1).T for one in dynamic]
    try:
        categories = None if cat is None else np.array(cat, np.int64).reshape(len(batch), -1)
    except ValueError as error:
        raise FormatError("rows have different numbers of categories", file) from error
    return SeriesRows(start, Ragged(values, offsets - offsets[0]), categories, None if parts is None else _ragged(parts))


def _ragged(parts: Sequence[np.ndarray]) -> Ragged:
    values = np.concatenate(parts) if len(parts) else np.empty(0, np.float32)
    return Ragged(values, np.cumsum([0, *map(len, parts)]).astype(np.int64))


def _written(start: np.datetime64) -> str:
    return str(start.astype("datetime64[s]")).replace("T", " ")


def _numbers(values: np.ndarray) -> list[float | str]:
    return ["NaN" if np.isnan(value) else value for value in values.astype(np.float64).tolist()]


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()
