"""Whether rows are what the baseline says they must be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.html_pages import number, shares
from sparkml_algos.monitor.completeness import CHANCE, chance_of_gaps
from sparkml_algos.monitor.constraints import Baseline, FeatureConstraints, MonitoringConfig
from sparkml_algos.monitor.distances import categorical_distance, numeric_distance
from sparkml_algos.monitor.statistics import OTHER, FeatureStatistics, Statistics, statistics
from sparkml_algos.monitor.violations import MonitorReport, Violation

_CATEGORIES_DRAWN = 10


def check_data_quality(current: DataFrame | Statistics, baseline: Baseline) -> MonitorReport:
    """Compare rows with a baseline: columns, types, completeness, domains, signs, distributions.

    Parameters
    ----------
    current : DataFrame or Statistics
        The rows, which are read once, or statistics of them.
    baseline : Baseline

    Returns
    -------
    MonitorReport
        Violations by column, in the order of the baseline; metrics ``feature_non_null_…``, ``feature_baseline_drift_…`` and
        ``feature_data_…``, the mean.

    Notes
    -----
    Missing and extra columns are found by name, where the service compares their number. Completeness is violated where it falls below the
    baseline's, and by more than chance makes it, unless `completeness_method` is ``simple`` or the constraint is not the one that the
    baseline suggests. With ``linf_robust``, what chance makes of samples of these sizes is taken off a distance first.
    """
    found = current if isinstance(current, Statistics) else statistics(current)
    known = {feature.name: feature for feature in found.features}
    violations: list[Violation] = []
    metrics: dict[str, float] = {}
    plots: dict[str, str] = {}
    expected = {feature.name: feature for feature in baseline.statistics.features}
    for constraints in baseline.constraints.features:
        config = baseline.constraints.config.changed(constraints.overrides)
        feature = known.get(constraints.name)
        if feature is None:
            if config.evaluate_constraints:
                violations.append(Violation(constraints.name, "missing_column_check", "The column is in the baseline and not in the data."))
            continue
        before = expected.get(constraints.name)
        distance = _distance(before, feature, config) if before is not None and config.perform_comparison else None
        if config.evaluate_constraints:
            violations += _violations(feature, constraints, config, before)
            violations += [] if before is None or distance is None else _drift(before, config, distance)
        if config.emit_metrics:
            metrics[f"feature_non_null_{feature.name}"] = float(feature.num_present)
            if feature.mean is not None:
                metrics[f"feature_data_{feature.name}"] = feature.mean
            if distance is not None:
                metrics[f"feature_baseline_drift_{feature.name}"] = distance
        if before is not None and (drawn := _drawn(before, feature)):
            plots[feature.name] = drawn
    extra = [name for name in known if name not in {one.name for one in baseline.constraints.features}]
    if baseline.constraints.config.evaluate_constraints:
        violations += [Violation(name, "extra_column_check", "The column is in the data and not in the baseline.") for name in extra]
    return MonitorReport("DataQuality", tuple(violations), metrics, plots=plots)


def drift(current: Statistics, baseline: Statistics, method: str = "linf_robust") -> dict[str, float]:
    """Distance of every column that both have, by one method.

    Parameters
    ----------
    current, baseline : Statistics
    method : str
        See `numeric_distance`.

    Returns
    -------
    dict of str to float
        Without the columns that cannot be compared.
    """
    config = MonitoringConfig(comparison_method=method)
    known = {feature.name: feature for feature in baseline.features}
    distances = {one.name: _distance(known[one.name], one, config) for one in current.features if one.name in known}
    return {name: distance for name, distance in distances.items() if distance is not None}


def _violations(
    feature: FeatureStatistics, constraints: FeatureConstraints, config: MonitoringConfig, before: FeatureStatistics | None
) -> Iterator[Violation]:
    present = feature.num_present
    castable = _castable(feature, constraints.inferred_type)
    if present and castable is not None and (wrong := 1 - castable / present) > config.datatype_check_threshold:
        text = f"{number(wrong)} of the values are not {constraints.inferred_type}; {number(config.datatype_check_threshold)} may be."
        yield Violation(feature.name, "data_type_check", text, wrong, 0.0, config.datatype_check_threshold)
    if feature.completeness < constraints.completeness and not _by_chance(feature, constraints, config, before):
        text = f"{number(feature.completeness)} of the rows have a value; {number(constraints.completeness)} must."
        yield Violation(feature.name, "completeness_check", text, feature.completeness, constraints.completeness, constraints.completeness)
    if constraints.domains is not None and present and _has_values(feature, constraints.domains):
        inside = sum(count for value, count in feature.categories.items() if value in constraints.domains)
        if (outside := 1 - inside / present) > config.domain_content_threshold:
            new = [value for value in feature.categories if value not in constraints.domains and value != OTHER]
            named = f", such as {', '.join(map(repr, new[:3]))}" if new else ""
            text = f"{number(outside)} of the values are outside the domain{named}."
            yield Violation(feature.name, "categorical_values_check", text, outside, 0.0, config.domain_content_threshold)
    if constraints.is_non_negative and feature.min is not None and feature.min < 0:
        yield Violation(feature.name, "non_negative", f"The smallest value is {number(feature.min)}.", feature.min, 0.0, 0.0)


def _by_chance(
    feature: FeatureStatistics, constraints: FeatureConstraints, config: MonitoringConfig, before: FeatureStatistics | None
) -> bool:
    """Whether chance may have made the gaps; not where the constraint is another than the one that the baseline has suggested."""
    if config.completeness_method != "robust" or before is None or before.completeness != constraints.completeness:
        return False
    rows = (one.num_present + one.num_missing for one in (feature, before))
    return chance_of_gaps(feature.num_missing, next(rows), before.num_missing, next(rows)) >= CHANCE


def _has_values(feature: FeatureStatistics, domain: Sequence[str]) -> bool:
    """Whether it is known how many values are of a domain: of a column of numbers it is where none of the domain reads as one."""
    if feature.categories or not feature.numeric:
        return bool(feature.categories)
    return not any(_reads_as_number(value) for value in domain)


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _castable(feature: FeatureStatistics, type_: str) -> int | None:
    """Present values that are of a type; None where that is not known."""
    if type_ == "Integral":
        return feature.num_whole
    if type_ == "Fractional":
        return feature.num_numbers
    return None


def _distance(before: FeatureStatistics, now: FeatureStatistics, config: MonitoringConfig) -> float | None:
    if before.numeric and before.sketch is not None and now.sketch is not None:  # where some are no numbers, of those that are
        distance = numeric_distance(before.sketch, now.sketch, config.comparison_method)  # type: ignore[arg-type]
    elif before.inferred_type == "String" and now.categories:
        distance = categorical_distance(_alike(before, now), _alike(now, before), _method(config))  # type: ignore[arg-type]
    else:
        return None
    return None if math.isnan(distance) else distance


def _method(config: MonitoringConfig) -> str:
    return config.categorical_drift_method or config.comparison_method


def _alike(one: FeatureStatistics, other: FeatureStatistics) -> dict[str, int]:
    """Rows by value; where one side has listed only its most frequent values, those that it does not list are among its others."""
    if OTHER not in one.categories and OTHER not in other.categories:
        return dict(one.categories)
    both = {value for value in one.categories if value in other.categories and value != OTHER}
    kept = {value: count for value, count in one.categories.items() if value in both}
    return {**kept, OTHER: one.num_present - sum(kept.values())}


def limit_of_drift(text: bool, config: MonitoringConfig) -> tuple[str, float]:
    """By what a column, of strings or of numbers, is compared, and where it has drifted: above the limit, of a p-value below it."""
    method = _method(config) if text else config.comparison_method
    if method == "chi_square":
        return method, config.p_value
    own = config.categorical_comparison_threshold
    return method, own if text and own is not None else config.comparison_threshold


def _drift(before: FeatureStatistics, config: MonitoringConfig, distance: float) -> Iterator[Violation]:
    method, limit = limit_of_drift(before.inferred_type == "String", config)
    if method == "chi_square":
        if distance < limit:
            said = f"The p-value of the values being of the baseline's distribution is {number(distance)}, below {number(limit)}."
            yield Violation(before.name, "baseline_drift_check", said, distance, None, limit)
    elif distance > limit:
        said = f"The distance from the baseline, {method}, is {number(distance)}, above {number(limit)}."
        yield Violation(before.name, "baseline_drift_check", said, distance, 0.0, limit)


def _drawn(before: FeatureStatistics, now: FeatureStatistics) -> str:
    if before.numeric and now.numeric and before.min is not None and before.max is not None and now.min is not None and now.max is not None:
        edges = np.linspace(min(before.min, now.min), max(before.max, now.max), 11)
        parts = {name: one.histogram(edges)[1] / max(1, one.num_present) for name, one in (("baseline", before), ("now", now))}
        return shares([f"{edge:.3g}" for edge in edges[:-1]], {name: part.tolist() for name, part in parts.items()})
    if before.categories or now.categories:
        names = list(dict.fromkeys([*before.categories, *now.categories]))[:_CATEGORIES_DRAWN]
        return shares(names, {
            name: [one.categories.get(value, 0) / max(1, one.num_present) for value in names]
            for name, one in (("baseline", before), ("now", now))
        })  # fmt: skip
    return ""
