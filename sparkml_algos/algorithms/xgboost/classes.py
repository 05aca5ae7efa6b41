"""The loss of a classifier, where its user leaves it to the labels."""

from __future__ import annotations

import base64

import numpy as np

from sparkml_algos.algorithms.xgboost.artifact import booster_artifact
from sparkml_algos.algorithms.xgboost.objectives import BINARY, CLASSIFICATION, MULTICLASS
from sparkml_algos.algorithms.xgboost.settings import contradictions
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard


def with_objective(h: Hyperparameters, shard: Shard, communicator: Communicator, uses_gpu: bool) -> Hyperparameters:
    """The settings with `objective` and `num_class`, the same on every worker: those that were given, those of the model that training
    starts from, or by the largest label of all rows: two classes have ``binary:logistic``, more have ``multi:softprob``.

    Raises
    ------
    InvalidRows
        If labels are too large to be classes, or another setting does not suit the loss.
    """
    if h.objective is not None:
        return h
    if h.initial_model is not None:
        start = booster_artifact(base64.b64decode(h.initial_model), {}).values
        objective, classes = start["objective"], start["num_class"] or 2
        if objective not in CLASSIFICATION:
            raise InvalidRows(f"initial_model was trained with {objective!r}, which is not for classes")
    else:
        classes = h.num_class or _classes_of(shard, communicator)
        objective = BINARY[0] if classes == 2 else MULTICLASS[0]
    chosen = Hyperparameters(**{**vars(h), "objective": objective, "num_class": classes if objective in MULTICLASS else None})
    weighed = {"scale_pos_weight"} if h.scale_pos_weight != 1 else set()
    if found := contradictions(chosen, weighed, uses_gpu):
        raise InvalidRows(f"labels of {classes} classes make objective={objective!r}: " + "; ".join(found))
    return chosen


def _classes_of(shard: Shard, communicator: Communicator) -> int:
    """One more than the largest label of all workers, two at least."""
    largest = shard.facts[LABEL]["largest"]
    rows = int(communicator.allreduce(np.array([shard.num_rows + len(shard.validation)], np.int64))[0])
    if largest >= max(2, rows):
        raise InvalidRows(
            f"labels reach {largest}, and there are {rows} rows: too few for classes from 0 to there. Number the classes from 0 on, set "
            "objective='multi:softprob' and num_class if they are meant so, or use XGBoostRegressor for numbers"
        )
    return max(2, largest + 1)
