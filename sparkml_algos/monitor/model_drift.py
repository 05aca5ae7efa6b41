"""Whether bias, or what counts for a model, has moved from where it was."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from sparkml_algos.bias import MEASURES, BiasReport, Stage
from sparkml_algos.html_pages import Bar, bars, number
from sparkml_algos.monitor.violations import MonitorReport, Violation

# Of the service: what an infinite metric is published as, and the score from which on attributions have drifted.
INFINITE, NDCG_THRESHOLD = 2.348543e108, 0.9
_STAGES: tuple[Stage, ...] = ("pre_training", "post_training")
_LAST_BAND = re.compile(r"(\(.*, )[^,()\]]+\]")
_WHOLE = re.compile(r"(?<![\d.e+-])-?\d+(?=[,\]])")


def check_bias_drift(current: BiasReport, baseline: BiasReport, tolerance: float = 0.0) -> MonitorReport:
    """Compare measures of bias with those of a baseline.

    Parameters
    ----------
    current, baseline : BiasReport
        Also as read from the service's ``analysis.json``.
    tolerance : float
        By how much a measure may be farther from what it is without bias than the baseline's. The service's rule has none: of rows like the
        baseline's about half of all measures are farther, by chance, so give what chance makes of as many rows.

    Returns
    -------
    MonitorReport
        A measure is violated where it is farther from what it is without bias than the baseline's: from 1 for DI, from 0 for all others.
        Facets above a threshold are the same facet whatever the largest value is that ends their name. What one of both lacks is not
        compared.

    Raises
    ------
    ValueError
        If `tolerance` is negative.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a number of 0 or more, got {tolerance!r}")
    before = {
        (one.facet, text, metric.name): metric.value
        for of_name in (_open, str)  # the whole name is what counts where there is one
        for one in baseline.facets
        for text in [of_name(one.value_or_threshold)]
        for stage in _STAGES
        for metric in one.metrics(stage)
    }
    violations, metrics, plots = [], {}, {}
    beyond = f" by more than {number(tolerance)}" if tolerance else ""
    for one in current.facets:
        drawn = []
        for metric in (metric for stage in _STAGES for metric in one.metrics(stage)):
            if metric.value is None:
                continue
            key = f"bias_metric_{metric.name}"
            metrics[f"{key} {one.facet}={one.value_or_threshold}"] = (
                math.copysign(INFINITE, metric.value) if math.isinf(metric.value) else metric.value
            )
            known = before.get(
                (one.facet, one.value_or_threshold, metric.name), before.get((one.facet, _open(one.value_or_threshold), metric.name))
            )
            ideal = MEASURES[metric.name].ideal if metric.name in MEASURES else 0.0
            wrong = known is not None and abs(metric.value - ideal) > abs(known - ideal) + tolerance
            drawn.append(Bar(metric.name, metric.value, ideal, wrong))
            if wrong:
                text = f"Value {number(metric.value)} is farther from {number(ideal)} than the baseline's {number(known)}{beyond}"
                keys = {"facet": one.facet, "facet_value": one.value_or_threshold, "metric_name": metric.name}
                subject = f"{one.facet}={one.value_or_threshold}: {metric.name}"
                violations.append(Violation(subject, "bias_drift_check", text, metric.value, known, known, keys))
        plots[f"{one.facet}: {one.value_or_threshold}"] = bars(drawn)
    return MonitorReport("ModelBias", tuple(violations), metrics, "1.0", plots)


def _open(group: str) -> str:
    """The name of a group without the end of its last band, which is the largest value of the column and another every day; 40 is 40.0."""
    found = _LAST_BAND.fullmatch(group)
    return group if found is None else _WHOLE.sub(r"\g<0>.0", found[1])


def ndcg(current: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """How alike two orders of features are: 1 where what counted most still does (K. Järvelin, J. Kekäläinen, ACM TOIS 2002).

    Parameters
    ----------
    current, baseline : mapping of str to float
        Global attributions by feature; of negative ones the size counts, and of equal ones the name.

    Returns
    -------
    float
        1 where the baseline has no attributions but 0.

    Raises
    ------
    ValueError
        If they are not of the same features, or some are not finite.
    """
    if set(current) != set(baseline):
        apart = sorted(set(current) ^ set(baseline))
        raise ValueError(f"attributions of the same features are needed; only one side has {', '.join(apart)}")
    for side, values in (("current", current), ("baseline", baseline)):
        if wrong := [name for name, value in values.items() if not math.isfinite(value)]:
            raise ValueError(f"attributions are finite numbers; {side} has others of {', '.join(wrong)}")

    def gain(order: Mapping[str, float]) -> float:
        names = sorted(order, key=lambda name: (-abs(order[name]), name))
        return sum(abs(baseline[name]) / math.log2(place + 2) for place, name in enumerate(names))

    ideal = gain(baseline)
    return gain(current) / ideal if ideal else 1.0


def check_attribution_drift(
    current: Mapping[str, float], baseline: Mapping[str, float], label: str = "label0", threshold: float = NDCG_THRESHOLD
) -> MonitorReport:
    """Compare global attributions with those of a baseline; see `ndcg`.

    Parameters
    ----------
    current, baseline : mapping of str to float
    label : str
        Which output they are of.
    threshold : float
        Score below which attributions have drifted.

    Returns
    -------
    MonitorReport
    """
    score = ndcg(current, baseline)
    text = f"Feature attribution drift: the NDCG score is {number(score)}, below {number(threshold)}"
    keys = {"label": label, "metric_name": "shap"}
    found = (Violation(label, "feature_attribution_drift_check", text, score, 1.0, threshold, keys),) if score < threshold else ()
    metrics = {"ndcg": score, **{f"feature_{name}": value for name, value in current.items()}}
    drawn = {
        "Now": bars([Bar(name, value) for name, value in current.items()]),
        "Baseline": bars([Bar(name, value) for name, value in baseline.items()]),
    }
    return MonitorReport("ModelExplainability", found, metrics, "1.0", drawn)
