"""The page of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sparkml_algos import html_pages
from sparkml_algos.tracking.run import Run

# Learning curves that are drawn, of the best runs; axes of the parallel coordinates; columns of metrics beside the one that ranks.
MOST_CURVES, MOST_AXES, MOST_METRICS, MOST_DIFFERENCES = 20, 8, 6, 20


def page_of(
    title: str,
    description: str,
    ranked: Sequence[Run],
    runs: Sequence[Run],
    metric: str,
    larger_is_better: bool,
) -> str:
    """HTML of runs that are ranked by a metric, out of all runs."""
    direction = "more is better" if larger_is_better else "less is better"
    shown = f"{len(ranked)} of {len(runs)} runs, ranked by {escape(metric)} ({direction})."
    parts = [f"<p>{escape(description)}</p>" if description else "", f"<p>{shown}</p>"]
    names = names_of(ranked)
    changing = _changing(ranked)
    parts += ["<h2>Leaderboard</h2>", _leaderboard(ranked, metric, list(changing))]
    curves = _curves(ranked[:MOST_CURVES], names, metric)
    parts += ["<h2>Learning curves</h2>", curves or f"<p>No run has {escape(metric)} of more than one step.</p>"]
    parts += ["<h2>Parallel coordinates</h2>", _parallel(ranked, names, metric, larger_is_better, list(changing))]
    parts += ["<h2>Differences</h2>", _differences(ranked, names, metric, changing), _datasets(ranked, names)]
    return html_pages.page(title, "\n".join(part for part in parts if part))


def names_of(runs: Sequence[Run]) -> list[str]:
    """Names by which runs are told apart."""
    shown = [run.display_name for run in runs]
    return [name if shown.count(name) == 1 else f"{name} ({run.run_id[:6]})" for name, run in zip(shown, runs, strict=True)]


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """By the name of each parameter that is not the same in all runs, its values."""
    names = sorted({name for run in runs for name in run.parameters})
    found = {name: [run.parameters.get(name) for run in runs] for name in names}
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _changing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Of the runs that are shown, the parameters that are not the same in all; those with the most values first."""
    return dict(sorted(differences(runs).items(), key=lambda item: (sum(value is None for value in item[1]), -len(set(item[1])), item[0])))


def _leaderboard(runs: Sequence[Run], metric: str, parameters: Sequence[str]) -> str:
    others = sorted({name for run in runs for name in run.metrics if name != metric and not name.startswith("seconds")})[:MOST_METRICS]
    columns = ["", "run", metric, *others, *parameters[:MOST_AXES], "seconds", "status"]
    rows = []
    for place, run in enumerate(runs):
        metrics, values = run.metrics, run.parameters
        row = [place + 1, run.display_name, metrics[metric], *(metrics.get(name) for name in others)]
        rows.append([*row, *(values.get(name) for name in parameters[:MOST_AXES]), run.seconds, run.status])
    table = html_pages.table(columns, rows)
    # The best is the first row after that of the names.
    head, _, rest = table.partition("</tr><tr>")
    return f'{head}</tr><tr class="best">{rest}' if rest else table


def _curves(runs: Sequence[Run], names: Sequence[str], metric: str) -> str:
    series = {}
    for name, run in zip(names, runs, strict=False):
        by_step: dict[int, float] = {}
        for step, value in run.metric_history(metric):
            by_step.setdefault(step, value)  # what the finished model has at the last step is logged after what the epoch had
        if len(by_step) > 1:
            series[name] = sorted(by_step.items())
    return html_pages.curves(series, "step", metric) if series else ""


def _parallel(runs: Sequence[Run], names: Sequence[str], metric: str, larger_is_better: bool, parameters: Sequence[str]) -> str:
    axes = [*parameters[: MOST_AXES - 1], metric]
    if len(axes) < 2 or len(runs) < 2:
        return "<p>It takes two runs whose parameters differ.</p>"
    values = [run.metrics[metric] for run in runs]
    low, spread = min(values), (max(values) - min(values)) or 1.0
    goodness = [(value - low) / spread if larger_is_better else 1 - (value - low) / spread for value in values]
    rows = {name: [*(run.parameters.get(axis) for axis in axes[:-1]), run.metrics[metric]] for name, run in zip(names, runs, strict=True)}
    return html_pages.parallel(axes, rows, goodness)


def _differences(runs: Sequence[Run], names: Sequence[str], metric: str, changing: Mapping[str, Sequence[Any]]) -> str:
    if not changing:
        return "<p>All parameters are the same.</p>"
    count = min(len(runs), MOST_DIFFERENCES)
    rows = [[f"{metric}", *(run.metrics[metric] for run in runs[:count])]]
    rows += [[name, *values[:count]] for name, values in changing.items()]
    same = {name: value for name, value in runs[0].parameters.items() if name not in changing}
    table = html_pages.table(["parameter", *names[:count]], rows)
    if not same:
        return table
    equal = html_pages.table(["parameter", "value"], same.items())
    return f"{table}<details><summary>{len(same)} parameters that are the same</summary>{equal}</details>"


def _datasets(runs: Sequence[Run], names: Sequence[str]) -> str:
    """Which runs have read which rows; nothing where it is the same ones."""
    digests: dict[str, list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for one in run.inputs:
            digests.setdefault(str(one["digest"]), []).append(name)
    if len(digests) < 2:
        return ""
    rows = [[digest, ", ".join(some[:MOST_DIFFERENCES])] for digest, some in digests.items()]
    return f"<p class=bad>Not all of them have read the same rows.</p>{html_pages.table(['dataset', 'runs'], rows)}"
