"""From files to labelled images; see the package."""

from __future__ import annotations

import functools
import io
import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.formats import images, manifest, recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.rows.boxes import BOX_PARTS
from sparkml_algos.sources.files import list_files, open_file
from sparkml_algos.sources.images.batches import BATCH_ROWS, BOXES, MASK, NUMBER, NUMBERS, SPARK_TYPES, TEXT, TYPES, in_batches


def read_image_recordio(spark: SparkSession, path: str | Sequence[str], *, labels: str = NUMBER) -> DataFrame:
    """The images of files of RecordIO, a task a file, or a part of one where an ``.idx`` file lies beside it.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    path : str or sequence of str
        Files, or folders with all ``.rec`` files below them, on storage that driver and executors reach.
    labels : {"number", "numbers", "boxes"}

    Returns
    -------
    DataFrame
        ``index`` (long), ``label``, ``image`` (binary).

    Raises
    ------
    ValueError
        If there are no files. What is wrong within one is told when it is read, with file and offset.
    """
    _check_form(labels, (NUMBER, NUMBERS, BOXES))
    files = [file for file in list_files([path] if isinstance(path, str) else list(path)) if not file.endswith((".idx", ".lst"))]
    if not files:
        raise ValueError(f"there are no files of RecordIO in {path}")
    parts = [part for file in files for part in _parts_of_file(file, spark)]
    rows = spark.createDataFrame(parts, "file string, start long, end long").repartition(len(parts), "file", "start")
    ensure_importable(spark, ALWAYS)
    schema = f"index long, label {SPARK_TYPES[labels]}, image binary"
    return rows.mapInArrow(functools.partial(_read_recordio, labels), schema)


def read_image_list(spark: SparkSession, path: str, root: str | None = None, *, labels: str = NUMBER) -> DataFrame:
    """The images that a ``.lst`` file names.

    Parameters
    ----------
    spark : SparkSession
    path : str
        Of the ``.lst`` file, which the driver reads.
    root : str, optional
        Folder that the paths in it start from; its own by default.
    labels : {"number", "numbers", "boxes"}

    Returns
    -------
    DataFrame
        ``index`` (long), ``label``, ``path`` (string, as the list has it), ``image`` (binary).

    Raises
    ------
    FormatError
        If a line is not index, labels and path.
    """
    _check_form(labels, (NUMBER, NUMBERS, BOXES))
    with open_file(path) as stream:
        entries = list(images.read_list(stream, file=path))
    found = pa.table(
        {
            "index": pa.array([entry.index for entry in entries], pa.int64()),
            "label": pa.array([_label_of(one.labels, labels, f"{path}, index {one.index}", None) for one in entries], TYPES[labels]),
            "path": pa.array([entry.path for entry in entries], pa.string()),
        }
    )
    schema = f"index long, label {SPARK_TYPES[labels]}, path string"
    listed = spark.createDataFrame(found.to_pylist(), schema)
    ensure_importable(spark, ALWAYS)
    folder = root if root is not None else posixpath.dirname(path)
    return listed.mapInArrow(functools.partial(_with_files, folder), f"{schema}, image binary")


def read_manifest(
    spark: SparkSession, path: str, *, image: str = "source-ref", label: str = "class", labels: str = NUMBER, root: str | None = None
) -> DataFrame:
    """The samples of an augmented manifest: JSON lines with the URI of an image and a label.

    Parameters
    ----------
    spark : SparkSession
    path : str
        Of the manifest, or a folder of such.
    image, label : str
        Names of the attributes; that of an image, or of a mask, ends in ``-ref``.
    labels : {"number", "numbers", "boxes", "mask", "text"}
        ``boxes``: an object with ``annotations``, in pixels.
    root : str, optional
        Folder that URIs start from which are neither absolute nor have a scheme.

    Returns
    -------
    DataFrame
        ``image`` (binary), ``label``.

    Raises
    ------
    ValueError
        If an attribute that is to be a file does not end in ``-ref``. What is wrong with a line is told when it is read.
    """
    _check_form(labels, tuple(TYPES))
    for name in [image, *([label] if labels == MASK else [])]:
        if not name.endswith(manifest.REFERENCE):
            raise ValueError(f"the attribute {name!r} must end in {manifest.REFERENCE!r} to name a file")
    ensure_importable(spark, ALWAYS)
    read = functools.partial(_read_manifest, [image, label], labels, root)
    return spark.read.text(path).mapInArrow(read, f"image binary, label {SPARK_TYPES[labels]}")


def _check_form(labels: str, forms: Sequence[str]) -> None:
    if labels not in forms:
        raise ValueError(f"labels must be one of {', '.join(map(repr, forms))}, got {labels!r}")


def _parts_of_file(file: str, spark: SparkSession) -> list[tuple[str, int, int]]:
    """Ranges of the bytes of a file that begin with a record; the whole file, to -1, where no index tells."""
    index = f"{file.removesuffix('.rec')}.idx"
    filesystem, path = resolve(index)
    if not file.endswith(".rec") or not filesystem.get_file_info(path).is_file:
        return [(file, 0, -1)]
    with open_file(index) as stream:
        offsets = sorted(images.read_index(stream, file=index).values())
    tasks = max(1, min(len(offsets), int(spark.conf.get("spark.sql.shuffle.partitions", "1")), -(-len(offsets) // BATCH_ROWS)))
    # From the first byte on, whether the index has the record there or not.
    starts = [0, *(offsets[place] for place in np.linspace(0, len(offsets), tasks, endpoint=False).astype(int)[1:])]
    return list(zip([file] * len(starts), starts, [*starts[1:], -1], strict=True))


def _read_recordio(labels: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for file, start, end in (part.values() for batch in batches for part in batch.to_pylist()):
        yield from in_batches(_records(file, start, end, labels), ("index", "label", "image"), (pa.int64(), TYPES[labels], pa.binary()))


def _records(file: str, start: int, end: int, labels: str) -> Iterator[tuple[int, Any, bytes]]:
    filesystem, path = resolve(file)
    is_part = start > 0 or end >= 0
    with filesystem.open_input_file(path) if is_part else open_file(file) as whole:
        stream: Any = _Range(whole, start, end) if is_part else whole
        for frames in recordio.read_blocks(stream, file=file, base=start):
            for number in range(len(frames)):
                offset = int(frames.offsets[number])
                record = images.unpack(frames.payload(number), file=file, offset=offset)
                if record.index >= 1 << 63:
                    raise FormatError(f"the index {record.index} does not fit 63 bits", file, offset)
                yield record.index, _label_of(record.labels, labels, file, offset), record.image


class _Range(io.RawIOBase):
    """The bytes of a file from one place to another, -1 being its end."""

    def __init__(self, file: Any, start: int, end: int) -> None:
        self._file, self._left = file, end - start if end >= 0 else None
        file.seek(start)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        data = self._file.read(size) if size >= 0 else self._file.read()
        self._left = None if self._left is None else self._left - len(data)
        return data


def _label_of(numbers: np.ndarray, labels: str, file: str, offset: int | None) -> Any:
    """The numbers of a record or of a line in their form."""
    if labels == NUMBERS:
        return numbers
    if labels == NUMBER:
        if len(numbers) != 1:
            raise FormatError(f"it has {len(numbers)} labels; read them with labels='numbers' or 'boxes'", file, offset)
        return float(numbers[0])
    boxes = images.objects(numbers, file=file, offset=offset)
    edges = boxes[:, 1:5]
    rows = np.concatenate([boxes[:, :1], edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1)
    return [dict(zip(BOX_PARTS, row, strict=True)) for row in rows.tolist()]


def _with_files(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        names = batch.schema.names
        rows = ((*row.values(), _bytes_of(_joined(folder, row["path"]))) for row in batch.to_pylist())
        yield from in_batches(rows, (*names, "image"), (*batch.schema.types, pa.binary()))


def _read_manifest(attributes: list[str], labels: str, root: str | None, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def fetch(uri: str) -> bytes:
        return _bytes_of(uri if root is None else _joined(root, uri))

    def rows() -> Iterator[tuple[bytes, Any]]:
        for batch in batches:
            for line in batch.column(0).to_pylist():
                file = f"<manifest line {line[:60]!r}>"
                for found in manifest.read(line.encode(), attributes, fetch, file=file):
                    yield found[0], _label_of_text(found[1], labels, file)

    yield from in_batches(rows(), ("image", "label"), (pa.binary(), TYPES[labels]))


def _label_of_text(text: bytes, labels: str, file: str) -> Any:
    if labels in (MASK, TEXT):
        return text if labels == MASK else text.decode()
    try:
        value = json.loads(text)
        if labels == NUMBER:
            return float(value)
        if labels == NUMBERS:
            return [float(number) for number in value]
        return [{part: float(box[part]) for part in BOX_PARTS} for box in value["annotations"]]
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"the label {text.decode()[:60]!r} is none of the form {labels!r}: {error}", file) from error


def _joined(folder: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") or not folder else f"{folder.rstrip('/')}/{path}"


def _bytes_of(file: str) -> bytes:
    try:
        with open_file(file) as stream:
            return stream.read()
    except OSError as error:
        raise FormatError(f"it cannot be read: {error}", file) from error
