"""The data source on the JVM: files against those of Google's protobuf library, and Spark's ways to read and write."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import DenseMatrix, DenseVector, Matrices, MatrixUDT, SparseMatrix, SparseVector, Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from sparkml_algos.jvm.jars import _java, classpath_jars, find_spark
from tests.recordio import MAGIC, frame, in_parts, parse, payloads, record

FORMAT = "recordio-protobuf"
VECTORS = StructType([StructField("label", DoubleType()), StructField("features", VectorUDT())])
MATRICES = StructType([StructField("features", MatrixUDT())])

# Whole files, from the description of the format.
DENSE = "0a23d7ce 2c000000 0a16 0a06 76616c756573 120c 120a 0a08 0000803f 000000401212 0a06 76616c756573 1208 1206 0a04 0000803f"
SPARSE = "0a23d7ce 1f000000 0a1d 0a06 76616c756573 1213 1211 0a08 0000803f 00000040 1202 0103 1a01 04 00"
INTEGERS = "0a23d7ce 13000000 0a11 0a06 736f75726365 1207 3a05 0a03 04ac02 00"

ROWS = [
    (1.0, Vectors.dense([1.5, -2.0, 0.0])),
    (None, Vectors.sparse(3, [0, 2], [4.0, 0.25])),
    (0.0, Vectors.sparse(3, [], [])),
    (-3.0, Vectors.dense([0.0, 0.0, 0.0])),
]


def write(frame: DataFrame, path: Path, **options: Any) -> list[bytes]:
    """Write to one file, and return the records in it."""
    frame.coalesce(1).write.format(FORMAT).options(**options).save(str(path))
    (file,) = path.glob("part-*")
    return payloads(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())


def read(spark: SparkSession, path: Path, content: bytes | None = None, schema: Any = None, **options: Any) -> DataFrame:
    """What the data source makes of a file."""
    if content is not None:
        path.write_bytes(content)
    reader = spark.read.format(FORMAT).options(**options)
    return (reader.schema(schema) if schema else reader).load(str(path))


def dense(*values: float) -> dict[str, Any]:
    return {"values": {"values": values}}


def messages(error: BaseException) -> str:
    """All that is said about an error; Spark 4 keeps the cause apart."""
    return f"{error} {getattr(error, '_cause', '')} {getattr(error, 'java_exception', '')}"


published = pytest.mark.parametrize(
    ("hex_", "schema", "row", "options"),
    [
        (DENSE, "label double, features array<float>", (1.0, [1.0, 2.0]), {}),
        (SPARSE, StructType([StructField("features", VectorUDT())]), (Vectors.sparse(4, [1, 3], [1.0, 2.0]),), {}),
        (INTEGERS, "source array<int>", ([4, 300],), {"featureEntries": "source"}),
    ],
    ids=["dense", "sparse", "Int32"],
)


# ------------------------------------------------------------------------------------------------------------ the bytes


@pytest.mark.generic
@published
def test_published_examples_are_read_and_written_to_the_byte(
    bridge: SparkSession, tmp_path: Path, hex_: str, schema: Any, row: tuple, options: dict[str, str]
) -> None:
    content = bytes.fromhex(hex_)
    assert [tuple(found) for found in read(bridge, tmp_path / "given", content, schema, **options).collect()] == [row]
    write(bridge.createDataFrame([row], schema), tmp_path / "own", **options)
    assert next((tmp_path / "own").glob("part-*.pbr")).read_bytes() == content


@pytest.mark.generic
def test_vectors_and_labels_come_back_as_they_were(bridge: SparkSession, tmp_path: Path) -> None:
    write(bridge.createDataFrame(ROWS, VECTORS), tmp_path / "own")
    found = read(bridge, tmp_path / "own")
    assert [(field.name, field.dataType) for field in found.schema] == [("label", DoubleType()), ("features", VectorUDT())]
    rows = [tuple(row) for row in found.collect()]
    assert rows == ROWS
    assert [type(features) for _, features in rows] == [DenseVector, SparseVector, SparseVector, DenseVector]


def test_protobuf_reads_what_is_written(bridge: SparkSession, tmp_path: Path) -> None:
    found = [parse(payload) for payload in write(bridge.createDataFrame(ROWS, VECTORS), tmp_path / "own")]
    assert [features["values"] for features, _ in found] == [
        ("float32_tensor", [1.5, -2.0, 0.0], [], []),
        ("float32_tensor", [4.0, 0.25], [0, 2], [3]),
        ("float32_tensor", [], [], [3]),
        ("float32_tensor", [0.0, 0.0, 0.0], [], []),
    ]
    assert [label.get("values") for _, label in found] == [
        label if label is None else ("float32_tensor", [label], [], []) for label, _ in ROWS
    ]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
def test_whatever_protobuf_writes_is_read(bridge: SparkSession, tmp_path: Path, kind: str, packed: bool) -> None:
    tensors = [
        {"values": [1, -2, 300]},
        {"values": [7, 8], "keys": [4, 1], "shape": [5]},
        {"shape": [6]},
        {},
        {"values": [1, 2, 3], "shape": [3]},
        {"values": [5], "keys": [200_000], "shape": [1 << 30]},
    ]
    content = b"".join(
        frame(record({"values": tensor, "other": {"values": [1]}}, dense(2), packed=packed, kind=kind)) for tensor in tensors
    )
    rows = read(bridge, tmp_path / "given", content).collect()
    assert [row.features for row in rows] == [
        Vectors.dense([1, -2, 300]),
        Vectors.sparse(5, [1, 4], [8, 7]),
        Vectors.sparse(6, [], []),
        Vectors.dense([]),
        Vectors.dense([1, 2, 3]),
        Vectors.sparse(1 << 30, [200_000], [5]),
    ]
    assert [row.label for row in rows] == [2.0] * len(tensors)


def test_random_vectors_agree_with_protobuf_both_ways(bridge: SparkSession, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows, content = [], b""
    for size in random.integers(1, 700, 60):
        values = random.normal(size=size).astype(np.float32).astype(float)
        keys = np.sort(random.choice(100_000, size, replace=False))
        vector = Vectors.dense(values) if size % 2 else Vectors.sparse(100_000, keys, values)
        order = random.permutation(size)
        tensor = {"values": values} if size % 2 else {"values": values[order], "keys": keys[order], "shape": [100_000]}
        rows.append((float(size), vector))
        content += frame(record({"values": tensor}, dense(size)))
    assert [tuple(row) for row in read(bridge, tmp_path / "given", content).collect()] == rows
    for payload, (label, vector) in zip(write(bridge.createDataFrame(rows, VECTORS), tmp_path / "own"), rows, strict=True):
        sparse = isinstance(vector, SparseVector)
        expected = list(vector.values), list(vector.indices) if sparse else [], [vector.size] if sparse else []
        assert parse(payload) == ({"values": ("float32_tensor", *expected)}, {"values": ("float32_tensor", [label], [], [])})


def test_matrices_stand_row_by_row_and_come_back(bridge: SparkSession, tmp_path: Path) -> None:
    rows = [
        Matrices.dense(2, 3, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        DenseMatrix(2, 2, [1.0, 2.0, 3.0, 4.0], isTransposed=True),
        Matrices.sparse(3, 4, [0, 0, 2, 5, 6], [0, 2, 0, 1, 2, 1], [1.0, 3.0, 4.0, 2.0, 0.5, 6.0]),
        SparseMatrix(2, 3, [0, 1, 2], [2, 0], [7.0, 8.0], isTransposed=True),
    ]
    written = write(bridge.createDataFrame([(matrix,) for matrix in rows], MATRICES), tmp_path / "own")
    assert [parse(payload)[0]["values"][1:] for payload in written] == [
        ([1, 3, 5, 2, 4, 6], [], [2, 3]),
        ([1, 2, 3, 4], [], [2, 2]),
        ([1, 4, 2, 6, 3, 0.5], [1, 2, 6, 7, 9, 10], [3, 4]),
        ([7, 8], [2, 3], [2, 3]),
    ]
    found = [row.features for row in read(bridge, tmp_path / "own").collect()]
    assert [matrix.toArray().tolist() for matrix in found] == [matrix.toArray().tolist() for matrix in rows]
    assert [type(matrix) for matrix in found] == [DenseMatrix, DenseMatrix, SparseMatrix, SparseMatrix]


@pytest.mark.parametrize(
    ("type_", "kind", "values"),
    [("array<float>", "float32", [0.1, 2.0]), ("array<double>", "float32", [0.5, 2.0]), ("array<int>", "int32", [-1, 1 << 30])],
)
def test_arrays_are_written_and_read(bridge: SparkSession, tmp_path: Path, type_: str, kind: str, values: list[float]) -> None:
    frame_ = bridge.createDataFrame([(values, 1)], f"features {type_}, label int")
    (payload,) = write(frame_, tmp_path / "own")
    assert parse(payload)[0]["values"][:2] == (f"{kind}_tensor", np.array(values, kind).tolist())
    assert parse(payload)[1]["values"][:2] == ("float32_tensor", [1.0])
    (row,) = read(bridge, tmp_path / "own", schema=f"features {type_}, label double").collect()
    assert (row.features, row.label) == (np.array(values, kind).tolist(), 1.0)
    (row,) = read(bridge, tmp_path / "own").collect()
    assert row.features == Vectors.dense(np.array(values, kind))


@pytest.mark.generic
def test_doubles_are_rounded_to_float32_or_kept_on_request(bridge: SparkSession, tmp_path: Path) -> None:
    rows = bridge.createDataFrame([(0.1, Vectors.dense([1 / 3, 1e300]))], VECTORS)
    (payload,) = write(rows, tmp_path / "float64", valueType="float64")
    assert parse(payload)[0]["values"][:2] == ("float64_tensor", [1 / 3, 1e300])
    assert read(bridge, tmp_path / "float64").first() == rows.first()
    with pytest.raises(Exception) as raised:
        write(rows, tmp_path / "float32")
    advice = "its value 1.0E300 is too large for float32; write it with the option valueType=float64"
    assert f"column 'features': {advice}" in messages(raised.value)
    small = bridge.createDataFrame([(0.1, Vectors.dense([1 / 3, np.inf, 1e-60]))], VECTORS)
    write(small, tmp_path / "narrow")
    assert read(bridge, tmp_path / "narrow").first() == (float(np.float32(0.1)), Vectors.dense([np.float32(1 / 3), np.inf, 0]))


def test_a_record_in_several_frames_is_put_together_with_the_magic_number(bridge: SparkSession, tmp_path: Path) -> None:
    whole = frame(record(dense(1, 2, 3), dense(4)))
    value = float(np.frombuffer(MAGIC, np.float32)[0])
    payload = record(dense(1, value, 3), dense(4))
    head, _, tail = payload.partition(MAGIC)
    rows = read(bridge, tmp_path / "given", whole + in_parts([head, tail]) + whole)
    assert [list(row.features.values) for row in rows.collect()] == [[1, 2, 3], [1, value, 3], [1, 2, 3]]
    assert rows.count() == 3


# ---------------------------------------------------------------------------------------------------------- Spark's ways


@pytest.mark.generic
def test_partitions_are_written_and_found(bridge: SparkSession, tmp_path: Path) -> None:
    schema = StructType([*VECTORS, StructField("day", StringType())])
    rows = [(*row, "monday" if index % 2 else "sunday") for index, row in enumerate(ROWS)]
    bridge.createDataFrame(rows, schema).write.format(FORMAT).partitionBy("day").save(str(tmp_path / "own"))
    assert {path.name for path in (tmp_path / "own").glob("day=*")} == {"day=monday", "day=sunday"}
    found = read(bridge, tmp_path / "own")
    assert found.columns == ["label", "features", "day"]
    assert sorted(map(tuple, found.collect()), key=str) == sorted(rows, key=str)
    assert [tuple(row) for row in found.where("day = 'monday'").select("day", "label").orderBy("label").collect()] == [
        ("monday", None),
        ("monday", -3.0),
    ]


@pytest.mark.generic
def test_save_modes_do_what_they_say(bridge: SparkSession, tmp_path: Path) -> None:
    rows = bridge.createDataFrame(ROWS, VECTORS)
    path = str(tmp_path / "own")
    counts = []
    for mode in ("error", "append", "ignore", "overwrite"):
        rows.write.format("sagemaker").mode(mode).save(path)
        counts.append(read(bridge, tmp_path / "own").count())
    assert counts == [4, 8, 8, 4]
    with pytest.raises(Exception, match="PATH_ALREADY_EXISTS"):
        rows.write.format("sagemaker").save(path)


@pytest.mark.generic
def test_sql_creates_fills_and_queries_tables(bridge: SparkSession, tmp_path: Path) -> None:
    bridge.createDataFrame(ROWS, VECTORS).createOrReplaceTempView("recordio_rows")
    try:
        bridge.sql(f"CREATE TABLE recordio_table USING `{FORMAT}` LOCATION '{tmp_path}/table' AS SELECT * FROM recordio_rows")
        bridge.sql("INSERT INTO recordio_table SELECT * FROM recordio_rows WHERE label > 0")
        assert bridge.sql("SELECT count(*), sum(label) FROM recordio_table").first() == (5, -1.0)
        assert bridge.sql(f"SELECT count(*) FROM `sagemaker`.`{tmp_path}/table`").first() == (5,)
        bridge.sql(
            f"CREATE TABLE recordio_arrays (target DOUBLE, x ARRAY<DOUBLE>) USING sagemaker LOCATION '{tmp_path}/arrays' "
            "OPTIONS (labelColumnName 'target', featuresColumnName 'x')"
        )
        bridge.sql("INSERT INTO recordio_arrays VALUES (1.0, array(1.0, 2.0)), (2.0, array(3.0))")
        assert sorted(map(tuple, bridge.table("recordio_arrays").collect())) == [(1.0, [1.0, 2.0]), (2.0, [3.0])]
    finally:
        bridge.sql("DROP TABLE IF EXISTS recordio_table")
        bridge.sql("DROP TABLE IF EXISTS recordio_arrays")


def test_columns_that_nobody_asks_for_are_not_decoded(bridge: SparkSession, tmp_path: Path) -> None:
    # The keys are outside the shape, which only who decodes the features can see.
    broken = frame(record({"values": {"values": [1], "keys": [9], "shape": [3]}}, dense(5)))
    rows = read(bridge, tmp_path / "given", broken * 3, VECTORS)
    assert [row.label for row in rows.select("label").collect()] == [5.0] * 3
    assert rows.count() == 3
    with pytest.raises(Exception, match="outside the shape" if bridge.version < "4" else "FAILED_READ_FILE"):
        rows.select("features").collect()


def test_gzip_is_written_on_request_and_read_by_its_name(bridge: SparkSession, tmp_path: Path) -> None:
    rows = bridge.createDataFrame([(float(number), Vectors.dense([number] * 50)) for number in range(2000)], VECTORS)
    write(rows, tmp_path / "own", compression="gzip")
    (file,) = (tmp_path / "own").glob("part-*")
    assert file.name.endswith(".pbr.gz") and file.read_bytes()[:2] == b"\x1f\x8b"
    bridge.conf.set("spark.sql.files.maxPartitionBytes", "1000")
    try:
        found = read(bridge, tmp_path / "own")
        assert [row.label for row in found.select("label").collect()] == list(range(2000))
        assert found.select(F.spark_partition_id()).distinct().count() == 1
    finally:
        bridge.conf.unset("spark.sql.files.maxPartitionBytes")


def test_entries_of_other_names_are_columns_on_request(bridge: SparkSession, tmp_path: Path) -> None:
    answers = b"".join(
        frame(record(label={"closest_cluster": {"values": [number]}, "distances": {"values": [1, number]}})) for number in range(3)
    )
    rows = read(bridge, tmp_path / "given", answers, labelEntries="closest_cluster, distances")
    assert [tuple(row) for row in rows.collect()] == [(float(number), Vectors.dense([1, number])) for number in range(3)]
    found = "they have nothing in features and 'closest_cluster', 'distances' in label"
    with pytest.raises(Exception, match=f"no entry 'values' in their features; {found}"):
        read(bridge, tmp_path / "given")


NO_FILES = {"nothing": {}, "a marker": {"_SUCCESS": b""}, "what is hidden": {"_SUCCESS": b"", ".part-0.pbr.crc": b"crc"}}
NO_RECORDS = {"nothing": {"part-0.pbr": b""}, "gzip of nothing": {"part-0.pbr.gz": gzip.compress(b"")}, "no gzip": {"part-0.pbr.gz": b""}}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.generic
def test_an_empty_frame_is_written_and_read_back(bridge: SparkSession, tmp_path: Path) -> None:
    bridge.createDataFrame([], VECTORS).write.format(FORMAT).save(str(tmp_path / "own"))
    found = read(bridge, tmp_path / "own")
    assert found.schema == VECTORS and found.count() == 0 and found.collect() == []


@pytest.mark.generic
@pytest.mark.parametrize("what", NO_FILES)
def test_a_folder_without_files_has_no_rows_and_no_schema(bridge: SparkSession, tmp_path: Path, what: str) -> None:
    path = folder(tmp_path / "given", NO_FILES[what])
    assert read(bridge, path, schema=VECTORS).collect() == []
    with pytest.raises(Exception, match="UNABLE_TO_INFER_SCHEMA"):
        read(bridge, path).columns  # noqa: B018 - Spark Connect reads no file before somebody asks


@pytest.mark.generic
@pytest.mark.parametrize("what", NO_RECORDS)
def test_files_without_records_have_no_rows_and_the_columns_of_the_options(bridge: SparkSession, tmp_path: Path, what: str) -> None:
    path = folder(tmp_path / "given", NO_RECORDS[what])
    assert read(bridge, path, schema=VECTORS).count() == 0
    assert read(bridge, path).schema == VECTORS and read(bridge, path).collect() == []
    answers = read(bridge, path, labelEntries="score", featureEntries="source,target")
    assert answers.columns == ["score", "source", "target"]
    assert read(bridge, next(path.iterdir())).collect() == []


@pytest.mark.generic
@pytest.mark.parametrize("files", [*NO_FILES.values(), *NO_RECORDS.values()], ids=[*NO_FILES, *NO_RECORDS])
def test_a_stream_of_nothing_has_no_rows(bridge: SparkSession, tmp_path: Path, files: dict[str, bytes]) -> None:
    stream = bridge.readStream.format(FORMAT).schema(VECTORS).load(str(folder(tmp_path / "given", files)))
    query = stream.writeStream.format("memory").queryName("stream_of_nothing").trigger(availableNow=True).start()
    assert query.awaitTermination(60) and bridge.table("stream_of_nothing").count() == 0


def test_files_without_records_tell_nothing_of_the_schema_of_others(bridge: SparkSession, tmp_path: Path) -> None:
    matrix = frame(record({"values": {"values": [1, 2, 3, 4], "shape": [2, 2]}}))
    files = {**{f"part-{number}.pbr.gz": gzip.compress(b"") for number in range(10)}, "part-a.pbr": matrix}
    rows = read(bridge, folder(tmp_path / "given", files))
    assert rows.schema == MATRICES and rows.count() == 1


def test_num_features_is_checked_and_noted_down(bridge: SparkSession, tmp_path: Path) -> None:
    content = frame(record(dense(1, 2))) + frame(record({"values": {"values": [1], "keys": [0], "shape": [3]}}))
    with pytest.raises(Exception) as raised:
        read(bridge, tmp_path / "given", content, numFeatures=2).collect()
    assert "column 'features' (entry 'values' of features): it has 3 elements; numFeatures is 2" in messages(raised.value)
    rows = read(bridge, tmp_path / "good", frame(record(dense(1, 2))), numFeatures=2)
    assert rows.schema["features"].metadata == {"ml_attr": {"num_attrs": 2}} and rows.columns == ["features"]
    assert rows.first().features == Vectors.dense([1, 2])


# ------------------------------------------------------------------------------------------------------------- splits


def impostors() -> bytes:
    """Records whose payloads hold whole frames where a frame could start, the last of which ends where its record ends."""
    content = b""
    for number in range(40):
        inner = frame(record(dense(*range(number % 5)), dense(-1))) * (number % 3 + 1)
        # An unknown field in front moves the values to a multiple of four.
        for shift in range(4):
            head = bytes([15 << 3 | 2, shift]) + bytes(shift)
            payload = head + record(label=dense(number)) + record({"values": {"values": np.frombuffer(inner, np.float32)}})
            if frame(payload).index(MAGIC, 4) % 4 == 0 and payload.endswith(inner):
                break
        else:
            raise AssertionError("no place for an impostor")
        content += frame(payload)
    return content


@pytest.mark.parametrize("bytes_", [64, 100, 1000])
def test_a_file_is_split_at_its_own_frames_and_not_at_those_inside_of_records(bridge: SparkSession, tmp_path: Path, bytes_: int) -> None:
    content = impostors()
    assert content.count(MAGIC) > 100
    bridge.conf.set("spark.sql.files.maxPartitionBytes", str(bytes_))
    bridge.conf.set("spark.sql.files.openCostInBytes", "0")
    try:
        rows = read(bridge, tmp_path / "given", content)
        labels = [(row.label, row.part) for row in rows.select("label", F.spark_partition_id().alias("part")).collect()]
        assert rows.count() == 40
    finally:
        bridge.conf.unset("spark.sql.files.maxPartitionBytes")
        bridge.conf.unset("spark.sql.files.openCostInBytes")
    assert sorted(label for label, _ in labels) == list(range(40))
    assert len({part for _, part in labels}) > min(20, len(content) // bytes_ // 3)


def test_parts_of_a_record_stay_with_its_first(bridge: SparkSession, tmp_path: Path) -> None:
    payload = record(dense(*range(100)), dense(1))
    value = np.frombuffer(MAGIC, np.float32)[0]
    split = record(dense(*([value] * 100)), dense(2))
    parts = split.split(MAGIC)
    content = (in_parts(parts) + frame(payload)) * 20
    bridge.conf.set("spark.sql.files.maxPartitionBytes", "200")
    bridge.conf.set("spark.sql.files.openCostInBytes", "0")
    try:
        rows = read(bridge, tmp_path / "given", content).collect()
    finally:
        bridge.conf.unset("spark.sql.files.maxPartitionBytes")
        bridge.conf.unset("spark.sql.files.openCostInBytes")
    assert sorted(row.label for row in rows) == [1.0] * 20 + [2.0] * 20
    assert all(set(row.features.values) == {float(value)} for row in rows if row.label == 2)


# -------------------------------------------------------------------------------------------------------------- errors

GOOD = frame(record(dense(1, 2), dense(3)))
BAD_FILES = {
    "cut off in the payload": (GOOD + GOOD[:-4], len(GOOD), "truncated: the frame claims 44 bytes, but only 40 are left in the file"),
    "cut off in the header": (GOOD + GOOD[:6], len(GOOD), "truncated: a frame's header has 8 bytes, but only 6 are left"),
    "wrong magic": (GOOD + b"\0" + GOOD, len(GOOD), "no RecordIO frame: it starts with 0xced7230a, found 0xd7230a00"),
    "gzip without its name": (gzip.compress(GOOD), 0, "these are gzip data, whose file must be named .gz"),
    "claims more than there is": (MAGIC + b"\xff\xff\xff\x1f" + GOOD, 0, "truncated: the frame claims 536870911 bytes and 1 of padding"),
    "middle part first": (frame(GOOD, flag=2), 0, "a record starts with a frame of continuation flag 2"),
    "last part missing": (frame(GOOD, flag=1), 60, "truncated: the last part of the record at byte 0 is missing"),
    "negative length": (
        GOOD + frame(bytes.fromhex("0a ffffffffffffffffff01")),
        len(GOOD) + 19,
        "a field claims 18446744073709551615 bytes",
    ),
    "endless number": (frame(b"\x0a" + b"\xff" * 12), 19, "no Record message: a number of more than ten bytes"),
    "key outside the shape": (
        frame(record({"values": {"values": [1], "keys": [3], "shape": [3]}})),
        0,
        "the key 3 is outside the shape [3]",
    ),
    "key twice": (frame(record({"values": {"values": [1, 2], "keys": [1, 1], "shape": [3]}})), 0, "the key 1 occurs twice"),
    "keys without shape": (frame(record({"values": {"values": [1], "keys": [3]}})), 0, "it has keys but no shape"),
    "fewer keys than values": (
        frame(record({"values": {"values": [1, 2], "keys": [1], "shape": [3]}})),
        0,
        "it has 2 values but 1 keys",
    ),
    "values that do not fit": (
        frame(record({"values": {"values": [1, 2], "shape": [3]}})),
        0,
        "it has 2 values, which do not fit the shape [3]",
    ),
    "shape beyond vectors": (
        frame(record({"values": {"shape": [1 << 31]}})),
        0,
        "its shape [2147483648] has more elements than a vector can have",
    ),
    "shape beyond numbers": (
        frame(record({"values": {"shape": [1 << 40, 1 << 40]}})),
        0,
        "the shape [1099511627776, 1099511627776] is too large",
    ),
    "no features": (frame(record({"other": {"values": [1]}})), 0, "the record has no such entry; in its features it has 'other'"),
    "several labels": (GOOD + frame(record(dense(1), dense(1, 2))), len(GOOD), "it has 2 elements, but the column is a double"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_what_is_wrong_with_a_file_is_told_with_its_name_and_the_offset(bridge: SparkSession, tmp_path: Path, what: str) -> None:
    content, offset, problem = BAD_FILES[what]
    with pytest.raises(Exception) as raised:
        read(bridge, tmp_path / "given", content, VECTORS).collect()
    said = messages(raised.value)
    assert re.search(rf"RecordIOException: file:\S*/given: at byte {offset}: .*{re.escape(problem)}", said), said[:1500]


BAD_WRITES = {
    "no features": (
        "label double",
        [(1.0,)],
        {},
        "there is no features column 'features' (option featuresColumnName); the columns are 'label'",
    ),
    "label named but missing": (
        "features array<float>",
        [([1.0],)],
        {"labelColumnName": "y"},
        "there is no label column 'y' (option labelColumnName)",
    ),
    "too many columns": (
        "features array<float>, id int",
        [([1.0], 1)],
        {},
        "column 'id' has no place in a record; the columns are 'label', 'features'",
    ),
    "wrong type": ("features double", [(1.0,)], {}, "column 'features' of type double cannot be written"),
    "null features": ("features array<float>", [(None,)], {}, "column 'features': it is null"),
    "null in an array": ("features array<float>", [([1.0, None],)], {}, "column 'features': its element 1 is null"),
    "unknown value type": (
        "features array<float>",
        [([1.0],)],
        {"valueType": "float16"},
        "option valueType must be float32 or float64, got 'float16'",
    ),
    "unknown compression": (
        "features array<float>",
        [([1.0],)],
        {"compression": "lzo"},
        "option compression must be none, uncompressed or gzip, got 'lzo'",
    ),
    "one column twice": (
        "features array<float>",
        [([1.0],)],
        {"labelColumnName": "features"},
        "two entries of a record for the column 'features'",
    ),
}


@pytest.mark.parametrize("what", BAD_WRITES)
def test_what_cannot_be_written_is_told(bridge: SparkSession, tmp_path: Path, what: str) -> None:
    schema, rows, options, problem = BAD_WRITES[what]
    with pytest.raises(Exception) as raised:
        write(bridge.createDataFrame(rows, schema), tmp_path / "own", **options)
    assert problem in messages(raised.value)


@pytest.mark.parametrize(
    ("schema", "options", "problem"),
    [
        ("features float", {}, "column 'features' cannot be read as float; it must be a double, a vector, a matrix, or an array of float"),
        ("x array<float>", {}, "column 'x' has no place in a record"),
        (None, {"numFeatures": "none"}, "option numFeatures must be an integer of at least 1, got 'none'"),
    ],
)
def test_what_cannot_be_read_is_told(bridge: SparkSession, tmp_path: Path, schema: str | None, options: dict, problem: str) -> None:
    with pytest.raises(Exception) as raised:
        read(bridge, tmp_path / "given", GOOD, schema, **options).collect()
    assert problem in messages(raised.value)


# ------------------------------------------------------------------------------------------------- public data, and damage


def test_mnist_is_written_and_read_exactly(bridge: SparkSession, tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "mnist" / "mnist_test.parquet"
    if not source.exists():
        pytest.skip(f"{source} does not exist")
    table = bridge.read.parquet(str(source)).limit(1000)
    rows = table.select(table["label"].cast("double"), table["pixels"].cast("array<float>").alias("features"))
    content = b"".join(frame(payload) for payload in write(rows, tmp_path / "own"))
    known = table.toPandas()
    pixels, labels = (np.array(known[name].tolist()) for name in ("pixels", "label"))
    frames = np.frombuffer(content, np.uint8).reshape(len(labels), -1)
    start = content.index(pixels[0].astype("<f4").tobytes())
    assert np.array_equal(np.ascontiguousarray(frames[:, start : start + 4 * 784]).view("<f4"), pixels)
    assert np.array_equal(np.ascontiguousarray(frames[:, -4:]).view("<f4")[:, 0], labels)
    found = read(bridge, tmp_path / "own", schema="label double, features array<float>").toPandas()
    assert np.array_equal(np.array(found["features"].tolist()), pixels) and np.array_equal(found["label"], labels)


def test_word_counts_are_written_and_read_exactly(bridge: SparkSession, tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "newsgroups20" / "bow_etm.csv.gz"
    if not source.exists():
        pytest.skip(f"{source} does not exist")
    table = bridge.read.csv(str(source), header=True, inferSchema=True).where("split = 'va' or split = 'ts' and doc < 400")
    documents: dict[tuple[str, int], dict[int, float]] = {}
    for row in table.collect():
        documents.setdefault((row.split, row.doc), {})[row.term] = float(row["count"])
    rows = [(float(number), Vectors.sparse(3072, counts)) for number, counts in enumerate(documents.values())]
    written = [parse(payload) for payload in write(bridge.createDataFrame(rows, VECTORS), tmp_path / "own")]
    assert [features["values"][1:] for features, _ in written] == [
        ([counts[term] for term in sorted(counts)], sorted(counts), [3072]) for counts in documents.values()
    ]
    assert [tuple(row) for row in read(bridge, tmp_path / "own").collect()] == rows


def test_damaged_files_are_refused_within_bounds_of_memory_and_time(bridge: SparkSession, tmp_path: Path) -> None:
    home = find_spark()
    classpath = ":".join([str(home.jars / "*"), *classpath_jars(), str(tmp_path)])
    source = Path(__file__).parent / "scala" / "RecordIOFuzz.scala"
    java = [_java(), "-Xmx256m", "-Xss8m", "-XX:+UseSerialGC", "-cp", classpath]
    compiler = ["scala.tools.nsc.Main", "-usejavacp", "-nobootcp", "-d", str(tmp_path), str(source)]
    subprocess.run([*java, *compiler], check=True, capture_output=True, text=True)
    done = subprocess.run([*java, "RecordIOFuzz", "1", "100000"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]
    counts = dict(pair.split("=") for pair in done.stdout.split())
    assert int(counts["refused"]) + int(counts["whole"]) == int(counts["inputs"]) == 100_000 and int(counts["whole"]) > 5000
