"""What happened while a model was trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainingSummary:
    """Facts about a fit.

    Attributes
    ----------
    num_workers : int
    rows : int
        Rows trained on; with full replication every worker's copy counts.
    rows_per_worker : list of int
    num_features : int
    launch : str
        ``barrier`` or ``gang``.
    retries : int
    seconds : dict of str to float
        By phase: ``total`` of the driver, and of the slowest worker ``ingest`` (rows from Spark to arrays), ``setup`` (connecting),
        ``train``, ``finish``.
    validation_rows : int
        Rows validated on, counted like `rows`.
    metrics : dict of str to float
        Of the finished model, on the training rows (``train:``) and on the validation rows (``validation:``).
    history : list of dict
        Metrics by epoch.
    """

    num_workers: int
    rows: int
    rows_per_worker: list[int]
    num_features: int
    launch: str
    retries: int
    seconds: dict[str, float]
    validation_rows: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
