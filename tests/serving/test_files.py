"""Batch inference on files: paths, splitting, filters, joins, whole outputs."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import subprocess
import sys
from pathlib import Path as FilePath

import numpy as np
import pytest

from sparkml_algos.formats import RecordBatch, recordio_protobuf
from sparkml_algos.serving.files import Transform, transform_folder
from sparkml_algos.serving.files.jsonpath import Path, PathError
from sparkml_algos.serving.files.transform import transform_bytes
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED

KMEANS = load_servable(SAVED / "KMeansModel")
RECORDIO, LINES, JSON = "application/x-recordio-protobuf", "application/jsonlines", "application/json"


def transformed(body: bytes, model=KMEANS, **settings: object) -> bytes:
    return b"".join(transform_bytes(io.BytesIO(body), model, Transform(**settings)))


# --------------------------------------------------------------------------------------------------------------- paths

RECORD = {"id": 7, "a": {"b": [1, 2, 3], "c d": "x"}, "l": [{"n": 1}, {"n": 2}, {"n": 3}]}


@pytest.mark.parametrize(
    ("path", "record", "expected"),
    [
        ("$", [1, 2], [1, 2]),
        ("$.id", RECORD, 7),
        ("$.a.b", RECORD, [1, 2, 3]),
        ("$['id']", RECORD, 7),
        ("$['a']['c d']", RECORD, "x"),
        ("$['id','a']", RECORD, [7, RECORD["a"]]),
        ("$[0,2]", [10, 20, 30], [10, 30]),
        ("$[0, -1]", [10, 20, 30], [10, 30]),
        ("$[-1]", [10, 20, 30], 30),
        ("$[1:]", [10, 20, 30], [20, 30]),
        ("$[:-1]", [10, 20, 30], [10, 20]),
        ("$[1:2]", [10, 20, 30], [20]),
        ("$[5:]", [10, 20, 30], []),
        ("$.*", {"x": 1, "y": 2}, [1, 2]),
        ("$[*]", [1, 2], [1, 2]),
        ("$.l[*].n", RECORD, [1, 2, 3]),
        ("$.l[0:2].n", RECORD, [1, 2]),
        ("$.l[-1]['n']", RECORD, 3),
    ],
)
def test_a_path_leads_where_it_says(path: str, record: object, expected: object) -> None:
    assert Path(path)(record) == expected


@pytest.mark.parametrize(
    ("path", "record", "said"),
    [
        ("$[3]", [1, 2, 3], "no place 3 in a list of 3"),
        ("$[-4]", [1, 2, 3], "no place -4"),
        ("$.x", {"y": 1}, "has no 'x'; it has y"),
        ("$.x", [1], "is of an object, the value is a list"),
        ("$[0]", {"y": 1}, "is of a list, the value is a object"),
        ("$.*", 5, "the value is a number"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path: str, record: object, said: str) -> None:
    with pytest.raises(PathError, match=re.escape(said)):
        Path(path)(record)


@pytest.mark.parametrize("path", ["id", "", "$..id", "$[?(@.a)]", "$[1:2:3]", "$.", "$[]", "$['a'", "$[a]", "$." + "a" * 62])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(PathError):
        Path(path)


def test_paths_agree_with_another_reading_of_them() -> None:
    jsonpath_ng = pytest.importorskip("jsonpath_ng.ext")
    source, several = random.Random(0), 0
    steps = [".a", ".*", "['a','b']", "['b']", "[0]", "[-1]", "[0,1]", "[0,-1]", "[1:]", "[:-1]", "[*]"]
    records = [{"a": [1, {"a": 2, "b": 3}], "b": {"a": [4, 5], "b": 6}}, [[1, 2], [3, 4], {"a": 5, "b": 6}]]
    for _ in range(1000):
        text, record = "$" + "".join(source.choices(steps, k=source.randint(1, 3))), source.choice(records)
        try:
            ours = Path(text)(record)
        except PathError:
            continue
        theirs = [match.value for match in jsonpath_ng.parse(text).find(record)]
        several += isinstance(ours, list) and len(theirs) != 1
        assert ours in (theirs, *theirs[:1]), text
    assert several > 50


# ----------------------------------------------------------------------------------------------- splitting and joining


def test_lines_are_scored_and_joined() -> None:
    body = b"id1,1,2,3\nid2,4,5,6\n\nid3,7,8,9"
    plain = transformed(b"1,2,3\n4,5,6\n7,8,9", split_type="Line")
    joined = transformed(body, split_type="Line", input_filter="$[1:]", join_source="Input")
    lines = [
        f"id{place + 1},{row},{answer}"
        for place, (row, answer) in enumerate(zip(("1,2,3", "4,5,6", "7,8,9"), plain.decode().split(), strict=True))
    ]
    assert joined.decode().splitlines() == lines
    kept = transformed(body, split_type="Line", input_filter="$[1:]", join_source="Input", output_filter="$[0,-2]")
    assert kept.decode().splitlines() == [",".join((line.split(",")[0], line.split(",")[-2])) for line in lines]


def test_what_a_request_holds_changes_nothing() -> None:
    body = b"".join(b"%d,2,%d\n" % (row, row % 7) for row in range(500))
    by_many = transformed(body, split_type="Line")
    assert by_many == transformed(body, split_type="Line", batch_strategy="SingleRecord") == transformed(body)
    assert by_many == transformed(gzip.compress(body), split_type="Line", compression_type="Gzip")
    assert len(by_many.splitlines()) == 500


def test_objects_have_the_answer_under_a_reserved_key() -> None:
    body = b'{"id": 1, "features": [1, 2, 3]}\n{"id": 2, "features": [4, 5, 6]}\n'
    settings = {"content_type": LINES, "split_type": "Line", "join_source": "Input"}
    found = [json.loads(line) for line in transformed(body, **settings).splitlines()]
    assert [list(one) for one in found] == [["id", "features", "SageMakerOutput"]] * 2
    assert [list(one["SageMakerOutput"]) for one in found] == [["closest_cluster", "distance_to_cluster"]] * 2
    kept = transformed(body, **settings, output_filter="$['id','SageMakerOutput']")
    assert [json.loads(line) for line in kept.splitlines()] == [[one["id"], one["SageMakerOutput"]] for one in found]
    texts = transformed(b'"1 2 3"\n', load_servable(SAVED / "BlazingTextClassifierModel"), **settings)
    assert set(json.loads(texts)) == {"SageMakerInput", "SageMakerOutput"}
    with pytest.raises(ValueError, match="reserved key SageMakerOutput"):
        transformed(b'{"features": [1, 2, 3], "SageMakerOutput": 1}\n', **settings)


def test_a_document_is_a_record() -> None:
    found = json.loads(transformed(b'{"instances": [{"features": [1, 2, 3]}]}', content_type=JSON, join_source="Input"))
    assert list(found) == ["instances", "SageMakerOutput"] and list(found["SageMakerOutput"]) == ["predictions"]


def test_frames_are_split_and_put_one_after_the_other() -> None:
    values = np.random.default_rng(0).normal(0, 5, (40, 3)).astype(np.float32)
    body = recordio_protobuf.encode(RecordBatch.of(values))
    settings = {"content_type": RECORDIO, "split_type": "RecordIO"}
    one, many = (transformed(body, batch_strategy=strategy, **settings) for strategy in ("SingleRecord", "MultiRecord"))
    found = [recordio_protobuf.decode(part).labels["closest_cluster"].values.tolist() for part in (one, many)]
    assert found[0] == found[1] and len(found[0]) == 40


def test_a_model_that_answers_no_csv_fills_cells_with_its_fields() -> None:
    model = load_servable(SAVED / "LinearLearnerBinaryClassifierModel")
    row = transformed(b"x,1,2,3\n", model, split_type="Line", input_filter="$[1:]", join_source="Input").decode().strip().split(",")
    assert row[:4] == ["x", "1", "2", "3"] and 0 <= float(row[4]) <= 1 and row[5] in ("0", "1")


def test_records_have_identifiers_where_they_are_asked_for() -> None:
    rows = transformed(b"1,2,3\n4,5,6\n", split_type="Line", generate_inference_id=True).decode().splitlines()
    ids = {row.split(",")[-2] for row in rows}
    assert len(ids) == 2 and all(len(one) == 36 for one in ids) and len({row.split(",")[-1] for row in rows}) == 1
    line = transformed(b'{"features": [1, 2, 3]}\n', content_type=LINES, split_type="Line", generate_inference_id=True)
    assert {"SageMakerInferenceId", "SageMakerInferenceTime"} < set(json.loads(line))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split_type": "TFRecord"}, "no algorithm reads TFRecord"),
        ({"batch_strategy": "SingleRecord"}, "needs a split_type"),
        ({"max_payload_in_mb": 101}, "from 0 to 100"),
        ({"input_filter": "$.id"}, "records of CSV have places only"),
        ({"accept": JSON, "join_source": "Input"}, "need an accept like the content type"),
        ({"content_type": RECORDIO, "input_filter": "$[1:]"}, "filters, joins and identifiers are of CSV"),
        ({"content_type": JSON, "split_type": "Line"}, "would split a document"),
        ({"split_type": "RecordIO"}, "split_type='RecordIO' is of application/x-recordio-protobuf"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Transform(**settings)


@pytest.mark.parametrize(
    ("body", "settings", "said"),
    [
        (b"1,2,3\n1,2\n", {"split_type": "Line", "input_filter": "$[2]"}, "input_filter of record 1: [2]: there is no place 2"),
        (b"1,2,x\n", {"split_type": "Line"}, "record 0: <request>, byte 0: column 3 is not a number"),
        (b"1,2,3\n" * 200_000, {"max_payload_in_mb": 1}, "a request has more than 1 MB"),
        (b"1" * (1 << 21), {"max_payload_in_mb": 1, "split_type": "Line"}, "a record has more than 1 MB"),
        (gzip.compress(b"1,2,3\n", mtime=0)[:-8], {"split_type": "Line", "compression_type": "Gzip"}, "the gzip stream is broken"),
    ],
)
def test_the_record_at_fault_is_named(body: bytes, settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        transformed(body, **settings)


# --------------------------------------------------------------------------------------------------------------- files


def test_an_output_is_there_whole_or_not_at_all(tmp_path: FilePath) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "good.csv").write_bytes(b"1,2,3\n")
    (tmp_path / "in" / "deep" / "empty.csv").write_bytes(b"")
    (tmp_path / "in" / "bad.csv").write_bytes(b"1,2,3\n" * 1000 + b"x\n")
    (tmp_path / "in" / ".hidden").write_bytes(b"x")
    results = transform_folder(tmp_path / "in", tmp_path / "out", KMEANS, Transform(split_type="Line", batch_strategy="SingleRecord"))
    assert [(result.target.rpartition("/")[2], result.error is None) for result in results] == [
        ("bad.csv.out", False), ("empty.csv.out", True), ("good.csv.out", True),
    ]  # fmt: skip
    assert "record 1000" in results[0].error
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "deep/empty.csv.out", "good.csv.out",
    ]  # fmt: skip


def test_outputs_are_not_among_the_inputs(tmp_path: FilePath) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"1,2,3\n")
    for target in (tmp_path / "in", tmp_path / "in" / "out"):
        with pytest.raises(ValueError, match="would be among the inputs"):
            transform_folder(tmp_path / "in", target, KMEANS, Transform())
    assert transform_folder(tmp_path / "in" / "a.csv", tmp_path / "in", KMEANS, Transform())[0].error is None


def test_a_broken_file_fails_alone(tmp_path: FilePath) -> None:
    packed = gzip.compress(b"1,2,3\n" * 1000)
    files = {"cut": packed[:-9], "good": packed, "mixed": packed[:20] + b"\xff" * 5 + packed[25:], "plain": b"1,2,3\n"}
    (tmp_path / "in").mkdir()
    for name, body in files.items():
        (tmp_path / "in" / name).write_bytes(body)
    results = transform_folder(tmp_path / "in", tmp_path / "out", KMEANS, Transform(split_type="Line", compression_type="Gzip"))
    assert [result.error is None for result in results] == [False, True, False, False]


@pytest.mark.parametrize("compression_type", ["None", "Gzip"])
def test_a_request_may_be_of_any_size(compression_type: str, tmp_path: FilePath) -> None:
    body = b"1,2,3\n" * 10
    (tmp_path / "in").write_bytes(body if compression_type == "None" else gzip.compress(body))
    transform = Transform(max_payload_in_mb=0, compression_type=compression_type)
    assert [result.error for result in transform_folder(tmp_path / "in", tmp_path / "out", KMEANS, transform)] == [None]
    assert (tmp_path / "out" / "in.out").read_bytes() == transformed(body)


def test_the_command_scores_files_without_spark(tmp_path: FilePath) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,1,2,3\nb,4,5,6\n")
    block = (
        "import sys; sys.modules['pyspark'] = None; sys.modules['fastapi'] = None; from sparkml_algos.score import main; main(sys.argv[1:])"
    )
    arguments = [str(SAVED / "KMeansModel"), str(tmp_path / "rows.csv"), str(tmp_path / "out"), "--input-filter", "$[1:]"]
    done = subprocess.run([sys.executable, "-c", block, *arguments, "--join-source", "Input"], capture_output=True, text=True)
    assert done.returncode == 0 and "rows.csv.out" in done.stdout, done.stderr
    assert [line.split(",")[0] for line in (tmp_path / "out" / "rows.csv.out").read_text().splitlines()] == ["a", "b"]
    wrong = subprocess.run([sys.executable, "-m", "sparkml_algos.score", *arguments[:3]], capture_output=True, text=True)
    assert wrong.returncode == 1 and "column 1 is not a number" in wrong.stderr
