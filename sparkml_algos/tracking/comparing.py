"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkml_algos.tracking import limits
from sparkml_algos.tracking.experiment import is_maximised, leaders
from sparkml_algos.tracking.page import differences, names_of, page_of
from sparkml_algos.tracking.run import Run

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """One to twenty runs side by side; see `compare`."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        if not 1 <= len(self.runs) <= limits.COMPARED:
            raise ValueError(f"1 to {limits.COMPARED} runs can be compared, these are {len(self.runs)}")

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A row for each run.

        Parameters
        ----------
        columns : sequence of str, optional
            Of ``run``, ``run_id``, ``status``, ``seconds``, parameters and metrics; by default all.

        Returns
        -------
        pandas.DataFrame
            Which has ``to_csv`` and the like.

        Raises
        ------
        ValueError
            If no run has a column.
        """
        import pandas as pd

        frame = pd.DataFrame([_row(run) for run in self.runs])
        if columns is None:
            return frame
        if unknown := [name for name in columns if name not in frame.columns]:
            raise ValueError(f"no run has {', '.join(map(repr, unknown))}; there are {', '.join(frame.columns)}")
        return frame[list(columns)]

    def differences(self) -> pd.DataFrame:
        """The parameters that are not the same in all runs: a row for each, a column for each run.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        found = differences(self.runs)
        return pd.DataFrame.from_dict(found, orient="index", columns=names_of(self.runs))

    def history(self, metric: str) -> pd.DataFrame:
        """A metric by step, a column for each run that has it.

        Parameters
        ----------
        metric : str

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        named = zip(names_of(self.runs), self.runs, strict=True)
        parts = {name: dict(run.metric_history(metric)) for name, run in named if metric in run.metrics}
        steps = sorted({step for part in parts.values() for step in part})
        columns = {name: [part.get(step) for step in steps] for name, part in parts.items()}
        return pd.DataFrame(columns, index=pd.Index(steps, name="step"))

    def to_html(self, metric: str | None = None, larger_is_better: bool | None = None, title: str = "Runs side by side") -> str:
        """The page of `report`, of these runs.

        Parameters
        ----------
        metric : str, optional
            By which they are ranked; by default one that all of them have.
        larger_is_better : bool, optional
        title : str
        """
        metric = metric or main_metric(self.runs)
        larger = is_maximised(metric) if larger_is_better is None else larger_is_better
        return page_of(title, "", leaders(self.runs, metric, larger), self.runs, metric, larger)

    def save_html(self, path: str | Path, metric: str | None = None, larger_is_better: bool | None = None) -> None:
        """Write the page into a file."""
        Path(path).write_text(self.to_html(metric, larger_is_better), encoding="utf-8")


def compare(*runs: Run | Sequence[Run]) -> Comparison:
    """Put runs side by side.

    Parameters
    ----------
    *runs : Run, or sequence of Run
        1 to 20.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If they are none, or more than 20.

    Examples
    --------
    >>> compare(*Experiment("churn").runs()[:2]).differences()  # doctest: +SKIP
    """
    return Comparison([run for part in runs for run in ([part] if isinstance(part, Run) else part)])


def report(
    experiment: Any, path: str | Path | None = None, metric: str | None = None, larger_is_better: bool | None = None, most_runs: int = 100
) -> str:
    """A page of an experiment: leaderboard, learning curves, parallel coordinates, what the runs differ in. It needs no server and nothing
    from elsewhere.

    Parameters
    ----------
    experiment : Experiment
        Or what has ``runs()``, ``display_name`` and ``description``.
    path : str or Path, optional
        Where the page is written.
    metric : str, optional
        By which runs are ranked; by default the one that most of them have, of the validation rows if there is such.
    larger_is_better : bool, optional
        By default told from the metric's name.
    most_runs : int, default 100
        The best that many are drawn and listed; the page says how many there are.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError
        If no run has a metric.

    Examples
    --------
    >>> report(Experiment("churn"), "churn.html")  # doctest: +SKIP
    """
    runs = experiment.runs()
    metric = metric or main_metric(runs)
    larger = is_maximised(metric) if larger_is_better is None else larger_is_better
    best = leaders(runs, metric, larger)[:most_runs]
    page = page_of(experiment.display_name, experiment.description or "", best, runs, metric, larger)
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page


def main_metric(runs: Sequence[Run]) -> str:
    """The metric that most runs have, of equals one of the validation rows.

    Raises
    ------
    ValueError
        If no run has a metric.
    """
    counts: dict[str, int] = {}
    for run in runs:
        for name, value in run.metrics.items():
            if limits.is_number(value) and not name.startswith("seconds"):
                counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise ValueError("no run has a metric")
    return min(
        counts, key=lambda name: (-counts[name], not name.startswith("validation:"), not name.startswith("test:"), ":fold" in name, name)
    )


def _row(run: Run) -> dict[str, Any]:
    return {"run": run.display_name, "run_id": run.run_id, "status": run.status, "seconds": run.seconds, **run.parameters, **run.metrics}
