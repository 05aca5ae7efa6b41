"""Labelled images of RecordIO, of folders with a list and of manifests come back as they were written, whichever form their labels have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

pytest.importorskip("PIL", reason="Pillow is not installed")

from sparkml_algos.formats import images
from sparkml_algos.images.decoding import decode, encode_jpeg, encode_png
from sparkml_algos.sources.images import (
    read_image_list,
    read_image_recordio,
    read_manifest,
    write_image_list,
    write_image_recordio,
    write_manifest,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), np.uint8)
# A magic word of RecordIO within an image splits its frame.
FILES = [encode_png(image) if number % 2 else encode_jpeg(image) for number, image in enumerate(PIXELS)]
BOX = "array(named_struct('class_id', id % 3, 'left', 0.125, 'top', 0.25, 'width', 0.5, 'height', 0.25))"
LABELS = {
    "number": "CAST(id % 3 AS int)",
    "numbers": "array(id % 2, 1 - id % 2, 1)",
    "boxes": f"IF(id % 4 = 0, slice({BOX}, 1, 0), {BOX})",
}


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    rows = spark.createDataFrame([(number, bytearray(data)) for number, data in enumerate(FILES)], "id long, image binary")
    return rows.select("*", *(F.expr(label).alias(name) for name, label in LABELS.items())).repartition(3).cache()


def contents(frame: DataFrame, index: str = "index", label: str = "label") -> list[tuple]:
    return sorted((row[index], plain(row[label]), bytes(row["image"])) for row in frame.collect())


def plain(label: object) -> object:
    if isinstance(label, list):
        return [plain(item) for item in label]
    return [float(value) for value in label] if isinstance(label, Row) else float(label)


@pytest.mark.parametrize("labels", LABELS)
class TestRoundTrips:
    def test_of_recordio(self, spark: SparkSession, frame: DataFrame, tmp_path: Path, labels: str) -> None:
        write_image_recordio(frame, str(tmp_path / "rec"), labelCol=labels, indexCol="id")
        found = read_image_recordio(spark, str(tmp_path / "rec"), labels=labels)
        assert contents(found) == contents(frame, "id", labels)
        assert not list((tmp_path / "rec").glob("_temporary*"))
        with pytest.raises(ValueError, match="holds files of RecordIO already"):
            write_image_recordio(frame, str(tmp_path / "rec"), labelCol=labels)

    def test_of_a_list(self, spark: SparkSession, frame: DataFrame, tmp_path: Path, labels: str) -> None:
        write_image_list(frame, str(tmp_path), labelCol=labels, indexCol="id")
        found = read_image_list(spark, str(tmp_path / "images.lst"), labels=labels)
        assert contents(found) == contents(frame, "id", labels)
        assert {Path(row.path).suffix for row in found.select("path").collect()} == {".jpg", ".png"}

    def test_of_a_manifest(self, spark: SparkSession, frame: DataFrame, tmp_path: Path, labels: str) -> None:
        write_manifest(frame, str(tmp_path), labelCol=labels)
        found = read_manifest(spark, str(tmp_path / "train.manifest"), labels=labels)
        expected = sorted((data, label) for _, label, data in contents(frame, "id", labels))
        assert sorted((bytes(row.image), plain(row.label)) for row in found.collect()) == expected


def test_a_file_of_the_library_is_read_in_parts_where_an_index_lies_beside_it(spark: SparkSession, tmp_path: Path) -> None:
    records = [images.ImageRecord(number, np.array([number % 5], np.float32), FILES[number % 12]) for number in range(1200)]
    with open(tmp_path / "a.rec", "wb") as file, open(tmp_path / "a.idx", "wb") as index:
        images.write(file, records, index)
    found = read_image_recordio(spark, str(tmp_path / "a.rec"))
    assert contents(found) == [(record.index, float(record.labels[0]), record.image) for record in records]
    lines = (tmp_path / "a.idx").read_text().splitlines(keepends=True)
    (tmp_path / "a.idx").write_text("".join(lines[3:]))
    assert read_image_recordio(spark, str(tmp_path / "a.rec")).count() == 1200
    (tmp_path / "a.idx").unlink()
    assert read_image_recordio(spark, str(tmp_path)).count() == 1200


def test_what_is_wrong_within_a_part_is_told_by_its_place_in_the_file(spark: SparkSession, tmp_path: Path) -> None:
    with open(tmp_path / "a.rec", "wb") as file, open(tmp_path / "a.idx", "wb") as index:
        images.write(file, (images.ImageRecord(number, np.zeros(1, np.float32), FILES[0]) for number in range(1200)), index)
    place, data = images.read_index((tmp_path / "a.idx").read_bytes())[1100], bytearray((tmp_path / "a.rec").read_bytes())
    data[place : place + 4] = b"none"
    (tmp_path / "a.rec").write_bytes(data)
    with pytest.raises(Exception, match=rf"a\.rec, byte {place}: expected the magic word"):
        read_image_recordio(spark, str(tmp_path / "a.rec")).count()


def test_paths_of_a_list_may_be_given_and_start_from_a_root(spark: SparkSession, frame: DataFrame, tmp_path: Path) -> None:
    named = frame.withColumn("place", F.concat(F.lit("some/"), F.col("id"), F.lit(".img")))
    write_image_list(named, str(tmp_path / "root"), labelCol="number", pathCol="place")
    (tmp_path / "root" / "images.lst").rename(tmp_path / "train.lst")
    found = read_image_list(spark, str(tmp_path / "train.lst"), str(tmp_path / "root"))
    assert sorted(row.path for row in found.collect()) == sorted(f"some/{number}.img" for number in range(12))


def test_masks_and_uris_of_a_manifest(spark: SparkSession, frame: DataFrame, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number, data in enumerate(FILES):
        (tmp_path / "files" / f"{number}.img").write_bytes(data)
    mask = encode_png(PIXELS[0, :, :, 0] % 5)
    rows = frame.select("id", F.concat(F.lit("files/"), "id", F.lit(".img")).alias("uri"), F.lit(bytearray(mask)).alias("mask"))
    write_manifest(rows, str(tmp_path), imageCol="uri", labelCol="mask", label="mask-ref")
    lines = [json.loads(line) for line in (tmp_path / "train.manifest").read_text().splitlines()]
    assert {line["source-ref"] for line in lines} == {f"files/{number}.img" for number in range(12)}
    found = read_manifest(spark, str(tmp_path / "train.manifest"), label="mask-ref", labels="mask", root=str(tmp_path)).collect()
    assert {bytes(row.image) for row in found} == set(FILES) and {bytes(row.label) for row in found} == {mask}


def test_the_services_own_manifests_are_read(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "d1.jpg").write_bytes(FILES[0])
    box = '{"image_size":[{"width":10,"height":8,"depth":3}],"annotations":[{"class_id":1,"left":2,"top":1,"width":4,"height":3}]}'
    lines = [f'{{"source-ref":"d1.jpg","class":"1","several":"[1, 0, 1]","bounding-box":{box},"class-metadata":{{"class-name":"dog"}}}}']
    (tmp_path / "m.manifest").write_text("\n".join(lines) + "\n")

    def label(name: str, form: str) -> object:
        (row,) = read_manifest(spark, str(tmp_path / "m.manifest"), label=name, labels=form, root=str(tmp_path)).collect()
        return row.label

    assert label("class", "number") == 1.0 and label("class", "text") == "1"
    assert label("several", "numbers") == [1, 0, 1]
    assert [tuple(one) for one in label("bounding-box", "boxes")] == [(1, 2, 1, 4, 3)]


def test_structs_of_the_source_image_are_written_as_files(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(encode_png(PIXELS[0]))
    structs = spark.read.format("image").load(str(tmp_path / "in")).withColumn("label", F.lit(4))
    write_image_recordio(structs, str(tmp_path / "out"))
    (row,) = read_image_recordio(spark, str(tmp_path / "out")).collect()
    assert row.label == 4
    np.testing.assert_array_equal(decode(bytes(row.image)), PIXELS[0])


def test_what_cannot_be_is_refused(spark: SparkSession, frame: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels must be one of 'number', 'numbers', 'boxes', got 'text'"):
        read_image_recordio(spark, str(tmp_path), labels="text")
    with pytest.raises(ValueError, match="there are no files of RecordIO"):
        read_image_recordio(spark, str(tmp_path))
    with pytest.raises(ValueError, match="the attribute 'source' must end in '-ref'"):
        read_manifest(spark, str(tmp_path), image="source")
    with pytest.raises(ValueError, match="labelCol='nothing' is not a column"):
        write_image_list(frame, str(tmp_path), labelCol="nothing")
    with pytest.raises(ValueError, match="imageCol: column 'number' is int; it must be binary"):
        write_image_list(frame, str(tmp_path), imageCol="number", labelCol="number")
    write_image_list(frame, str(tmp_path / "several"), labelCol="numbers")
    with pytest.raises(ValueError, match=r"images\.lst, index 0: it has 3 labels; read them with labels='numbers'"):
        read_image_list(spark, str(tmp_path / "several" / "images.lst"))
    nulls = frame.withColumn("image", F.when(F.col("id") != 5, F.col("image")))
    with pytest.raises(Exception, match="the image is null"):
        write_image_recordio(nulls, str(tmp_path / "nulls"), labelCol="number")
    assert not list((tmp_path / "nulls").glob("*.rec"))


@pytest.mark.parametrize("write", [write_image_recordio, write_image_list, write_manifest])
@pytest.mark.parametrize(
    "label", ["IF(id = 5, NULL, 1)", "array(1, IF(id = 5, NULL, 0))", BOX.replace("0.125", "IF(id = 5, NULL, 0.125)")], ids=LABELS
)
def test_a_label_that_is_not_whole_is_not_written(frame: DataFrame, tmp_path: Path, label: str, write: Callable[..., None]) -> None:
    with pytest.raises(Exception, match=r"row \d of its task: the label is null"):
        write(frame.withColumn("broken", F.expr(label)), str(tmp_path / "out"), labelCol="broken")
