"""What was found of bias: values, the service's JSON, rows for Spark, a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkml_algos.bias.measures import MEASURES, STATISTICS, Counts, Measure, Stage, Undefined, ratio
from sparkml_algos.html_pages import Bar, bars, page, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

STAGES: tuple[Stage, ...] = ("pre_training", "post_training")
_VERSION = "1.0"
_SCHEMA = "stage string, facet string, value_or_threshold string, metric string, description string, value double, error string"
_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class MetricValue:
    """A measure's value for one facet.

    Attributes
    ----------
    name, description : str
    value : float or None
        None if the measure is not defined for these rows.
    error : str or None
        Why it is not.
    """

    name: str
    description: str
    value: float | None
    error: str | None = None


@dataclass(frozen=True)
class FacetBias:
    """The measures of one facet.

    Attributes
    ----------
    facet : str
        Column.
    value_or_threshold : str
        The values that are in the facet, or their interval.
    pre_training, post_training : tuple of MetricValue
        In the order of their names.
    rows : tuple of (float, float), or None
        Rows, or their weight, outside the facet and in it; None where a report was read.
    notes : tuple of str
        What is to be known of the values, such as the size of a sample.
    """

    facet: str
    value_or_threshold: str
    pre_training: tuple[MetricValue, ...] = ()
    post_training: tuple[MetricValue, ...] = ()
    rows: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def metrics(self, stage: Stage) -> tuple[MetricValue, ...]:
        """The measures of a stage."""
        return self.pre_training if stage == "pre_training" else self.post_training


@dataclass(frozen=True)
class BiasReport:
    """All facets; see `bias_report`.

    Attributes
    ----------
    label : str
    label_value_or_threshold : str
        Labels that count as positive.
    facets : tuple of FacetBias
    performance : dict
        Statistics of the model over all rows, its confusion matrix as shares (``TP``, ``FP``, ``FN``, ``TN``) and, of labels that are
        classes, rows by label and prediction; empty without predictions.
    """

    label: str
    label_value_or_threshold: str
    facets: tuple[FacetBias, ...]
    performance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: tuple[str, str] | tuple[str, str, str]) -> float | None:
        """A value by facet and measure, ``report["sex", "DI"]``, or by facet, value and measure, ``report["sex", "Female", "DI"]``."""
        facet, *value, name = key
        found = [one for one in self.facets if one.facet == facet and (not value or one.value_or_threshold == value[0])]
        values = [metric.value for one in found for stage in STAGES for metric in one.metrics(stage) if metric.name == name]
        if len(values) != 1:
            there = ", ".join(f"{one.facet}={one.value_or_threshold}" for one in self.facets)
            raise KeyError(f"{len(values)} values of {name!r} in {'='.join(key[:-1])!r}; the report has {there}")
        return values[0]

    def to_dict(self) -> dict[str, Any]:
        """The report as the service's ``analysis.json`` has it.

        Returns
        -------
        dict
            Infinite values are ``"Infinity"`` and ``"-Infinity"``.
        """
        answer: dict[str, Any] = {"version": _VERSION}
        for stage in STAGES:
            if not any(one.metrics(stage) for one in self.facets):
                continue
            facets: dict[str, list[dict[str, Any]]] = {}
            for one in self.facets:
                metrics = [_written(metric) for metric in one.metrics(stage)]
                facets.setdefault(one.facet, []).append({"value_or_threshold": one.value_or_threshold, "metrics": metrics})
            answer[f"{stage}_bias_metrics"] = {
                "label": self.label, "label_value_or_threshold": self.label_value_or_threshold, "facets": facets,
            }  # fmt: skip
        if self.performance:
            answer["model_performance"] = {"label": self.label, **self.performance}
        return answer

    def save_json(self, path: str | Path) -> None:
        """Write the service's ``analysis.json``.

        Parameters
        ----------
        path : str or Path
        """
        Path(path).write_text(json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> BiasReport:
        """The report that an ``analysis.json`` has, ours or the service's.

        Parameters
        ----------
        read : mapping

        Returns
        -------
        BiasReport

        Raises
        ------
        ValueError
            If it has no measures of bias.
        """
        parts: dict[tuple[str, str], dict[str, Any]] = {}
        heads = [read[f"{stage}_bias_metrics"] for stage in STAGES if f"{stage}_bias_metrics" in read]
        if not heads:
            raise ValueError(
                "neither pre_training_bias_metrics nor post_training_bias_metrics is there: not the result of an analysis of bias"
            )
        for stage in STAGES:
            for facet, groups in read.get(f"{stage}_bias_metrics", {}).get("facets", {}).items():
                for group in groups:
                    key = (str(facet), str(group["value_or_threshold"]))
                    parts.setdefault(key, {})[stage] = tuple(_read(metric) for metric in group["metrics"])
        facets = tuple(FacetBias(facet, value, **metrics) for (facet, value), metrics in parts.items())
        performance = {key: value for key, value in read.get("model_performance", {}).items() if key != "label"}
        return cls(str(heads[0]["label"]), str(heads[0]["label_value_or_threshold"]), facets, performance)

    @classmethod
    def load_json(cls, path: str | Path) -> BiasReport:
        """Read an ``analysis.json``.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        BiasReport
        """
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def rows(self) -> list[tuple[Any, ...]]:
        """Stage, facet, value, measure, description, value and error of every measure."""
        return [
            (stage, one.facet, one.value_or_threshold, metric.name, metric.description, metric.value, metric.error)
            for one in self.facets for stage in STAGES for metric in one.metrics(stage)
        ]  # fmt: skip

    def to_dataframe(self, spark: SparkSession) -> DataFrame:
        """A row for every measure of every facet.

        Parameters
        ----------
        spark : SparkSession

        Returns
        -------
        DataFrame
            Columns ``stage``, ``facet``, ``value_or_threshold``, ``metric``, ``description``, ``value``, ``error``.
        """
        return spark.createDataFrame(self.rows(), _SCHEMA)

    def to_html(self, title: str = "Bias") -> str:
        """A page of its own, without outside resources: for each facet what the measures are, drawn, and what they mean.

        Parameters
        ----------
        title : str

        Returns
        -------
        str
        """
        parts = [f"<p>Label <b>{escape(self.label)}</b>, positive where {escape(self.label_value_or_threshold)}.</p>"]
        parts += [_section(one) for one in self.facets]
        if self.performance:
            parts.append(_performance(self.performance))
        return page(title, "\n".join(parts))

    def save_html(self, path: str | Path, title: str = "Bias") -> None:
        """Write the page of `to_html`.

        Parameters
        ----------
        path : str or Path
        title : str
        """
        Path(path).write_text(self.to_html(title), encoding="utf-8")

    def _repr_html_(self) -> str:
        return "\n".join(_section(one) for one in self.facets)


def values_of(counts: Counts, measures: Sequence[Measure]) -> tuple[MetricValue, ...]:
    """What measures are for these counts; those that are undefined say why."""
    values = []
    for measure in measures:
        try:
            values.append(MetricValue(measure.name, measure.description, measure(counts)))
        except Undefined as error:
            values.append(MetricValue(measure.name, measure.description, None, str(error)))
    return tuple(values)


def performance_of(counts: Counts, matrix: Mapping[str, Mapping[str, float]] | None) -> dict[str, Any]:
    """Statistics of the model over both sides."""
    confusion = counts.confusion().sum(axis=0)
    rows = float(confusion.sum())
    metrics = [_written(MetricValue(name, name, float(statistic(confusion)))) for name, statistic in STATISTICS.items()]
    shares = [ratio(float(confusion[cell]), rows) for cell in ((1, 1), (0, 1), (1, 0), (0, 0))]
    found: dict[str, Any] = {"model_performance_metrics": metrics, "binary_confusion_matrix": shares}
    return found if matrix is None else {**found, "confusion_matrix": {label: dict(row) for label, row in matrix.items()}}


def _written(metric: MetricValue) -> dict[str, Any]:
    value: Any = metric.value
    if isinstance(value, float) and math.isinf(value):
        value = "Infinity" if value > 0 else "-Infinity"
    answer = {"name": metric.name, "description": metric.description, "value": value}
    return answer if metric.error is None else {**answer, "error": metric.error}


def _read(metric: Mapping[str, Any]) -> MetricValue:
    value = metric.get("value")
    value = _INFINITE[value] if isinstance(value, str) and value in _INFINITE else value
    return MetricValue(metric["name"], metric.get("description", ""), None if value is None else float(value), metric.get("error"))


def _section(one: FacetBias) -> str:
    parts = [f"<h2>{escape(one.facet)}: {escape(one.value_or_threshold)}</h2>"]
    if one.rows is not None:
        parts.append(f"<p>{one.rows[1]:,.6g} rows are in the facet, {one.rows[0]:,.6g} are not.</p>")
    for stage, title in zip(STAGES, ("Before training", "After training"), strict=True):
        if metrics := one.metrics(stage):
            drawn = [Bar(metric.name, metric.value, _ideal(metric.name)) for metric in metrics if metric.value is not None]
            cells = [
                (metric.name, metric.description, metric.value if metric.error is None else metric.error, _reading(metric.name))
                for metric in metrics
            ]
            parts += [f"<h3>{title}</h3>", bars(drawn), table(("", "measure", "value", "meaning"), cells)]
    parts += [f"<p>{escape(note)}.</p>" for note in one.notes]
    return "\n".join(parts)


def _ideal(name: str) -> float:
    return MEASURES[name].ideal if name in MEASURES else 0.0


def _reading(name: str) -> str:
    return MEASURES[name].reading if name in MEASURES else ""


def _performance(found: Mapping[str, Any]) -> str:
    parts = ["<h2>Model</h2>", table(("statistic", "value"), [(one["name"], one["value"]) for one in found["model_performance_metrics"]])]
    if matrix := found.get("confusion_matrix"):
        predicted = sorted({name for row in matrix.values() for name in row})
        rows = [(label, *(row.get(name, 0) for name in predicted)) for label, row in matrix.items()]
        parts += ["<h3>Rows by label and prediction</h3>", table(("label", *predicted), rows)]
    return "\n".join(parts)
