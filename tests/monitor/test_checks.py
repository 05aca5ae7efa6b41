"""Each violation fires alone, files are read as they were written, and metrics are scikit-learn's; all without Spark."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import Row
from pyspark.sql.types import DoubleType, LongType, StringType
from scipy.stats import fisher_exact
from sklearn import metrics as sk

from sparkml_algos.bias import BiasReport, FacetBias, MetricValue
from sparkml_algos.monitor import (
    Baseline,
    Constraints,
    ModelQuality,
    MonitoringConfig,
    Statistics,
    chance_of_gaps,
    check_attribution_drift,
    check_bias_drift,
    check_data_quality,
    check_model_quality,
    drift,
    ndcg,
    window,
)
from sparkml_algos.monitor import columns as columns_module
from sparkml_algos.monitor.captured import _names
from sparkml_algos.monitor.columns import ColumnState
from sparkml_algos.monitor.constraints import _suggested
from sparkml_algos.monitor.model_quality import _binary_metrics, _deviations, _multiclass_metrics
from sparkml_algos.monitor.statistics import _feature, _merged, _part


def known(table: pd.DataFrame, parts: int = 3) -> Statistics:
    """Statistics as two stages of Spark make them."""
    features = []
    for name in table.columns:
        states = []
        for i, part in enumerate(np.array_split(table[name].to_numpy(), parts)):
            state = ColumnState(seed=i)
            if table[name].dtype == object:
                state.add_texts(pa.array(part.tolist(), pa.string()))
            else:
                state.add_numbers(part.astype(float))
            states.append(ColumnState.from_bytes(state.to_bytes()))
        for other in states[1:]:
            states[0].merge(other)
        type_ = StringType() if table[name].dtype == object else DoubleType() if table[name].dtype == float else LongType()
        features.append(_feature(name, states[0], type_))
    return Statistics(len(table), tuple(features))


def baseline_of(table: pd.DataFrame, **config) -> Baseline:
    found = known(table)
    return Baseline(found, Constraints(tuple(map(_suggested, found.features)), MonitoringConfig(**config)))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "amount": random.gamma(2, 50, 4000),
            "visits": random.integers(0, 9, 4000),
            "city": random.choice(["Bern", "Genf", "Zug"], 4000),
            "code": random.integers(100, 999, 4000).astype(str),
        }
    )


@pytest.fixture(scope="module")
def baseline(table) -> Baseline:
    return baseline_of(table)


def test_statistics_are_those_of_the_values(table, baseline):
    found = baseline.statistics
    assert [feature.inferred_type for feature in found.features] == ["Fractional", "Integral", "String", "Integral"]
    amount = found["amount"]
    assert (amount.mean, amount.sum, amount.std_dev) == pytest.approx((table.amount.mean(), table.amount.sum(), table.amount.std(ddof=0)))
    assert (amount.min, amount.max, amount.num_present) == (table.amount.min(), table.amount.max(), 4000)
    assert amount.histogram()[1].sum() == 4000
    assert found["code"].mean == pytest.approx(table.code.astype(int).mean())
    assert dict(found["city"].categories) == table.city.value_counts().to_dict() and found["city"].distinct_count == 3


def test_a_partition_is_read_as_columns_of_its_batches():
    rows = [([1.0, None], ["x", "7"], [True]), ([2.0, 5.5], [None, "8"], [False]), ([4.0, np.nan], ["y", ""], [True])]
    schema = pa.schema([("numbers", pa.list_(pa.float64())), ("texts", pa.list_(pa.string())), ("there", pa.list_(pa.bool_()))])
    batches = []
    for chunk in (rows[:2], rows[2:]):
        columns = [pa.array(part, field.type) for part, field in zip(zip(*chunk, strict=True), schema, strict=True)]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    written = list(_part(2, 2, 1, iter(batches)))
    twice = sorted([*written, *written], key=lambda batch: batch.column(0)[0].as_py())
    found = {row["feature"]: ColumnState.from_bytes(row["state"]) for batch in _merged(iter(twice)) for row in batch.to_pylist()}
    assert [(found[i].present, found[i].missing) for i in range(5)] == [(6, 0), (2, 4), (4, 2), (4, 2), (4, 2)]
    assert (found[0].total, found[0].low, found[0].high, found[3].whole) == (14, 1, 4, 4) and found[2].values == {"x": 2, "y": 2}
    empty = pa.RecordBatch.from_arrays([pa.array([[]] * 2, t.type) for t in schema], schema=schema)
    assert list(_part(0, 0, 0, iter([empty]))) == []


def test_what_is_missing_and_what_reads_as_a_number():
    state = ColumnState()
    state.add_numbers(np.array([1.0, np.nan, np.inf, 2.5]))
    assert (state.present, state.missing, state.whole) == (2, 2, 1)
    state = ColumnState()
    state.add_texts(pa.array(["", None, " +7 ", "-1e3", ".5", "x", "1d", "NaN"]))
    assert (state.present, state.missing, state.whole, state.numbers, state.total) == (6, 2, 1, 3, 7 - 1000 + 0.5)
    state.add_texts(pa.array(["1e400", "2"]))
    assert (state.present, state.numbers, state.high) == (8, 4, 7)


def test_many_distinct_values_are_estimated_and_few_frequent_ones_kept(monkeypatch):
    monkeypatch.setattr(columns_module, "MOST_VALUES", 200)
    state, texts = ColumnState(), [f"user {i}" for i in range(30_000)]
    for i in range(0, 30_000, 1000):
        state.add_texts(pa.array([*texts[i : i + 1000], *["often"] * 300]))
    distinct, estimated = state.distinct()
    assert estimated and distinct == pytest.approx(30_001, rel=0.06)
    assert state.values["often"] == 9000 and len(state.values) <= 400
    assert ColumnState.from_bytes(state.to_bytes()).distinct() == (distinct, True)


def test_files_are_read_as_they_were_written(baseline, tmp_path):
    baseline.save(tmp_path)
    read = Baseline.load(tmp_path)
    assert read.statistics.to_dict() == baseline.statistics.to_dict()
    assert read.constraints == baseline.constraints
    assert check_data_quality(read.statistics, read).ok
    written = json.loads((tmp_path / "statistics.json").read_text())
    kll = written["features"][0]["numerical_statistics"]["distribution"]["kll"]
    assert len(kll["buckets"]) == 10 and sum(bucket["count"] for bucket in kll["buckets"]) == 4000
    assert kll["sketch"]["parameters"] == {"c": 0.64, "k": 2048.0}
    constraints = json.loads((tmp_path / "constraints.json").read_text())
    assert constraints["features"][2]["string_constraints"]["domains"] == ["Bern", "Genf", "Zug"]
    assert constraints["monitoring_config"]["distribution_constraints"]["comparison_method"] == "Robust"


def change(table: pd.DataFrame, what: str) -> pd.DataFrame:
    now = table.sample(2000, random_state=1).reset_index(drop=True)
    if what == "data_type_check":
        return now.assign(code=["x1"] * 300 + now.code[300:].tolist())
    if what == "completeness_check":
        return now.assign(amount=now.amount.where(now.index > 20))
    if what == "baseline_drift_check":
        return now.assign(amount=now.amount * 1.6)
    if what == "missing_column_check":
        return now.drop(columns="city")
    if what == "extra_column_check":
        return now.assign(more=1.0)
    if what == "categorical_values_check":
        return now.assign(city=["Chur"] * 250 + now.city[250:].tolist())
    return now.assign(amount=now.amount.where(now.index > 3, -1.0))


@pytest.mark.parametrize(
    ("check", "subject"),
    [
        ("data_type_check", "code"), ("completeness_check", "amount"), ("baseline_drift_check", "amount"), ("missing_column_check", "city"),
        ("extra_column_check", "more"), ("categorical_values_check", "city"), ("non_negative", "amount"),
    ],
)  # fmt: skip
def test_each_violation_fires_alone(table, baseline, check, subject, tmp_path):
    found = check_data_quality(known(change(table, check)), baseline)
    assert [(one.subject, one.check) for one in found.violations] == [(subject, check)], found.violations
    assert found.status == "CompletedWithViolations"
    found.save_json(tmp_path)
    (entry,) = json.loads((tmp_path / "constraint_violations.json").read_text())["violations"]
    assert {"feature_name", "constraint_check_type", "description"} <= set(entry)
    assert "<svg" in found.to_html()


def test_quiet_rows_violate_nothing_and_overrides_hold_for_their_column(table, baseline):
    quiet = known(table.sample(2000, random_state=2))
    assert check_data_quality(quiet, baseline).ok
    moved = known(table.assign(amount=table.amount * 1.6))
    config = baseline.constraints.config.changed({"distribution_constraints": {"comparison_method": "Simple", "comparison_threshold": 0.4}})
    assert config.comparison_method == "linf_simple"
    assert check_data_quality(moved, Baseline(baseline.statistics, Constraints(baseline.constraints.features, config))).ok
    assert drift(moved, baseline.statistics, "psi")["amount"] > 0.2
    with pytest.raises(ValueError, match="'threshold' is not known"):
        config.changed({"threshold": 1})
    with pytest.raises(ValueError, match="Enabled or Disabled"):
        config.changed({"emit_metrics": "yes"})


def test_texts_that_have_become_numbers_are_outside_their_domain(baseline, table):
    now = table.assign(city=["1", "2"] * 2000)
    for current in (known(now), known(table.assign(city=np.arange(4000)))):
        found = [one for one in check_data_quality(current, baseline).violations if one.subject == "city"]
        assert found[0].check == "categorical_values_check" and found[0].observed == 1
    assert [one.check for one in check_data_quality(known(now), baseline).violations][1:] == ["baseline_drift_check"]


def test_numbers_among_which_there_are_a_few_texts_are_compared(baseline, table):
    now = table.assign(code=["n/a"] * 100 + (table.code[100:].astype(int) + 400).astype(str).tolist())
    (found,) = check_data_quality(known(now), baseline).violations
    assert (found.subject, found.check) == ("code", "baseline_drift_check")


def drawn(random: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "level": random.normal(size=rows),
            "wait": random.exponential(3, rows),
            "place": random.choice(["a", "b", "c", "d"], rows, p=[0.4, 0.3, 0.2, 0.1]),
            "label": np.where(random.random(rows) < 0.3, "yes", "no").astype(object),
        }
    )


PLANTED = {
    "mean": lambda window, random: window.assign(level=window.level + 0.5),
    "variance": lambda window, random: window.assign(level=window.level * 2),
    "category": lambda window, random: window.assign(place=window.place.where(random.random(len(window)) > 0.2, "new")),
    "missing": lambda window, random: window.assign(wait=window.wait.where(random.random(len(window)) > 0.1)),
    "rate": lambda window, random: window.assign(label=np.where(random.random(len(window)) < 0.5, "yes", "no").astype(object)),
}


@pytest.mark.slow
def test_of_500_quiet_windows_one_in_a_hundred_violates_something_at_most():
    random = np.random.default_rng(0)
    baseline = baseline_of(drawn(random, 5000))
    assert sum(not check_data_quality(known(drawn(random, 1000)), baseline).ok for _ in range(500)) <= 5


def with_gaps(random: np.random.Generator, rows: int) -> pd.DataFrame:
    """Of one column one value in twenty is missing, of another a third."""
    table = drawn(random, rows)
    return table.assign(wait=table.wait.where(random.random(rows) > 0.05), place=table.place.where(random.random(rows) > 1 / 3, None))


@pytest.mark.slow
def test_of_500_quiet_windows_with_gaps_one_in_a_hundred_violates_something_at_most():
    random = np.random.default_rng(5)
    baseline = baseline_of(with_gaps(random, 5000))
    assert sum(not check_data_quality(known(with_gaps(random, 1000)), baseline).ok for _ in range(500)) <= 5


def test_gaps_that_chance_makes_violate_the_services_rule_alone():
    random = np.random.default_rng(6)
    rows = with_gaps(random, 5000)
    windows = [known(with_gaps(random, 1000)) for _ in range(30)]
    robust, simple = baseline_of(rows), baseline_of(rows, completeness_method="simple")
    assert all(check_data_quality(window, robust).ok for window in windows)
    assert sum(not check_data_quality(window, simple).ok for window in windows) > 10
    more = with_gaps(random, 1000)
    more = known(more.assign(wait=more.wait.where(random.random(1000) > 0.05)))
    assert [(one.subject, one.check) for one in check_data_quality(more, robust).violations] == [("wait", "completeness_check")]
    # A constraint that somebody has set holds as it is.
    features = [replace(one, completeness=0.96) if one.name == "wait" else one for one in robust.constraints.features]
    asked = Baseline(robust.statistics, Constraints(tuple(features), robust.constraints.config))
    assert "wait" in {one.subject for window in windows for one in check_data_quality(window, asked).violations}


def test_the_rule_of_completeness_is_in_the_file_and_that_of_the_service_without(tmp_path, baseline):
    assert baseline.constraints.to_dict()["monitoring_config"]["completeness_method"] == "robust"
    written = baseline.constraints.to_dict()
    assert Constraints.from_dict(written).config.completeness_method == "robust"
    del written["monitoring_config"]["completeness_method"]
    assert Constraints.from_dict(written).config.completeness_method == "simple"
    assert "completeness_method" not in MonitoringConfig(completeness_method="simple").to_dict()
    with pytest.raises(ValueError, match="completeness_method is one of robust, simple"):
        MonitoringConfig(completeness_method="exact")


def test_the_chance_of_gaps_is_fishers():
    for missing, rows, before, all_before in ((3, 100, 4, 400), (30, 1000, 0, 5000), (700, 1000, 3300, 5000), (0, 10, 3, 20)):
        table = [[missing, rows - missing], [before, all_before - before]]
        assert chance_of_gaps(missing, rows, before, all_before) == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-6)
    assert chance_of_gaps(5_100_000, 100_000_000, 5_000_000, 100_000_000) < 1e-6


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_seen_within_a_window(planted):
    random = np.random.default_rng(1)
    baseline = baseline_of(drawn(random, 5000))
    windows = [PLANTED[planted](drawn(random, 1000), random) for _ in range(10)]
    assert sum(not check_data_quality(known(window), baseline).ok for window in windows) >= 8


def test_metrics_of_classes_are_scikit_learns():
    random = np.random.default_rng(3)
    truth, score = random.integers(0, 2, 3000), random.random(3000)
    score = (score + truth * 0.4) / 1.4
    guess = (score > 0.5).astype(int)
    bins = np.unique(score, return_inverse=True)[1]
    counts = np.zeros((2, 2, len(score)))
    np.add.at(counts, (truth, guess, bins), 1)
    found = _binary_metrics(counts, True)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(truth, score))
    assert found["recall"] == pytest.approx(sk.recall_score(truth, guess))
    assert found["f2"] == pytest.approx(sk.fbeta_score(truth, guess, beta=2))
    assert found["accuracy_best_constant_classifier"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    spread = _deviations(lambda sample: _binary_metrics(sample, True), counts, 0)
    expected = math.sqrt(found["accuracy"] * (1 - found["accuracy"]) / 2400 * 0.2)
    assert spread["accuracy"] == pytest.approx(expected, rel=0.9)
    classes = random.integers(0, 4, 900)
    called = np.where(random.random(900) < 0.7, classes, random.integers(0, 4, 900))
    table = sk.confusion_matrix(classes, called).astype(float)
    found = _multiclass_metrics(table)
    options = {"average": "weighted", "zero_division": 0}
    assert found["weighted_precision"] == pytest.approx(sk.precision_score(classes, called, **options))
    assert found["weighted_f0_5"] == pytest.approx(sk.fbeta_score(classes, called, beta=0.5, **options))
    constant = np.full(900, np.bincount(classes).argmax())
    assert found["weighted_f1_best_constant_classifier"] == pytest.approx(sk.f1_score(classes, constant, **options))
    assert math.isnan(_deviations(_multiclass_metrics, table / 10, 0)["accuracy"])


def test_model_quality_is_held_against_its_constraints():
    before = ModelQuality("Regression", 500, {"mae": 1.0, "r2": 0.8}, {"mae": 0.05, "r2": math.nan})
    constraints = before.suggest_constraints(deviations=2)
    assert constraints["regression_constraints"]["mae"] == {"threshold": 1.1, "comparison_operator": "GreaterThanThreshold"}
    assert constraints["regression_constraints"]["r2"] == {"threshold": 0.8, "comparison_operator": "LessThanThreshold"}
    assert check_model_quality(before, constraints).ok
    after = ModelQuality("Regression", 500, {"mae": 1.2, "r2": 0.9}, {})
    (violation,) = check_model_quality(after, constraints).violations
    assert violation.to_dict()["metric_name"] == "mae" and violation.check == "GreaterThanThreshold"
    assert ModelQuality.from_dict(before.to_dict()).metrics == before.metrics
    assert before.to_dict()["regression_metrics"]["r2"] == {"value": 0.8, "standard_deviation": "NaN"}
    with pytest.raises(ValueError, match="of r2, too, which was not measured"):
        check_model_quality(ModelQuality("Regression", 500, {"mae": 1.2}, {}), constraints)
    undefined = ModelQuality("BinaryClassification", 9, {"auc": math.nan, "recall": 1.0}, {}).suggest_constraints()
    assert list(undefined["binary_classification_constraints"]) == ["recall"]
    with pytest.raises(ValueError, match="no regression_constraints"):
        check_model_quality(before, {"binary_classification_constraints": {}})


def test_bias_has_drifted_where_it_is_farther_from_its_ideal():
    def report(ci, di):
        post = (MetricValue("DI", "", di), MetricValue("FT", "", None, "no rows"))
        return BiasReport("y", "1", (FacetBias("sex", "f", (MetricValue("CI", "", ci),), post),))

    assert check_bias_drift(report(0.1, 0.9), report(0.2, 0.8)).ok
    found = check_bias_drift(report(-0.3, 1.3), report(0.2, 0.8))
    assert [one.to_dict()["metric_name"] for one in found.violations] == ["CI", "DI"]
    assert found.to_dict()["version"] == "1.0" and found.violations[0].to_dict()["facet_value"] == "f"
    within = check_bias_drift(report(-0.3, 1.3), report(0.2, 0.8), tolerance=0.15)
    assert within.ok and within.metrics == found.metrics
    (beyond,) = check_bias_drift(report(-0.3, 1.5), report(0.2, 0.8), tolerance=0.15).violations
    assert beyond.to_dict()["metric_name"] == "DI" and "by more than 0.15" in beyond.description
    with pytest.raises(ValueError, match="tolerance must be a number of 0 or more, got nan"):
        check_bias_drift(report(0.1, 0.9), report(0.2, 0.8), tolerance=math.nan)
    assert check_bias_drift(report(0.1, math.inf), report(0.2, 0.8)).metrics["bias_metric_DI sex=f"] == 2.348543e108


def test_a_facet_above_a_threshold_is_the_same_whatever_its_largest_value_is():
    def report(group, ci):
        return BiasReport("y", "1", (FacetBias("age", group, (MetricValue("CI", "", ci),)),))

    for before, now in (("(40, 69]", "(40, 71]"), ("(40.0, 90.0]", "(40, 71]"), ("(20, 40],(40, 69]", "(20, 40],(40, 70]")):
        found = check_bias_drift(report(now, 0.5), report(before, 0.1))
        assert [one.observed for one in found.violations] == [0.5], (before, now)
    assert check_bias_drift(report("(50, 71]", 0.5), report("(40, 71]", 0.1)).ok
    assert check_bias_drift(report("(0.5, 1.0]", 0.5), report("(5, 1.0]", 0.1)).ok


def test_attributions_have_drifted_where_the_order_is_another():
    baseline = {"a": 0.70, "b": 0.50, "c": 0.05}
    assert ndcg({"a": 1, "b": 2, "c": 3}, baseline) == pytest.approx(0.69, abs=0.01)
    assert not check_attribution_drift({"a": 1, "b": 2, "c": 3}, baseline).ok and check_attribution_drift(baseline, baseline).ok
    assert ndcg({"a": 1, "b": 0}, {"a": 0, "b": 0}) == 1
    with pytest.raises(ValueError, match="only one side has c"):
        ndcg({"a": 1, "b": 2}, baseline)
    with pytest.raises(ValueError, match="current has others of b"):
        check_attribution_drift({"a": 1, "b": math.nan, "c": 3}, baseline)


def test_windows_of_executions():
    at = datetime(2020, 1, 9, 13)
    assert window(at, "-P8D", "-P1D") == (datetime(2020, 1, 1, 13), datetime(2020, 1, 8, 13))
    with pytest.raises(ValueError, match="ends before it starts"):
        window(at, "-PT1H", "-PT7H")
    with pytest.raises(ValueError, match="not a duration"):
        window(at, "7 hours", "PT0S")


def test_names_are_those_of_json_or_the_places_of_what_has_none():
    assert _names(Row(data='{"a": 1, "b": 2}\n', encoding="JSON"), "") == ["a", "b"]
    first, second = (f"{place:020d}" for place in range(2))
    for data in ("[0.1, 0.2]", '{"features": [0.1, 0.2]}\n{"features": [0.3, 0.4]}', '{"instances": [{"features": [0.1, 0.2]}]}'):
        assert _names(Row(data=data, encoding="JSON"), "") == [first, second]
    assert _names(Row(data="0.5", encoding="JSON"), "output_") == [f"output_{first}"]
    for data in ("{", ""):
        with pytest.raises(ValueError, match="name the columns"):
            _names(Row(data=data, encoding="JSON"), "")
