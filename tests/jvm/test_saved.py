"""Models and pipelines that the first version saved, loaded on the JVM."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

import sparkml_algos
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.names import EXPORTS
from tests.saved.expected import SAVED, assert_outputs, rows_and_outputs

ON_JVM = [name for name in EXPORTS if getattr(getattr(sparkml_algos, name, None), "on_jvm", None)]

pytestmark = [pytest.mark.generic, pytest.mark.classic]


@pytest.mark.parametrize("name", ON_JVM)
def test_an_old_model_predicts_what_it_did_and_is_saved_by_todays_name(name: str, bridge: SparkSession, tmp_path: Path) -> None:
    model = getattr(bridge.sparkContext._jvm.org.sparkmlalgos.ml, name).load(str(SAVED / name))
    rows, expected = rows_and_outputs(name, bridge)
    assert_outputs(DataFrame(model.transform(rows._jdf), bridge), expected)
    model.save(str(tmp_path / "again"))
    assert read_local(tmp_path / "again")[0]["class"] == f"sparkml_algos.{name}"
    assert getattr(sparkml_algos, name).load(str(tmp_path / "again")).uid == model.uid()


@pytest.mark.parametrize("name", ON_JVM)
def test_stages_are_found_by_the_old_name_and_by_todays(name: str, bridge: SparkSession) -> None:
    found = bridge.sparkContext._jvm
    for part in read_local(SAVED / name)[0]["class"].split("."):
        found = getattr(found, part)
    for reader in (found.read(), getattr(bridge.sparkContext._jvm.sparkml_algos, name).read()):
        assert reader.load(str(SAVED / name)).getClass().getName() == f"sparkml_algos.{name}"


def test_an_old_pipeline_loads_in_scala_and_in_python_and_predicts_what_it_did(bridge: SparkSession, tmp_path: Path) -> None:
    rows, expected = rows_and_outputs("PipelineModel", bridge)
    in_scala = bridge.sparkContext._jvm.org.apache.spark.ml.PipelineModel.load(str(SAVED / "PipelineModelOnJvm"))
    assert_outputs(DataFrame(in_scala.transform(rows._jdf), bridge), expected)
    assert_outputs(PipelineModel.load(str(SAVED / "PipelineModelOnJvm")).transform(rows), expected)


def test_a_pipeline_is_saved_by_todays_names(bridge: SparkSession, tmp_path: Path) -> None:
    rows, expected = rows_and_outputs("PipelineModel", bridge)
    in_scala = bridge.sparkContext._jvm.org.apache.spark.ml.PipelineModel
    in_scala.load(str(SAVED / "PipelineModelOnJvm")).save(str(tmp_path / "again"))
    names = {read_local(stage)[0]["class"] for stage in (tmp_path / "again" / "stages").iterdir()}
    stages = {"KMeansModel", "PCAModel", "LinearLearnerRegressorModel", "RandomCutForestModel", "XGBoostClassificationModel"}
    assert names == {"org.apache.spark.ml.feature.VectorAssembler"} | {f"sparkml_algos.{name}" for name in stages}
    assert_outputs(DataFrame(in_scala.load(str(tmp_path / "again")).transform(rows._jdf), bridge), expected)
    assert_outputs(PipelineModel.load(str(tmp_path / "again")).transform(rows), expected)
