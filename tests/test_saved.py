"""What earlier versions have saved loads and computes the same, whatever has moved since; `tests/saved/README.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import DataFrame, SparkSession

import sparkml_algos
from sparkml_algos.core.persistence import Persistable, read_local

SAVED = Path(__file__).parent / "saved"
CLASSES = {name: cls for name in sparkml_algos._EXPORTS if isinstance(cls := getattr(sparkml_algos, name, None), type)}
CLASSES = {name: cls for name, cls in CLASSES.items() if issubclass(cls, Persistable)}
TRANSFORMERS = [name for name, cls in CLASSES.items() if hasattr(cls, "transform")]

pytestmark = pytest.mark.generic


def rows_and_outputs(name: str, spark: SparkSession) -> tuple[DataFrame, dict[str, list[Any]]]:
    """Rows, and the columns that the instance of this name appended to them when it was saved."""
    saved = json.loads((SAVED / f"{name}.json").read_text())
    rows = [tuple(row.values()) for row in saved["rows"]]
    return spark.createDataFrame(rows, "id long, a double, b double, c double, features array<double>"), saved["outputs"]


def assert_outputs(scored: DataFrame, expected: dict[str, list[Any]]) -> None:
    """The expected columns, in the order of ``id``, to seven digits: libraries of other versions round otherwise."""
    found = scored.orderBy("id").select(*expected).collect()
    assert len(found) == len(next(iter(expected.values())))
    for name, values in expected.items():
        for row, value in zip(found, values, strict=True):
            assert (row[name] is None) == (value is None)
            if value is not None:
                numbers = row[name].toArray() if hasattr(row[name], "toArray") else row[name]
                np.testing.assert_allclose(numbers, value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_there_is_a_saved_instance_of_every_class() -> None:
    assert [name for name in CLASSES if not (SAVED / name).is_dir()] == []


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_an_old_model_loads_and_predicts_what_it_did(name: str, spark: SparkSession) -> None:
    model = CLASSES[name].load(str(SAVED / name))
    rows, expected = rows_and_outputs(name, spark)
    assert_outputs(model.transform(rows), expected)


@pytest.mark.parametrize("name", CLASSES)
def test_an_old_instance_keeps_uid_and_params(name: str, spark: SparkSession) -> None:
    loaded = CLASSES[name].load(str(SAVED / name))
    metadata, _ = read_local(SAVED / name)
    values = {param.name: value for param, value in loaded.extractParamMap().items()}
    saved = {**metadata["defaultParamMap"], **metadata["paramMap"]}
    assert loaded.uid == metadata["uid"]
    assert {param: values[param] for param in saved} == saved


def test_an_old_pipeline_loads(spark: SparkSession) -> None:
    names = ["Shingle", "VectorAssembler", "KMeans", "PCA", "LinearLearnerRegressor", "RandomCutForest", "XGBoostClassifier"]
    stages = Pipeline.load(str(SAVED / "Pipeline")).getStages()
    assert [type(stage).__name__ for stage in stages] == names
    assert all(type(stage) is CLASSES[name] for stage, name in zip(stages, names, strict=True) if name in CLASSES)


def test_an_old_fitted_pipeline_loads_and_predicts_what_it_did(spark: SparkSession) -> None:
    rows, expected = rows_and_outputs("PipelineModel", spark)
    assert_outputs(PipelineModel.load(str(SAVED / "PipelineModel")).transform(rows), expected)
