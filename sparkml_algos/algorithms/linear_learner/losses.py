"""Which loss a linear learner minimises, and its units."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.linear_learner.prediction import loss_name
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.training.losses import (
    AbsoluteLoss,
    EpsInsensitiveAbsoluteLoss,
    EpsInsensitiveSquaredLoss,
    HingeLoss,
    HuberLoss,
    LogisticLoss,
    Loss,
    QuantileLoss,
    RegressionLoss,
    SoftmaxLoss,
    SquaredLoss,
)

_LOSSES: dict[str, type[Loss]] = {
    "squared_loss": SquaredLoss,
    "absolute_loss": AbsoluteLoss,
    "quantile_loss": QuantileLoss,
    "huber_loss": HuberLoss,
    "eps_insensitive_squared_loss": EpsInsensitiveSquaredLoss,
    "eps_insensitive_absolute_loss": EpsInsensitiveAbsoluteLoss,
    "logistic": LogisticLoss,
    "hinge_loss": HingeLoss,
    "softmax_loss": SoftmaxLoss,
}


def make_loss(hyperparameters: Hyperparameters, positive_weight: np.ndarray | float = 1.0) -> Loss:
    return _LOSSES[loss_name(hyperparameters)](hyperparameters, positive_weight)


def in_label_units(hyperparameters: Hyperparameters, label_scale: float) -> float:
    """What turns a loss of labels divided by `label_scale` into that of labels as they are: the loss is of their unit or its square."""
    loss = _LOSSES[loss_name(hyperparameters)]
    return label_scale**loss.degree if issubclass(loss, RegressionLoss) else 1.0
