"""Attributions of texts: which words, sentences or paragraphs have moved a model's answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.core.columns import column
from sparkml_algos.explain.attribution import outputs_of
from sparkml_algos.explain.kernel import Coalitions, coalitions

Granularity = Literal["token", "sentence", "paragraph"]
# Of the service: tokens that the global list has.
MAX_TOP_TOKENS = 50
_TOKEN, _BLANK = re.compile(r"\S+"), re.compile(r"\s+")
# What ends sentences: a full stop and its like where a blank follows, or the text ends; those of Chinese and Japanese anywhere.
_STOPS = re.compile(r"([.!?…]+)[\"'”’)\]]*|([。！？]+)")  # noqa: RUF001
_ROW, _ID, _PLACE, _TEXT, _FOUND = (f"_sparkml_algos_{name}" for name in ("row", "id", "place", "text", "found"))
_MIXTURES = "array<struct<place:int,text:string>>"
ATTRIBUTIONS, EXPECTED = "attributions", "expected"
_EXPLAINED = f"struct<{ATTRIBUTIONS}:array<struct<partial_text:string,start_idx:int,attribution:array<double>>>,{EXPECTED}:array<double>>"


@dataclass(frozen=True)
class TextExplanation:
    """Attributions of texts.

    Attributes
    ----------
    dataframe : DataFrame
        The rows with ``attributions``, an array of structs of ``partial_text``, ``start_idx`` (the place of its first character) and
        ``attribution`` (a number for each output), and ``expected`` (likewise), from which attributions add up to the outputs. It is
        computed when it is read, each time anew unless it is cached.
    labels : tuple of str
        ``label0``, ``label1``, …: the outputs that are explained.
    granularity : {"token", "sentence", "paragraph"}
    """

    dataframe: DataFrame
    labels: tuple[str, ...]
    granularity: Granularity

    def top_tokens(self, max_top_tokens: int = MAX_TOP_TOKENS) -> dict[str, dict[str, float]]:
        """What counts most over all rows.

        Parameters
        ----------
        max_top_tokens : int

        Returns
        -------
        dict of str to dict of str to float
            By label and unit, the largest first: the sum of its absolute attributions, divided by the number of rows.

        Raises
        ------
        ValueError
            If there are no rows.
        """
        rows = self.dataframe.count()
        if not rows:
            raise ValueError("there are no rows to explain")
        units = self.dataframe.select(F.explode(ATTRIBUTIONS).alias("u"))
        sums = [(F.sum(F.abs(F.col("u.attribution")[i])) / rows).alias(label) for i, label in enumerate(self.labels)]
        found = units.groupBy(F.col("u.partial_text").alias("unit")).agg(*sums)
        answer = {}
        for label in self.labels:
            top = found.orderBy(F.col(label).desc(), "unit").limit(max_top_tokens).select("unit", label).collect()
            answer[label] = {row["unit"]: float(row[label]) for row in top}
        return answer


def explain_text(
    model: Any,
    dataset: DataFrame,
    *,
    text: str | None = None,
    granularity: Granularity = "token",
    baseline: str = "",
    output: str | None = None,
    num_samples: int | None = None,
    seed: int = 0,
) -> TextExplanation:
    """Say how much each part of a text has moved a model's output, by kernel SHAP.

    Parameters
    ----------
    model : Model or PipelineModel
        Whatever has `transform` and reads a column of strings.
    dataset : DataFrame
        The rows to explain.
    text : str, optional
        Column of the texts; by default the model's `textCol`.
    granularity : {"token", "sentence", "paragraph"}
        What is a part: what stands between blanks; what ends with a full stop and its like; what stands between empty lines.
    baseline : str
        What stands for a part that is left out, such as ``[MASK]``.
    output : str, optional
        Column of `transform` that is explained, a number or a Vector; by default ``probability``, or ``prediction`` where there is none.
    num_samples : int, optional
        Mixtures for each text of n parts: 2n + 2,048, at most 2ⁿ − 2.
    seed : int
        The same seed, the same values.

    Returns
    -------
    TextExplanation

    Raises
    ------
    ValueError
        If a column is missing or no string, or the granularity unknown.

    Notes
    -----
    Each text becomes so many texts, which the model scores on the executors. A null is explained as an empty text, of which there is
    nothing to attribute.
    """
    if granularity not in _UNITS:
        raise ValueError(f"granularity is one of {', '.join(_UNITS)}, not {granularity!r}")
    name = text if text is not None else _text_column(model)
    if name not in dataset.columns:
        raise ValueError(f"there is no column {name!r}; the columns are {', '.join(dataset.columns)}")
    type_ = dataset.schema[name].dataType
    if not isinstance(type_, StringType):
        raise ValueError(f"column {name!r} is {type_.simpleString()}; strings are explained")
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"num_samples is 1 or more, not {num_samples!r}")
    spark = dataset.sparkSession
    ensure_importable(spark)
    with described(spark, "explain texts"):
        expand = F.udf(lambda value: mixtures(value, granularity, baseline, num_samples, seed), _MIXTURES)
        solve = F.udf(lambda value, found: explained(value, found, granularity, num_samples, seed), _EXPLAINED)
        rows = dataset.select(F.monotonically_increasing_id().alias(_ID), F.struct(*map(column, dataset.columns)).alias(_ROW), "*")
        mixed = rows.withColumn(_FOUND, F.explode(expand(column(name))))
        kept = [F.col(f"{_FOUND}.text").alias(name) if one == name else column(one) for one in dataset.columns]
        scored = model.transform(mixed.select(_ID, _ROW, F.col(f"{_FOUND}.place").alias(_PLACE), *kept))
        outputs = outputs_of(scored, dataset, output, model)
        # Sorted in the function: which row of a group comes first is not known.
        parts = F.collect_list(F.struct(column(_PLACE).alias("place"), F.array(*outputs).alias("outputs")))
        solved = scored.groupBy(_ID).agg(F.first(_ROW).alias(_ROW), parts.alias(_FOUND))
        told = solved.select(_ROW, solve(F.col(_ROW)[name], _FOUND).alias(_FOUND))
        columns: list[Column | str] = [f"{_ROW}.*", f"{_FOUND}.{ATTRIBUTIONS}", f"{_FOUND}.{EXPECTED}"]
        return TextExplanation(told.select(*columns), tuple(f"label{i}" for i in range(len(outputs))), granularity)


def units(text: str, granularity: Granularity) -> list[tuple[int, int]]:
    """Where the parts of a text begin and end; in time that grows with its length, whatever it is."""
    return list(_UNITS[granularity](text))


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    return (found.span() for found in _TOKEN.finditer(text))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """What is behind the last stop is one, too, with all blanks at its end."""
    start = _begin(text, 0)
    for found in _STOPS.finditer(text):
        stops, end = found.end(found.lastindex or 0), found.end()
        # A sentence has a sign before the stop that ends it.
        if stops - 1 > start and (found[2] or end == len(text) or text[end].isspace()):
            yield start, end
            start = _begin(text, end)
    if start < len(text):
        yield start, len(text)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = _begin(text, 0)
    for found in _BLANK.finditer(text, start):
        if found.end() == len(text) or found[0].count("\n") > 1:
            yield start, found.start()
            start = found.end()
    if start < len(text):
        yield start, len(text)


def _begin(text: str, place: int) -> int:
    """Where what is no blank begins."""
    found = _TOKEN.search(text, place)
    return len(text) if found is None else found.start()


_UNITS: Mapping[Granularity, Callable[[str], Iterator[tuple[int, int]]]] = {
    "token": _tokens,
    "sentence": _sentences,
    "paragraph": _paragraphs,
}


def mixtures(text: str | None, granularity: Granularity, baseline: str, num_samples: int | None, seed: int) -> list[tuple[int, str]]:
    """A text with parts left out: 0 is without all of them, 1 the text as it is, from 2 on mixtures."""
    text = text or ""
    spans = units(text, granularity)
    ends = [0, *(end for _, end in spans)]
    between = [text[end:start] for end, (start, _) in zip(ends, spans, strict=False)]
    parts, rest = [text[start:end] for start, end in spans], text[ends[-1] :]

    def mixed(left_in: Sequence[bool]) -> str:
        return "".join(f"{gap}{part if there else baseline}" for gap, part, there in zip(between, parts, left_in, strict=True)) + rest

    chosen = _coalitions(len(spans), num_samples, seed).left_in if spans else np.zeros((0, 0), bool)
    answer = [(0, mixed([False] * len(spans))), (1, text)]
    return answer + [(2 + i, mixed(mask)) for i, mask in enumerate(chosen.tolist())]


def explained(
    text: str | None, found: Sequence[Any], granularity: Granularity, num_samples: int | None, seed: int
) -> tuple[list[tuple[str, int, list[float]]], list[float]]:
    """Attributions of the parts of a text, out of the outputs of its mixtures, and the output without any part."""
    text = text or ""
    spans = units(text, granularity)
    outputs = np.array([one["outputs"] for one in sorted(found, key=lambda one: one["place"])], np.float64)
    if not spans:
        return [], outputs[0].tolist()
    values = _coalitions(len(spans), num_samples, seed).attributions(outputs[2:], outputs[0], outputs[1])
    return [(text[start:end], start, one.tolist()) for (start, end), one in zip(spans, values, strict=True)], outputs[0].tolist()


@functools.lru_cache(maxsize=16)
def _coalitions(features: int, samples: int | None, seed: int) -> Coalitions:
    """Of a text of so many parts; a number of samples that is too small to tell them apart is raised to the least there is."""
    return coalitions(features, None if samples is None else max(samples, 2 * features), seed)


def _text_column(model: Any) -> str:
    if not hasattr(model, "getTextCol"):
        raise ValueError(f"{type(model).__name__} has no textCol; text names the column to explain")
    return model.getTextCol()
