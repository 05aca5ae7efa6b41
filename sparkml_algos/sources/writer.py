"""Record batches to files of RecordIO frames."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby

import pyarrow as pa
import pyarrow.fs as fs
from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.formats.columns import Column, RecordBatch
from sparkml_algos.formats.recordio_protobuf import encode
from sparkml_algos.sources.columns import FEATURES, LABEL, Slot, Tensor, alike, can_write, from_arrow, stack
from sparkml_algos.sources.files import STREAM_BUFFER
from sparkml_algos.sources.options import Options


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
        name = self._new_name()
        filesystem, folder = resolve(self._folder)
        filesystem.create_dir(f"{folder}/{self._temporary}", recursive=True)
        path = f"{folder}/{self._temporary}/{name}"
        rows = 0
        with self._open(filesystem, path) as stream:
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
        files = [message.file for message in messages if message is not None and message.file is not None]
        for file in files:
            filesystem.move(f"{folder}/{self._temporary}/{file}", f"{folder}/{file}")
        if not files:
            # As Spark's own sources, so that a frame without rows can be read back without a schema.
            self._open(filesystem, f"{folder}/{self._new_name()}").close()
        self._clean()
        filesystem.open_output_stream(f"{folder}/_SUCCESS").close()

    def abort(self, messages: list[Committed | None]) -> None:
        self._clean()

    def _new_name(self) -> str:
        return f"part-{uuid.uuid4().hex}.pbr{'.gz' if self._options.gzip else ''}"

    def _open(self, filesystem: fs.FileSystem, path: str) -> pa.NativeFile:
        return filesystem.open_output_stream(path, compression="gzip" if self._options.gzip else None, buffer_size=STREAM_BUFFER)

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
