"""The data source ``recordio-protobuf`` in Python, for a Spark 4 without the JVM bridge."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby

import pyarrow as pa
import pyarrow.fs as fs
from pyspark.errors import AnalysisException
from pyspark.ml.linalg import MatrixUDT, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType

from sparkml_algos.formats.columns import Column, RecordBatch
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import RawRecord, RawTensor, parse
from sparkml_algos.formats.recordio import Frames, read_blocks
from sparkml_algos.formats.recordio_protobuf import decode_frames, encode
from sparkml_algos.sources.columns import (
    FEATURES,
    LABEL,
    Slot,
    Tensor,
    alike,
    can_read,
    can_write,
    check,
    from_arrow,
    stack,
    to_arrow,
    whole_column,
)
from sparkml_algos.sources.files import STREAM_BUFFER, list_files, open_file, resolve

try:
    from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, DataSourceReader, InputPartition, WriterCommitMessage
except ImportError:
    raise ImportError(
        "this Spark has no Python data sources, Spark 4 has; the JVM bridge reads and writes this format: python -m sparkml_algos.jvm build"
    ) from None

# A schema is inferred from the heads of files.
INFERENCE_FILES, INFERENCE_RECORDS = 8, 32
# The name under which vectors and labels stand in a record.
VALUES = "values"
# Rows of a record batch at most.
BATCH_ROWS = 10_000
HEAD_BYTES = 1 << 16


def register_recordio(spark: SparkSession) -> bool:
    """Make the formats ``recordio-protobuf`` and ``sagemaker`` known to a session, unless the JVM bridge has them already.

    Parameters
    ----------
    spark : SparkSession
        Of Spark 4.0 or later; classic or Connect.

    Returns
    -------
    bool
        Whether the Python data source is what the session uses now.
    """
    try:
        for source in (RecordIODataSource, SageMakerDataSource):
            spark.dataSource.register(source)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise
        return False
    return True


class Options:
    """The options of the data source, checked; the same as those of the JVM bridge."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.features = options.get("featuresColumnName", "features")
        self.label = options.get("labelColumnName", "label")
        self.names_label = "labelColumnName" in options or "labelEntries" in options
        self.names_label_entries = "labelEntries" in options
        self.slots = [*_slots(options, "labelEntries", self.label, LABEL), *_slots(options, "featureEntries", self.features, FEATURES)]
        columns = [slot.column.lower() for slot in self.slots]
        for twice in (column for column in columns if columns.count(column) > 1):
            raise ValueError(
                f"two entries of a record for the column {twice!r}; the options featuresColumnName, labelColumnName, featureEntries and "
                "labelEntries must name different ones"
            )
        self.num_features = None
        if "numFeatures" in options:
            text = options["numFeatures"].strip()
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(f"option numFeatures must be an integer of at least 1, got {text!r}")
            self.num_features = int(text)
        self.float64 = _choice(options, "valueType", "float32", {"float32": False, "float64": True}, "float32 or float64")
        compressions = {"none": False, "uncompressed": False, "gzip": True}
        self.gzip = _choice(options, "compression", "none", compressions, "none, uncompressed or gzip")
        self.paths = json.loads(options["paths"]) if "paths" in options else [options["path"]] if "path" in options else []

    def slot(self, column: str) -> Slot:
        """The slot of a column."""
        found = next((slot for slot in self.slots if slot.column.lower() == column.lower()), None)
        if found is None:
            columns = ", ".join(repr(slot.column) for slot in self.slots)
            raise ValueError(
                f"column {column!r} has no place in a record; the columns are {columns}: select those, or name others with the options "
                "featuresColumnName and labelColumnName"
            )
        return found


def _slots(options: Mapping[str, str], option: str, column: str, map_: str) -> list[Slot]:
    if option not in options:
        return [Slot(column, map_, VALUES)]
    names = [name.strip() for name in options[option].split(",") if name.strip()]
    if not names:
        raise ValueError(f"option {option} must be names separated by commas, got {options[option]!r}")
    return [Slot(name, map_, name) for name in names]


def _choice(options: Mapping[str, str], name: str, default: str, choices: dict[str, bool], expected: str) -> bool:
    value = options.get(name, default).lower()
    if value not in choices:
        raise ValueError(f"option {name} must be {expected}, got {value!r}")
    return choices[value]


class RecordIODataSource(DataSource):
    """Files of RecordIO frames with ``Record`` messages as columns of features and label.

    Differs from the JVM's: a file is one partition, columns are not pruned unless a schema leaves them out, save modes are ``append`` and
    ``overwrite``, folders are not partitioned, and a table of the catalog has no path; `pyarrow.fs` must know the file system.
    """

    @classmethod
    def name(cls) -> str:
        return "recordio-protobuf"

    def schema(self) -> StructType:
        return infer_schema(Options(self.options))

    def reader(self, schema: StructType) -> RecordIOReader:
        return RecordIOReader(schema, Options(self.options))

    def writer(self, schema: StructType, overwrite: bool) -> RecordIOWriter:
        return RecordIOWriter(schema, Options(self.options), overwrite)


class SageMakerDataSource(RecordIODataSource):
    """The same under the name that existing connectors use."""

    @classmethod
    def name(cls) -> str:
        return "sagemaker"


# -------------------------------------------------------------------------------------------------------------------- reading


class RecordIOReader(DataSourceReader):
    """Reads one file per partition."""

    def __init__(self, schema: StructType, options: Options) -> None:
        for field in schema:
            if not can_read(field.dataType):
                raise ValueError(
                    f"column {field.name!r} cannot be read as {field.dataType.simpleString()}; it must be a double, a vector, a matrix, "
                    "or an array of float, double or int"
                )
        self._slots = [options.slot(field.name) for field in schema]
        self._schema, self._options = schema, options

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(file) for file in list_files(self._options.paths)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        file = partition.value
        with open_file(file) as stream:
            for block in read_blocks(stream, file=file):
                for start in range(0, len(block), BATCH_ROWS):
                    frames = block[start : start + BATCH_ROWS]
                    arrays = self._at_once(frames) or self._one_by_one(frames)
                    yield pa.RecordBatch.from_arrays(arrays, names=self._schema.fieldNames())

    def _at_once(self, frames: Frames) -> list[pa.Array] | None:
        """The columns of rows that are all alike; None if they are not, or something is wrong with one of them."""
        try:
            batch = decode_frames([frames])
        except FormatError:
            return None
        found = [(batch.labels if slot.is_label else batch.features).get(slot.entry) for slot in self._slots]
        if any(column is None or self._wrong_size(slot, column.shape) for slot, column in zip(self._slots, found, strict=True)):
            return None
        arrays = [whole_column(column, field.dataType) for column, field in zip(found, self._schema, strict=True)]
        return None if any(array is None for array in arrays) else arrays

    def _wrong_size(self, slot: Slot, shape: tuple[int, ...] | None) -> bool:
        return not slot.is_label and self._options.num_features not in (None, *(shape or ())[:1])

    def _one_by_one(self, frames: Frames) -> list[pa.Array]:
        rows = [self._row(frames.payload(index), frames.file, int(frames.offsets[index])) for index in range(len(frames))]
        return [to_arrow(column, field.dataType) for column, field in zip(zip(*rows, strict=True), self._schema, strict=True)]

    def _row(self, payload: bytes, file: str, offset: int) -> list[Tensor | None]:
        record = _parse(payload, file, offset)
        row = []
        for slot, field in zip(self._slots, self._schema, strict=True):
            try:
                row.append(self._tensor(slot, field, record))
            except ValueError as error:
                raise FormatError(f"{slot.place}: {error}", file, offset) from None
        return row

    def _tensor(self, slot: Slot, field: StructField, record: RawRecord) -> Tensor | None:
        entries = _entries(record, slot)
        if slot.entry not in entries:
            if slot.is_label:
                return None
            raise ValueError(f"the record has no such entry; in its {slot.map} it has {_listed(entries)}")
        raw = entries[slot.entry]
        if not isinstance(raw, RawTensor):
            raise ValueError("it holds bytes, not numbers")
        tensor, wanted = Tensor.of(raw), self._options.num_features
        if not slot.is_label and wanted is not None and tensor.elements != wanted:
            raise ValueError(f"it has {tensor.elements} elements; numFeatures is {wanted}")
        if problem := check(tensor, field.dataType):
            raise ValueError(problem)
        return tensor


def _parse(payload: bytes, file: str, offset: int) -> RawRecord:
    try:
        return parse(payload)
    except ValueError as error:
        raise FormatError(str(error), file, offset) from error


def _entries(record: RawRecord, slot: Slot) -> dict[str, RawTensor | list[bytes]]:
    return record.labels if slot.is_label else record.features


def infer_schema(options: Options) -> StructType:
    """Columns and their types from the first records of the first files.

    Raises
    ------
    ValueError
        If the records have none of the wanted entries.
    """
    files = list_files(options.paths)
    heads = [record for file in files[:INFERENCE_FILES] for record in _head(file)]
    found: dict[Slot, list[Tensor]] = {}
    for file, offset, record in heads:
        for slot in options.slots:
            raw = _entries(record, slot).get(slot.entry)
            if isinstance(raw, RawTensor):
                try:
                    found.setdefault(slot, []).append(Tensor.of(raw))
                except ValueError as error:
                    raise FormatError(f"{slot.place}: {error}", file, offset) from None
    missing = next((slot for slot in options.slots if not slot.is_label and slot not in found), None)
    if missing and heads and not options.names_label_entries:
        features = {name for *_, record in heads for name in record.features}
        labels = {name for *_, record in heads for name in record.labels}
        raise ValueError(
            f"{files[0]}: its records have no entry {missing.entry!r} in their features; they have {_listed(features)} in features and "
            f"{_listed(labels)} in label. The options featureEntries and labelEntries name entries to be read as columns."
        )
    return StructType([_field(slot, found.get(slot, []), options) for slot in options.slots if slot in found or not heads])


def _head(file: str) -> list[tuple[str, int, RawRecord]]:
    with open_file(file) as stream:
        frames = next(read_blocks(stream, file=file, block_bytes=HEAD_BYTES), None)
    rows = range(min(len(frames), INFERENCE_RECORDS) if frames else 0)
    return [(file, int(frames.offsets[row]), _parse(frames.payload(row), file, int(frames.offsets[row]))) for row in rows]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "nothing"


def _field(slot: Slot, tensors: list[Tensor], options: Options) -> StructField:
    if slot.is_label and all(tensor.elements == 1 for tensor in tensors):
        return StructField(slot.column, DoubleType())
    if any(tensor.shape and len(tensor.shape) == 2 for tensor in tensors):
        return StructField(slot.column, MatrixUDT())
    sized = not slot.is_label and options.num_features is not None
    return StructField(slot.column, VectorUDT(), True, {"ml_attr": {"num_attrs": options.num_features}} if sized else None)


# -------------------------------------------------------------------------------------------------------------------- writing


@dataclass
class Committed(WriterCommitMessage):
    """Of one task.

    Attributes
    ----------
    file : str or None
        Name of the file in the writer's temporary folder; None if the task had no rows.
    """

    file: str | None


class RecordIOWriter(DataSourceArrowWriter):
    """Writes a file per task to a folder that readers pass over, and moves the files in the end."""

    def __init__(self, schema: StructType, options: Options, overwrite: bool) -> None:
        self._slots = slots_to_write(schema, options)
        self._schema, self._options, self._overwrite = schema, options, overwrite
        if len(options.paths) != 1:
            raise ValueError("no path to write to: give one to save(...)")
        self._folder = options.paths[0].rstrip("/")
        self._temporary = f"_temporary-{uuid.uuid4().hex}"

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Committed:
        batches = (batch for batch in iterator if batch.num_rows)
        first = next(batches, None)
        # A task without rows must leave nothing behind: it may run on when another has failed and the folder is gone.
        if first is None:
            return Committed(None)
        name = f"part-{uuid.uuid4().hex}.pbr{'.gz' if self._options.gzip else ''}"
        filesystem, folder = resolve(self._folder)
        filesystem.create_dir(f"{folder}/{self._temporary}", recursive=True)
        path = f"{folder}/{self._temporary}/{name}"
        rows = 0
        with filesystem.open_output_stream(path, compression="gzip" if self._options.gzip else None, buffer_size=STREAM_BUFFER) as stream:
            for batch in chain([first], batches):
                for record in self._records(batch, rows, path):
                    stream.write(record)
                rows += batch.num_rows
        return Committed(name)

    def commit(self, messages: list[Committed | None]) -> None:
        filesystem, folder = resolve(self._folder)
        if self._overwrite:
            for info in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
                if info.base_name != self._temporary:
                    filesystem.delete_file(info.path) if info.is_file else filesystem.delete_dir(info.path)
        filesystem.create_dir(folder, recursive=True)
        for message in messages:
            if message is not None and message.file is not None:
                filesystem.move(f"{folder}/{self._temporary}/{message.file}", f"{folder}/{message.file}")
        self._clean()
        filesystem.open_output_stream(f"{folder}/_SUCCESS").close()

    def abort(self, messages: list[Committed | None]) -> None:
        self._clean()

    def _clean(self) -> None:
        filesystem, folder = resolve(self._folder)
        if filesystem.get_file_info(f"{folder}/{self._temporary}").type == fs.FileType.Directory:
            filesystem.delete_dir(f"{folder}/{self._temporary}")

    def _records(self, batch: pa.RecordBatch, first: int, path: str) -> Iterable[bytes]:
        columns = []
        for slot, field, column in zip(self._slots, self._schema, batch.columns, strict=True):
            if not slot.is_label and column.null_count:
                row = first + column.is_valid().to_pylist().index(False)
                raise ValueError(f"row {row} of {path}: column {slot.column!r}: it is null")
            try:
                columns.append(from_arrow(column, field.dataType, float64=self._options.float64))
            except ValueError as error:
                raise ValueError(f"rows {first} to {first + len(column) - 1} of {path}: column {slot.column!r}: {error}") from None
        for _, rows in groupby(zip(*columns, strict=True), lambda row: [alike(tensor) for tensor in row]):
            yield encode(self._together(list(rows)))

    def _together(self, rows: list[tuple[Tensor | None, ...]]) -> RecordBatch:
        maps: dict[str, dict[str, Column]] = {FEATURES: {}, LABEL: {}}
        for slot, tensors in zip(self._slots, zip(*rows, strict=True), strict=True):
            if tensors[0] is not None:
                maps[slot.map][slot.entry] = stack(tensors)
        return RecordBatch(len(rows), maps[FEATURES], maps[LABEL])


def slots_to_write(schema: StructType, options: Options) -> list[Slot]:
    """The slot of every column of what is to be written.

    Raises
    ------
    ValueError
        If columns are missing, superfluous or of a type that a record cannot hold.
    """
    names = [name.lower() for name in schema.fieldNames()]
    found = f"the columns are {', '.join(map(repr, schema.fieldNames()))}"
    for slot in options.slots:
        if slot.column.lower() not in names:
            if not slot.is_label:
                raise ValueError(f"there is no features column {slot.column!r} (option featuresColumnName); {found}")
            if options.names_label:
                raise ValueError(f"there is no label column {slot.column!r} (option labelColumnName); {found}")
    slots = [options.slot(name) for name in schema.fieldNames()]
    for field, slot in zip(schema, slots, strict=True):
        if not can_write(field.dataType, slot):
            raise ValueError(
                f"column {field.name!r} of type {field.dataType.simpleString()} cannot be written; it must be "
                f"{'a number, ' if slot.is_label else ''}a vector, a matrix, or an array of float, double or int"
            )
    return slots
