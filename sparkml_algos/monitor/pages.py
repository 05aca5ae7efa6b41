"""The page of a monitor: its executions, and how each metric went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from sparkml_algos.html_pages import lines, page, table
from sparkml_algos.monitor.history import Execution

_DRIFT = "feature_baseline_drift_"
# Executions that are listed; the lines are of all.
_LISTED = 50


def history_page(executions: Sequence[Execution], title: str, limits: Mapping[str, float] | None = None) -> str:
    """A page of its own, without outside resources.

    Parameters
    ----------
    executions : sequence of Execution
        Of one monitor, in their order.
    title : str
    limits : mapping of str to float, optional
        By metric, where a line is drawn that it must not cross.

    Returns
    -------
    str
    """
    if not executions:
        return page(title, "<p>There is no execution yet.</p>")
    limits = limits or {}
    last = executions[-1]
    bad = sum(one.is_bad for one in executions)
    style = "bad" if last.alert != "OK" else ""
    said = f"{last.alert} after {len(executions)} executions, {bad} of them with violations or failed."
    parts = [f'<p class="{style}">{escape(said)}</p>']
    rows = [
        (_when(one), one.status, one.alert, len(one.violations), one.failure_reason or ", ".join(_told(one)))
        for one in reversed(executions[-_LISTED:])
    ]
    parts.append(table(("execution", "status", "alert", "violations", "what"), rows))
    names = list(dict.fromkeys(name for one in executions for name in one.metrics))
    labels = [_when(one) for one in executions]

    def drawn(name: str, shown: str) -> str:
        values = [one.metrics.get(name) for one in executions]
        return f"<h3>{escape(shown)}</h3>{lines(labels, {shown: values}, limits.get(name))}"

    drifts = [name for name in names if name.startswith(_DRIFT)]
    if drifts:
        parts += ["<h2>Drift of each feature</h2>", *(drawn(name, name.removeprefix(_DRIFT)) for name in drifts)]
    if others := [name for name in names if name not in drifts]:
        parts += ["<h2>Other metrics</h2>", *(drawn(name, name) for name in others)]
    return page(title, "\n".join(parts))


def _when(one: Execution) -> str:
    return one.key if one.end is None else f"{one.end:%Y-%m-%d %H:%M}"


def _told(one: Execution) -> list[str]:
    return [f"{violation.subject} ({violation.check})" for violation in one.violations]
