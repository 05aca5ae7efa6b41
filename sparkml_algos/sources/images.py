"""Labelled images as DataFrames: image RecordIO, folders with a ``.lst`` file and augmented manifests, read and written.

They are functions, not data sources, so they are the same on every Spark and through Spark Connect. A DataFrame has the columns ``image``,
the bytes of a file, and ``label``, in one of these forms:

==========  ==================================================================================================================
number      double: the number of a class
numbers     array<float>: a 0 or 1 for each class, or ids of classes
boxes       array<struct<class_id, left, top, width, height: float>>: of a RecordIO or a ``.lst`` file as fractions of the image
mask        binary: a file with a label for each pixel (manifests alone)
text        string: the label as it is (manifests alone)
==========  ==================================================================================================================
"""

from __future__ import annotations

import functools
import io
import json
import posixpath
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, NumericType, StringType, StructType

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.columns import find
from sparkml_algos.core.columns import parts as parts_of
from sparkml_algos.formats import images, manifest, recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.images.decoding import STRUCT_MAGIC, decode, encode_png
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.lists import BOX_PARTS, Boxes
from sparkml_algos.sources.files import STREAM_BUFFER, list_files, open_file

NUMBER, NUMBERS, BOXES, MASK, TEXT = "number", "numbers", "boxes", "mask", "text"

_BOX = pa.struct([(part, pa.float32()) for part in BOX_PARTS])
_TYPES = {NUMBER: pa.float64(), NUMBERS: pa.list_(pa.float32()), BOXES: pa.list_(_BOX), MASK: pa.binary(), TEXT: pa.string()}
_SPARK_TYPES = {
    NUMBER: "double",
    NUMBERS: "array<float>",
    BOXES: f"array<struct<{', '.join(f'{part}: float' for part in BOX_PARTS)}>>",
    MASK: "binary",
    TEXT: "string",
}
# Of a record batch at most: rows, and about so many bytes.
_BATCH_ROWS, _BATCH_BYTES = 512, 32 << 20
# How files begin that images are written to as they are, and how their names end.
_ENDINGS = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tif", b"MM\0*": "tif", b"RIFF": "webp"}


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
    schema = f"index long, label {_SPARK_TYPES[labels]}, image binary"
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
            "label": pa.array([_label_of(one.labels, labels, f"{path}, index {one.index}", None) for one in entries], _TYPES[labels]),
            "path": pa.array([entry.path for entry in entries], pa.string()),
        }
    )
    schema = f"index long, label {_SPARK_TYPES[labels]}, path string"
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
    _check_form(labels, tuple(_TYPES))
    for name in [image, *([label] if labels == MASK else [])]:
        if not name.endswith(manifest.REFERENCE):
            raise ValueError(f"the attribute {name!r} must end in {manifest.REFERENCE!r} to name a file")
    ensure_importable(spark, ALWAYS)
    read = functools.partial(_read_manifest, [image, label], labels, root)
    return spark.read.text(path).mapInArrow(read, f"image binary, label {_SPARK_TYPES[labels]}")


def write_image_recordio(
    dataset: DataFrame, folder: str, *, imageCol: str = "image", labelCol: str = "label", indexCol: str | None = None
) -> None:
    """Write images and labels as files of RecordIO, one a partition, each with an ``.idx`` file beside it.

    Parameters
    ----------
    dataset : DataFrame
    folder : str
        On storage that driver and executors reach; there must be no ``.rec`` file in it.
    imageCol : str
        Files as bytes, which are written as they are, or Spark's ``image`` struct, which becomes PNG.
    labelCol : str
        A number, an array of numbers, or boxes in fractions of the image.
    indexCol : str, optional
        Whole numbers that differ; by default they are made.

    Raises
    ------
    ValueError
        If a column is missing or of another type, or the folder holds such files.
    """
    rows = _written(dataset, imageCol, labelCol, indexCol)
    filesystem, place = resolve(folder)
    filesystem.create_dir(place, recursive=True)
    if any(file.endswith(".rec") for file in list_files([folder])):
        raise ValueError(f"{folder} holds files of RecordIO already; give another folder")
    temporary = f"_temporary-{uuid.uuid4().hex}"
    filesystem.create_dir(f"{place}/{temporary}")
    try:
        write = functools.partial(_write_recordio, f"{folder.rstrip('/')}/{temporary}")
        for row in rows.mapInArrow(write, "file string").collect():
            for ending in (".rec", ".idx"):
                filesystem.move(f"{place}/{temporary}/{row.file}{ending}", f"{place}/{row.file}{ending}")
    finally:
        filesystem.delete_dir(f"{place}/{temporary}")


def write_image_list(
    dataset: DataFrame,
    folder: str,
    *,
    name: str = "images.lst",
    imageCol: str = "image",
    labelCol: str = "label",
    indexCol: str | None = None,
    pathCol: str | None = None,
) -> None:
    """Write images as files, and a ``.lst`` file that names them.

    Parameters
    ----------
    dataset : DataFrame
    folder : str
        On storage that driver and executors reach; files of the same names in it are overwritten.
    name : str
        Of the ``.lst`` file in it.
    imageCol, labelCol, indexCol : str
        See `write_image_recordio`.
    pathCol : str, optional
        Of each image from the folder, with ``/``; by default its index.

    Raises
    ------
    ValueError
        If a column is missing or of another type.
    """
    rows = _written(dataset, imageCol, labelCol, indexCol, pathCol)
    filesystem, place = resolve(folder)
    filesystem.create_dir(place, recursive=True)
    found = rows.mapInArrow(functools.partial(_write_files, folder), "index long, label array<float>, path string").collect()
    # Not as attributes: `index` is a method of rows.
    lines = sorted((row["index"], row["label"], row["path"]) for row in found)
    entries = [images.ListEntry(index, np.array(label, np.float32), path) for index, label, path in lines]
    with filesystem.open_output_stream(f"{place}/{name}") as stream:
        stream.write(images.write_list(entries))


def write_manifest(
    dataset: DataFrame,
    folder: str,
    *,
    name: str = "train.manifest",
    image: str = "source-ref",
    label: str = "class",
    imageCol: str = "image",
    labelCol: str = "label",
) -> None:
    """Write an augmented manifest, and images and masks as files beside it.

    Parameters
    ----------
    dataset : DataFrame
    folder : str
        On storage that driver and executors reach.
    name : str
        Of the manifest in it.
    image, label : str
        Names of the attributes.
    imageCol : str
        Files as bytes or ``image`` structs, which are written into the folder ``images``; or a string, the URI of each image.
    labelCol : str
        A number, an array of numbers or boxes in pixels; of an attribute whose name ends in ``-ref``, masks, or their URI.

    Raises
    ------
    ValueError
        If a column is missing or of another type.
    """
    if not image.endswith(manifest.REFERENCE):
        raise ValueError(f"the attribute {image!r} must end in {manifest.REFERENCE!r} to name a file")
    is_reference = label.endswith(manifest.REFERENCE)
    rows = dataset.select(
        F.monotonically_increasing_id().alias("index"),
        _file_or_uri(dataset, imageCol, "imageCol").alias("image"),
        (_file_or_uri(dataset, labelCol, "labelCol") if is_reference else _json_label(dataset, labelCol)).alias("label"),
    )
    ensure_importable(dataset.sparkSession, ALWAYS)
    filesystem, place = resolve(folder)
    filesystem.create_dir(place, recursive=True)
    write = functools.partial(_write_samples, folder.rstrip("/"), image, label, is_reference)
    lines = [row.line for row in rows.mapInArrow(write, "index long, line string").sort("index").collect()]
    with filesystem.open_output_stream(f"{place}/{name}") as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())


# ------------------------------------------------------------------------------------------------------------- reading, in tasks


def _parts_of_file(file: str, spark: SparkSession) -> list[tuple[str, int, int]]:
    """Ranges of the bytes of a file that begin with a record; the whole file, to -1, where no index tells."""
    index = f"{file.removesuffix('.rec')}.idx"
    filesystem, path = resolve(index)
    if not file.endswith(".rec") or not filesystem.get_file_info(path).is_file:
        return [(file, 0, -1)]
    with open_file(index) as stream:
        offsets = sorted(images.read_index(stream, file=index).values())
    tasks = max(1, min(len(offsets), int(spark.conf.get("spark.sql.shuffle.partitions", "1")), -(-len(offsets) // _BATCH_ROWS)))
    # From the first byte on, whether the index has the record there or not.
    starts = [0, *(offsets[place] for place in np.linspace(0, len(offsets), tasks, endpoint=False).astype(int)[1:])]
    return list(zip([file] * len(starts), starts, [*starts[1:], -1], strict=True))


def _read_recordio(labels: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for file, start, end in (part.values() for batch in batches for part in batch.to_pylist()):
        yield from _in_batches(_records(file, start, end, labels), ("index", "label", "image"), (pa.int64(), _TYPES[labels], pa.binary()))


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
        yield from _in_batches(rows, (*names, "image"), (*batch.schema.types, pa.binary()))


def _read_manifest(attributes: list[str], labels: str, root: str | None, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def fetch(uri: str) -> bytes:
        return _bytes_of(uri if root is None else _joined(root, uri))

    def rows() -> Iterator[tuple[bytes, Any]]:
        for batch in batches:
            for line in batch.column(0).to_pylist():
                file = f"<manifest line {line[:60]!r}>"
                for found in manifest.read(line.encode(), attributes, fetch, file=file):
                    yield found[0], _label_of_text(found[1], labels, file)

    yield from _in_batches(rows(), ("image", "label"), (pa.binary(), _TYPES[labels]))


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


def _in_batches(rows: Iterable[tuple[Any, ...]], names: Sequence[str], types: Sequence[pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Rows, the last or first of whose columns are images, as record batches that are not too large."""
    held: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(held) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield _batch(held, names, types)
            held, size = [], 0
    if held:
        yield _batch(held, names, types)


def _batch(rows: Sequence[tuple[Any, ...]], names: Sequence[str], types: Sequence[pa.DataType]) -> pa.RecordBatch:
    arrays = [pa.array(values, type_) for values, type_ in zip(zip(*rows, strict=True), types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _joined(folder: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") or not folder else f"{folder.rstrip('/')}/{path}"


def _bytes_of(file: str) -> bytes:
    try:
        with open_file(file) as stream:
            return stream.read()
    except OSError as error:
        raise FormatError(f"it cannot be read: {error}", file) from error


# ------------------------------------------------------------------------------------------------------------- writing


def _check_form(labels: str, forms: Sequence[str]) -> None:
    if labels not in forms:
        raise ValueError(f"labels must be one of {', '.join(map(repr, forms))}, got {labels!r}")


def _found(dataset: DataFrame, name: str, param: str) -> Any:
    found = find(dataset, name)
    if found is None:
        raise ValueError(f"{param}={name!r} is not a column of the dataset; it has {', '.join(dataset.columns)}")
    return found


def _refused(found: Any, param: str, expected: str) -> ValueError:
    return ValueError(f"{param}: column {'.'.join(found.path)!r} is {found.type.simpleString()}; it must be {expected}")


def _written(dataset: DataFrame, image: str, label: str, index: str | None, path: str | None = None) -> DataFrame:
    """Index, image, numbers of the label and path of what is to be written."""
    ensure_importable(dataset.sparkSession, ALWAYS)
    number = F.monotonically_increasing_id() if index is None else _found(dataset, index, "indexCol").column.cast("long")
    place = F.lit(None).cast("string") if path is None else _found(dataset, path, "pathCol").column
    return dataset.select(
        number.alias("index"),
        _file(dataset, image, "imageCol").alias("image"),
        _numbers(dataset, label).alias("label"),
        place.alias("path"),
    )


def _file(dataset: DataFrame, name: str, param: str) -> Column:
    found = _found(dataset, name, param)
    if not isinstance(found.type, BinaryType | StructType):
        raise _refused(found, param, "binary, or the struct of the source image")
    return parts_of(Image(), "image", [found])[0]


def _file_or_uri(dataset: DataFrame, name: str, param: str) -> Column:
    found = _found(dataset, name, param)
    return found.column if isinstance(found.type, StringType) else _file(dataset, name, param)


def _boxes(found: Any) -> Column | None:
    """Boxes of a column, or None if it has none."""
    is_boxes = isinstance(found.type, ArrayType) and isinstance(found.type.elementType, StructType | ArrayType)
    return parts_of(Boxes(), "boxes", [found])[0] if is_boxes else None


def _numbers(dataset: DataFrame, name: str) -> Column:
    """A label as numbers: boxes with the two numbers of their header before them; null where one of them is."""
    numbers = _with_nulls(dataset, name)
    return F.when(~F.exists(numbers, lambda number: number.isNull()), numbers)


def _with_nulls(dataset: DataFrame, name: str) -> Column:
    found = _found(dataset, name, "labelCol")
    boxes = _boxes(found)
    if boxes is not None:
        edges = F.transform(
            boxes, lambda box: F.array(box["class_id"], box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"])
        )
        header = F.array(F.lit(float(images.DETECTION_HEADER)), F.lit(float(images.OBJECT_WIDTH)))
        return F.concat(header, F.flatten(edges)).cast("array<float>")
    if isinstance(found.type, NumericType):
        return F.array(found.column.cast("float"))
    if not isinstance(found.type, ArrayType) or not isinstance(found.type.elementType, NumericType):
        raise _refused(found, "labelCol", "a number, an array of numbers, or boxes")
    return found.column.cast("array<float>")


def _json_label(dataset: DataFrame, name: str) -> Column:
    """A label as the text that a manifest has."""
    found = _found(dataset, name, "labelCol")
    boxes = _boxes(found)
    if boxes is not None:
        return F.when(_numbers(dataset, name).isNotNull(), F.to_json(F.struct(boxes.alias("annotations"))))
    if isinstance(found.type, NumericType):
        whole = found.column == F.floor(found.column)
        return F.when(whole, found.column.cast("long").cast("string")).otherwise(found.column.cast("string"))
    return F.to_json(_numbers(dataset, name))


def _as_file(data: bytes) -> bytes:
    return encode_png(decode(data)) if data.startswith(STRUCT_MAGIC) else data


def _ending(data: bytes) -> str:
    return next((ending for start, ending in _ENDINGS.items() if data.startswith(start)), "bin")


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
        missing = [name for name, value in row.items() if value is None and name != "path"]
        if missing:
            raise ValueError(f"row {number} of its task: the {missing[0]} is null")
        yield row


def _write_recordio(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = _rows(batches)
    first = next(rows, None)
    if first is None:
        return
    name = f"part-{uuid.uuid4().hex}"

    filesystem, place = resolve(f"{folder}/{name}")
    with (
        filesystem.open_output_stream(f"{place}.rec", buffer_size=STREAM_BUFFER) as file,
        filesystem.open_output_stream(f"{place}.idx") as index,
    ):
        images.write(file, map(_record, chain([first], rows)), index)
    yield pa.RecordBatch.from_pydict({"file": pa.array([name])})


def _record(row: Mapping[str, Any]) -> images.ImageRecord:
    labels = np.array(row["label"], np.float32)
    return images.ImageRecord(row["index"], labels, _as_file(row["image"]), len(labels) == 1)


def _write_files(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    types = pa.int64(), pa.list_(pa.float32()), pa.string()

    def rows() -> Iterator[tuple[int, list[float], str]]:
        for row in _rows(batches):
            data = _as_file(row["image"])
            path = row["path"] or f"{row['index']}.{_ending(data)}"
            _put(f"{folder.rstrip('/')}/{path}", data)
            yield row["index"], row["label"], path

    yield from _in_batches(rows(), ("index", "label", "path"), types)


def _write_samples(folder: str, image: str, label: str, is_reference: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def rows() -> Iterator[tuple[int, str]]:
        for row in _rows(batches):
            place: Callable[[Any, str], str] = functools.partial(_placed, folder, row["index"])
            value = place(row["label"], "masks") if is_reference else row["label"]
            if not is_reference and value.startswith("{"):
                value = json.loads(value)
            yield row["index"], json.dumps({image: place(row["image"], "images"), label: value})

    yield from _in_batches(rows(), ("index", "line"), (pa.int64(), pa.string()))


def _placed(folder: str, index: int, value: str | bytes, kind: str) -> str:
    """The URI of a file, which is written unless it is a URI itself."""
    if isinstance(value, str):
        return value
    data = _as_file(value)
    file = f"{folder}/{kind}/{index}.{_ending(data)}"
    _put(file, data)
    return file


def _put(file: str, data: bytes) -> None:
    filesystem, path = resolve(file)
    filesystem.create_dir(posixpath.dirname(path), recursive=True)
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)
