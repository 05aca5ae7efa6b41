"""Bias of five facets, and a baseline of 50 columns, against `summary()` of the same rows in the same session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from data import Data
from harness import CORES, Headline, Options, PeakMemory, Report, Table, local_session, measure, median, ratio, timed

ROWS, COLUMNS, TURNS = 1_000_000, 50, 2
SIZES = {"age": 80, "region": 7, "job": 12, "y": 2, "p": 2}  # distinct whole numbers by column
_PEER = "df.summary()"


def compare_bias(data: Data, options: Options) -> Report:
    """Seconds of all 21 measures of five facets, and of those that need no second pass."""
    found = measure(bias_in_turn)
    return _report(f"Bias of 5 facets, {ROWS:,} rows of 8 columns: seconds", found, "21 measures")


def compare_baseline(data: Data, options: Options) -> Report:
    """Seconds of statistics and constraints, and the most memory of a Python worker."""
    found = measure(baseline_in_turn)
    report = _report(f"Baseline of {ROWS:,} rows of {COLUMNS} columns: seconds", found["seconds"], "baseline")
    report.notes.append(
        f"Python workers had {found['mebibytes']['all']:,.0f} MiB, and {found['mebibytes']['a tenth']:,.0f} for a tenth of the rows."
    )
    return Report(report.tables, found, report.notes, report.headlines)


def _report(title: str, found: dict[str, list[float]], ours: str) -> Report:
    table = Table(title, ["", "seconds", f"/ {_PEER}"])
    peer = median(found[_PEER])
    table.rows = [[name, f"{median(seconds):.1f}", ratio(median(seconds), peer)] for name, seconds in found.items()]
    note = f"Medians of {TURNS} in turns, after one of each; {CORES} cores, rows cached."
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
        rows = session.read.parquet(folder + "/rows").cache()
        rows.count()
        with PeakMemory() as some:
            suggest_baseline(rows.limit(ROWS // 10))
        with PeakMemory() as peak:
            seconds = _in_turn({_PEER: lambda: rows.summary().collect(), "baseline": lambda: suggest_baseline(rows)})
    return {"seconds": seconds, "mebibytes": {"a tenth": some.mebibytes, "all": peak.mebibytes}}


CASES = {"bias": compare_bias, "baseline": compare_baseline}
