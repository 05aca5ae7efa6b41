"""Small tables for notebooks: HTML without outside resources, in the colours of the page, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

# Of a longer history the first and the last rows are shown.
FIRST_ROWS, LAST_ROWS = 3, 9

_TABLE = "border-collapse:collapse;margin:0.3em 0;font-size:0.9em"
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,0.3);padding:0.15em 0.9em 0.15em 0"
_BAR = "display:inline-block;height:0.6em;min-width:1px;background-color:#2f6db3"
_BAR_WIDTH = 8.0  # em


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, a line for each."""
    return _table("".join(f"<tr>{_head(name)}{_cell(value)}</tr>" for name, value in facts))


def shares_table(parts: Mapping[str, float], total: float) -> str:
    """Numbers that add up to a total, each with a bar as long as its share of it, and the total below."""
    lines = []
    for name, value in parts.items():
        width = _BAR_WIDTH * min(1.0, value / total) if total > 0 else 0.0
        bar = f'<td style="{_LINE};text-align:left"><span style="{_BAR};width:{width:.2f}em"></span></td>'
        lines.append(f"<tr>{_head(name)}{_cell(f'{value:.3f}', right=True)}{bar}</tr>")
    lines.append(f'<tr>{_head("total")}{_cell(f"{total:.3f}", right=True)}<td style="{_LINE}"></td></tr>')
    return _table("".join(lines))


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under the names of their columns; of many only the first and the last."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["<tr>" + "".join(_head(name, right=True) for name in names) + "</tr>"]
    cut = len(rows) > FIRST_ROWS + LAST_ROWS + 1
    for row in rows[:FIRST_ROWS] if cut else rows:
        lines.append("<tr>" + "".join(_cell(_number(row.get(name)), right=True) for name in names) + "</tr>")
    if cut:
        left_out = len(rows) - FIRST_ROWS - LAST_ROWS
        lines.append(f'<tr><td colspan="{len(names)}" style="{_LINE};text-align:center">{left_out} more</td></tr>')
        for row in rows[-LAST_ROWS:]:
            lines.append("<tr>" + "".join(_cell(_number(row.get(name)), right=True) for name in names) + "</tr>")
    return _table("".join(lines))


def folded(title: str, content: str) -> str:
    """Content that a click on its title shows."""
    return f'<details style="margin:0.3em 0"><summary style="cursor:pointer">{escape(title)}</summary>{content}</details>'


def _table(lines: str) -> str:
    return f'<table style="{_TABLE}">{lines}</table>'


def _head(text: str, right: bool = False) -> str:
    return f'<th style="{_LINE};text-align:{"right" if right else "left"};font-weight:600">{escape(text)}</th>'


def _cell(text: str, right: bool = False) -> str:
    return f'<td style="{_LINE};text-align:{"right" if right else "left"}">{escape(text)}</td>'


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
