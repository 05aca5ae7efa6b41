"""What can be learned and measured: objectives with the labels they take, metrics with their direction."""

from __future__ import annotations

import re

from sparkml_algos.rows.kinds import Number

BINARY = ["binary:logistic", "binary:logitraw", "binary:hinge"]
MULTICLASS = ["multi:softprob", "multi:softmax"]
CLASSIFICATION = [*BINARY, *MULTICLASS]
REGRESSION = [
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:gamma",
    "reg:tweedie",
    "count:poisson",
    "survival:cox",
    "survival:aft",
]
RANKING = ["rank:pairwise", "rank:ndcg", "rank:map"]

# Of survival:cox a negative label is a time of censoring, so any number will do.
LABEL_RANGES = {
    "reg:squaredlogerror": Number(-1, min_exclusive=True),
    "reg:logistic": Number(0, 1),
    "reg:gamma": Number(0, min_exclusive=True),
    "reg:tweedie": Number(0),
    "count:poisson": Number(0),
    "survival:aft": Number(0, min_exclusive=True),
    "rank:pairwise": Number(0),
}
# The library's gain of a relevance r is 2^r − 1, and it takes r up to 31; of rank:map a row is relevant or not.
RELEVANCES = {"rank:ndcg": 32, "rank:map": 2}

# Scores are logarithms, so the prediction that training starts from must be positive.
LOG_LINK = ["reg:gamma", "reg:tweedie", "count:poisson", "survival:cox", "survival:aft"]
# Scores are log-odds.
LOGIT_LINK = ["reg:logistic", "binary:logistic", "binary:logitraw"]
# Losses in which the library weighs rows of label 1 by scale_pos_weight.
WEIGHS_POSITIVES = ["reg:squarederror", "reg:linear", "reg:squaredlogerror", *LOGIT_LINK]

MAXIMISED = ["accuracy", "auc", "aucpr", "f1", "map", "ndcg", "pre", "interval-regression-accuracy"]
MINIMISED = [
    "aft-nloglik",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "logloss",
    "mae",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "mse",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
]
# Metrics that take an argument: a threshold, a number of first places, a power.
_WITH_ARGUMENT = ["error", "ndcg", "map", "pre", "tweedie-nloglik"]
#: Metrics of the specification that the library does not have.
OWN_METRICS = ["accuracy", "f1", "mse"]


def library_objective(objective: str) -> str:
    """The name that the library has today."""
    return "reg:squarederror" if objective == "reg:linear" else objective


def metric_names(eval_metric: str | None) -> list[str]:
    """The metrics of a comma-separated list, in its order."""
    return [name.strip() for name in (eval_metric or "").split(",") if name.strip()]


def is_metric(name: str) -> bool:
    """Whether there is such a metric, such as ``rmse``, ``error@0.7``, ``ndcg@5-``."""
    base = base_metric(name)
    if base == name:
        return base in (*MAXIMISED, *MINIMISED)
    return base in _WITH_ARGUMENT and re.fullmatch(r"(@\d+(\.\d+)?)?-?", name.removeprefix(base)) is not None


def is_maximised(name: str) -> bool:
    """Whether more of a metric is better."""
    return base_metric(name) in MAXIMISED


def base_metric(name: str) -> str:
    """The metric without its argument."""
    return name.split("@")[0].removesuffix("-")
