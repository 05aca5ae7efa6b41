"""Pages of reports: one file each, without outside resources, in the colours of the reader, light or dark; plots are drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#8885;--one:#2f6db3;--two:#d1662c;--grey:#8c8c8c}
@media (prefers-color-scheme:dark){:root{--ink:#ddd;--paper:#181a1b;--one:#6fa8e6;--two:#ee9460}}
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--paper)}
table{border-collapse:collapse;font-size:.9em;margin:.6em 0}td,th{border-bottom:1px solid var(--line);
padding:.2em .9em .2em 0;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}h2{margin:1.8em 0 .3em}h3{margin:1em 0 .2em;font-weight:600}
.bad{color:var(--two);font-weight:600}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg{max-width:100%;height:auto}
.run{stroke-width:1.6}.run:hover{stroke-width:4}figure{margin:.4em 0}.legend span{display:inline-block;margin:0 1em .2em 0;font-size:.85em}
.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}.best td{font-weight:600}.differs{color:var(--two)}
"""
_WIDTH, _NAMES, _VALUES, _BAR = 640, 110, 70, 20
_CHART_HEIGHT, _CHART_MARGIN = 150, 28
_CURVES_HEIGHT = 300


@dataclass(frozen=True)
class Bar:
    """A value under a name, drawn from the value that is ideal, and marked where it is `wrong`."""

    name: str
    value: float
    ideal: float = 0.0
    wrong: bool = False


def page(title: str, content: str) -> str:
    """A whole page."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>\n{content}\n</body></html>\n'


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under the names of their columns."""
    lines = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(_cell(value) for value in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def bars(drawn: Sequence[Bar]) -> str:
    """Values as horizontal bars from what is ideal; infinite ones go to the edge."""
    if not drawn:
        return ""
    far = max((abs(bar.value - bar.ideal) for bar in drawn if math.isfinite(bar.value)), default=0.0) or 1.0
    half = (_WIDTH - _NAMES - _VALUES) / 2
    middle, parts = _NAMES + half, []
    for i, bar in enumerate(drawn):
        reach = max(-half, min(half, (bar.value - bar.ideal) / far * half))
        top = i * _BAR
        parts.append(f'<text x="{_NAMES - 8}" y="{top + 14}" text-anchor="end">{escape(bar.name)}</text>')
        colour = "var(--two)" if bar.wrong else "var(--one)"
        parts.append(
            f'<rect x="{middle + min(0, reach):.1f}" y="{top + 3}" width="{max(abs(reach), 1):.1f}" height="{_BAR - 6}" fill="{colour}"/>'
        )
        parts.append(f'<text x="{_WIDTH - _VALUES + 8}" y="{top + 14}">{number(bar.value)}</text>')
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="0" y2="{len(drawn) * _BAR}" stroke="var(--grey)"/>')
    return _svg(_WIDTH, len(drawn) * _BAR, parts)


def shares(names: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Shares of up to two series beside each other, under the names of their buckets."""
    highest = max((value for values in series.values() for value in values), default=0.0) or 1.0
    step = (_WIDTH - 20) / max(1, len(names))
    width = step * 0.8 / max(1, len(series))
    parts = _legend(list(series))
    floor = _CHART_HEIGHT - _CHART_MARGIN
    for j, values in enumerate(series.values()):
        for i, value in enumerate(values):
            tall = value / highest * (floor - 20)
            x = 10 + i * step + step * 0.1 + j * width
            parts.append(
                f'<rect x="{x:.1f}" y="{floor - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{_colour(j)}">'
                f"<title>{value:.4g}</title></rect>"
            )
    fits = max(3, int(step / 6.5))
    for i, name in enumerate(names):
        shown = name if len(name) <= fits else name[: fits - 1] + "…"
        parts.append(
            f'<text x="{10 + (i + 0.5) * step:.1f}" y="{floor + 15}" text-anchor="middle">{escape(shown)}'
            f"<title>{escape(name)}</title></text>"
        )
    return _svg(_WIDTH, _CHART_HEIGHT, parts)


def lines(names: Sequence[str], series: Mapping[str, Sequence[float | None]], limit: float | None = None) -> str:
    """Values over what comes after each other, with a line at a limit."""
    known = [value for values in series.values() for value in values if value is not None and math.isfinite(value)]
    known += [] if limit is None else [limit]
    low, high = min(known, default=0.0), max(known, default=1.0)
    low, high = min(low, 0.0), high if high > low else low + 1
    floor, step = _CHART_HEIGHT - _CHART_MARGIN, (_WIDTH - 80) / max(1, len(names) - 1)

    def y(value: float) -> float:
        return floor - (value - low) / (high - low) * (floor - 22)

    parts = _legend(list(series))
    for j, values in enumerate(series.values()):
        points = " ".join(
            f"{60 + i * step:.1f},{y(value):.1f}" for i, value in enumerate(values) if value is not None and math.isfinite(value)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_colour(j)}" stroke-width="2"/>')
    if limit is not None:
        parts.append(
            f'<line x1="60" x2="{_WIDTH - 20}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="var(--grey)" stroke-dasharray="4"/>'
        )
    parts += [f'<text x="52" y="{y(value) + 4:.1f}" text-anchor="end">{number(value)}</text>' for value in (low, high)]
    ends = {0: "start", len(names) - 1: "end"}
    parts += [
        f'<text x="{60 + i * step:.1f}" y="{floor + 16}" text-anchor="{side}">{escape(names[i])}</text>'
        for i, side in ends.items()
        if names
    ]
    return _svg(_WIDTH, _CHART_HEIGHT, parts)


def curves(series: Mapping[str, Sequence[tuple[float, float]]], x_name: str = "", y_name: str = "") -> str:
    """Points that belong together, joined, of as many series as there are; each has its colour, and its name under the pointer."""
    points = [(x, y) for part in series.values() for x, y in part if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return ""
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    right, high = right if right > left else left + 1, high if high > low else low + 1
    width, floor = _WIDTH - 90, _CURVES_HEIGHT - 40

    def place(x: float, y: float) -> tuple[float, float]:
        return 70 + (x - left) / (right - left) * width, floor - (y - low) / (high - low) * (floor - 12)

    parts = []
    for name, part in series.items():
        known = [place(x, y) for x, y in part if math.isfinite(x) and math.isfinite(y)]
        colour = _hue(list(series).index(name), len(series))
        if len(known) == 1:
            (x, y), tip = known[0], f"<title>{escape(name)}</title>"
            parts.append(f'<circle class="run" cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">{tip}</circle>')
        elif known:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
            parts.append(f'<polyline class="run" points="{path}" fill="none" stroke="{colour}"><title>{escape(name)}</title></polyline>')
    parts.append(f'<path d="M70 12V{floor}H{70 + width}" fill="none" stroke="var(--line)"/>')
    for value, y in ((low, floor), (high, 12)):
        parts.append(f'<text x="64" y="{y + 4}" text-anchor="end">{number(float(value))}</text>')
    for value, x, side in ((left, 70, "start"), (right, 70 + width, "end")):
        parts.append(f'<text x="{x}" y="{floor + 16}" text-anchor="{side}">{number(float(value))}</text>')
    parts.append(f'<text x="{70 + width / 2}" y="{floor + 32}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="74" y="10">{escape(y_name)}</text>')
    legend = "".join(
        f'<span><i style="background:{_hue(place_, len(series))}"></i>{escape(name)}</span>' for place_, name in enumerate(series)
    )
    return f'<figure>{_svg(_WIDTH, _CURVES_HEIGHT, parts)}<figcaption class="legend">{legend}</figcaption></figure>'


def parallel(axes: Sequence[str], rows: Mapping[str, Sequence[Any]], goodness: Sequence[float]) -> str:
    """A line for each row through its values on all axes, the better the stronger; an axis is of numbers, or of texts in their order.

    Parameters
    ----------
    axes : sequence of str
    rows : mapping of str to sequence
        By name, a value an axis, None where there is none.
    goodness : sequence of float
        Of each row, from 0 to 1.
    """
    if not rows or len(axes) < 2:
        return ""
    floor, step = _CURVES_HEIGHT - 44, (_WIDTH - 120) / (len(axes) - 1)
    parts, heights = [], []
    for place, axis in enumerate(axes):
        values = [row[place] for row in rows.values() if row[place] is not None]
        x = 60 + place * step
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{floor}" stroke="var(--line)"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{floor + 36}" text-anchor="middle">{escape(_fitting(axis, step))}<title>{escape(axis)}</title></text>'
        )
        if values and all(isinstance(value, (int, float)) for value in values):
            low, high = min(values), max(values)
            spread = (high - low) or 1
            heights.append({value: (value - low) / spread if high > low else 0.5 for value in values})
            ends = {low: floor + 16, high: 10} if high > low else {low: floor + 16}
        else:
            texts = sorted({str(value) for value in values})
            heights.append({value: texts.index(str(value)) / max(1, len(texts) - 1) for value in values})
            ends = {texts[0]: floor + 16, texts[-1]: 10} if texts else {}
        for value, y in ends.items():
            parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(_fitting(number(value), step))}</text>')
    order = sorted(range(len(rows)), key=lambda index: goodness[index])
    names = list(rows)
    for index in order:
        row, good = rows[names[index]], goodness[index]
        points = " ".join(
            f"{60 + place * step:.1f},{floor - heights[place][value] * (floor - 14):.1f}"
            for place, value in enumerate(row)
            if value is not None
        )
        colour = "var(--two)" if index == order[-1] else "var(--one)"
        parts.append(
            f'<polyline class="run" points="{points}" fill="none" stroke="{colour}" stroke-opacity="{0.15 + 0.85 * good:.2f}">'
            f"<title>{escape(names[index])}</title></polyline>"
        )
    return _svg(_WIDTH, _CURVES_HEIGHT, parts)


def number(value: Any) -> str:
    """A number as it is shown."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _hue(place: int, count: int) -> str:
    """A colour of its own for each of so many."""
    return _colour(place) if count <= 2 else f"hsl({place * 360 // count} 60% 50%)"


def _fitting(text: str, width: float) -> str:
    fits = max(4, int(width / 6.5))
    return text if len(text) <= fits else text[: fits - 1] + "…"


def _colour(place: int) -> str:
    return "var(--one)" if place == 0 else "var(--two)"


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    for j, name in enumerate(names):
        parts.append(f'<rect x="{10 + j * 160}" y="2" width="10" height="10" fill="{_colour(j)}"/>')
        parts.append(f'<text x="{24 + j * 160}" y="11">{escape(name)}</text>')
    return parts


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


def _cell(value: Any) -> str:
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"<td{' class=n' if right else ''}>{escape(number(value))}</td>"
