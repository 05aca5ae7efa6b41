"""What a training tells its user when the model is less than it could be, and which setting makes it better."""

from __future__ import annotations

import json
import math

import numpy as np
import xgboost as xgb

from sparkml_algos.algorithms.xgboost.objectives import is_maximised
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator

# Losses whose scores are in the units of the label.
_IDENTITY_LINK = ["reg:squarederror", "reg:linear", "reg:pseudohubererror", "reg:absoluteerror"]

# The library makes no split that gains less (kRtEps in its sources).
_LEAST_GAIN = 1e-6

# Mean of the labels, in their deviations, from which on 32-bit sums are too coarse: of labels that three features explain, 200 rounds left
# an error of 0.028 deviations with a mean of 0, 0.033 with one of 30,000, 0.049 with 100,000, 0.29 with 1,000,000.
_FAR = 1e5

# Mean second derivative of pseudo-Huber loss below which next to no row is where the loss is curved.
_STRAIGHT = 0.01

# Labels of a worker that go into their median.
_LABELS = 10_000

# Share by which the last round must be worse than the best one to be worth a word.
_WORSE = 0.01


def advice(h: Hyperparameters, booster: xgb.Booster, train: xgb.DMatrix, communicator: Communicator) -> list[str]:
    """What there is to say of a model; every worker calls this, and finds the same.

    Parameters
    ----------
    h : Hyperparameters
        With an objective.
    booster : xgboost.Booster
        The finished model.
    train : xgboost.DMatrix
        This worker's rows.
    communicator : Communicator
    """
    found = []
    if h.booster != "gblinear" and not booster.get_score(importance_type="weight"):
        why = _why_no_split(h, booster, train, communicator)
        found.append(f"no tree of the model has a split, so it predicts the same for every row: {why}")
    if h.objective in _IDENTITY_LINK:
        _, mean, deviation = _moments(train, communicator)
        if abs(mean) > _FAR * deviation > 0:
            found.append(
                f"labels stand {abs(mean) / deviation:,.0f} deviations from 0, where the library's sums of 32 bits are too coarse: "
                f"subtract {mean:.7g} from the label, and add it to the prediction"
            )
    return found


def worse_than_best(history: list[dict[str, float]]) -> str | None:
    """What to say where the last round serves though another was clearly better on the rows for validation."""
    names = [name for name in history[-1] if name.startswith("validation:")]
    if not names:
        return None
    values = np.array([epoch[names[-1]] for epoch in history])
    signed = values if is_maximised(names[-1].split(":", 1)[1]) else -values
    if np.isnan(signed).all():
        return None
    best = int(np.nanargmax(signed))
    if not signed[best] - signed[-1] > _WORSE * abs(values[best]):
        return None
    return (
        f"round {best + 1} of {len(values)} had the best {names[-1]}, {values[best]:.6g}, and the last one, which serves, has "
        f"{values[-1]:.6g}: set early_stopping_rounds to let the best round serve"
    )


def _why_no_split(h: Hyperparameters, booster: xgb.Booster, train: xgb.DMatrix, communicator: Communicator) -> str:
    hessians = _root_hessians(booster)
    weight, mean, deviation = _moments(train, communicator)
    if deviation == 0:
        return f"all labels are {mean:g}"
    if h.objective == "reg:pseudohubererror" and hessians < max(2 * h.min_child_weight, _STRAIGHT * weight):
        return _huber(h, train, communicator)
    if hessians < 2 * h.min_child_weight:
        return (
            f"the second derivatives of the rows' losses add up to {hessians:.3g}, and each side of a split needs "
            f"min_child_weight={h.min_child_weight:g}; set that below {hessians / 2:.3g}"
        )
    if h.gamma > 0:
        return f"none gains gamma={h.gamma:g}; set that lower"
    if h.objective in _IDENTITY_LINK and weight * deviation**2 < _LEAST_GAIN:
        return f"labels differ by {deviation:.3g} only, and no split is made that gains less than {_LEAST_GAIN:g}; multiply the label"
    return "no value of a feature tells rows of different labels apart"


def _huber(h: Hyperparameters, train: xgb.DMatrix, communicator: Communicator) -> str:
    """The loss is straight, with no second derivative to speak of, for rows further than about 1 from what training starts from."""
    weight = train.get_weight() if train.get_weight().size else np.ones(train.num_row(), np.float32)
    taken = np.random.default_rng(0).permutation(train.num_row())[:_LABELS]
    labels = np.concatenate(communicator.allgather(train.get_label()[taken].astype(np.float64)))
    median = float(np.median(labels))
    own = weight @ (1 + (train.get_label().astype(np.float64) - median) ** 2) ** -1.5
    hessians = float(communicator.allreduce(np.array([own]))[0])
    start = f"the loss is straight beyond 1 or so from base_score={h.base_score:g}, where no label is"
    if hessians > 2 * h.min_child_weight:
        return f"{start}; set base_score={median:.6g}, the median of the labels"
    spread = float(np.median(np.abs(labels - median)))
    return (
        f"{start}, and labels lie {spread:.3g} apart (the median of |label − {median:.6g}|); subtract {median:.6g} from the label and "
        f"divide it by {spread:.3g}"
    )


def _root_hessians(booster: xgb.Booster) -> float:
    """Sum of the second derivatives over all rows, as the first tree has it."""
    first = json.loads(booster[:1].get_dump(with_stats=True, dump_format="json")[0])
    return float(first["cover"])


def _moments(train: xgb.DMatrix, communicator: Communicator) -> tuple[float, float, float]:
    """Weight, mean and deviation of the labels of all workers."""
    label = train.get_label().astype(np.float64)
    weight = train.get_weight().astype(np.float64) if train.get_weight().size else np.ones(len(label))
    total, weighed = communicator.allreduce(np.array([weight.sum(), weight @ label]))
    mean = weighed / total
    squares = communicator.allreduce(np.array([weight @ (label - mean) ** 2]))[0]
    return float(total), float(mean), math.sqrt(squares / total)
