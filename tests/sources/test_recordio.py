"""The data source in Python beside the one on the JVM: the same files, rows and errors."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark.sql.datasource", reason="Spark 3.5 has no Python data sources")

from pyspark.ml.linalg import DenseMatrix, Matrices, SparseMatrix, SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from sparkml_algos import register_recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.sources.recordio import RecordIODataSource
from tests.jvm.test_recordio import (
    BAD_FILES,
    BAD_WRITES,
    DENSE,
    MATRICES,
    NO_FILES,
    NO_RECORDS,
    ROWS,
    SPARSE,
    VECTORS,
    dense,
    folder,
    messages,
    published,
)
from tests.recordio import MAGIC, frame, in_parts, record

JVM, PYTHON = "recordio-protobuf", "recordio-python"


class UnderItsOwnName(RecordIODataSource):
    """Beside the JVM's in one session."""

    @classmethod
    def name(cls) -> str:
        return PYTHON


@pytest.fixture(scope="module")
def session(spark: SparkSession) -> SparkSession:
    spark.dataSource.register(UnderItsOwnName)
    return spark


@pytest.fixture
def both(session: SparkSession, bridge: SparkSession) -> SparkSession:
    """A session that has the JVM's data source too."""
    return session


def read(session: SparkSession, path: Path, content: bytes | None = None, schema: Any = None, **options: Any) -> DataFrame:
    if content is not None:
        path.write_bytes(content)
    reader = session.read.format(PYTHON).options(**options)
    return (reader.schema(schema) if schema else reader).load(str(path))


def write(rows: DataFrame, path: Path, format_: str = PYTHON, mode: str = "append", **options: Any) -> bytes:
    rows.coalesce(1).write.format(format_).mode(mode).options(**options).save(str(path))
    (file,) = path.glob("part-*")
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def in_order(rows: DataFrame) -> list[tuple]:
    return [tuple(row) for row in rows.collect()]


MATRIX_ROWS = [
    (Matrices.dense(2, 3, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),),
    (DenseMatrix(2, 2, [1.0, 2.0, 3.0, 4.0], isTransposed=True),),
    (Matrices.sparse(3, 4, [0, 0, 2, 5, 6], [0, 2, 0, 1, 2, 1], [1.0, 3.0, 4.0, 2.0, 0.5, 6.0]),),
    (SparseMatrix(2, 3, [0, 1, 2], [2, 0], [7.0, 8.0], isTransposed=True),),
]
FRAMES = {
    "vectors": (ROWS, VECTORS, {}),
    "vectors of both kinds": ([(1.0, Vectors.dense([1.0, 0.0])), (2.0, Vectors.sparse(2, [1], [3.0]))], VECTORS, {}),
    "dense vectors alike": ([(float(row), Vectors.dense([row, 2.0, 0.5])) for row in range(50)], VECTORS, {}),
    "sparse vectors alike": (
        [(float(row), Vectors.sparse(300, range(row, row + row % 4), [0.5] * (row % 4))) for row in range(50)],
        VECTORS,
        {},
    ),
    "matrices": (MATRIX_ROWS, MATRICES, {}),
    "float64": ([(0.1, Vectors.dense([1 / 3, 1e300]))], VECTORS, {"valueType": "float64"}),
    "arrays": ([([0.1, 2.0], 1), ([], None)], "features array<float>, label int", {}),
    "integers": ([([-1, 1 << 30, 0],)], "source array<int>", {"featureEntries": "source"}),
    "gzip": (ROWS, VECTORS, {"compression": "gzip"}),
}


@pytest.mark.generic
@published
def test_published_examples_are_read_and_written_to_the_byte(
    session: SparkSession, tmp_path: Path, hex_: str, schema: Any, row: tuple, options: dict[str, str]
) -> None:
    content = bytes.fromhex(hex_)
    assert in_order(read(session, tmp_path / "given", content, schema, **options)) == [row]
    assert write(session.createDataFrame([row], schema), tmp_path / "own", **options) == content


@pytest.mark.parametrize("what", FRAMES)
def test_both_data_sources_write_the_same_bytes_and_read_the_same_rows(both: SparkSession, tmp_path: Path, what: str) -> None:
    session = both
    rows, schema, options = FRAMES[what]
    rows = session.createDataFrame(rows, schema)
    assert write(rows, tmp_path / "python", **options) == write(rows, tmp_path / "jvm", JVM, **options)
    entries = {key: value for key, value in options.items() if key == "featureEntries"}
    ours = read(session, tmp_path / "jvm", **entries)
    theirs = session.read.format(JVM).options(**entries).load(str(tmp_path / "python"))
    assert ours.schema == theirs.schema and ours.count() == theirs.count() == rows.count()
    assert str(in_order(ours)) == str(in_order(theirs))


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
@pytest.mark.parametrize("packed", [True, False])
def test_whatever_protobuf_writes_is_read(session: SparkSession, tmp_path: Path, kind: str, packed: bool) -> None:
    tensors = [
        {"values": [1, -2, 300]}, {"values": [7, 8], "keys": [4, 1], "shape": [5]}, {"shape": [6]}, {},
        {"values": [1, 2, 3], "shape": [3]}, {"values": [5], "keys": [200_000], "shape": [1 << 30]},
    ]  # fmt: skip
    content = b"".join(frame(record({"values": tensor}, dense(2), packed=packed, kind=kind)) for tensor in tensors)
    rows = read(session, tmp_path / "given", content).collect()
    assert [row.features for row in rows] == [
        Vectors.dense([1, -2, 300]), Vectors.sparse(5, [1, 4], [8, 7]), Vectors.sparse(6, [], []), Vectors.dense([]),
        Vectors.dense([1, 2, 3]), Vectors.sparse(1 << 30, [200_000], [5]),
    ]  # fmt: skip
    assert [row.label for row in rows] == [2.0] * len(tensors)


def test_random_vectors_are_written_as_by_protobuf_and_read_back(session: SparkSession, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    rows, expected = [], b""
    for size in random.integers(1, 700, 60):
        values = random.normal(size=size).astype(np.float32).astype(float)
        keys = np.sort(random.choice(100_000, size, replace=False))
        vector = Vectors.dense(values) if size % 2 else Vectors.sparse(100_000, keys, values)
        rows.append((float(size), vector))
        sparse = isinstance(vector, SparseVector)
        expected += frame(record({"values": {"values": values, **({"keys": keys, "shape": [100_000]} if sparse else {})}}, dense(size)))
    assert write(session.createDataFrame(rows, VECTORS), tmp_path / "own") == expected
    assert in_order(read(session, tmp_path / "own")) == rows


@pytest.mark.generic
def test_append_adds_files_and_overwrite_replaces_them(session: SparkSession, tmp_path: Path) -> None:
    rows, path = session.createDataFrame(ROWS, VECTORS).repartition(2), str(tmp_path / "own")
    counts = []
    for mode in ("append", "append", "overwrite"):
        rows.write.format(PYTHON).mode(mode).save(path)
        counts.append(read(session, tmp_path / "own").count())
    assert counts == [4, 8, 4]
    assert {file.name[:5] for file in (tmp_path / "own").iterdir() if not file.name.startswith(".")} == {"part-", "_SUCC"}
    assert session.read.format(PYTHON).load([path, path]).count() == 8


@pytest.mark.generic
@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_empty_frame_is_written_and_read_back(session: SparkSession, tmp_path: Path, mode: str, compression: str) -> None:
    rows = session.createDataFrame(ROWS, VECTORS).where("label > 100")
    rows.write.format(PYTHON).mode(mode).option("compression", compression).save(str(tmp_path / "own"))
    found = read(session, tmp_path / "own")
    assert found.schema == VECTORS and found.collect() == [] == read(session, tmp_path / "own", schema=VECTORS).collect()


@pytest.mark.generic
@pytest.mark.parametrize("what", NO_FILES)
def test_a_folder_without_files_has_no_rows_and_no_schema(session: SparkSession, tmp_path: Path, what: str) -> None:
    path = folder(tmp_path / "given", NO_FILES[what])
    assert read(session, path, schema=VECTORS).collect() == []
    with pytest.raises(Exception, match=r"UNABLE_TO_INFER_SCHEMA.* there are no files in .*/given\. It must be specified manually"):
        _ = read(session, path).schema


@pytest.mark.generic
@pytest.mark.parametrize("what", NO_RECORDS)
def test_files_without_records_have_no_rows_and_the_columns_of_the_options(session: SparkSession, tmp_path: Path, what: str) -> None:
    path = folder(tmp_path / "given", NO_RECORDS[what])
    assert read(session, path, schema=VECTORS).count() == 0
    assert read(session, path).schema == VECTORS and read(session, path).collect() == []
    answers = read(session, path, labelEntries="score", featureEntries="source,target")
    assert answers.columns == ["score", "source", "target"]
    assert read(session, next(path.iterdir())).collect() == []


def test_files_without_records_tell_nothing_of_the_schema_of_others(session: SparkSession, tmp_path: Path) -> None:
    matrix = frame(record({"values": {"values": [1, 2, 3, 4], "shape": [2, 2]}}))
    files = {**{f"part-{number}.pbr": b"" for number in range(10)}, "part-a.pbr": matrix}
    rows = read(session, folder(tmp_path / "given", files))
    assert rows.schema == MATRICES and rows.count() == 1


def test_a_write_that_fails_leaves_what_was_there(session: SparkSession, tmp_path: Path) -> None:
    write(session.createDataFrame(ROWS, VECTORS), tmp_path / "own")
    before = sorted((tmp_path / "own").rglob("*"))
    bad = session.createDataFrame([(1.0, Vectors.dense([1e300]))], VECTORS)
    with pytest.raises(Exception, match=r"its value 1e\+300 is too large for float32"):
        bad.write.format(PYTHON).mode("overwrite").save(str(tmp_path / "own"))
    assert sorted((tmp_path / "own").rglob("*")) == before


def test_records_in_several_frames_and_entries_of_other_names_are_read(session: SparkSession, tmp_path: Path) -> None:
    value = float(np.frombuffer(bytes.fromhex("0a23d7ce"), np.float32)[0])
    head, _, tail = record(dense(1, value, 3)).partition(bytes.fromhex("0a23d7ce"))
    assert list(read(session, tmp_path / "parts", in_parts([head, tail])).first().features.values) == [1, value, 3]
    answers = frame(record(label={"closest_cluster": {"values": [2]}, "distances": {"values": [1, 3]}}))
    (row,) = read(session, tmp_path / "answers", answers, labelEntries="closest_cluster,distances").collect()
    assert row == (2.0, Vectors.dense([1, 3]))


# What the JVM says otherwise: a fault in a frame, which is found when the block is read; gzip is recognised without its name here.
FRAMING = {
    "cut off in the payload", "cut off in the header", "wrong magic", "claims more than there is", "middle part first", "last part missing",
}  # fmt: skip
NOT_A_MESSAGE = {"negative length", "endless number"}


@pytest.mark.parametrize("what", sorted(BAD_FILES.keys() - {"gzip without its name"}))
def test_what_is_wrong_with_a_file_is_told_with_its_name_and_the_offset(tmp_path: Path, what: str) -> None:
    content, offset, problem = BAD_FILES[what]
    (tmp_path / "given").write_bytes(content)
    reader = RecordIODataSource({"path": str(tmp_path / "given")}).reader(VECTORS)
    with pytest.raises(FormatError) as raised:
        for partition in reader.partitions():
            list(reader.read(partition))
    said = str(raised.value)
    assert said.startswith(f"{tmp_path}/given, byte ")
    if what not in FRAMING:
        record_start = offset if what not in NOT_A_MESSAGE else content.rindex(MAGIC)
        assert f", byte {record_start}: " in said and (problem if what not in NOT_A_MESSAGE else "not a Record message") in said


def test_an_error_in_a_file_reaches_the_session(session: SparkSession, tmp_path: Path) -> None:
    content, offset, problem = BAD_FILES["key outside the shape"]
    with pytest.raises(Exception) as raised:
        read(session, tmp_path / "given", content, VECTORS).collect()
    said = messages(raised.value)
    assert f"{tmp_path}/given, byte {offset}: " in said and problem in said


@pytest.mark.parametrize("what", BAD_WRITES)
def test_what_cannot_be_written_is_told(tmp_path: Path, what: str) -> None:
    ddl, rows, options, problem = BAD_WRITES[what]
    schema = StructType.fromDDL(ddl)
    batch = pa.RecordBatch.from_pylist([dict(zip(schema.fieldNames(), row, strict=True)) for row in rows], to_arrow_schema(schema))
    with pytest.raises(ValueError) as raised:
        RecordIODataSource({"path": str(tmp_path), **options}).writer(schema, False).write(iter([batch]))
    assert problem in str(raised.value) or problem.replace("its element 1 is null", "an element is null") in str(raised.value)


def test_what_only_the_jvm_can_do_is_refused(session: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "day=monday"
    folder.mkdir(parents=True)
    (folder / "part-0.pbr").write_bytes(bytes.fromhex(DENSE))
    with pytest.raises(Exception, match=r"is partitioned \(day=monday\), which needs the JVM bridge"):
        read(session, tmp_path / "own")
    assert read(session, folder).count() == 1
    with pytest.raises(Exception, match="does not exist"):
        read(session, tmp_path / "nowhere")


@pytest.mark.slow
def test_the_short_names_are_pythons_where_the_jvm_has_none(tmp_path: Path) -> None:
    (tmp_path / "given.pbr").write_bytes(bytes.fromhex(DENSE) + bytes.fromhex(SPARSE))
    program = f"""
from pyspark.sql import SparkSession
from sparkml_algos import register_recordio
from sparkml_algos.core.joining import why_no_bridge
from sparkml_algos.formats.errors import FormatError
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.sparkml_algos.bridge", "off").getOrCreate()
assert register_recordio(spark) and register_recordio(spark)
spark.conf.set("spark.sparkml_algos.bridge", "auto")
assert "in Python is in place of the JVM bridge's" in why_no_bridge(spark)
rows = spark.read.format("sagemaker").option("numFeatures", 2).load("{tmp_path}/given.pbr")
assert rows.schema["features"].metadata == {{"ml_attr": {{"num_attrs": 2}}}}, rows.schema.json()
spark.read.format("recordio-protobuf").load("{tmp_path}/given.pbr").write.format("sagemaker").mode("append").save("{tmp_path}/own")
print(spark.read.format("recordio-protobuf").load("{tmp_path}/own").count())
spark.stop()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["2"], done.stderr[-3000:]


@pytest.mark.generic
def test_the_jvm_has_the_names_where_the_bridge_can_join(spark: SparkSession, bridge: SparkSession, tmp_path: Path) -> None:
    assert register_recordio(bridge) is False
    (tmp_path / "given.pbr").write_bytes(bytes.fromhex(DENSE))
    rows = spark.read.format(JVM).option("numFeatures", 2).load(str(tmp_path / "given.pbr"))
    assert [tuple(row) for row in rows.collect()] == [(1.0, Vectors.dense([1.0, 2.0]))]
