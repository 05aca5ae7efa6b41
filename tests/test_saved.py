"""What earlier versions have saved loads and computes the same, whatever has moved since; `tests/saved/README.md`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession

import sparkml_algos
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.core.saving import Persistable
from sparkml_algos.names import EXPORTS, current_name, name_of
from tests.averaging import AveragingModel
from tests.saved.expected import SAVED, assert_outputs, rows_and_outputs

CLASSES = {name: cls for name in EXPORTS if isinstance(cls := getattr(sparkml_algos, name, None), type) and issubclass(cls, Persistable)}
TRANSFORMERS = [name for name, cls in CLASSES.items() if hasattr(cls, "transform")]

pytestmark = pytest.mark.generic


@pytest.fixture(scope="module")
def loaded(spark: SparkSession) -> Callable[[str], Persistable]:
    """The saved instance of a class, which is read once."""
    return cache(lambda name: CLASSES[name].load(str(SAVED / name)))


def test_there_is_a_saved_instance_of_every_class() -> None:
    assert [name for name in CLASSES if not (SAVED / name).is_dir()] == []


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_an_old_model_loads_and_predicts_what_it_did(name: str, spark: SparkSession, loaded: Callable[[str], Persistable]) -> None:
    rows, expected = rows_and_outputs(name, spark)
    assert_outputs(loaded(name).transform(rows), expected)


# Named a column that the model never read.
RETIRED = {"KNNClassifierModel": ["idCol"], "KNNRegressorModel": ["idCol"]}


@pytest.mark.parametrize("name", CLASSES)
def test_an_old_instance_keeps_uid_and_params(name: str, loaded: Callable[[str], Persistable]) -> None:
    instance, (metadata, _) = loaded(name), read_local(SAVED / name)
    values = {param.name: value for param, value in instance.extractParamMap().items()}
    saved = {**metadata["defaultParamMap"], **metadata["paramMap"]}
    for param in RETIRED.get(name, ()):
        del saved[param]
    assert instance.uid == metadata["uid"]
    assert {param: values[param] for param in saved} == saved


def test_an_old_pipeline_loads(spark: SparkSession) -> None:
    names = ["Shingle", "VectorAssembler", "KMeans", "PCA", "LinearLearnerRegressor", "RandomCutForest", "XGBoostClassifier"]
    stages = Pipeline.load(str(SAVED / "Pipeline")).getStages()
    assert [type(stage).__name__ for stage in stages] == names
    assert all(type(stage) is CLASSES[name] for stage, name in zip(stages, names, strict=True) if name in CLASSES)


def test_an_old_fitted_pipeline_loads_and_predicts_what_it_did(spark: SparkSession) -> None:
    rows, expected = rows_and_outputs("PipelineModel", spark)
    assert_outputs(PipelineModel.load(str(SAVED / "PipelineModel")).transform(rows), expected)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_saved_by_the_name_that_the_package_exports(name: str) -> None:
    assert name_of(CLASSES[name]) == f"sparkml_algos.{name}"


def test_a_class_that_the_package_does_not_export_is_saved_by_its_module() -> None:
    namesake = type("KMeansModel", (), {"__module__": "elsewhere"})
    assert name_of(AveragingModel) == "tests.averaging.AveragingModel" == current_name("tests.averaging.AveragingModel")
    assert name_of(namesake) == "elsewhere.KMeansModel" == current_name("elsewhere.KMeansModel")


def test_an_old_instance_is_saved_again_by_todays_name(spark: SparkSession, tmp_path: Path) -> None:
    assert read_local(SAVED / "KMeansModel")[0]["class"] == "sparkml_algos.algorithms.kmeans.KMeansModel"
    CLASSES["KMeansModel"].load(str(SAVED / "KMeansModel")).save(str(tmp_path / "again"))
    assert read_local(tmp_path / "again")[0]["class"] == "sparkml_algos.KMeansModel"


@pytest.mark.parametrize("name", CLASSES)
def test_pipelines_find_the_class_where_it_once_stood(name: str) -> None:
    # As Spark does for the stages of a saved pipeline.
    module, _, attribute = read_local(SAVED / name)[0]["class"].rpartition(".")
    assert getattr(importlib.import_module(module), attribute) is CLASSES[name]


def test_an_old_instance_of_another_class_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match=r"holds a sparkml_algos\.algorithms\.kmeans\.KMeansModel, not a sparkml_algos\.PCAModel"):
        CLASSES["PCAModel"].load(str(SAVED / "KMeansModel"))
