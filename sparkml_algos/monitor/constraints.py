"""What data must be like: constraints suggested by a baseline, in the service's `constraints.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from sparkml_algos.monitor.distances import METHODS
from sparkml_algos.monitor.statistics import OTHER, FeatureStatistics, Statistics, statistics

# Distinct values up to which they are a domain.
DOMAIN_SIZE = 20
STATISTICS_FILE, CONSTRAINTS_FILE = "statistics.json", "constraints.json"
_VERSION = 0.0
_SWITCHES = {True: "Enabled", False: "Disabled"}
_METHODS = {"Simple": "linf_simple", "Robust": "linf_robust"}
COMPLETENESS = ("robust", "simple")
_CATEGORICAL = {"LInfinity": None, "ChiSquared": "chi_square"}


@dataclass(frozen=True)
class MonitoringConfig:
    """How strict the checks are.

    Attributes
    ----------
    evaluate_constraints, emit_metrics, perform_comparison : bool
        Whether to look for violations, to give metrics, and to compare distributions.
    datatype_check_threshold : float
        Share of present values that may not be of the baseline's type.
    domain_content_threshold : float
        Share of present values that may be outside the domain.
    comparison_threshold : float
        Distance from which on a column has drifted.
    comparison_method : str
        See `numeric_distance`; ``linf_simple`` and ``linf_robust`` are the service's ``Simple`` and ``Robust``. A ``chi_square`` is a
        p-value, and drift where it is below `p_value`.
    categorical_comparison_threshold : float or None
        That of strings, if another.
    categorical_drift_method : str or None
        That of strings, if another.
    p_value : float
        Of chi-square tests.
    completeness_method : {"robust", "simple"}
        ``simple`` is the rule of the service: a window with fewer values than the baseline violates it, which of a column with gaps chance
        makes of every second window. ``robust`` asks besides that chance makes so many gaps of a window of this size, the baseline being
        what it is, less than once in a thousand times. Files that do not say are the service's, and ``simple``.
    """

    evaluate_constraints: bool = True
    emit_metrics: bool = True
    datatype_check_threshold: float = 0.1
    domain_content_threshold: float = 0.1
    perform_comparison: bool = True
    comparison_threshold: float = 0.1
    comparison_method: str = "linf_robust"
    categorical_comparison_threshold: float | None = None
    categorical_drift_method: str | None = None
    p_value: float = 0.05
    completeness_method: str = "robust"

    def __post_init__(self) -> None:
        if self.completeness_method not in COMPLETENESS:
            raise ValueError(f"completeness_method is one of {', '.join(COMPLETENESS)}, not {self.completeness_method!r}")
        for name in ("comparison_method", "categorical_drift_method"):
            method = getattr(self, name)
            if method not in METHODS and not (method is None and name != "comparison_method"):
                raise ValueError(f"{name} is one of {', '.join(METHODS)}, or the service's Simple and Robust, not {method!r}")
        for name in (
            "datatype_check_threshold",
            "domain_content_threshold",
            "comparison_threshold",
            "categorical_comparison_threshold",
            "p_value",
        ):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise ValueError(f"{name} is a number of 0 or more, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """As the service's constraints have it."""
        names = {method: name for name, method in _METHODS.items()}
        comparison: dict[str, Any] = {
            "perform_comparison": _SWITCHES[self.perform_comparison],
            "comparison_threshold": self.comparison_threshold,
            "comparison_method": names.get(self.comparison_method, self.comparison_method),
        }
        if self.categorical_comparison_threshold is not None:
            comparison["categorical_comparison_threshold"] = self.categorical_comparison_threshold
        if self.categorical_drift_method is not None:
            chi = {method: name for name, method in _CATEGORICAL.items() if method}
            comparison["categorical_drift_method"] = chi.get(self.categorical_drift_method, self.categorical_drift_method)
        if self.p_value != MonitoringConfig.p_value:
            comparison["p_value"] = self.p_value
        completeness = {"completeness_method": self.completeness_method} if self.completeness_method != COMPLETENESS[1] else {}
        return {
            "evaluate_constraints": _SWITCHES[self.evaluate_constraints],
            "emit_metrics": _SWITCHES[self.emit_metrics],
            "datatype_check_threshold": self.datatype_check_threshold,
            "domain_content_threshold": self.domain_content_threshold,
            **completeness,
            "distribution_constraints": comparison,
        }

    def changed(self, given: Mapping[str, Any]) -> MonitoringConfig:
        """This with what a `monitoring_config`, or the overrides of a feature, say.

        Raises
        ------
        ValueError
            If a key or a value is unknown.
        """
        flat = {
            **{key: value for key, value in given.items() if key != "distribution_constraints"},
            **given.get("distribution_constraints", {}),
        }
        known = {one.name for one in fields(self)}
        if unknown := [key for key in flat if key not in known]:
            raise ValueError(
                f"monitoring configuration: {', '.join(map(repr, unknown))} is not known; there are {', '.join(sorted(known))}"
            )
        for key in ("evaluate_constraints", "emit_metrics", "perform_comparison"):
            if isinstance(flat.get(key), str):
                if flat[key] not in _SWITCHES.values():
                    raise ValueError(f"{key} is Enabled or Disabled, not {flat[key]!r}")
                flat[key] = flat[key] == "Enabled"
        if "comparison_method" in flat:
            flat["comparison_method"] = _METHODS.get(flat["comparison_method"], flat["comparison_method"])
        if "categorical_drift_method" in flat:
            flat["categorical_drift_method"] = _CATEGORICAL.get(flat["categorical_drift_method"], flat["categorical_drift_method"])
        return replace(self, **flat)


@dataclass(frozen=True)
class FeatureConstraints:
    """What a column must be like.

    Attributes
    ----------
    name, inferred_type : str
    completeness : float
        Least share of rows with a value.
    is_non_negative : bool or None
        Of numbers.
    domains : tuple of str, or None
        Of strings, their values.
    overrides : dict
        Keys of the monitoring configuration that are other for this column.
    """

    name: str
    inferred_type: str
    completeness: float
    is_non_negative: bool | None = None
    domains: tuple[str, ...] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As the service's constraints have it."""
        answer: dict[str, Any] = {"name": self.name, "inferred_type": self.inferred_type, "completeness": self.completeness}
        if self.is_non_negative is not None:
            answer["num_constraints"] = {"is_non_negative": self.is_non_negative}
        if self.domains is not None:
            answer["string_constraints"] = {"domains": list(self.domains)}
        return {**answer, "monitoringConfigOverrides": dict(self.overrides)} if self.overrides else answer

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> FeatureConstraints:
        """What a feature of `constraints.json` says."""
        domains = read.get("string_constraints", {}).get("domains")
        return cls(
            read["name"],
            read["inferred_type"],
            float(read.get("completeness", 0.0)),
            read.get("num_constraints", {}).get("is_non_negative"),
            None if domains is None else tuple(domains),
            dict(read.get("monitoringConfigOverrides", {})),
        )


@dataclass(frozen=True)
class Constraints:
    """What all columns must be like, and how strictly that is checked."""

    features: tuple[FeatureConstraints, ...]
    config: MonitoringConfig = field(default_factory=MonitoringConfig)

    def to_dict(self) -> dict[str, Any]:
        """The service's ``constraints.json``."""
        return {"version": _VERSION, "features": [one.to_dict() for one in self.features], "monitoring_config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> Constraints:
        """What a ``constraints.json`` says, ours or the service's."""
        config = MonitoringConfig(completeness_method=COMPLETENESS[1]).changed(read.get("monitoring_config", {}))
        return cls(tuple(FeatureConstraints.from_dict(one) for one in read["features"]), config)


@dataclass(frozen=True)
class Baseline:
    """Statistics and the constraints that they suggest; see `suggest_baseline`.

    Attributes
    ----------
    statistics : Statistics
    constraints : Constraints
    """

    statistics: Statistics
    constraints: Constraints

    def save(self, directory: str | Path) -> None:
        """Write ``statistics.json`` and ``constraints.json`` into a directory.

        Parameters
        ----------
        directory : str or Path
            Made where it is not there.
        """
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.statistics.save_json(Path(directory) / STATISTICS_FILE)
        written = json.dumps(self.constraints.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (Path(directory) / CONSTRAINTS_FILE).write_text(written, encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> Baseline:
        """Read both files, ours or the service's.

        Parameters
        ----------
        directory : str or Path

        Returns
        -------
        Baseline
        """
        read = json.loads((Path(directory) / CONSTRAINTS_FILE).read_text(encoding="utf-8"))
        return cls(Statistics.load_json(Path(directory) / STATISTICS_FILE), Constraints.from_dict(read))


def suggest_baseline(dataset: DataFrame, columns: Sequence[str] | None = None, config: MonitoringConfig | None = None) -> Baseline:
    """Take what rows are like today for what they must be like, in one pass.

    Parameters
    ----------
    dataset : DataFrame
        Such as the rows a model was trained on.
    columns : sequence of str, optional
        All by default.
    config : MonitoringConfig, optional
        How strict the checks are; thresholds are 0.1, as published. Files in the service's examples have 1.0 for types and domains, which
        checks nothing.

    Returns
    -------
    Baseline
        Completeness is that of the rows; numbers are not negative where none is; strings have a domain where they have `DOMAIN_SIZE` values
        or fewer.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    found = statistics(dataset, columns)
    return Baseline(found, Constraints(tuple(_suggested(feature) for feature in found.features), config or MonitoringConfig()))


def _suggested(feature: FeatureStatistics) -> FeatureConstraints:
    non_negative = feature.min >= 0 if feature.numeric and feature.min is not None else None
    small = feature.inferred_type == "String" and (feature.distinct_count or 0) <= DOMAIN_SIZE and OTHER not in feature.categories
    domains = tuple(sorted(feature.categories)) if small else None
    return FeatureConstraints(feature.name, feature.inferred_type, feature.completeness, non_negative, domains)
