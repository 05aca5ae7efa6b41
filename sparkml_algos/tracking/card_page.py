"""The page of a model card."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from sparkml_algos import html_pages

# Fields whose own names are the author's.
_BY_ANY_NAME = ("custom_details", "metadata")


def page_of(name: str, version: int | None, status: str, content: Mapping[str, Any]) -> str:
    """HTML of a card, a heading for each section that it has."""
    standing = f"<p>{'Not saved' if version is None else f'Version {version}'}, {escape(status)}.</p>"
    parts = [standing]
    for section, fields in content.items():
        parts.append(f"<h2>{escape(_title(section))}</h2>")
        parts += [_evaluation(one) for one in fields] if section == "evaluation_details" else [_fields(fields)]
    return html_pages.page(f"Model card: {name}", "\n".join(parts))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _fields(fields: Mapping[str, Any]) -> str:
    """Texts and numbers as a table, what has fields of its own below it."""
    plain = [(_title(name), value) for name, value in fields.items() if not isinstance(value, (Mapping, list))]
    parts = [html_pages.table(["", ""], plain)] if plain else []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            shown = html_pages.table(["", ""], value.items()) if name in _BY_ANY_NAME else _fields(value)
            parts.append(f"<h3>{escape(_title(name))}</h3>{shown}")
        elif isinstance(value, list) and value:
            parts.append(f"<h3>{escape(_title(name))}</h3>{_list(value)}")
    return "".join(parts)


def _list(values: list[Any]) -> str:
    if all(isinstance(value, Mapping) for value in values):
        names = list(dict.fromkeys(name for value in values for name in value))
        return html_pages.table([_title(name) for name in names], [[value.get(name) for name in names] for value in values])
    return "<ul>" + "".join(f"<li>{escape(str(value))}</li>" for value in values) + "</ul>"


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in evaluation.items() if name not in ("name", "metric_groups")}
    groups = "".join(f"<h4>{escape(group['name'])}</h4>{_metrics(group['metric_data'])}" for group in evaluation.get("metric_groups", []))
    return f"<h3>{escape(evaluation['name'])}</h3>{_fields(rest)}{groups}"


def _metrics(metrics: list[Mapping[str, Any]]) -> str:
    plain = [(one["name"], one["value"], one.get("notes", "")) for one in metrics if one["type"] in ("number", "string", "boolean")]
    table = html_pages.table(["metric", "value", "notes"], plain) if plain else ""
    return table + "".join(_drawn(one) for one in metrics if one["type"] not in ("number", "string", "boolean"))


def _drawn(metric: Mapping[str, Any]) -> str:
    x_axis, y_axis, value = metric.get("x_axis_name", ""), metric.get("y_axis_name", ""), metric["value"]
    if metric["type"] == "linear_graph":
        drawing = html_pages.curves({metric["name"]: [(x, y) for x, y in value]}, x_axis, y_axis)
    elif metric["type"] == "bar_chart":
        names = x_axis or [str(place + 1) for place in range(len(value))]
        drawing = html_pages.table(["", y_axis or "value"], zip(names, value, strict=False))
    else:
        columns, rows = x_axis or range(1, len(value[0]) + 1), y_axis or range(1, len(value) + 1)
        drawing = html_pages.table(["", *map(str, columns)], [[str(name), *row] for name, row in zip(rows, value, strict=False)])
    notes = f"<p>{escape(metric['notes'])}</p>" if metric.get("notes") else ""
    return f"<p>{escape(metric['name'])}</p>{notes}{drawing}"
