"""Columns and their types from the first records of the first files."""

from __future__ import annotations

from itertools import islice

from pyspark.ml.linalg import MatrixUDT, VectorUDT
from pyspark.sql.types import DoubleType, StructField, StructType

from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.messages import RawRecord, RawTensor
from sparkml_algos.formats.recordio import read_blocks
from sparkml_algos.sources.columns import Slot, Tensor
from sparkml_algos.sources.files import list_files, open_file
from sparkml_algos.sources.options import Options
from sparkml_algos.sources.records import entries_of, listed, parse_record

# A schema is inferred from the heads of files.
INFERENCE_FILES, INFERENCE_RECORDS = 8, 32
HEAD_BYTES = 1 << 16


def infer_schema(options: Options) -> StructType:
    """Columns and their types from the first records of the first files that have any.

    Files without records have all columns that the options name: vectors, and a double as label.

    Raises
    ------
    ValueError
        If there are no files, as Spark's own sources say it; if the records have none of the wanted entries.
    """
    files = list_files(options.paths)
    if not files:
        raise ValueError(
            f"[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for RecordIO-protobuf: there are no files in {', '.join(options.paths)}. It "
            "must be specified manually: spark.read.schema(...)"
        )
    with_records = (head for file in files if (head := _head(file)))
    heads = [record for head in islice(with_records, INFERENCE_FILES) for record in head]
    found: dict[Slot, list[Tensor]] = {}
    for file, offset, record in heads:
        for slot in options.slots:
            raw = entries_of(record, slot).get(slot.entry)
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
            f"{heads[0][0]}: its records have no entry {missing.entry!r} in their features; they have {listed(features)} in features and "
            f"{listed(labels)} in label. The options featureEntries and labelEntries name entries to be read as columns."
        )
    return StructType([_field(slot, found.get(slot, []), options) for slot in options.slots if slot in found or not heads])


def _head(file: str) -> list[tuple[str, int, RawRecord]]:
    """File, offset and content of the first records of a file; empty if it has none."""
    with open_file(file) as stream:
        frames = next(read_blocks(stream, file=file, block_bytes=HEAD_BYTES), None)
    rows = range(min(len(frames), INFERENCE_RECORDS) if frames else 0)
    return [(file, offset := int(frames.offsets[row]), parse_record(frames.payload(row), file, offset)) for row in rows]


def _field(slot: Slot, tensors: list[Tensor], options: Options) -> StructField:
    if slot.is_label and all(tensor.elements == 1 for tensor in tensors):
        return StructField(slot.column, DoubleType())
    if any(tensor.shape and len(tensor.shape) == 2 for tensor in tensors):
        return StructField(slot.column, MatrixUDT())
    sized = not slot.is_label and options.num_features is not None
    return StructField(slot.column, VectorUDT(), True, {"ml_attr": {"num_attrs": options.num_features}} if sized else None)
