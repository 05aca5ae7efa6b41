"""From labelled images to files; see the package."""

from __future__ import annotations

import functools
import json
import posixpath
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, NumericType, StringType, StructType

from sparkml_algos.arrays.storage import resolve
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.columns import find
from sparkml_algos.core.columns import parts as parts_of
from sparkml_algos.formats import images, manifest
from sparkml_algos.images.decoding import STRUCT_MAGIC, decode, encode_png
from sparkml_algos.rows.boxes import Boxes
from sparkml_algos.rows.images import Image
from sparkml_algos.sources.files import STREAM_BUFFER, list_files
from sparkml_algos.sources.images.batches import in_batches

# How files begin that images are written to as they are, and how their names end.
_ENDINGS = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tif", b"MM\0*": "tif", b"RIFF": "webp"}


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

    yield from in_batches(rows(), ("index", "label", "path"), types)


def _write_samples(folder: str, image: str, label: str, is_reference: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def rows() -> Iterator[tuple[int, str]]:
        for row in _rows(batches):
            place: Callable[[Any, str], str] = functools.partial(_placed, folder, row["index"])
            value = place(row["label"], "masks") if is_reference else row["label"]
            if not is_reference and value.startswith("{"):
                value = json.loads(value)
            yield row["index"], json.dumps({image: place(row["image"], "images"), label: value})

    yield from in_batches(rows(), ("index", "line"), (pa.int64(), pa.string()))


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
