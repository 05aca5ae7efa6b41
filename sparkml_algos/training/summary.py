"""What happened while a model was trained."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from sparkml_algos.html_tables import facts_table, folded, rows_table, shares_table

# How metrics that are no numbers are saved: Spark's own readers of metadata take only strict JSON, which has no such numbers.
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True, repr=False)
class TrainingSummary:
    """Facts about a fit.

    Attributes
    ----------
    num_workers : int
    rows : int
        Rows trained on; with full replication every worker's copy counts.
    rows_per_worker : list of int
    facts : dict of str to dict
        By the role of a column, what the rows have shown when training began, such as ``num_features`` of the features.
    num_features : int or None
        Of the features, where there are such.
    launch : str
        ``barrier`` or ``gang``.
    retries : int
    seconds : dict of str to float
        ``total``, from when `fit` was called until the models were there, and by phase; phases add up to it. ``prepare``: the driver
        checks columns, cluster and Python. ``wait``: for other fits of this driver, for executors of a new session. ``failed``: attempts
        that failed, if there were any. ``start``: Spark plans, computes the rows, deals them to the workers and starts their Python. Of the
        worker that was the last to have its rows: ``ingest`` (rows from Spark to arrays), ``setup`` (connecting), ``train``, ``finish``.
        ``collect``: the results on their way to the driver.
    validation_rows : int
        Rows validated on, counted like `rows`.
    metrics : dict of str to float
        Of the finished model, on the training rows (``train:``) and on the validation rows (``validation:``).
    history : list of dict
        Metrics by epoch.
    compile : dict of str to float or None
        Of a network that was compiled, what that took and gained: ``seconds``, and seconds of a step on worker 0 without
        (``eager_step_seconds``) and with it (``compiled_step_seconds``).
    kernels : str or None
        Of an algorithm that has compiled kernels, what ran its inner loops: ``numba`` with its version, or ``numpy``.
    input_wait : dict of str to float or None
        Where threads decode images ahead of the network, what worker 0 waited for them: ``seconds``, their ``share`` of the epochs, and
        how many ``threads`` there were.
    """

    num_workers: int
    rows: int
    rows_per_worker: list[int]
    facts: dict[str, dict[str, Any]]
    launch: str
    retries: int
    seconds: dict[str, float]
    validation_rows: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    compile: dict[str, float] | None = None
    kernels: str | None = None
    input_wait: dict[str, float] | None = None

    @property
    def num_features(self) -> int | None:
        """Length of the vectors that were trained on."""
        return next((facts["num_features"] for facts in self.facts.values() if "num_features" in facts), None)

    @property
    def train_objective_history(self) -> dict[str, list[float]]:
        """The metrics of the training rows by epoch, under their names, as xgboost.spark has them."""
        return self._by_epoch("train:")

    @property
    def validation_objective_history(self) -> dict[str, list[float]]:
        """The metrics of the validation rows by epoch, under their names."""
        return self._by_epoch("validation:")

    def _by_epoch(self, prefix: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for epoch in self.history:
            for name, value in epoch.items():
                if name.startswith(prefix):
                    found.setdefault(name.removeprefix(prefix), []).append(value)
        return found

    def __str__(self) -> str:
        """An aligned table; its phases add up to the total."""
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(["TrainingSummary", *(f"  {name:<{width}}  {value}" for name, value in rows)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Tables for notebooks: facts and metrics, where the time went, and folded up the metrics by epoch."""
        html = facts_table(self._facts() + self._metrics())
        if "total" in self.seconds:
            html += folded(f"time: {self.seconds['total']:.2f} seconds", shares_table(self._phases(), self.seconds["total"]))
        return html + (folded(f"history: {len(self.history)} entries", rows_table(self.history)) if self.history else "")

    def _rows(self) -> list[tuple[str, str]]:
        rows = self._facts() + [(f"seconds, {phase}", f"{seconds:10.3f}") for phase, seconds in self._phases().items()]
        rows += [("seconds, total", f"{self.seconds['total']:10.3f}")] if "total" in self.seconds else []
        return rows + self._metrics()

    def _phases(self) -> dict[str, float]:
        return {phase: seconds for phase, seconds in self.seconds.items() if phase != "total"}

    def _facts(self) -> list[tuple[str, str]]:
        rows = [("workers", f"{self.num_workers} ({self.launch})"), ("rows", f"{self.rows:,}")]
        rows += [("validation rows", f"{self.validation_rows:,}")] if self.validation_rows else []
        rows += [("features", f"{self.num_features:,}")] if self.num_features is not None else []
        rows += [("inner loops", self.kernels)] if self.kernels else []
        wait = self.input_wait
        rows += [("waited for images", f"{wait['seconds']:.3f} s, {wait['share']:.1%} of the epochs")] if wait else []
        return rows + ([("retries", str(self.retries))] if self.retries else [])

    def _metrics(self) -> list[tuple[str, str]]:
        return [(name, f"{value:.6g}") for name, value in self.metrics.items()]

    def to_dict(self) -> dict[str, Any]:
        """All attributes as strict JSON can hold them."""
        return _strict(asdict(self))

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> TrainingSummary:
        """From what `to_dict` gave."""
        saved = _numbers(saved)
        if "num_features" in saved:  # the first versions knew nothing else
            saved["facts"] = {"features": {"num_features": saved.pop("num_features")}}
        return cls(**saved)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _strict(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    return json.dumps(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if value in _NOT_FINITE else value
