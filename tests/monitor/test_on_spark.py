"""Statistics of a DataFrame take one pass; captured requests and their truth become rows; metrics are those of the rows."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F
from sklearn import metrics as sk

from sparkml_algos.monitor import (
    check_data_quality,
    merge_ground_truth,
    model_quality,
    read_captured,
    read_ground_truth,
    statistics,
    suggest_baseline,
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "a b": random.normal(3, 2, 6000),
            "n": random.integers(-5, 5, 6000),
            "t": random.choice(["x", "y"], 6000),
            "digits": random.integers(0, 99, 6000).astype(str),
            "flag": random.random(6000) < 0.2,
        }
    )


def test_statistics_of_a_frame(spark, table):
    rows = spark.createDataFrame(table).selectExpr(
        "*", "if(n = 0, null, n) as holes", "array(n) as list", "cast(null as double) as nothing"
    )
    found = statistics(rows.repartition(5))
    types = [feature.inferred_type for feature in found.features]
    assert types == ["Fractional", "Integral", "String", "Integral", "String", "Integral", "Unknown", "Unknown"]
    assert found.item_count == 6000
    one = found["a b"]
    assert (one.mean, one.std_dev, one.min, one.max) == pytest.approx(
        (table["a b"].mean(), table["a b"].std(ddof=0), table["a b"].min(), table["a b"].max())
    )
    values = np.sort(table["a b"])
    at = np.quantile(values, [0.1, 0.5, 0.9])
    assert one.sketch.cdf(at) == pytest.approx([0.1, 0.5, 0.9], abs=one.sketch.error())
    assert dict(found["t"].categories) == table.t.value_counts().to_dict()
    assert dict(found["flag"].categories) == {"false": (~table.flag).sum(), "true": table.flag.sum()}
    assert found["holes"].num_missing == (table.n == 0).sum() and found["list"].num_present == 6000 and found["nothing"].num_missing == 6000
    assert statistics(rows.repartition(5), ["n"]).to_dict() == statistics(rows.repartition(5), ["n"]).to_dict()


def test_a_baseline_is_checked_on_rows(spark, table):
    frame = spark.createDataFrame(table)
    baseline = suggest_baseline(frame)
    assert check_data_quality(frame, baseline).ok
    found = check_data_quality(spark.createDataFrame(table.assign(n=table.n + 6, t="x")), baseline)
    assert {(one.subject, one.check) for one in found.violations} == {("n", "baseline_drift_check"), ("t", "baseline_drift_check")}
    assert found.to_dataframe(spark).count() == 2
    with pytest.raises(ValueError, match="there is no column 'z'"):
        suggest_baseline(frame, ["z"])


def request(event: str, asked: str, answered: str, encoding: str = "CSV", inference: str | None = None) -> str:
    def side(data, mode):
        return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": encoding}

    metadata = {"eventId": event, "inferenceTime": "2026-01-02T03:04:05Z", **({"inferenceId": inference} if inference else {})}
    captured = {"endpointInput": side(asked, "INPUT"), "endpointOutput": side(answered, "OUTPUT")}
    return json.dumps({"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"})


def truth(event: str, data: str) -> str:
    return json.dumps({"groundTruthData": {"data": data, "encoding": "CSV"}, "eventMetadata": {"eventId": event}, "eventVersion": "0"})


def test_captured_requests_meet_their_truth(spark, tmp_path):
    hour = tmp_path / "captured/endpoint/all/2026/01/02/03"
    hour.mkdir(parents=True)
    lines = [request("e1", '1,"a,b"\n2,c\n', "0.5\n0.6"), request("e2", "3,d", "0.7", inference="mine"), request("e3", "4,e", "0.8")]
    (hour / "one.jsonl").write_text("\n".join(lines) + "\n")
    for at, rows in {
        "04": [truth("e1", "1\n0"), truth("mine", "0")],
        "05": [truth("mine", "1"), truth("e9", "1"), truth("e2", "7")],
    }.items():
        folder = tmp_path / "truth/2026/01/02" / at
        folder.mkdir(parents=True)
        (folder / "labels.jsonl").write_text("\n".join(rows) + "\n")
    captured = read_captured(spark, str(tmp_path / "captured"))
    places = ["0" * 20, "0" * 19 + "1"]
    assert captured.columns == ["inference_id", "inference_time", "row", *places, "output_" + places[0]]
    rows = {(row["inference_id"], row["row"]): tuple(row[3:]) for row in captured.collect()}
    assert rows == {
        ("e1", 0): ("1", "a,b", "0.5"),
        ("e1", 1): ("2", "c", "0.6"),
        ("mine", 0): ("3", "d", "0.7"),
        ("e3", 0): ("4", "e", "0.8"),
    }
    merged = merge_ground_truth(captured, read_ground_truth(spark, str(tmp_path / "truth")))
    found = {(row["inference_id"], row["row"]): row["ground_truth"] for row in merged.rows.collect()}
    assert found == {("e1", 0): "1", ("e1", 1): "0", ("mine", 0): "1"}
    assert (merged.without_truth, merged.without_prediction) == (1, 2)
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "America/Los_Angeles")
    try:
        hours = read_ground_truth(spark, str(tmp_path / "truth")).select(F.unix_timestamp("collected")).distinct().collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", zone)
    begin = int(datetime(2026, 1, 2, tzinfo=timezone.utc).timestamp())
    assert {row[0] for row in hours} == {begin + 4 * 3600, begin + 5 * 3600}
    assert statistics(captured)[places[0]].inferred_type == "Integral"


def test_captured_json_is_read_by_name(spark, tmp_path):
    (tmp_path / "one.jsonl").write_text(request("e", '{"x": 1, "y": "a"}', '{"score": 0.25}', "JSON") + "\n")
    (row,) = read_captured(spark, str(tmp_path)).collect()
    assert (row["x"], row["y"], row["score"]) == ("1", "a", "0.25")
    (row,) = read_captured(spark, str(tmp_path), ["y"], ["score"]).collect()
    assert (row["y"], row["score"]) == ("a", "0.25")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ('{"instances": [{"features": [1, 2.5]}, {"features": [3, 4]}]}', '{"predictions": [{"score": 0.1}, {"score": 0.2}]}'),
        ('{"instances": [\n {"data": {"features": {"values": [1, 2.5]}}},\n [3, 4]\n]}', '{"scores": [{"score": 0.1}, {"score": 0.2}]}'),
        ('{"features": [1, 2.5]}\n{"features": [3, 4]}', '{"score": 0.1}\n{"score": 0.2}'),
        ("[[1, 2.5], [3, 4]]", '[{"score": 0.1}, {"score": 0.2}]'),
        ("[1, 2.5]\n[3, 4]", '{"projections": [{"score": 0.1}, {"score": 0.2}]}'),
    ],
)
def test_instances_of_captured_json_are_rows(spark, tmp_path, asked, answered):
    (tmp_path / "one.jsonl").write_text(request("e", asked, answered, "JSON") + "\n")
    places = ["0" * 20, "0" * 19 + "1"]
    found = read_captured(spark, str(tmp_path))
    assert found.columns[2:] == ["row", *places, "score"]
    assert sorted(tuple(row)[2:] for row in found.collect()) == [(0, "1", "2.5", "0.1"), (1, "3", "4", "0.2")]
    named = read_captured(spark, str(tmp_path), ["a", "b"], ["score"]).where("row = 1").select("a", "b", "score")
    assert [tuple(row) for row in named.collect()] == [("3", "4", "0.2")]


def test_texts_of_captured_json_are_rows(spark, tmp_path):
    (tmp_path / "one.jsonl").write_text(request("e", '{"instances": ["a text", "b"]}', '{"predictions": [0.1, 0.2]}', "JSON") + "\n")
    found = read_captured(spark, str(tmp_path), ["text"], ["score"]).select("row", "text", "score").collect()
    assert sorted(map(tuple, found)) == [(0, "a text", "0.1"), (1, "b", "0.2")]
    assert read_captured(spark, str(tmp_path)).columns[3:] == ["0" * 20, "output_" + "0" * 20]
    (tmp_path / "one.jsonl").write_text(request("e", '{"text": "a"}', '{"scores": [0.1, 0.9]}', "JSON") + "\n")
    (row,) = read_captured(spark, str(tmp_path)).collect()
    assert (row["text"], row["scores"]) == ("a", "[0.1,0.9]")


def test_lines_that_are_no_records_are_told_with_their_place_or_refused(spark, tmp_path, caplog):
    captured, labels = tmp_path / "captured of today", tmp_path / "labels"
    captured.mkdir()
    labels.mkdir()
    whole = request("e1", "1,2", "0.5")
    (captured / "a.jsonl").write_text(f"{whole}\n")
    (captured / "b.jsonl").write_text(f"{whole}\n\n{whole[:-30]}\n{whole}\n[1]\n")
    (captured / "c.jsonl").write_text('{"captureData": {}}\n')
    (labels / "a.jsonl").write_text(f"{truth('e1', '1')}\nwhat is no JSON\n")
    told = re.escape(f"3 lines in {captured} are no captured requests, in 2 files; the first is line 3 of ") + ".*captured of today/b.jsonl"
    with caplog.at_level("WARNING", "sparkml_algos.monitor"):
        assert [row["inference_id"] for row in read_captured(spark, str(captured)).collect()] == ["e1"] * 3
        assert [row["ground_truth"] for row in read_ground_truth(spark, str(labels)).collect()] == ["1"]
    assert len(caplog.messages) == 2 and re.fullmatch(f"{told}; they are left out", caplog.messages[0])
    assert re.search(r"1 lines in .*labels are no labels, in 1 files; the first is line 2 of ", caplog.messages[1])
    with pytest.raises(ValueError, match=f"{told}$"):
        read_captured(spark, str(captured), corrupt="refuse")
    with pytest.raises(ValueError, match="are no labels"):
        read_ground_truth(spark, str(labels), corrupt="refuse")
    with pytest.raises(ValueError, match="there is no captured request in"):
        read_captured(spark, str(captured / "c.jsonl"))
    with pytest.raises(ValueError, match="corrupt is 'warn' or 'refuse', not 'drop'"):
        read_captured(spark, str(captured), corrupt="drop")


def test_quality_of_two_classes_many_and_numbers(spark):
    random = np.random.default_rng(9)
    truth_of, score = random.integers(0, 2, 2500), random.random(2500).round(3)
    score = np.where(random.random(2500) < 0.5, (score + truth_of) / 2, score)
    frame = spark.createDataFrame(
        pd.DataFrame({"y": truth_of, "s": score, "p": (score > 0.6).astype(float), "c": random.integers(0, 3, 2500)})
    )
    found = model_quality(frame, "BinaryClassification", ground_truth="y", probability="s", probability_threshold=0.6)
    assert found.metrics["auc"] == pytest.approx(sk.roc_auc_score(truth_of, score), abs=1e-4)
    assert found.metrics["precision"] == pytest.approx(sk.precision_score(truth_of, score > 0.6))
    assert 0 < found.deviations["auc"] < 0.02
    same = model_quality(frame, "BinaryClassification", ground_truth="y", inference="p", probability="s")
    assert same.confusion_matrix == found.confusion_matrix and same.metrics == found.metrics
    many = model_quality(frame, "MulticlassClassification", ground_truth="c", inference="p")
    assert many.metrics["accuracy"] == pytest.approx(sk.accuracy_score(frame.toPandas().c, score > 0.6))
    large = spark.createDataFrame([(10_000_000, "10000000", 1e7), (5, "5", 5.0), (5, "10000000", 0.5)], "t long, p string, d double")
    for guess, classes in (("p", {"5", "10000000"}), ("d", {"5", "10000000", "0.5"})):
        named = model_quality(large, "MulticlassClassification", ground_truth="t", inference=guess)
        assert set(named.confusion_matrix) == classes and named.metrics["accuracy"] == pytest.approx(2 / 3)
    two = model_quality(large, "BinaryClassification", ground_truth="t", inference="d", positive=10_000_000)
    assert two.confusion_matrix["1"] == {"0": 0.0, "1": 1.0}
    numbers = model_quality(frame, "Regression", ground_truth="y", inference="s")
    assert numbers.metrics["r2"] == pytest.approx(sk.r2_score(truth_of, score)) and 0 < numbers.deviations["mae"] < 0.05
    with pytest.raises(ValueError, match="'y y'"):
        model_quality(frame, "Regression", ground_truth="y y", inference="s")
    with pytest.raises(ValueError, match="only two classes do without"):
        model_quality(frame, "Regression", ground_truth="y")
