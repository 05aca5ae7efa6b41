"""Experiments: the runs for one question, as lists, as tables, and ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from sparkml_algos.tracking import limits, store
from sparkml_algos.tracking.reading import MetricSummary
from sparkml_algos.tracking.run import DEFAULT_EXPERIMENT, UNASSIGNED, Run
from sparkml_algos.tracking.store import PREFIX

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

_DISPLAY = f"{PREFIX}display_name"
#: Metrics of which more is better have one of these in their name, those of Spark's evaluators too.
MAXIMISED = (
    *("accuracy", "auc", "dcg", "f1", "f_beta", "map", "precision", "pre", "pwll", "recall", "likelihood", "reward", "r2", "bleu", "iou"),
    *("mean_rho", "areaunder", "fmeasure", "truepositiverate", "silhouette"),
)

SortBy = Literal["CREATION_TIME", "NAME"]
SortOrder = Literal["DESCENDING", "ASCENDING"]


class Experiment:
    """An experiment, which is made if it is not there.

    Parameters
    ----------
    name : str, optional
        1 to 120 characters, not told apart by case. Without it that of unassigned runs.
    description : str, optional
        At most 3072 characters.
    display_name : str, optional
        As people see it; by default the name as it is given.
    tags : mapping of str to str, optional
        At most 50.
    tracking_uri : str, optional
        See `get_tracking_uri`.

    Attributes
    ----------
    name : str
        In lower case.
    experiment_id, tracking_uri : str

    Raises
    ------
    ValueError
        If a text is too long, or there are too many tags.

    Examples
    --------
    >>> from sparkml_algos.tracking import Experiment
    >>> Experiment("churn").leaderboard("validation:auc")  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str | None = None,
        description: str | None = None,
        *,
        display_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        self.tracking_uri = store.get_tracking_uri(tracking_uri)
        limits.check_description(description)
        given = limits.check_tags(tags)
        self.name = DEFAULT_EXPERIMENT if name is None else limits.check_name(name, "name")
        self.experiment_id = store.experiment_id(self.tracking_uri, self.name, {_DISPLAY: display_name or name or self.name})
        if description is not None:
            given["mlflow.note.content"] = description
        if display_name is not None:
            given[_DISPLAY] = display_name
        client = store.client_of(self.tracking_uri)
        for key, value in given.items():
            client.set_experiment_tag(self.experiment_id, key, value)

    @classmethod
    def _of(cls, uri: str, entity: Any) -> Experiment:
        """One that is there."""
        found = cls.__new__(cls)
        found.tracking_uri, found.name, found.experiment_id = uri, entity.name, entity.experiment_id
        return found

    def _entity(self) -> Any:
        return store.client_of(self.tracking_uri).get_experiment(self.experiment_id)

    @property
    def display_name(self) -> str:
        return str(self._entity().tags.get(_DISPLAY, self.name))

    @property
    def description(self) -> str | None:
        return self._entity().tags.get("mlflow.note.content")

    @property
    def tags(self) -> dict[str, str]:
        return {key: value for key, value in self._entity().tags.items() if not key.startswith((PREFIX, "mlflow."))}

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        return [Run._of(self.tracking_uri, entity) for entity in store.runs_of(self.tracking_uri, [self.experiment_id])]

    def leaderboard(self, metric: str, larger_is_better: bool | None = None) -> pd.DataFrame:
        """The runs that have a metric, the best first; of equals the one that ended earlier.

        Parameters
        ----------
        metric : str
            Its last value counts.
        larger_is_better : bool, optional
            By default told from the metric's name.

        Returns
        -------
        pandas.DataFrame
            ``rank``, ``best`` (of the first), ``run``, ``run_id``, ``status``, the metric, the other metrics, parameters, ``seconds``.

        Raises
        ------
        ValueError
            If no run has the metric.
        """
        import pandas as pd

        ranked = leaders(self.runs(), metric, larger_is_better)
        metrics = list(
            dict.fromkeys([metric, *sorted({name for run in ranked for name in run.metrics if not name.startswith("seconds:")})])
        )
        parameters = sorted({name for run in ranked for name in run.parameters})
        rows = [
            {
                "rank": place + 1,
                "best": place == 0,
                "run": run.display_name,
                "run_id": run.run_id,
                "status": run.status,
                **{name: run.metrics.get(name) for name in metrics},
                **{name: run.parameters.get(name) for name in parameters if name not in metrics},
                "seconds": run.seconds,
            }
            for place, run in enumerate(ranked)
        ]
        return pd.DataFrame(rows)

    def analytics(self) -> pd.DataFrame:
        """A row for each run, under the service's names: parameters, ``<metric> - Min``, ``Max``, ``Avg``, ``StdDev``, ``Last``, ``Count``,
        artifacts.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        return pd.DataFrame([_analytics_row(run, self.display_name) for run in self.runs()])

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """The same in Spark; columns are of numbers or of texts.

        Parameters
        ----------
        spark : SparkSession
        """
        return to_spark(spark, self.analytics())

    def __repr__(self) -> str:
        return f"Experiment {self.display_name} ({self.experiment_id}) in {self.tracking_uri}"


def list_experiments(tracking_uri: str | None = None) -> list[Experiment]:
    """All experiments, those of unassigned runs included, in order of their names.

    Parameters
    ----------
    tracking_uri : str, optional
    """
    uri = store.get_tracking_uri(tracking_uri)
    return [Experiment._of(uri, entity) for entity in sorted(store.all_experiments(uri), key=lambda one: one.name)]


def list_runs(
    experiment_name: str | None = None,
    *,
    created_before: datetime | None = None,
    created_after: datetime | None = None,
    sort_by: SortBy = "CREATION_TIME",
    sort_order: SortOrder = "DESCENDING",
    max_results: int | None = None,
    tracking_uri: str | None = None,
) -> list[Run]:
    """Runs of an experiment.

    Parameters
    ----------
    experiment_name : str, optional
        Without it the unassigned runs.
    created_before, created_after : datetime, optional
        Without a zone, of the machine's.
    sort_by : {"CREATION_TIME", "NAME"}
    sort_order : {"DESCENDING", "ASCENDING"}
    max_results : int, optional
    tracking_uri : str, optional

    Returns
    -------
    list of Run

    Raises
    ------
    ValueError
        If there is no such experiment, or no such order.
    """
    if sort_by not in ("CREATION_TIME", "NAME") or sort_order not in ("DESCENDING", "ASCENDING"):
        raise ValueError("sort_by must be 'CREATION_TIME' or 'NAME', and sort_order 'DESCENDING' or 'ASCENDING'")
    uri = store.get_tracking_uri(tracking_uri)
    name = DEFAULT_EXPERIMENT if experiment_name is None else limits.check_name(experiment_name, "experiment_name")
    found = [Run._of(uri, entity) for entity in store.runs_of(uri, [store.experiment_id(uri, name, create=False)])]
    if experiment_name is None:
        found = [run for run in found if UNASSIGNED in run.tags]
    before, after = (None if when is None else when if when.tzinfo else when.astimezone() for when in (created_before, created_after))
    found = [run for run in found if (before is None or run.started < before) and (after is None or run.started > after)]
    found.sort(key=lambda run: run.run_name if sort_by == "NAME" else run.started, reverse=sort_order == "DESCENDING")
    return found[:max_results]


def leaders(runs: Sequence[Run], metric: str, larger_is_better: bool | None = None) -> list[Run]:
    """The runs that have a metric that is a number, the best first; of equals the one that ended earlier, unended ones last.

    Raises
    ------
    ValueError
        If no run has it.
    """
    ranked = [run for run in runs if limits.is_number(run.metrics.get(metric))]
    if not ranked:
        known = sorted({name for run in runs for name in run.metrics if not name.startswith("seconds:")})
        raise ValueError(f"no run has the metric {metric!r}; metrics are {', '.join(known) or 'none'}")
    larger = is_maximised(metric) if larger_is_better is None else larger_is_better
    late = datetime.max.replace(tzinfo=timezone.utc)
    return sorted(ranked, key=lambda run: (-run.metrics[metric] if larger else run.metrics[metric], run.ended or late))


def is_maximised(metric: str) -> bool:
    """Whether more of a metric is better, told from its name."""
    name = metric.rpartition(":")[2].lower()
    return any(part in name for part in MAXIMISED) and not any(part in name for part in ("mape", "error", "loss"))


def to_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    """A frame of pandas in Spark; columns are of numbers or of texts."""
    types = {}
    for name in frame.columns:
        known = [value for value in frame[name] if value is not None and value == value]
        types[name] = (
            "double" if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known) else "string"
        )
    convert = {"double": float, "string": str}
    rows = [
        tuple(None if value is None or value != value else convert[types[name]](value) for name, value in row.items())
        for row in frame.to_dict("records")
    ]
    schema = ", ".join(f"`{name.replace('`', '``')}` {type_}" for name, type_ in types.items())
    return spark.createDataFrame(rows, schema)


def _analytics_row(run: Run, experiment: str) -> dict[str, Any]:
    row: dict[str, Any] = {"TrialComponentName": run.run_name, "DisplayName": run.display_name, "SourceArn": run.run_id, **run.parameters}
    for name, summary in run.metric_summaries.items():
        row |= {f"{name} - {shown}": value for shown, value in _shown(summary).items()}
    for name, artifact in {**run.input_artifacts, **run.output_artifacts}.items():
        row |= {f"{name} - MediaType": artifact["media_type"], f"{name} - Value": artifact["value"]}
    return {**row, "Trials": run.parent_id, "Experiments": experiment}


def _shown(summary: MetricSummary) -> dict[str, float]:
    values = (summary.min, summary.max, summary.avg, summary.std, summary.last, summary.count)
    return dict(zip(("Min", "Max", "Avg", "StdDev", "Last", "Count"), values, strict=True))
