"""Files of RecordIO frames to record batches."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import StructField, StructType

from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import RawRecord, RawTensor
from sparkml_algos.formats.recordio import Frames, read_blocks
from sparkml_algos.formats.recordio_protobuf import decode_frames
from sparkml_algos.sources.columns import Slot, Tensor, can_read, check, to_arrow, whole_column
from sparkml_algos.sources.files import list_files, open_file
from sparkml_algos.sources.options import Options
from sparkml_algos.sources.records import entries_of, listed, parse_record

# Rows of a record batch at most.
BATCH_ROWS = 10_000


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
        # Where there are no partitions Spark asks for one without a value.
        if file is None:
            return
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
        record = parse_record(payload, file, offset)
        row = []
        for slot, field in zip(self._slots, self._schema, strict=True):
            try:
                row.append(self._tensor(slot, field, record))
            except ValueError as error:
                raise FormatError(f"{slot.place}: {error}", file, offset) from None
        return row

    def _tensor(self, slot: Slot, field: StructField, record: RawRecord) -> Tensor | None:
        entries = entries_of(record, slot)
        if slot.entry not in entries:
            if slot.is_label:
                return None
            raise ValueError(f"the record has no such entry; in its {slot.map} it has {listed(entries)}")
        raw = entries[slot.entry]
        if not isinstance(raw, RawTensor):
            raise ValueError("it holds bytes, not numbers")
        tensor, wanted = Tensor.of(raw), self._options.num_features
        if not slot.is_label and wanted is not None and tensor.elements != wanted:
            raise ValueError(f"it has {tensor.elements} elements; numFeatures is {wanted}")
        if problem := check(tensor, field.dataType):
            raise ValueError(problem)
        return tensor
