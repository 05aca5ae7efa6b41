"""Which loss a linear learner minimises."""

from __future__ import annotations

import numpy as np

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
    SoftmaxLoss,
    SquaredLoss,
)

AUTO_LOSS = {"regressor": "squared_loss", "binary_classifier": "logistic", "multiclass_classifier": "softmax_loss"}
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


def loss_name(hyperparameters: Hyperparameters) -> str:
    """The loss that ``auto`` stands for, or the given one."""
    return AUTO_LOSS[hyperparameters.predictor_type] if hyperparameters.loss == "auto" else hyperparameters.loss


def make_loss(hyperparameters: Hyperparameters, positive_weight: np.ndarray | float = 1.0) -> Loss:
    return _LOSSES[loss_name(hyperparameters)](hyperparameters, positive_weight)
