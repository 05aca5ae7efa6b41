"""IP Insights on DataFrames: scores, thresholds, what is missing or wrong, and the same without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, IPInsights, IPInsightsModel, serving
from sparkml_algos.algorithms.ip_insights.training import IP_INSIGHTS
from sparkml_algos.formats import json_instances
from sparkml_algos.training.run import train_arrays

PAIRS = [(index, f"user {index % 20}", f"10.{index % 20}.{index % 3}.{index % 251}", index % 7 == 0) for index in range(1200)]
SETTINGS = {"num_entity_vectors": 112, "vector_dim": 16, "epochs": 10, "mini_batch_size": 50, "learning_rate": 0.02, "seed": 3}


@pytest.fixture(scope="module")
def pairs(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(PAIRS, "id int, entity string, ip string, held boolean").repartition(3, "id").cache()


@pytest.fixture(scope="module")
def model(pairs: DataFrame) -> IPInsightsModel:
    return IPInsights(num_workers=2, validationIndicatorCol="held", early_stopping_patience=10, **SETTINGS).fit(pairs)


@pytest.fixture(scope="module")
def strange(spark: SparkSession) -> DataFrame:
    """Users in the networks of others."""
    return spark.createDataFrame(
        [(f"user {index % 20}", f"10.{(index + 7) % 20}.1.{index % 251}") for index in range(400)], "entity string, ip string"
    )


def test_usual_pairs_score_higher_than_strange_ones(model: IPInsightsModel, pairs: DataFrame, strange: DataFrame) -> None:
    usual, unusual = (model.transform(frame).agg(F.avg("dot_product")).first()[0] for frame in (pairs, strange))
    assert usual > unusual + 2


def test_evaluate_gives_the_figure_of_training_on_the_same_rows(model: IPInsightsModel, pairs: DataFrame) -> None:
    found = model.evaluate(pairs.where("held"))["test:discriminator_auc"]
    assert found == pytest.approx(model.training_summary.metrics["validation:discriminator_auc"], abs=1e-4)
    assert found > 0.9


def test_embeddings_come_on_request_and_make_the_dot_product(model: IPInsightsModel, pairs: DataFrame) -> None:
    asked = model.copy({model.entityEmbeddingCol: "who", model.ipEmbeddingCol: "where"})
    for row in asked.transform(pairs).limit(20).collect():
        assert row.who.size == row["where"].size == 16
        assert row.who.dot(row["where"]) == pytest.approx(row.dot_product, rel=1e-4, abs=1e-4)


def test_the_same_pair_has_the_same_score_whatever_is_beside_it(model: IPInsightsModel, pairs: DataFrame) -> None:
    whole, alone = (dict(model.transform(frame).select("id", "dot_product").collect()) for frame in (pairs, pairs.where("id % 100 = 7")))
    assert all(whole[name] == score for name, score in alone.items())


def test_entities_may_be_whole_numbers_and_are_known_by_their_digits(model: IPInsightsModel, spark: SparkSession) -> None:
    row = spark.createDataFrame([(17, "17", "10.0.0.1")], "number long, digits string, ip string")
    number, digits = (model.copy().setEntityCol(name).transform(row).first().dot_product for name in ("number", "digits"))
    assert number == digits


class TestThreshold:
    def test_is_the_quantile_of_the_training_scores_and_tells_its_share_of_alarms(self, model: IPInsightsModel, pairs: DataFrame) -> None:
        asked = model.copy().setThresholdQuantile(0.1)
        assert asked.share_of_alarms() == pytest.approx(0.1, abs=0.005)
        assert asked.share_of_alarms(pairs.where("not held")) == pytest.approx(0.1, abs=0.02)
        assert model.threshold < asked.threshold

    def test_decides_the_prediction(self, model: IPInsightsModel, strange: DataFrame) -> None:
        rows = model.copy().setPredictionCol("alarm").transform(strange)
        assert rows.columns == ["entity", "ip", "dot_product", "alarm"]
        assert all(row.alarm == float(row.dot_product < model.threshold) for row in rows.collect())
        share = rows.agg(F.avg("alarm")).first()[0]
        assert share == pytest.approx(model.share_of_alarms(strange)) and share > 0.5

    def test_can_follow_other_pairs(self, model: IPInsightsModel, strange: DataFrame, tmp_path: Path) -> None:
        followed = model.copy().setThresholdQuantile(0.5).fit_threshold(strange)
        assert followed.share_of_alarms(strange) == pytest.approx(0.5, abs=0.02)
        followed.save(str(tmp_path / "model"))
        assert IPInsightsModel.load(str(tmp_path / "model")).threshold == followed.threshold

    def test_needs_pairs(self, model: IPInsightsModel, pairs: DataFrame) -> None:
        nothing = pairs.where("id < 0")
        with pytest.raises(ValueError, match="the dataset to take the threshold from is empty"):
            model.copy().fit_threshold(nothing)
        with pytest.raises(ValueError, match="the dataset has no pair with a score"):
            model.share_of_alarms(nothing)


class TestWrongAddresses:
    def test_are_named_with_row_and_value_in_training(self, pairs: DataFrame) -> None:
        bad = pairs.withColumn("ip", F.expr("IF(id = 7, '10.0.0.256', ip)"))
        with pytest.raises(
            InvalidDataError, match=r"ip column 'ip' is '10\.0\.0\.256', expected one of version 4 .* in row \d+ of worker \d's"
        ):
            IPInsights(num_workers=2, **SETTINGS).fit(bad)

    def test_are_named_in_scoring_or_have_no_score(self, model: IPInsightsModel, spark: SparkSession) -> None:
        rows = spark.createDataFrame([("user 1", "10.1.0.1"), ("user 1", "2001:db8::1"), ("user 1", None)], "entity string, ip string")
        with pytest.raises(Exception, match=r"'2001:db8::1', an address of version 6"):
            model.transform(rows.where("ip IS NOT NULL")).collect()
        found = [row.dot_product for row in model.copy().setInvalidIp("missing").transform(rows).collect()]
        assert np.isfinite(found[0]) and np.isnan(found[1:]).all()

    def test_are_not_trained_on_where_they_may_be_missing(self, pairs: DataFrame) -> None:
        some = pairs.withColumn("ip", F.expr("IF(id % 2 = 1, NULL, ip)"))
        model = IPInsights(num_workers=2, invalid_ip="missing", **SETTINGS).fit(some)
        assert model.evaluate(some)["test:discriminator_auc"] > 0.8
        assert model.copy().setPredictionCol("alarm").transform(some.where("ip IS NULL")).agg(F.max("alarm")).first()[0] == 0


def test_a_saved_model_takes_requests_of_the_service_without_spark(model: IPInsightsModel, spark: SparkSession, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    served = serving.load(tmp_path / "model")
    request = {"instances": [{"features": ["user 1", "10.1.0.1"]}, {"data": {"features": {"values": ["user 2", "10.9.0.1"]}}}]}
    found = served.predict_instances(json_instances.decode(json.dumps(request).encode()))["dot_product"]
    rows = spark.createDataFrame([("user 1", "10.1.0.1"), ("user 2", "10.9.0.1")], "entity string, ip string")
    assert found.tolist() == [row.dot_product for row in model.transform(rows).collect()]
    named = {"instances": [{"entity": "user 1", "ip": "10.1.0.1"}]}
    assert served.predict_instances(json_instances.decode(json.dumps(named).encode()))["dot_product"][0] == found[0]


def test_less_precision_is_refused_where_it_would_gain_nothing(pairs: DataFrame) -> None:
    with pytest.raises(InvalidParams, match="mixed_precision=True needs use_gpu=True"):
        IPInsights(mixed_precision=True, **SETTINGS).fit(pairs)


def test_training_on_arrays_gives_the_model_of_a_dataframe(spark: SparkSession) -> None:
    ordered = spark.createDataFrame(PAIRS, "id int, entity string, ip string, held boolean").coalesce(1)
    estimator = IPInsights(num_workers=1, **SETTINGS)
    found = estimator.fit(ordered).artifact
    columns = {name: [row[place] for row in PAIRS] for place, name in ((1, "entity"), (2, "ip"))}
    expected = train_arrays(IP_INSIGHTS, estimator.hyperparameters(), seed=3, **columns)
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
