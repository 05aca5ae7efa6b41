"""A report is counted by Spark, whatever the columns are, and is written as the service writes it."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from sparkml_algos.bias import MEASURES, BiasReport, Facet, FacetBias, MetricValue, bias_report, bias_report_from_config
from tests.bias.test_measures import counts
from tests.datasets import DATA, read_table

ROWS = 400


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    random = np.random.default_rng(3)
    income = random.normal(50, 20, ROWS).round(2)
    return pd.DataFrame(
        {
            "sex": random.choice(["f", "m", None], ROWS, p=[0.4, 0.5, 0.1]),
            "age": random.integers(18, 90, ROWS).astype(float),
            "member": random.random(ROWS) < 0.3,
            "income": income,
            "granted": (income + random.normal(0, 10, ROWS) > 45).astype(int),
            "guess": (income > 50).astype(int),
            "score": 1 / (1 + np.exp((50 - income) / 10)),
            "region": random.choice(["n", "s", None], ROWS),
            "weight": random.integers(0, 4, ROWS),
        }
    )


@pytest.fixture(scope="module")
def frame(spark, people):
    schema = "sex string, age double, member boolean, income double, granted int, guess int, score double, region string, weight int"
    rows = [
        tuple(None if isinstance(v, float) and math.isnan(v) else v for v in row) for row in people.astype(object).itertuples(index=False)
    ]
    return spark.createDataFrame(rows, schema).repartition(3).cache()


OPTIONS = {"predicted_label": "guess", "group_variable": "region", "label_kind": "categorical", "flip_test_features": ["income", "age"]}


def test_counts_of_spark_are_those_of_the_rows(frame, people):
    facets = [Facet("sex", "f", "categorical"), Facet("age", 40), Facet("member", [True]), Facet("sex", kind="categorical")]
    found = bias_report(frame, "granted", 1, facets, **OPTIONS)
    sides = [people.sex == "f", people.age > 40, people.member, people.sex == "f", people.sex == "m"]
    assert [(one.facet, one.value_or_threshold) for one in found.facets] == [
        ("sex", "f"), ("age", f"(40.0, {people.age.max()}]"), ("member", "True"), ("sex", "f"), ("sex", "m"),
    ]  # fmt: skip
    groups = [None if not isinstance(one, str) else one for one in people.region]
    for side, one in zip(sides, found.facets, strict=True):
        wanted = counts(side.to_numpy(bool), people.granted, people.guess, groups)
        for value in (*one.pre_training, *one.post_training):
            if value.name != "FT":
                assert value.value == pytest.approx(MEASURES[value.name](wanted), abs=1e-12), value
    assert len(found.facets[0].pre_training) == 8 and len(found.facets[0].post_training) == 13
    assert -1 <= found["member", "FT"] <= 1
    matrix = found.performance["confusion_matrix"]
    assert matrix["1"]["0"] == ((people.granted == 1) & (people.guess == 0)).sum()


def test_weights_count_rows_that_often(frame, people):
    found = bias_report(frame, "granted", [1], Facet("member", True), weight="weight", **OPTIONS)
    repeated = people.loc[people.index.repeat(people.weight)].reset_index(drop=True)
    groups = [None if not isinstance(one, str) else one for one in repeated.region]
    wanted = counts(repeated.member.to_numpy(), repeated.granted, repeated.guess, groups)
    for value in (*found.facets[0].pre_training, *found.facets[0].post_training):
        if value.name != "FT":
            assert value.value == pytest.approx(MEASURES[value.name](wanted), abs=1e-12), value
    with pytest.raises(ValueError, match="weight: column 'debt' must have finite numbers of 0 or more"):
        bias_report(frame.withColumn("debt", -F.col("weight")), "granted", [1], Facet("member", True), weight="debt")


def test_scores_and_thresholds_of_labels(frame, people):
    found = bias_report(frame, "income", 45.0, Facet("member", True), probability="score", post_training=["DPPL", "GE"])
    wanted = counts(people.member.to_numpy(), people.income > 45, people.score > 0.5)
    assert found["member", "DPPL"] == pytest.approx(MEASURES["DPPL"](wanted))
    assert found["member", "GE"] == pytest.approx(MEASURES["GE"](wanted))
    assert found.label_value_or_threshold == f"(45.0, {people.income.max()}]"


def test_a_sample_serves_the_flip_test_of_many_rows_and_says_so(frame):
    every = bias_report(frame, "granted", 1, Facet("member", True), pre_training=None, post_training=["FT"], **OPTIONS)
    some = bias_report(frame, "granted", 1, Facet("member", True), pre_training=None, post_training="FT", flip_test_rows=80, **OPTIONS)
    opposite = bias_report(frame, "granted", 1, Facet("member", True), post_training="FT", flip_test_sign="reference", **OPTIONS)
    assert "chosen by hash" in some.facets[0].notes[0] and not every.facets[0].notes
    assert some["member", "FT"] == pytest.approx(every["member", "FT"], abs=0.3)
    assert opposite["member", "FT"] == -every["member", "FT"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("granted", 1, "nobody"), {}, "facets: there is no column 'nobody'"),
        (("granted", [], "sex"), {}, "no label is said to be positive"),
        (("granted", 1, "age"), {}, "'age' is continuous and needs a threshold"),
        (("granted", 1, Facet("age", "old")), {}, "its threshold is a number, not 'old'"),
        (("granted", 1, Facet("member", "maybe")), {}, "'maybe' is not a value of it"),
        (("granted", 1, "sex"), {"probability": "sex"}, "column 'sex' is string; a number is needed"),
        (("granted", 1, "sex"), {"predicted_label": "income", "label_kind": None}, "not of one kind"),
        (("granted", 7, "sex"), {"predicted_label": "guess", "label_kind": "categorical"}, "no prediction is positive"),
        (("granted", 1, "sex"), {"post_training": ["CI"]}, "no measure of post_training is called 'CI'"),
    ],
)
def test_what_does_not_fit_is_refused(frame, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        bias_report(frame, *arguments, **options)


def test_a_configuration_of_the_service_asks_for_the_same(frame):
    config = {
        "label": "granted", "label_values_or_threshold": [1], "facet": [{"name_or_index": 2, "value_or_threshold": [True]}],
        "predicted_label": "guess", "group_variable": "region", "excluded_columns": ["weight"],
        "methods": {"pre_training_bias": {"methods": ["CI", "CDDL"]}, "post_training_bias": {"methods": "all"}},
    }  # fmt: skip
    dotted = frame.withColumn("what is no struct.field", F.lit(1))
    found = bias_report_from_config(dotted, config, label_kind="categorical", flip_test_features=["income", "age"])
    same = bias_report(frame, "granted", 1, Facet("member", True), pre_training=["CI", "CDDL"], **OPTIONS)
    assert found.to_dict() == same.to_dict()


def test_reports_are_read_as_they_were_written(tmp_path):
    values = (MetricValue("DI", "Disparate Impact (DI)", math.inf), MetricValue("FT", "Flip Test (FT)", None, "no rows"))
    report = BiasReport("y", "1", (FacetBias("sex", "f", (MetricValue("CI", "Class Imbalance (CI)", 0.5),), values),))
    report.save_json(tmp_path / "analysis.json")
    written = json.loads((tmp_path / "analysis.json").read_text())
    assert written["post_training_bias_metrics"]["facets"]["sex"][0]["metrics"][0]["value"] == "Infinity"
    assert written["post_training_bias_metrics"]["facets"]["sex"][0]["metrics"][1] == {
        "name": "FT", "description": "Flip Test (FT)", "value": None, "error": "no rows",
    }  # fmt: skip
    assert BiasReport.load_json(tmp_path / "analysis.json") == report
    page = report.to_html()
    assert "<svg" in page and "Disparate Impact" in page and "http" not in page
    with pytest.raises(KeyError, match="sex=f"):
        report["age", "DI"]


def test_a_report_is_rows_for_spark(spark):
    report = BiasReport("y", "1", (FacetBias("sex", "f", (MetricValue("CI", "Class Imbalance (CI)", 0.5),)),))
    (row,) = report.to_dataframe(spark).collect()
    assert (row.stage, row.facet, row.metric, row.value, row.error) == ("pre_training", "sex", "CI", 0.5, None)


@pytest.mark.skipif(not (DATA / "adult").exists(), reason="needs the public datasets")
def test_known_values_of_census_income(spark):
    table = pd.concat([read_table(f"adult/adult_{part}.csv.gz") for part in ("train", "test")])[["sex", "income"]]
    frame = spark.createDataFrame(table)
    found = bias_report(frame, "income", ">50K", Facet("sex", ["Female"]), predicted_label="income", post_training=["DI", "AD"])
    assert found["sex", "DPL"] == pytest.approx(0.1945, abs=5e-5) and found["sex", "DI"] == pytest.approx(0.3597, abs=5e-5)
