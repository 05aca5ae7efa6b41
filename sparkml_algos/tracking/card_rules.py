"""What may be in a model card: sections, fields, lengths and numbers, as the service has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Says what is wrong with a value, each problem under the name of the place where it is.
Rule = Callable[[Any, str], list[str]]

MOST_POINTS = 20  # of a graph, a chart, or a side of a matrix
_NAME, _NOTES, _AXIS, _STRING = 255, 1024, 63, 63


def text(most: int | None = None, least: int = 0) -> Rule:
    """Text of so many characters at most."""

    def problems(value: Any, where: str) -> list[str]:
        if not isinstance(value, str):
            return [f"{where} must be a text, got {value!r}"]
        if most is not None and len(value) > most:
            return [f"{where} has {len(value)} characters, at most {most} are allowed"]
        return [f"{where} must not be empty"] if len(value) < least else []

    return problems


def choice(*names: str) -> Rule:
    """One of some texts."""

    def problems(value: Any, where: str) -> list[str]:
        return [] if value in names else [f"{where} must be one of {', '.join(names)}, got {value!r}"]

    return problems


def number(value: Any, where: str) -> list[str]:
    """A number that JSON has."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return [] if is_number else [f"{where} must be a number, got {value!r}"]


def whole(value: Any, where: str) -> list[str]:
    """A whole number."""
    return [] if isinstance(value, int) and not isinstance(value, bool) else [f"{where} must be a whole number, got {value!r}"]


def many(rule: Rule, most: int | None = None, least: int = 0) -> Rule:
    """A list of so many at most."""

    def problems(value: Any, where: str) -> list[str]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            return [f"{where} must be a list, got {value!r}"]
        found = [f"{where} has {len(value)} entries, at most {most} are allowed"] if most is not None and len(value) > most else []
        found += [f"{where} has {len(value)} entries, {least} are needed"] if len(value) < least else []
        return found + [problem for place, one in enumerate(value) for problem in rule(one, f"{where}[{place}]")]

    return problems


def named(rule: Rule) -> Rule:
    """Values by any name."""

    def problems(value: Any, where: str) -> list[str]:
        if not isinstance(value, Mapping):
            return [f"{where} must be values by name, got {value!r}"]
        return [problem for name, one in value.items() for problem in [*text()(name, f"a name in {where}"), *rule(one, f"{where}.{name}")]]

    return problems


def fields(rules: Mapping[str, Rule], required: Sequence[str] = ()) -> Rule:
    """These fields and no others."""

    def problems(value: Any, where: str) -> list[str]:
        if not isinstance(value, Mapping):
            return [f"{where} must be fields by name, got {value!r}"]
        found = [f"{where} has no field {name!r}; it has {', '.join(rules)}" for name in value if name not in rules]
        found += [f"{where} lacks {name}" for name in required if name not in value]
        return found + [problem for name, rule in rules.items() if name in value for problem in rule(value[name], f"{where}.{name}")]

    return problems


_AXIS_TEXT = text(_AXIS)
_AXES = many(_AXIS_TEXT, MOST_POINTS, 1)
_NUMBERS = many(number, MOST_POINTS, 1)
# By type of a metric, what its value is, and what the names of its axes are, where it has any.
_METRICS: dict[str, tuple[Rule, Rule | None, Rule | None]] = {
    "number": (number, None, None),
    "string": (text(_STRING), None, None),
    "boolean": (lambda value, where: [] if isinstance(value, bool) else [f"{where} must be true or false, got {value!r}"], None, None),
    "linear_graph": (many(many(number, 2, 2), MOST_POINTS, 1), _AXIS_TEXT, _AXIS_TEXT),
    "bar_chart": (_NUMBERS, _AXES, _AXIS_TEXT),
    "matrix": (many(_NUMBERS, MOST_POINTS, 1), _AXES, _AXES),
}


def evaluation_metric(value: Any, where: str) -> list[str]:
    """A metric of an evaluation, by its type."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind is not None and kind not in _METRICS:
        return choice(*_METRICS)(kind, f"{where}.type")
    of_value, x_axis, y_axis = _METRICS[kind or "number"]
    rules = {"name": text(_NAME, 1), "type": text(), "value": of_value, "notes": text(_NOTES)}
    rules |= {name: rule for name, rule in (("x_axis_name", x_axis), ("y_axis_name", y_axis)) if rule is not None}
    return fields(rules, ("name", "type", "value"))(value, where)


_TRAINING_METRICS = many(fields({"name": text(_NAME, 1), "value": number, "notes": text(_NOTES)}, ("name", "value")), 50)
_SETTINGS = many(fields({"name": text(_NAME, 1), "value": text()}, ("name", "value")), 100)
_IMAGES = fields({"container_image": many(text(1024), 15)})

SECTIONS: dict[str, Rule] = {
    "model_overview": fields(
        {
            "model_description": text(1024),
            "model_owner": text(1024),
            "model_creator": text(1024),
            "problem_type": text(),
            "algorithm_type": text(1024),
            "model_id": text(1024),
            "model_artifact": many(text(1024), 15),
            "model_name": text(1024),
            "model_version": whole,
            "inference_environment": _IMAGES,
        }
    ),
    "intended_uses": fields(
        {
            "purpose_of_model": text(2048),
            "intended_uses": text(2048),
            "factors_affecting_model_efficiency": text(2048),
            "risk_rating": choice("High", "Medium", "Low", "Unknown"),
            "explanations_for_risk_rating": text(2048),
        }
    ),
    "business_details": fields({name: text(2048) for name in ("business_problem", "business_stakeholders", "line_of_business")}),
    "training_details": fields(
        {
            "objective_function": fields(
                {
                    "function": fields({"function": choice("Maximize", "Minimize"), "facet": text(63), "condition": text(63)}),
                    "notes": text(_NOTES),
                }
            ),
            "training_observations": text(1024),
            "training_job_details": fields(
                {
                    "training_arn": text(1024),
                    "training_datasets": many(text(1024), 15),
                    "training_environment": _IMAGES,
                    "training_metrics": _TRAINING_METRICS,
                    "user_provided_training_metrics": _TRAINING_METRICS,
                    "hyper_parameters": _SETTINGS,
                    "user_provided_hyper_parameters": _SETTINGS,
                }
            ),
        }
    ),
    "evaluation_details": many(
        fields(
            {
                "name": text(_NAME, 1),
                "evaluation_observation": text(2096),
                "evaluation_job_arn": text(256),
                "datasets": many(text(1024), 10),
                "metadata": named(text(1024)),
                "metric_groups": many(
                    fields({"name": text(_NAME, 1), "metric_data": many(evaluation_metric)}, ("name", "metric_data")),
                ),
            },
            ("name",),
        )
    ),
    "additional_information": fields(
        {"ethical_considerations": text(2048), "caveats_and_recommendations": text(2048), "custom_details": named(text(1024))}
    ),
}


def problems_of(content: Mapping[str, Any]) -> list[str]:
    """All that is wrong with the sections of a card."""
    found = [f"a card has no section {name!r}; it has {', '.join(SECTIONS)}" for name in content if name not in SECTIONS]
    return found + [problem for name, rule in SECTIONS.items() if name in content for problem in rule(content[name], name)]
