"""Metrics of a ranking, in Spark SQL: the rows of a group need not be in one place."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def ranking_metrics(rows: DataFrame, names: list[str]) -> dict[str, float]:
    """Means over the groups.

    Parameters
    ----------
    rows : DataFrame
        ``group``, ``label``, which is the relevance, and ``score``.
    names : list of str
        ``ndcg``, ``map``, with ``@n`` for the first n places, with ``-`` at the end where groups without a relevant row count as 0, not 1.

    Raises
    ------
    ValueError
        If there is no row.
    """
    rows = rows.withColumn("label", F.col("label").cast("double"))
    by_score = Window.partitionBy("group").orderBy(F.desc("score"))
    rows = rows.withColumn("place", F.row_number().over(by_score))
    rows = rows.withColumn("ideal", F.row_number().over(Window.partitionBy("group").orderBy(F.desc("label"))))
    rows = rows.withColumn("relevant", (F.col("label") > 0).cast("int"))
    rows = rows.withColumn("hits", F.sum("relevant").over(by_score.rowsBetween(Window.unboundedPreceding, 0)))
    groups = rows.groupBy("group").agg(*(_of_group(name).alias(str(i)) for i, name in enumerate(names)))
    found = groups.agg(F.count("*").alias("groups"), *(F.avg(str(i)).alias(str(i)) for i in range(len(names)))).first()
    if not found["groups"]:
        raise ValueError("the dataset to evaluate on is empty")
    return {name: float(found[str(i)]) for i, name in enumerate(names)}


def _of_group(name: str) -> Column:
    metric, _, rest = name.removesuffix("-").partition("@")
    nothing = 0.0 if name.endswith("-") else 1.0
    best = (_gain("ideal", rest) if metric == "ndcg" else _most_hits(rest)).alias("best")
    reached = _gain("place", rest) if metric == "ndcg" else _within("place", rest, F.col("relevant") * F.col("hits") / F.col("place"))
    return F.when(best > 0, reached / best).otherwise(nothing)


def _gain(place: str, first: str) -> Column:
    """Discounted cumulative gain of the rows in the order of a column."""
    return _within(place, first, (F.pow(F.lit(2.0), F.col("label")) - 1) / F.log2(F.col(place) + 1))


def _most_hits(first: str) -> Column:
    hits = F.sum("relevant")
    return F.least(hits, F.lit(int(first))) if first else hits


def _within(place: str, first: str, term: Column) -> Column:
    """The sum of a term over the first places."""
    return F.sum(F.when(F.col(place) <= int(first), term).otherwise(0.0) if first else term)
