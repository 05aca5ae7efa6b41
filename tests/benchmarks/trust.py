"""Bias of five facets, and a baseline of 50 columns, against `summary()` of the same rows in the same session; kernel SHAP against shap's;
which measures of drift see what.

``SPARKML_ALGOS_BENCHMARK_ROWS`` is the number of rows of the first two, a million by default. Of the baseline more than three million are
not cached, and read from files by both.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from data import Data, public
from harness import CORES, Headline, Options, PeakMemory, Report, Skipped, Table, local_session, measure, median, ratio, timed

ROWS, COLUMNS = int(os.environ.get("SPARKML_ALGOS_BENCHMARK_ROWS", "1000000")), 50
# Rows of 50 columns that a session of a machine's half has memory for.
MOST_CACHED = 3_000_000
TURNS = 2 if ROWS <= MOST_CACHED else 1
# Of kernel SHAP: rows to explain beside shap, and by one worker and two; features, rows of the baseline, mixtures; how often XGBoost
# predicts many rows.
EXPLAINED, MANY, FEATURES, BASELINE, SAMPLES, PREDICTED = 100, 3000, 20, 10, 500, 60
# Of electricity: half-hours of a week, and weeks of the baseline.
WEEK, BASELINE_WEEKS = 336, 20
SIZES = {"age": 80, "region": 7, "job": 12, "y": 2, "p": 2}  # distinct whole numbers by column
_PEER = "df.summary()"


def compare_bias(data: Data, options: Options) -> Report:
    """Seconds of all 21 measures of five facets, and of those that need no second pass."""
    found = measure(bias_in_turn)
    return _report(f"Bias of 5 facets, {ROWS:,} rows of 8 columns: seconds", found, "21 measures")


def compare_baseline(data: Data, options: Options) -> Report:
    """Seconds of statistics and constraints, and the most memory of a Python worker."""
    found = measure(baseline_in_turn)
    kept = "" if ROWS <= MOST_CACHED else " in Parquet"
    report = _report(f"Baseline of {ROWS:,} rows of {COLUMNS} columns{kept}: seconds", found["seconds"], "baseline", ROWS <= MOST_CACHED)
    report.notes.append(
        f"Python workers had {found['mebibytes']['all']:,.0f} MiB, and {found['mebibytes']['a tenth']:,.0f} for a tenth of the rows."
    )
    return Report(report.tables, found, report.notes, report.headlines)


def _report(title: str, found: dict[str, list[float]], ours: str, cached: bool = True) -> Report:
    table = Table(title, ["", "seconds", f"/ {_PEER}"])
    peer = median(found[_PEER])
    table.rows = [[name, f"{median(seconds):.1f}", ratio(median(seconds), peer)] for name, seconds in found.items()]
    turns = f"Medians of {TURNS} in turns" if TURNS > 1 else "Once"
    note = f"{turns}, after one of each; {CORES} cores, rows {'cached' if cached else 'in Parquet'}."
    return Report([table], found, [note], [Headline(title.rpartition(":")[0].lower(), _PEER, peer, median(found[ours]))])


def _in_turn(actions: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(TURNS + 1):
        for name, action in actions.items():
            found[name].append(timed(action)[0])
    return {name: seconds[1:] for name, seconds in found.items()}


def bias_in_turn() -> dict[str, list[float]]:
    """Seconds by what was done."""
    from pyspark.sql import functions as F

    from sparkml_algos.bias import MEASURES, Facet, bias_report

    made = local_session().range(ROWS, numPartitions=2 * CORES).select(
        *(F.floor(F.rand(i) * size).cast("int").alias(name) for i, (name, size) in enumerate(SIZES.items())),
        F.when(F.rand(8) < 0.4, "Female").otherwise("Male").alias("sex"),
        F.rand(9).alias("income"),
        (F.rand(10) < 0.1).alias("member"),
    )  # fmt: skip
    rows = made.cache()
    rows.count()
    facets = [
        Facet("sex", "Female"), Facet("age", 40, "continuous"), Facet("member", True), Facet("income", 0.7),
        Facet("region", kind="categorical"),
    ]  # fmt: skip
    others = [name for name, measure in MEASURES.items() if measure.stage == "post_training" and name != "FT"]

    def report(post: Any) -> None:
        bias_report(rows, "y", 1, facets, predicted_label="p", group_variable="job", label_kind="categorical", post_training=post)

    return _in_turn(
        {_PEER: lambda: rows.summary().collect(), "21 measures": lambda: report("all"), "without the flip test": lambda: report(others)}
    )


def baseline_in_turn() -> dict[str, Any]:
    """Seconds by what was done, and the memory of Python workers by rows."""
    from pyspark.sql import functions as F

    from sparkml_algos.monitor import suggest_baseline

    with tempfile.TemporaryDirectory() as folder:
        session = local_session()
        columns = [(F.randn(i) * i).alias(f"c{i}") for i in range(COLUMNS - 2)]
        texts = [F.concat(F.lit("city "), F.floor(F.rand(i) * 10**i).cast("string")).alias(f"t{i}") for i in (1, 3)]
        session.range(ROWS, numPartitions=2 * CORES).select(*columns, *texts).write.parquet(folder + "/rows")
        rows = session.read.parquet(folder + "/rows")
        if ROWS <= MOST_CACHED:
            rows = rows.cache()
            rows.count()
        with PeakMemory() as some:
            suggest_baseline(rows.limit(ROWS // 10))
        with PeakMemory() as peak:
            seconds = _in_turn({_PEER: lambda: rows.summary().collect(), "baseline": lambda: suggest_baseline(rows)})
    return {"seconds": seconds, "mebibytes": {"a tenth": some.mebibytes, "all": peak.mebibytes}}


def compare_kernel(data: Data, options: Options) -> Report:
    """Seconds of the same explanations by shap's KernelExplainer and by ours on one core, and of more of them on one core and on two."""
    from importlib.util import find_spec

    if find_spec("shap") is None:
        raise Skipped("needs shap: pip install shap")
    theirs = measure(kernel_of_shap, threads=1)
    ours = measure(kernel_of_ours, threads=1, cores=1, rows=EXPLAINED)
    one, two = (measure(kernel_of_ours, threads=1, cores=cores, rows=MANY) for cores in (1, CORES))
    bare = measure(bare_predictions)
    what = f"{EXPLAINED} rows of {FEATURES} features, {BASELINE} rows of baseline, {SAMPLES} mixtures, trees"
    table = Table(f"Kernel SHAP, {what}: seconds", ["", "seconds", "largest difference"])
    table.rows = [
        ["shap's KernelExplainer, one core", f"{theirs['seconds']:.2f}", None],
        ["ours, one core", f"{ours['seconds']:.2f}", f"{_apart(theirs, ours):.4f}"],
    ]
    workers = Table(f"Kernel SHAP, {MANY:,} rows: seconds", ["", "seconds", "one core / these"])
    for name, found in (("one core", one), (f"{CORES} cores", two)):
        workers.rows.append([name, f"{found['seconds']:.2f}", ratio(one["seconds"], found["seconds"])])
    beside = CORES * ratio(bare["alone"], bare["beside"])
    workers.rows.append([f"XGBoost's predictions alone, {CORES} processes beside each other for one", f"{bare['beside']:.2f}", beside])
    span = max(map(max, theirs["values"])) - min(map(min, theirs["values"]))
    note = f"Best of three. Attributions span {span:.2f}; each draws its own mixtures."
    headline = Headline(f"kernel SHAP, {what}", "shap's KernelExplainer", theirs["seconds"], ours["seconds"])
    seconds = {"shap": theirs, "ours": ours, "one core": one, "two cores": two}
    return Report([table, workers], {**{name: found["seconds"] for name, found in seconds.items()}, "bare": bare}, [note], [headline])


def _apart(theirs: dict[str, Any], ours: dict[str, Any]) -> float:
    return max(abs(a - b) for x, y in zip(theirs["values"], ours["values"], strict=True) for a, b in zip(x, y, strict=True))


def _trees(rows: int) -> tuple[Any, Any, Any]:
    """A booster, rows to explain, and those of the baseline."""
    import numpy as np
    import xgboost as xgb

    random = np.random.default_rng(0)
    x = random.normal(size=(3000, FEATURES)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + 0.5 * x[:, 3]
    booster = xgb.train({"max_depth": 4, "eta": 0.3, "nthread": 1}, xgb.DMatrix(x, y), 30)
    return booster, x[:rows], x[-BASELINE:]


def kernel_of_shap() -> dict[str, Any]:
    """Seconds, and attributions."""
    import numpy as np
    import shap

    booster, rows, baseline = _trees(EXPLAINED)
    explainer = shap.KernelExplainer(booster.inplace_predict, baseline)
    found = []
    for _ in range(3):
        np.random.seed(0)
        found.append(timed(lambda: explainer.shap_values(rows, nsamples=SAMPLES, silent=True, l1_reg=False)))
    return {"seconds": min(seconds for seconds, _ in found), "values": np.asarray(found[0][1]).tolist()}


def kernel_of_ours(cores: int, rows: int) -> dict[str, Any]:
    """The same of so many rows, in a session on so many cores."""
    from sparkml_algos import XGBoostRegressionModel
    from sparkml_algos.explain import explain

    booster, explained, baseline = _trees(rows)
    session = local_session(cores=cores)
    session.conf.set("spark.sql.shuffle.partitions", cores)
    model = XGBoostRegressionModel.from_booster(booster)
    numbered = [(i, row.tolist()) for i, row in enumerate(explained)]
    frame = session.createDataFrame(numbered, "id int, features array<double>").repartition(cores).cache()
    frame.count()

    def attributions() -> list[list[float]]:
        explanation = explain(model, frame, baseline=baseline.tolist(), engine="kernel", num_samples=SAMPLES, seed=1)
        names = [f"{name}_label0" for name in explanation.features]
        # To sort them Spark would compute them twice, once for the bounds of its partitions.
        rows = sorted(explanation.dataframe.collect(), key=lambda row: row["id"])
        return [[row[name] for name in names] for row in rows]

    found = [timed(attributions) for _ in range(4)][1:]  # the first one starts Python
    return {"seconds": min(seconds for seconds, _ in found), "values": found[0][1]}


def bare_predictions() -> dict[str, float]:
    """Median seconds of a process that has XGBoost predict mixtures, alone and beside another."""
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    with ProcessPoolExecutor(CORES, get_context("spawn")) as pool:
        list(pool.map(predictions, [1] * CORES))
        for _ in range(5):
            found["alone"].append(pool.submit(predictions, PREDICTED).result())
            found["beside"].append(max(pool.map(predictions, [PREDICTED] * CORES)))
    return {name: median(seconds) for name, seconds in found.items()}


def predictions(times: int) -> float:
    """Seconds of so many predictions of as many rows as ours are scored at a time."""
    import numpy as np

    booster, rows, _ = _trees(MANY)
    booster.set_param({"nthread": 1})
    rows = np.tile(rows, (16, 1))
    return timed(lambda: [booster.inplace_predict(rows) for _ in range(times)])[0]


def compare_detections(data: Data, options: Options) -> Report:
    """Which measures of drift see what, week by week, on prices of electricity as they came and in random order."""
    import numpy as np
    import pandas as pd

    from sparkml_algos.monitor import Adwin, drift

    path = public("elec2_drift/elec2.csv.gz")
    prices = pd.read_csv(path).drop(columns="period")
    prices["class"] = prices["class"].map({0: "down", 1: "up"})
    limits = {"linf_robust": 0.1, "ks": 0.1, "psi": 0.2, "js": 0.02, "wasserstein": 0.1, "chi_square": 0.05}
    table = Table("Weeks in which a column has drifted, in per cent", ["", *prices.columns, "any column"])
    values: dict[str, Any] = {}
    orders = {"as they came": prices, "in random order": prices.sample(frac=1, random_state=0, ignore_index=True)}
    for order, rows in orders.items():
        baseline = _statistics(rows[: BASELINE_WEEKS * WEEK])
        weeks = [_statistics(rows[start : start + WEEK]) for start in range(BASELINE_WEEKS * WEEK, len(rows) - WEEK + 1, WEEK)]
        for method, limit in limits.items():
            seen = [drift(week, baseline, method) for week in weeks]
            flags = np.array([[_flagged(one.get(name), method, limit) for name in rows] for one in seen])
            shares = [*(100 * flags.mean(axis=0)), 100 * flags.any(axis=1).mean()]
            sign = "<" if method == "chi_square" else ">"
            table.rows.append([f"{method} {sign} {limit}, {order}", *(f"{share:.0f}" for share in shares)])
            values[f"{method}, {order}"] = shares
    wrong = (prices["class"] != prices["class"].shift()).iloc[1:].astype(float)
    cuts = {"as they came": len(Adwin().update(wrong)), "in random order": len(Adwin().update(wrong.sample(frac=1, random_state=0)))}
    note = (
        f"Baseline of {BASELINE_WEEKS} weeks, {len(weeks)} weeks of {WEEK} half-hours after it. "
        "ADWIN of whether the last class predicts the next: "
        f"{cuts['as they came']} changes, {cuts['in random order']} in random order."
    )
    return Report([table], {**values, "adwin": cuts}, [note])


def _flagged(distance: float | None, method: str, limit: float) -> bool:
    return distance is not None and (distance < limit if method == "chi_square" else distance > limit)


def _statistics(rows: Any) -> Any:
    """Statistics of a table of pandas, which is too small for jobs of Spark."""
    import pyarrow as pa
    from pyspark.sql.types import DoubleType, StringType

    from sparkml_algos.monitor.columns import ColumnState
    from sparkml_algos.monitor.statistics import Statistics, _feature

    features = []
    for name in rows:
        state, text = ColumnState(), rows[name].dtype == object
        if text:
            state.add_texts(pa.array(rows[name], pa.string()))
        else:
            state.add_numbers(rows[name].to_numpy(float))
        features.append(_feature(name, state, StringType() if text else DoubleType()))
    return Statistics(len(rows), tuple(features))


CASES = {"bias": compare_bias, "baseline": compare_baseline, "kernel": compare_kernel, "detections": compare_detections}
