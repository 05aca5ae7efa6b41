"""The models that are trained side by side: one with the given settings, the others with nearby ones."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from sparkml_algos.arrays.hyperparameters import Hyperparameters

AUTO_MODELS = 32
AUTO_OPTIMIZER = "adam"

# Times 1/√features: a score is a sum over the features, so weights of that size make scores of unit size. With 13 to 784 features and 16 to
# 60 steps an epoch this is within a factor of two of the best single rate on California housing, bike sharing, Adult, letter recognition
# and MNIST, or as good. The service's logs show 0.1 in an example, which is what a hundred features give.
AUTO_LEARNING_RATE = {"adam": 1.0, "rmsprop": 0.5, "sgd": 1.0}

# (l1, wd) of the others where both are ``auto``. The service's logs show (0, 1e-4).
AUTO_PENALTIES = [(0.0, 0.0), (0.0, 1e-4), (0.0, 1e-3), (0.0, 1e-2), (1e-5, 0.0), (1e-4, 0.0), (1e-3, 0.0), (1e-4, 1e-4)]
# Factors of a given penalty, and of the learning rate, that make nearby ones.
NEARBY = [1.0, 0.1, 10.0]
RATE_FACTORS = [1.0, 5.0, 0.2, 0.04]
# Factor between the learning rates of a round and those of the next where more models are wanted than there are combinations.
ROUND_FACTOR = 1.5


@dataclass(frozen=True)
class Candidate:
    """Settings of one of the models.

    Attributes
    ----------
    learning_rate, l1, wd : float
    positive_example_weight_mult : float
        1 unless there are two classes.
    """

    learning_rate: float
    l1: float
    wd: float
    positive_example_weight_mult: float = 1.0

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def make_candidates(hyperparameters: Hyperparameters, num_features: int, positive_weights: list[float]) -> list[Candidate]:
    """The given settings first, where ``auto`` is what it stands for; then those around them.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    num_features : int
    positive_weights : list of float
        Values of `positive_example_weight_mult` to try, in turn; there are at least as many candidates.
    """
    count = AUTO_MODELS if hyperparameters.num_models == "auto" else hyperparameters.num_models
    count = max(count, len(positive_weights))
    rate = hyperparameters.learning_rate
    if rate == "auto":
        rate = AUTO_LEARNING_RATE[optimizer_name(hyperparameters)] / num_features**0.5
    penalties = _penalties(hyperparameters.l1, hyperparameters.wd)
    rounds = (
        Candidate(rate * factor * ROUND_FACTOR**exponent, l1, wd)
        for exponent in _zigzag()
        for l1, wd in penalties
        for factor in RATE_FACTORS
    )
    chosen = itertools.islice(rounds, -(-count // len(positive_weights)))
    weighted = (Candidate(one.learning_rate, one.l1, one.wd, weight) for one in chosen for weight in positive_weights)
    return list(itertools.islice(weighted, count))


def optimizer_name(hyperparameters: Hyperparameters) -> str:
    return AUTO_OPTIMIZER if hyperparameters.optimizer == "auto" else hyperparameters.optimizer


def _penalties(l1: Any, wd: Any) -> list[tuple[float, float]]:
    """Pairs of (l1, wd), the given one first."""
    if l1 == "auto" and wd == "auto":
        return AUTO_PENALTIES
    own = [
        sorted({pair[index] for pair in AUTO_PENALTIES}) if value == "auto" else [value * factor for factor in NEARBY]
        for index, value in enumerate((l1, wd))
    ]
    return list(dict.fromkeys(itertools.product(*own)))


def _zigzag() -> itertools.chain[int]:
    """0, 1, −1, 2, −2, …"""
    return itertools.chain([0], itertools.chain.from_iterable((one, -one) for one in itertools.count(1)))
