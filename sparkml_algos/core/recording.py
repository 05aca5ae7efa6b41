"""Where fits and searches say what they do, for whoever records it; nobody does unless `tracking` was asked to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pyspark.ml import Estimator, Transformer
from pyspark.sql import DataFrame


class Search(Protocol):
    """A search that is recorded."""

    def trial(self, number: int, name: str, setting: Mapping[str, Any], **facts: Any) -> None:
        """A training with one setting has ended.

        Parameters
        ----------
        number : int
        name : str
        setting : mapping of str to value
        **facts
            ``status``, ``reason``, ``metrics`` at its end, ``series`` by epoch as a mapping of a metric to its values, ``started`` and
            ``ended`` in seconds since 1970, ``seconds`` that it took.
        """

    def take(self, model: Transformer, facts: Mapping[str, Any]) -> None:
        """The search has found a model; what is to be said of the search."""


class Recorder(Protocol):
    """Takes what happens. Nothing that it fails of may end a training."""

    def fitting(self, estimators: Sequence[Estimator], dataset: DataFrame) -> AbstractContextManager[Callable[[Sequence[Any]], None]]:
        """Around a fit of estimators that share a dataset; what it gives takes their models."""

    def searching(
        self, kind: str, name: str, estimator: Estimator, dataset: DataFrame, settings: Mapping[str, Any], goes_on: bool = False
    ) -> AbstractContextManager[Search | None]:
        """Around a search of hyperparameters, ``tuning`` or ``validation``; one that `goes_on` has the name that it had with an earlier
        driver, if there was one."""


#: Who records; None: nobody, which is all that a fit then asks.
recorder: Recorder | None = None
