"""The service's search expressions over what is in the tracking store."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sparkml_algos.tracking import limits, store
from sparkml_algos.tracking.cards import properties_of_cards
from sparkml_algos.tracking.experiment import list_experiments, to_spark
from sparkml_algos.tracking.recorder import KIND
from sparkml_algos.tracking.registry import model_versions
from sparkml_algos.tracking.run import Run

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

OPERATORS = (
    *("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"),
    *("Contains", "Exists", "NotExists", "In"),
)
MOST_FILTERS = 20
_METRIC_PARTS = {"min": "min", "max": "max", "avg": "avg", "stddev": "std", "count": "count", "last": "last"}
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda one, other: one > other,
    "GreaterThanOrEqualTo": lambda one, other: one >= other,
    "LessThan": lambda one, other: one < other,
    "LessThanOrEqualTo": lambda one, other: one <= other,
}
_PUSHED = {"Equals": "=", "GreaterThan": ">", "GreaterThanOrEqualTo": ">=", "LessThan": "<", "LessThanOrEqualTo": "<="}
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")


@dataclass(frozen=True)
class Filter:
    """A property, compared.

    Parameters
    ----------
    name : str
        ``Metrics.<name>``, ``Metrics.<name>.max`` (``min``, ``avg``, ``stddev``, ``count``, ``last``), ``Parameters.<name>`` or
        ``HyperParameters.<name>``, ``Tags.<key>``, or a property such as ``Status``, ``CreationTime``, ``DisplayName``.
    operator : str, default "Equals"
        One of `OPERATORS`.
    value : optional
        Numbers, and times in ISO 8601, are compared as such; with ``In`` a list, or a text of values with commas between.

    Raises
    ------
    ValueError
        If there is no such operator, or a value is missing or too much.
    """

    name: str
    operator: str = "Equals"
    value: Any = None

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ValueError(f"operator must be one of {', '.join(OPERATORS)}, got {self.operator!r}")
        if (self.value is None) != (self.operator in ("Exists", "NotExists")):
            raise ValueError(f"{self.name}: {self.operator} takes {'no value' if self.value is not None else 'a value'}")

    def matches(self, value: Any) -> bool:
        """Whether a property with this value, None if there is none, fulfils it."""
        if self.operator in ("Exists", "NotExists"):
            return (value is not None) == (self.operator == "Exists")
        if value is None:
            return False
        if self.operator == "In":
            among = self.value.split(",") if isinstance(self.value, str) else list(self.value)
            return any(_equal(value, one.strip() if isinstance(one, str) else one) for one in among)
        if self.operator == "Contains":
            return str(self.value).lower() in str(value).lower()
        if self.operator in ("Equals", "NotEquals"):
            return _equal(value, self.value) == (self.operator == "Equals")
        pair = _typed_pair(value, self.value)
        return pair is not None and _COMPARED[self.operator](*pair)


@dataclass(frozen=True)
class NestedFilter:
    """Filters of which all must be fulfilled by one and the same element of a list, such as ``InputArtifacts`` or ``OutputArtifacts``.

    Parameters
    ----------
    nested_property_name : str
    filters : sequence of Filter
        Of the properties of an element: ``InputArtifacts.name``, or ``name``.
    """

    nested_property_name: str
    filters: Sequence[Filter]


@dataclass(frozen=True)
class SearchExpression:
    """Filters and further expressions, all of which must be fulfilled, or any.

    Parameters
    ----------
    filters : sequence of Filter
        At most 20.
    nested_filters : sequence of NestedFilter
        At most 20.
    sub_expressions : sequence of SearchExpression
        At most 20.
    operator : {"And", "Or"}

    Raises
    ------
    ValueError
        If there are too many, or none.

    Examples
    --------
    >>> from sparkml_algos.tracking import Filter, SearchExpression
    >>> good = Filter("Metrics.validation:auc", "GreaterThan", 0.9)
    >>> small = Filter("Parameters.max_depth", "LessThanOrEqualTo", 4)
    >>> SearchExpression([good, small]).operator
    'And'
    """

    filters: Sequence[Filter] = ()
    nested_filters: Sequence[NestedFilter] = ()
    sub_expressions: Sequence[SearchExpression] = field(default_factory=tuple)
    operator: str = "And"

    def __post_init__(self) -> None:
        if self.operator not in ("And", "Or"):
            raise ValueError(f"operator must be 'And' or 'Or', got {self.operator!r}")
        for what in ("filters", "nested_filters", "sub_expressions"):
            if len(getattr(self, what)) > MOST_FILTERS:
                raise ValueError(f"there may be {MOST_FILTERS} {what}, these are {len(getattr(self, what))}")
        if not self.filters and not self.nested_filters and not self.sub_expressions:
            raise ValueError("a search expression needs a filter")

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> SearchExpression:
        """From the service's JSON: ``Filters``, ``NestedFilters``, ``SubExpressions``, ``Operator``.

        Raises
        ------
        ValueError
            If it has other keys.
        """
        if unknown := sorted(set(described) - {"Filters", "NestedFilters", "SubExpressions", "Operator"}):
            raise ValueError(f"a search expression has no {', '.join(unknown)}")
        nested = [
            NestedFilter(one["NestedPropertyName"], [_filter(part) for part in one["Filters"]])
            for one in described.get("NestedFilters", ())
        ]
        below = [cls.from_dict(one) for one in described.get("SubExpressions", ())]
        return cls([_filter(one) for one in described.get("Filters", ())], nested, below, described.get("Operator", "And"))

    def matches(self, value_of: Callable[[str], Any]) -> bool:
        """Whether a resource fulfils it, of which the function gives properties."""
        found = (
            *(one.matches(value_of(one.name)) for one in self.filters),
            *(_matches_nested(one, value_of) for one in self.nested_filters),
            *(one.matches(value_of) for one in self.sub_expressions),
        )
        return all(found) if self.operator == "And" else any(found)


class SearchResult(list[dict[str, Any]]):
    """What was found, a dictionary of properties each."""

    def frame(self) -> pd.DataFrame:
        """As a frame of pandas."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """In Spark; columns are of numbers or of texts."""
        return to_spark(spark, self.frame())


def search(
    resource: str = "ExperimentTrialComponent",
    expression: SearchExpression | Filter | Mapping[str, Any] | None = None,
    *,
    experiment_name: str | None = None,
    sort_by: str | None = None,
    sort_order: str = "Descending",
    max_results: int | None = None,
    tracking_uri: str | None = None,
) -> SearchResult:
    """Find what fulfils an expression, in all experiments or in one.

    Parameters
    ----------
    resource : str
        ``ExperimentTrialComponent`` (any run), ``ExperimentTrial`` (runs with runs below them), ``TrainingJob`` (fits, and trials of
        searches), ``HyperParameterTuningJob``, ``Experiment``, ``ModelPackage`` (versions of registered models), ``ModelPackageGroup``,
        ``ModelCard`` (versions of cards).
    expression : SearchExpression, Filter or mapping, optional
        A mapping as the service has it; all by default.
    experiment_name : str, optional
    sort_by : str, optional
        A property; by default when it was made.
    sort_order : {"Descending", "Ascending"}
        What has no such property, or NaN, comes last.
    max_results : int, optional
    tracking_uri : str, optional

    Returns
    -------
    SearchResult
        A list of dictionaries, which is also a frame.

    Raises
    ------
    ValueError
        If there is no such resource or order.

    Examples
    --------
    >>> search("TrainingJob", Filter("Metrics.validation:auc.max", "GreaterThan", 0.9)).frame()  # doctest: +SKIP
    """
    if resource not in _RESOURCES:
        raise ValueError(f"resource must be one of {', '.join(_RESOURCES)}, got {resource!r}")
    if sort_order not in ("Ascending", "Descending"):
        raise ValueError(f"sort_order must be 'Ascending' or 'Descending', got {sort_order!r}")
    if isinstance(expression, Filter):
        expression = SearchExpression([expression])
    elif isinstance(expression, Mapping):
        expression = SearchExpression.from_dict(expression)
    uri = store.get_tracking_uri(tracking_uri)
    found = [one for one in _RESOURCES[resource](uri, experiment_name, expression) if expression is None or expression.matches(one.value)]
    by = sort_by or "CreationTime"
    keys = {id(one): _typed(one.value(by)) for one in found}
    having = [one for one in found if _has_order(keys[id(one)])]
    having.sort(key=lambda one: (_rank(keys[id(one)]), keys[id(one)]), reverse=sort_order == "Descending")
    found = [*having, *(one for one in found if not _has_order(keys[id(one)]))][:max_results]
    return SearchResult(one.properties for one in found)


def property_names(prefix: str = "", *, experiment_name: str | None = None, tracking_uri: str | None = None) -> list[str]:
    """Names of properties of runs that begin so, as `Filter` takes them.

    Parameters
    ----------
    prefix : str
        Not told apart by case.
    experiment_name : str, optional
    tracking_uri : str, optional
    """
    uri = store.get_tracking_uri(tracking_uri)
    found = {
        name for one in _runs(uri, experiment_name, None) for name in one.properties if name not in ("InputArtifacts", "OutputArtifacts")
    }
    return sorted(name for name in found if name.lower().startswith(prefix.lower()))


class _Found:
    """A resource: properties by name, and some that are looked up when they are asked for."""

    def __init__(self, properties: dict[str, Any], later: Callable[[str], Any] = lambda name: None) -> None:
        self.properties, self._later = properties, later

    def value(self, name: str) -> Any:
        name = re.sub("^HyperParameters\\.", "Parameters.", name)
        return self.properties[name] if name in self.properties else self._later(name)


def _runs(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    experiments = list_experiments(uri) if experiment_name is None else [one for one in list_experiments(uri) if _is(one, experiment_name)]
    if experiment_name is not None and not experiments:
        raise ValueError(f"there is no experiment {experiment_name!r} in {uri}")
    names = {one.experiment_id: one.name for one in experiments}
    filter_string = " AND ".join(_pushed(expression)) if expression is not None else ""
    return [_of_run(Run._of(uri, entity), names) for entity in store.runs_of(uri, list(names), filter_string)]


def _is(experiment: Any, name: str) -> bool:
    return experiment.name.lower() == name.strip().lower()


def _of_run(run: Run, experiments: Mapping[str, str]) -> _Found:
    ended = run.ended
    properties: dict[str, Any] = {
        "TrialComponentName": run.run_name,
        "DisplayName": run.display_name,
        "RunId": run.run_id,
        "Kind": run.kind,
        "Status": run.status,
        "Message": run.message,
        "ExperimentName": experiments.get(run.experiment_id),
        "ParentRunId": run.parent_id,
        "CreationTime": run.started,
        "EndTime": ended,
        "Seconds": run.seconds,
        "User": run.facts.get("user"),
        "CommitId": run.facts.get("commit"),
        **{f"Parameters.{name}": value for name, value in run.parameters.items()},
        **{f"Metrics.{name}": value for name, value in run.metrics.items()},
        **{f"Tags.{name}": value for name, value in run.tags.items()},
        "InputArtifacts": [*run.inputs, *({"name": name, **one} for name, one in run.input_artifacts.items())],
        "OutputArtifacts": [{"name": name, **one} for name, one in run.output_artifacts.items()],
    }

    def later(name: str) -> Any:
        base, _, part = name.removeprefix("Metrics.").rpartition(".")
        if not name.startswith("Metrics.") or part.lower() not in _METRIC_PARTS or base not in run.metrics:
            return None
        return getattr(run.metric_summary(base), _METRIC_PARTS[part.lower()])

    return _Found(properties, later)


def _of_kind(*kinds: str) -> Callable[[str, str | None, SearchExpression | None], list[_Found]]:
    def found(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
        return [one for one in _runs(uri, experiment_name, expression) if one.properties["Kind"] in kinds]

    return found


def _trials(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    """Runs with runs below them."""
    parents = {one.properties["ParentRunId"] for one in _runs(uri, experiment_name, None)}
    return [one for one in _runs(uri, experiment_name, expression) if one.properties["RunId"] in parents]


def _experiments(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    found = []
    for one in list_experiments(uri):
        if experiment_name is None or _is(one, experiment_name):
            entity = one._entity()
            properties: dict[str, Any] = {"ExperimentName": one.name, "DisplayName": one.display_name, "Description": one.description}
            times = {"CreationTime": entity.creation_time, "LastModifiedTime": entity.last_update_time}
            properties |= {name: datetime.fromtimestamp(time / 1000, timezone.utc) for name, time in times.items() if time}
            found.append(_Found(properties | {f"Tags.{name}": value for name, value in one.tags.items()}))
    return found


def _packages(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    return [
        _Found(
            {
                "ModelPackageName": f"{one.name}/{one.version}",
                "ModelPackageGroupName": one.name,
                "ModelPackageVersion": one.version,
                "ModelApprovalStatus": one.approval,
                "RunId": one.run_id,
                "ModelUri": one.uri,
                **{f"Tags.{name}": value for name, value in one.tags.items()},
            }
        )
        for one in model_versions(tracking_uri=uri)
    ]


def _groups(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    versions: dict[str, int] = {}
    for one in model_versions(tracking_uri=uri):
        versions[one.name] = max(versions.get(one.name, 0), one.version)
    return [_Found({"ModelPackageGroupName": name, "LatestVersion": version}) for name, version in versions.items()]


def _cards(uri: str, experiment_name: str | None, expression: SearchExpression | None) -> list[_Found]:
    return [_Found(one) for one in properties_of_cards(uri)]


_RESOURCES: Mapping[str, Callable[[str, str | None, SearchExpression | None], list[_Found]]] = {
    "ExperimentTrialComponent": _runs,
    "ExperimentTrial": _trials,
    "TrainingJob": _of_kind("training", "trial"),
    "HyperParameterTuningJob": _of_kind("tuning"),
    "Experiment": _experiments,
    "ModelPackage": _packages,
    "ModelPackageGroup": _groups,
    "ModelCard": _cards,
}


def _pushed(expression: SearchExpression) -> list[str]:
    """What of an expression the store can decide beforehand; all of it is decided once more on what the store lets through.

    Parameters are not among it: of one that was changed the store compares the first value.
    """
    if expression.operator != "And":
        return []
    found = []
    for one in expression.filters:
        kind, _, name = one.name.partition(".")
        if "`" in name or one.operator not in _PUSHED:
            continue
        if kind == "Metrics" and _is_finite(one.value) and name.rpartition(".")[2].lower() not in _METRIC_PARTS:
            number = repr(float(one.value)).replace("e+", "e")  # MLflow reads 1e16, and not 1e+16
            found.append(f"metrics.`{store.stored_name(name)}` {_PUSHED[one.operator]} {number}")
        if kind == "Tags" and one.operator == "Equals" and isinstance(one.value, str) and _typed(one.value) == one.value:
            found.append(store.equals(f"tags.`{name}`", one.value))
        if one.name == "Kind" and one.operator == "Equals" and one.value in ("training", "tuning", "trial", "validation"):
            found.append(store.equals(f"tags.`{KIND}`", one.value))
    return [*filter(None, found), *(part for below in expression.sub_expressions for part in _pushed(below))]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _matches_nested(nested: NestedFilter, value_of: Callable[[str], Any]) -> bool:
    elements = value_of(nested.nested_property_name) or []
    start = f"{nested.nested_property_name}."
    return any(all(one.matches(element.get(one.name.removeprefix(start))) for one in nested.filters) for element in elements)


def _filter(described: Mapping[str, Any]) -> Filter:
    return Filter(described["Name"], described.get("Operator", "Equals"), described.get("Value"))


def _typed(value: Any) -> Any:
    """Texts that are numbers or times, as such."""
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value)
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.astimezone()
    text = str(value).strip()
    if not isinstance(number := limits.typed(text), str):
        return float(number)
    if _TIME.fullmatch(text):
        try:
            found = datetime.fromisoformat(text.replace("Z", "+00:00"))
            return found if found.tzinfo else found.astimezone()
        except ValueError:
            pass
    return str(value)


def _has_order(value: Any) -> bool:
    return value is not None and value == value


def _rank(value: Any) -> int:
    return 0 if isinstance(value, float) else 1 if isinstance(value, datetime) else 2


def _typed_pair(one: Any, other: Any) -> tuple[Any, Any] | None:
    first, second = _typed(one), _typed(other)
    return (first, second) if type(first) is type(second) else None


def _equal(one: Any, other: Any) -> bool:
    first, second = _typed(one), _typed(other)
    return type(first) is type(second) and bool(first == second)
