"""One aggregation of Spark that counts all facets, and one more that samples rows for the flip test."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.bias.columns import Split
from sparkml_algos.bias.flipping import flips
from sparkml_algos.bias.measures import Counts, Flips
from sparkml_algos.core.columns import Found

# Numbers, beside those of facets, of what each row counts for.
_MATRIX, _LABEL = -1, -2
# Of columns of hashes, 2⁶³ is one.
_HASHES = 2.0**63


@dataclass(frozen=True)
class Question:
    """What is to be counted.

    Attributes
    ----------
    label : Split
    predicted : Split or None
        The column of predictions, parted as the label is.
    positive : Column or None
        Whether a row is predicted positive; None without predictions.
    facets : sequence of Split
    group : Column or None
    weight : Found or None
    """

    label: Split
    predicted: Split | None
    positive: Column | None
    facets: Sequence[Split]
    group: Column | None
    weight: Found | None


@dataclass(frozen=True)
class Group:
    """Rows of one facet, apart from all others.

    Attributes
    ----------
    facet : int
        Number of the facet.
    text : str
        What the group is called.
    value : str or None
        The one value of the column that it has; None if the facet lists values or has a threshold.
    counts : Counts
    rows : tuple of (int, int)
        Rows outside the group and in it, whatever they weigh.
    """

    facet: int
    text: str
    value: str | None
    counts: Counts
    rows: tuple[int, int]


@dataclass(frozen=True)
class Counted:
    """All that one pass found.

    Attributes
    ----------
    groups : list of Group
    label_text : str
        The values of the label that are positive.
    matrix : dict of str to dict of str to float, or None
        Rows by label and prediction as they are; None where the label is continuous or there are no predictions.
    """

    groups: list[Group]
    label_text: str
    matrix: dict[str, dict[str, float]] | None


def count(dataset: DataFrame, question: Question) -> Counted:
    """Count rows by facet, label, prediction and stratum.

    Each row is made one for every facet, with the value of that facet, and these are grouped; so what travels between executors is as long
    as facets have values, and not as the product of their values.

    Parameters
    ----------
    dataset : DataFrame
    question : Question

    Returns
    -------
    Counted

    Raises
    ------
    ValueError
        If there are no rows, or weights that cannot be added.
    """
    matrix = question.label.kind == "categorical" and question.predicted is not None
    rows = dataset.select(
        question.label.holds().cast("int").alias("y"),
        (F.lit(0) if question.positive is None else F.coalesce(question.positive, F.lit(False)).cast("int")).alias("p"),
        (F.lit(None).cast("string") if question.group is None else question.group.cast("string")).alias("g"),
        (F.lit(1.0) if question.weight is None else question.weight.column.cast("double")).alias("w"),
        F.explode(F.array(*_entries(question, matrix))).alias("e"),
    )
    aggregates = [F.count(F.lit(1)).alias("c"), F.max("e.x").alias("x")]
    if question.weight is not None:
        refused = F.col("w").isNull() | F.isnan("w") | (F.col("w") < 0) | (F.col("w") == math.inf)
        aggregates += [F.sum("w").alias("n"), F.max(refused).alias("refused")]
    grouped = rows.groupBy(F.col("e.f").alias("f"), F.col("e.v").alias("v"), "y", "p", "g").agg(*aggregates)
    found = [row.asDict() for row in grouped.collect()]
    if not found:
        raise ValueError("the dataset has no rows")
    for row in found:
        row.setdefault("n", float(row["c"]))
    if question.weight is not None and any(row["refused"] for row in found):
        raise ValueError(f"weight: column {'.'.join(question.weight.path)!r} must have finite numbers of 0 or more, and no nulls")
    return _assembled(question, found, matrix)


def _entries(question: Question, matrix: bool) -> list[Column]:
    """What a row counts for: a struct of number, value and, of thresholds, the number that is compared."""

    def entry(number: int, value: Column, compared: Column | None = None) -> Column:
        compared = F.lit(None) if compared is None else compared
        return F.struct(F.lit(number).alias("f"), value.cast("string").alias("v"), compared.cast("double").alias("x"))

    entries = []
    for i, facet in enumerate(question.facets):
        if not facet.values:
            entries.append(entry(i, facet.found.column))
        else:
            value = F.when(facet.holds(), F.lit("1")).otherwise(F.lit("0"))
            entries.append(entry(i, value, facet.number if facet.kind == "continuous" else None))
    if matrix and question.predicted is not None:
        names = [F.coalesce(one.found.column.cast("string"), F.lit("")) for one in (question.label, question.predicted)]
        entries.append(entry(_MATRIX, F.concat_ws("\x1f", *names)))
    if question.label.kind == "continuous":
        both = [question.label.number] + ([question.predicted.number] if question.predicted is not None else [])
        entries.append(entry(_LABEL, F.lit(None), F.greatest(*both) if len(both) > 1 else both[0]))
    return entries


def _assembled(question: Question, found: list[dict], matrix: bool) -> Counted:
    strata = sorted({row["g"] for row in found if row["g"] is not None})
    place = {name: i for i, name in enumerate(strata)} | {None: len(strata)}
    by_value: dict[int, dict[str | None, np.ndarray]] = defaultdict(lambda: defaultdict(lambda: np.zeros((2, 2, len(place)))))
    rows: dict[int, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    largest: dict[int, float] = {}
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in found:
        number, value = row["f"], row["v"]
        if row["x"] is not None and not math.isnan(row["x"]):
            largest[number] = max(largest.get(number, -math.inf), row["x"])
        if number == _MATRIX:
            label, _, predicted = value.partition("\x1f")
            table[label][predicted] += row["n"]
        elif number >= 0:
            by_value[number][value][row["y"], row["p"], place[row["g"]]] += row["n"]
            rows[number][value] += row["c"]
    options: dict[str, Any] = {"predicted": question.positive is not None, "stratified": question.group is not None}
    groups = []
    for i, facet in enumerate(question.facets):
        cells = by_value[i]
        everything = sum(cells.values())
        if facet.values:
            outside, inside = (cells.get(side, np.zeros_like(everything)) for side in ("0", "1"))
            counts = Counts(np.stack([outside, inside]), **options)
            groups.append(Group(i, facet.text(largest.get(i)), None, counts, (rows[i]["0"], rows[i]["1"])))
            continue
        for value in sorted(value for value in cells if value is not None):
            others = sum((one for other, one in cells.items() if other != value), np.zeros_like(everything))
            of_value = rows[i][value]
            groups.append(
                Group(i, value, value, Counts(np.stack([others, cells[value]]), **options), (sum(rows[i].values()) - of_value, of_value))
            )
    plain = {label: dict(sorted(row.items())) for label, row in sorted(table.items())}
    return Counted(groups, question.label.text(largest.get(_LABEL)), plain if matrix else None)


def flip_tests(
    dataset: DataFrame, question: Question, groups: Sequence[Group], features: Sequence[Column], limit: int, seed: int
) -> list[tuple[Flips | str, str | None]]:
    """The flip test of every group, on all its rows or, of sides with more than `limit`, on about so many.

    A row is in the sample or not by the hash of what it has, so that the result does not depend on partitions; rows that are equal are in
    together or out together. All groups are served by one pass.

    Parameters
    ----------
    dataset : DataFrame
    question : Question
    groups : sequence of Group
        As counted.
    features : sequence of Column
        Numbers.
    limit : int
        Rows of a side.
    seed : int

    Returns
    -------
    list of (Flips or str, str or None)
        Of each group the result, or why there is none, and what is to be said of its sample.
    """
    if question.positive is None:
        return [("there are no predictions", None)] * len(groups)
    if not features:
        return [("there is no feature that is a number", None)] * len(groups)
    rows_of = dataset.select(
        F.array(*(column.cast("double") for column in features)).alias("x"),
        F.coalesce(question.positive, F.lit(False)).alias("p"),
        (F.lit(1.0) if question.weight is None else question.weight.column.cast("double")).alias("w"),
        F.array(*(F.coalesce(_inside(question, group), F.lit(False)) for group in groups)).alias("in"),
    )
    hashed = rows_of.withColumn("h", (F.xxhash64(F.lit(seed), "x", "p", "in").cast("double") / _HASHES + 1) / 2)
    shares = [[min(1.0, limit / max(1, rows)) for rows in group.rows] for group in groups]
    wanted = F.greatest(F.lit(0.0), *(F.when(F.col("in")[i], F.lit(share[1])).otherwise(F.lit(share[0])) for i, share in enumerate(shares)))
    taken = hashed.where(F.col("h") <= wanted).collect()
    x = np.array([[math.nan if value is None else value for value in row["x"]] for row in taken], np.float64).reshape(
        len(taken), len(features)
    )
    p, w, h = (np.array([row[name] for row in taken]) for name in ("p", "w", "h"))
    membership = np.array([row["in"] for row in taken], bool).reshape(len(taken), len(groups))
    finite = np.isfinite(x).all(axis=1)
    answers: list[tuple[Flips | str, str | None]] = []
    for i, share in enumerate(shares):
        inside = membership[:, i]
        used = h <= np.where(inside, share[1], share[0])
        left_out = int((used & ~finite).sum())
        used &= finite
        if not (used & inside).any() or not (used & ~inside).any():
            answers.append(("a side of the facet has no row whose features are all numbers", None))
            continue
        said = []
        if min(share) < 1:
            said.append(f"on {int((used & inside).sum())} rows of the facet and {int((used & ~inside).sum())} others, chosen by hash")
        if left_out:
            said.append(f"without {left_out} rows that lack a feature")
        answers.append((flips(x[used], p[used].astype(bool), inside[used], w[used].astype(float)), "; ".join(said) or None))
    return answers


def _inside(question: Question, group: Group) -> Column:
    facet = question.facets[group.facet]
    return facet.holds() if group.value is None else facet.found.column.cast("string") == F.lit(group.value)
