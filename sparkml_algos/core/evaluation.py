"""What the evaluations of all models have in common, whatever they compute."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame

from sparkml_algos.cluster.errors import InvalidDataError, last_python_error
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.jobs import described

Evaluate = Callable[..., dict[str, Any]]


def evaluation(evaluate: Evaluate) -> Evaluate:
    """Decorate ``evaluate(model, dataset)``: its Spark jobs are called after it, rows that cannot be scored are one short error, and an
    interruption comes through."""

    @functools.wraps(evaluate)
    def described_and_readable(model: Any, dataset: DataFrame, *arguments: Any, **options: Any) -> dict[str, Any]:
        with interruptible(), described(dataset.sparkSession, f"{model.title()}: evaluate"):
            try:
                return evaluate(model, dataset, *arguments, **options)
            except Exception as error:
                refused = re.search(r"\bInvalidRows: (.*)", last_python_error(str(error)) or "")
                if refused is None:
                    raise
                raise InvalidDataError(refused[1]) from None

    return described_and_readable
