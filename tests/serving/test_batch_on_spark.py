"""Folders of files through a model on executors: the same files as without Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from sparkml_algos import BatchTransform, KMeansModel
from sparkml_algos.batch.transform import BatchTransformError
from sparkml_algos.serving.files import Transform, transform_folder
from sparkml_algos.serving.servable import load_servable
from tests.saved.expected import SAVED

JOINED = {"split_type": "Line", "input_filter": "$[1:]", "join_source": "Input", "output_filter": "$[0,-2,-1]"}


def write_files(folder: Path, count: int) -> dict[str, list[str]]:
    random, found = np.random.default_rng(0), {}
    for number in range(count):
        rows = [f"id{number}-{row}," + ",".join(map(str, random.integers(0, 20, 3))) for row in range(5 * number)]
        path = folder / ("inner" if number % 2 else "") / f"part-{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows))
        found[str(path.relative_to(folder))] = rows
    (folder / "_SUCCESS").write_text("")
    return found


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.out"))}


def test_every_file_has_an_output_of_its_own_which_is_that_without_spark(spark: SparkSession, tmp_path: Path) -> None:
    files = write_files(tmp_path / "in", 4)
    model = KMeansModel.load(str(SAVED / "KMeansModel"))
    results = BatchTransform(model, **JOINED).run(str(tmp_path / "in"), str(tmp_path / "out"), num_tasks=2, spark=spark)
    assert [result.error for result in results] == [None] * 4
    found = contents(tmp_path / "out")
    assert set(found) == {f"{name}.out" for name in files}
    for name, rows in files.items():
        lines = found[f"{name}.out"].splitlines()
        assert [line.split(",")[0] for line in lines] == [row.split(",")[0] for row in rows]
    transform_folder(tmp_path / "in", tmp_path / "alone", load_servable(SAVED / "KMeansModel"), Transform(**JOINED))
    assert contents(tmp_path / "alone") == found


def test_a_bad_record_fails_its_file_alone(spark: SparkSession, tmp_path: Path) -> None:
    write_files(tmp_path / "in", 3)
    (tmp_path / "in" / "bad.csv").write_text("x,1,2,3\ny,1,two,3\n")
    transform = BatchTransform(str(SAVED / "PipelineModel"), split_type="Line", input_filter="$[1:]")
    with pytest.raises(
        BatchTransformError, match=r"1 of 4 files were not transformed: .*bad\.csv: .*b must be a number, got 'two'"
    ) as caught:
        transform.run(str(tmp_path / "in"), str(tmp_path / "out"), spark=spark)
    assert [result.error is None for result in caught.value.results] == [False, True, True, True]
    assert len(contents(tmp_path / "out")) == 3 and not list((tmp_path / "out").rglob(".*"))


def test_what_does_not_fit_is_said_before_anything_runs(spark: SparkSession, tmp_path: Path) -> None:
    write_files(tmp_path / "in", 2)
    with pytest.raises(ValueError, match="takes text/csv, application/json"):
        BatchTransform(str(SAVED / "KMeansModel"), content_type="text/plain").run(str(tmp_path / "in"), str(tmp_path / "out"), spark=spark)
    with pytest.raises(TypeError, match="PipelineModel must be saved"):
        BatchTransform(PipelineModel([]))
    with pytest.raises(FileNotFoundError, match="has no files"):
        (tmp_path / "empty").mkdir()
        BatchTransform(str(SAVED / "KMeansModel")).run(str(tmp_path / "empty"), str(tmp_path / "out"), spark=spark)
