"""Hyperparameters of factorization machines, by the service's names, and the columns they read."""

from __future__ import annotations

from typing import ClassVar

from sparkml_algos.arrays.hyperparameters import Declarations, Hyperparameter, OwnHyperparameter
from sparkml_algos.rows import fields

#: The three groups of parameters, each with settings of its own.
GROUPS = ("bias", "linear", "factors")


def _group(name: str, what: str, *, sigma: float, lr: float, wd: float) -> type[Declarations]:
    """The Params of one group: how it starts, how fast it learns, what holds it back."""
    params = {
        "init_method": Hyperparameter(
            str,
            f"{what} starts uniform in ±{name}_init_scale, normal with deviation {name}_init_sigma, or constant at {name}_init_value.",
            default="normal",
            choices=["uniform", "normal", "constant"],
        ),
        "init_scale": Hyperparameter(float, f"Largest absolute value of a uniform start of the {name}; of no effect on others.", minimum=0),
        "init_sigma": Hyperparameter(
            float, f"Standard deviation of a normal start of the {name}; of no effect on others.", default=sigma, minimum=0
        ),
        "init_value": Hyperparameter(float, f"Value of a constant start of the {name}; of no effect on others."),
        "lr": Hyperparameter(float, f"Learning rate of the {name}: about the size of its steps.", default=lr, minimum=0),
        "wd": Hyperparameter(float, f"Weight decay of the {name}: this times the value is added to its gradient.", default=wd, minimum=0),
    }
    members = {f"{name}_{suffix}": param for suffix, param in params.items()}
    return type(f"{name.capitalize()}Params", (Declarations,), {"__doc__": f"Settings of the {name}.", **members})


BiasParams = _group("bias", "The bias", sigma=0.01, lr=0.1, wd=0.01)
LinearParams = _group("linear", "The linear term", sigma=0.01, lr=0.001, wd=0.001)
FactorsParams = _group("factors", "Every factor", sigma=0.001, lr=0.0001, wd=0.00001)


FIELDS = (fields.features(), fields.label(), fields.weight(), fields.validation())


class FactorizationMachinesParams(BiasParams, LinearParams, FactorsParams):
    """What both kinds of factorization machine have in common."""

    reads = FIELDS

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1)
    num_factors = Hyperparameter(int, "Factors of each feature: the dimension its interactions are learned in.", required=True, minimum=1)
    epochs = Hyperparameter(int, "Passes over the training rows.", default=1, minimum=1)
    mini_batch_size = Hyperparameter(int, "Rows per mini-batch, of all workers together.", default=1000, minimum=1)
    min_steps = OwnHyperparameter(
        int,
        "About how many steps the training has at least, in epochs of several passes where rows make fewer; auto is 2 / linear_lr on up to "
        "100,000 rows, else 1.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    exchange_every = OwnHyperparameter(
        int,
        "Mini-batches between two exchanges of several workers; with 1 they train as one would. auto: 1 up to features · (num_factors + 2) "
        "= 1,048,576, else 256 or half a pass over the rows.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    early_stopping_patience = OwnHyperparameter(
        int, "Epochs without gain on validation rows after which training stops; of no effect without such rows.", default=5, minimum=1
    )
    rescale_grad = Hyperparameter(
        float, "Factor of the gradient, a sum over the rows of a mini-batch; by default it is divided by their weight."
    )
    clip_gradient = Hyperparameter(float, "Bound of the absolute value of each derivative, rescaled and without weight decay.")
    eps = Hyperparameter(float, "Added to the divisor of Adam's steps; 1e-8 by default.")

    _positive: ClassVar = ("rescale_grad", "clip_gradient", "eps")
    _start: ClassVar = {"uniform": "scale", "normal": "sigma", "constant": "value"}

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        given = {name: self.value(name) for name in self._positive}
        found += [f"{name} must be > 0, got {value:g}" for name, value in given.items() if value is not None and value <= 0]
        for group in GROUPS:
            method = self.value(f"{group}_init_method")
            needed = f"{group}_init_{self._start[method]}"
            if self.value(needed) is None:
                found.append(f"{needed} is required with {group}_init_method={method!r}")
        return found


class FactorizationMachinesRegressorParams(FactorizationMachinesParams):
    """The task of the regressor."""

    predictor_type = Hyperparameter(str, "Is the class.", default="regressor", choices=["regressor"])
    normalize_label = OwnHyperparameter(
        bool,
        "Train on a label of mean 0 and deviation 1; auto does. Starts, learning rates and weight decays are for such a label.",
        default="auto",
        special=["auto"],
    )


class FactorizationMachinesBinaryClassifierParams(FactorizationMachinesParams):
    """The task of the classifier."""

    predictor_type = Hyperparameter(str, "Is the class.", default="binary_classifier", choices=["binary_classifier"])
