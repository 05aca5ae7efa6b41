"""Rows of a shard as the library's matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import xgboost as xgb

from sparkml_algos.algorithms.xgboost.settings import bins, missing_value, sets_updater, threads
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard


def needs_values(h: Hyperparameters, starts_from_trees: bool) -> bool:
    """Whether training needs the values of the features, not only the bins they fall into.

    The library's other methods than hist read values. So do trees that are there already: their thresholds are not bounds of the bins.
    """
    return h.booster == "gblinear" or h.tree_method in ("exact", "approx") or sets_updater(h) or starts_from_trees


def matrices(h: Hyperparameters, shard: Shard, values: bool, copies: int) -> dict[str, xgb.DMatrix]:
    """The rows to train on, ``train``, and where some are marked those to validate on, ``validation``. Trainings of other settings on the
    same rows share them, unless they bin the features in another way or read other things of the rows."""
    reads = (h.objective.startswith("rank:"), h.objective == "survival:aft")
    key = repr((values, bins(h), missing_value(h), threads(h.nthread), reads, copies))
    data = {"train": shard.made("train", key, lambda: _training_matrix(h, shard, values, copies))}
    if shard.marks_validation:
        data["validation"] = shard.made("validation", key, lambda: _validation_matrix(h, shard, data["train"]))
    return data


def _training_matrix(h: Hyperparameters, shard: Shard, values: bool, copies: int) -> xgb.DMatrix:
    """The rows to train on. Bins are made of the shard's own arrays, batch by batch, so that features are not in memory twice. Where so
    many workers have a copy of every row, the copies share its weight."""

    def batches() -> Iterator[Batch]:
        arriving = iter([_by_group(shard)]) if h.objective.startswith("rank:") else shard.batches()
        return arriving if copies == 1 else (batch.replace(weight=(batch.weights / copies).astype(np.float32)) for batch in arriving)

    return _matrix(h, batches, values, shard.empty())


def _validation_matrix(h: Hyperparameters, shard: Shard, train: xgb.DMatrix) -> xgb.DMatrix:
    """The rows to validate on, in the bins of the rows to train on, if those have any."""
    rows = [_by_group(shard, shard.validation)] if h.objective.startswith("rank:") else shard.validation
    reference = train if isinstance(train, xgb.QuantileDMatrix) else None
    return _matrix(h, lambda: iter(rows), reference is None, shard.empty(), reference)


def _matrix(
    h: Hyperparameters,
    batches: Callable[[], Iterator[Batch]],
    values: bool,
    empty: Batch,
    reference: xgb.QuantileDMatrix | None = None,
) -> xgb.DMatrix:
    common = {"missing": missing_value(h), "nthread": threads(h.nthread)}
    if values:
        rows = list(batches())
        fields = _fields(h, Batch.concat(rows) if rows else empty)
        return xgb.DMatrix(**fields, **common)
    return xgb.QuantileDMatrix(_Feed(h, batches, empty), max_bin=bins(h), ref=reference, **common)


class _Feed(xgb.DataIter):
    """Hands batches to the library, as often as it asks for them; a worker without rows hands over an empty one."""

    def __init__(self, h: Hyperparameters, batches: Callable[[], Iterator[Batch]], empty: Batch) -> None:
        super().__init__()
        self._h, self._batches, self._empty = h, batches, empty
        self.reset()

    def reset(self) -> None:
        self._arriving, self._any = self._batches(), False

    def next(self, input_data: Callable[..., None]) -> bool:
        batch = next(self._arriving, None)
        if batch is None and self._any:
            return False
        self._any = True
        input_data(**_fields(self._h, self._empty if batch is None else batch))
        return True


def _fields(h: Hyperparameters, batch: Batch) -> dict[str, Any]:
    """A batch under the library's names. Rows that are ranked together have one weight, and follow each other."""
    fields: dict[str, Any] = {"data": batch.features, "label": batch.label, "weight": batch.weight, "base_margin": batch.base_margin}
    if h.objective == "survival:aft":
        fields |= {"label_lower_bound": batch.label, "label_upper_bound": batch.label}
    if h.objective.startswith("rank:") and batch.group is not None:
        _, first, number = np.unique(batch.group, return_index=True, return_inverse=True)
        fields |= {"qid": number, "weight": None if batch.weight is None else batch.weight[first]}
    return {name: value for name, value in fields.items() if value is not None}


def _by_group(shard: Shard, batches: Iterable[Batch] | None = None) -> Batch:
    """All rows of some batches, those to train on by default, in order of their groups."""
    rows = list(shard.batches() if batches is None else batches)
    if not rows:
        return shard.empty()
    together = Batch.concat(rows)
    order = np.argsort(together.group, kind="stable")
    if (np.diff(order) != 1).any():
        together = together.take(order)
    _check_weights(together)
    return together


def _check_weights(batch: Batch) -> None:
    if batch.weight is None:
        return
    differs = np.flatnonzero((np.diff(batch.group) == 0) & (np.diff(batch.weight) != 0))
    if len(differs):
        one, other = batch.weight[differs[0]], batch.weight[differs[0] + 1]
        raise InvalidRows(f"rows of one group have the weights {one:g} and {other:g}; a group has one weight in ranking")
