"""Random cut forests on the JVM give what they give in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos import RandomCutForestModel
from sparkml_algos.algorithms.random_cut_forest.training import RANDOM_CUT_FOREST
from sparkml_algos.training.run import train_arrays
from tests.jvm.models import made

pytestmark = pytest.mark.classic


def forest(rows: np.ndarray, samples: int = 64, **params: object) -> RandomCutForestModel:
    """A model as training leaves it."""
    model = RandomCutForestModel(num_trees=53, num_samples_per_tree=samples, **params)
    return made(model, rows.shape[1], train_arrays(RANDOM_CUT_FOREST, model.hyperparameters(), rows))


def column(scored: DataFrame, name: str = "score") -> np.ndarray:
    return np.array([row[0] for row in scored.orderBy("id").select(name).collect()])


def frame_of(spark: SparkSession, rows: np.ndarray) -> DataFrame:
    """Rows as dense and sparse vectors in turn."""

    def vector(i: int, row: np.ndarray) -> object:
        if i % 2 == 0:
            return Vectors.dense(row)
        return SparseVector(len(row), {j: float(value) for j, value in enumerate(row) if value})

    return spark.createDataFrame([(i, vector(i, row)) for i, row in enumerate(rows)], ["id", "features"])


SHAPES = {
    "one feature": (1, 1.0, 0.0),
    "an odd number of features": (7, 1.0, 0.3),
    "mostly zeros": (40, 1.0, 0.95),
    "large values": (4, 1e30, 0.0),
    "far from the origin": (6, 1.0, 0.0),
    "columns of six orders of magnitude": (4, np.array([1e6, 1.0, 1e-3, 1e3]), 0.0),
    "many large values": (40, 3e36, 0.0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_python(bridge: SparkSession, shape: str) -> None:
    features, scale, zeros = SHAPES[shape]
    random = np.random.default_rng(features)
    rows = scale * np.where(random.random((3000, features)) < zeros, 0, random.normal(size=(3000, features)))
    rows += 1e5 if shape == "far from the origin" else 0
    model = forest(rows.astype(np.float32))
    queries = np.vstack([rows[:30], 4 * random.normal(size=(30, features)) * scale, np.zeros((2, features)), -np.zeros((2, features))])
    frame = frame_of(bridge, queries.astype(np.float32).astype(np.float64))
    python, jvm = (column(model.copy().setScorer(scorer).transform(frame)) for scorer in ("python", "jvm"))
    assert np.allclose(python, jvm, rtol=2e-6) and len(np.unique(jvm)) > 30


def test_duplicates_and_trees_of_one_point_are_scored_as_in_python(bridge: SparkSession) -> None:
    few = np.repeat(np.arange(3, dtype=np.float32), [300, 30, 3]).reshape(-1, 1)
    for rows in (few, few[:5]):
        model = forest(rows)
        frame = frame_of(bridge, np.array([[0.0], [1.0], [2.0], [0.5], [9.0]]))
        python, jvm = (column(model.copy().setScorer(scorer).transform(frame)) for scorer in ("python", "jvm"))
        assert np.allclose(python, jvm, rtol=1e-6)


@pytest.mark.generic
def test_the_jvm_loads_what_python_saved_and_calls_the_same_rows_anomalous(bridge: SparkSession, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    frame = bridge.createDataFrame([(i, *map(float, row)) for i, row in enumerate(rows[:200])], ["id", "a", "b", "c"])
    frame = VectorAssembler(inputCols=["a", "b", "c"], outputCol="features").transform(frame).cache()
    for settings in ({"thresholdDeviations": 1.0}, {"thresholdMethod": "quantile", "thresholdQuantile": 0.8765}):
        model = forest(rows, predictionCol="odd", scoreCol="the.score", **settings)
        path = str(tmp_path / str(len(settings)))
        model.save(path)
        on_jvm = bridge.sparkContext._jvm.org.sparkmlalgos.ml.RandomCutForestModel.load(path)
        assert on_jvm.threshold() == pytest.approx(model.threshold, rel=1e-12)
        scored, expected = DataFrame(on_jvm.transform(frame._jdf), bridge), model.setScorer("python").transform(frame)
        assert scored.schema.json() == expected.schema.json()
        assert np.array_equal(column(scored, "odd"), column(expected, "odd")) and 0 < column(scored, "odd").sum() < 100


@pytest.mark.generic
def test_a_pipeline_for_the_jvm_comes_back_to_python(bridge: SparkSession, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    model = forest(rows)
    frame = frame_of(bridge, rows[:50].astype(np.float64))
    moved = PipelineModel([model.to_jvm()])
    assert "EvalPython" not in moved.transform(frame)._jdf.queryExecution().toString()
    moved.save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline")).stages[0]
    assert isinstance(again, RandomCutForestModel) and again.threshold == model.threshold
    assert np.array_equal(again.forest.points, model.forest.points)
    assert np.allclose(column(moved.transform(frame)), column(again.setScorer("python").transform(frame)), rtol=1e-6)


def test_attributions_are_left_to_python(bridge: SparkSession, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    frame = frame_of(bridge, rows[:20].astype(np.float64))
    model = forest(rows, attributionCol="why")
    assert model.scorer_for(frame).reason == "attributionCol is computed in Python only" and model.transform(frame).count() == 20
    with pytest.raises(ValueError, match="scorer='jvm' is not possible: attributionCol is computed in Python only"):
        model.copy().setScorer("jvm").transform(frame)
    with pytest.raises(ValueError, match="to_jvm is not possible: attributionCol is computed in Python only"):
        model.to_jvm()
    model.save(str(tmp_path / "saved"))
    on_jvm = bridge.sparkContext._jvm.org.sparkmlalgos.ml.RandomCutForestModel.load(str(tmp_path / "saved"))
    with pytest.raises(Exception, match="attributionCol is 'why', which is computed in Python only; clear it"):
        on_jvm.transform(frame._jdf)
