"""The optimizers that networks are trained with, over tensors, by the names that the specifications give them.

They are to tensors what `training.optimizers` is to NumPy arrays: torch's arithmetic uses all threads of a task, and GPUs. All dense
parameters of a network lie in one tensor, so a step is a few operations however many layers there are; of a table of embeddings a step
moves the rows that its mini-batch touches, with their memory, and no others.

With g the gradient of the mean loss of a mini-batch, first rescaled, then clipped, then with the weight decay added to it (the order of
torch and MXNet), and η the learning rate, w moves by −η times

    sgd       v,                 v ← momentum·v + g
    nag       g + momentum·v,    the same v: Nesterov's accelerated gradient
    adam      m̂ / (√n̂ + ε),      m and n running means of g and g², both corrected for their start at 0
    adagrad   g / (√n + ε),      n ← n + g²
    rmsprop   g / (√n + ε),      n ← γ₁·n + (1 − γ₁)·g²; or centred, see `RmsProp`
    adadelta  d,                 d = g·√(u + ε) / √(n + ε), n and u running means of g² and d²

which is what torch does. MXNet has the learning rate within v, which is the same while that does not change, adds ε before the root in
adagrad and rmsprop, and has no learning rate in adadelta.
MXNet's Adam corrects η instead of n, which makes ε larger in the first steps by 1 / √(1 − β₂ᵗ); the others differ only where gradients are
about as small as ε.

References
----------
D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015. J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods",
JMLR 2011. M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012. T. Tieleman, G. Hinton, lecture 6.5, 2012. A. Graves, "Generating
sequences with recurrent neural networks", 2013 (centred RMSprop). I. Sutskever et al., "On the importance of initialization and momentum in
deep learning", ICML 2013.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparkml_algos.training.optimizers import EPSILON, RMSPROP_DECAY
from sparkml_algos.training.progress import Progress

#: A learning rate from the one that was set and where the training stands.
Schedule = Callable[[float, Progress], float]

# Torch's and MXNet's defaults.
ADAGRAD_EPSILON = 1e-7
ADADELTA_EPSILON = 1e-6
ADADELTA_DECAY = 0.9


@dataclass(frozen=True)
class OptimizerSettings:
    """How a network is trained.

    Parameters
    ----------
    name : str
        A key of `OPTIMIZERS`.
    learning_rate : float
    weight_decay : float
        How many times itself a parameter is added to its gradient. Rows of a table that a step does not touch do not decay in it.
    clip_gradient : float, optional
        Bound of the absolute value of each derivative.
    clip_norm : float, optional
        Bound of the length of the whole gradient, which is scaled down to it.
    rescale : float
        Factor of the gradient of the mean loss, before it is clipped.
    schedule : callable, optional
        ``schedule(learning_rate, progress)`` is the rate of a step; the same in all steps by default.
    options : mapping
        Of the optimizer's own, such as ``momentum`` or ``beta_1``; see its class.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_gradient: float | None = None
    clip_norm: float | None = None
    rescale: float = 1.0
    schedule: Schedule | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Optimizer:
        """The optimizer.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        if self.name not in OPTIMIZERS:
            raise ValueError(f"no optimizer is called {self.name!r}; there are {', '.join(OPTIMIZERS)}")
        return OPTIMIZERS[self.name](**self.options)

    def rate(self, progress: Progress) -> float:
        """The learning rate of a step."""
        return self.learning_rate if self.schedule is None else float(self.schedule(self.learning_rate, progress))


class Optimizer(ABC):
    """How a parameter moves against its gradient; has no state of its own, for that belongs to the parameters."""

    slots: ClassVar[int]  # tensors of memory, of a parameter's shape

    @abstractmethod
    def move(self, values: Tensor, gradient: Tensor, memory: list[Tensor], step: int, rate: float) -> None:
        """Make a step.

        Parameters
        ----------
        values : Tensor
            Changed in place.
        gradient : Tensor
            May be overwritten.
        memory : list of Tensor
            `slots` of them, 0 before the first step; changed in place.
        step : int
            Counted from 1.
        rate : float
        """


class _Directed(Optimizer):
    """One whose steps are a direction times the learning rate."""

    def move(self, values: Tensor, gradient: Tensor, memory: list[Tensor], step: int, rate: float) -> None:
        values.sub_(self.direction(gradient, memory, step), alpha=rate)

    @abstractmethod
    def direction(self, gradient: Tensor, memory: list[Tensor], step: int) -> Tensor:
        """The step per unit of learning rate, to be subtracted; see `move`."""


class Sgd(_Directed):
    """v ← momentum·v + g; step v, or with Nesterov's look ahead g + momentum·v."""

    nesterov: ClassVar[bool] = False

    def __init__(self, momentum: float = 0.0) -> None:
        self._momentum = momentum
        self.slots = 1 if momentum else 0

    def direction(self, gradient: Tensor, memory: list[Tensor], step: int) -> Tensor:
        if not self._momentum:
            return gradient
        (velocity,) = memory
        velocity.mul_(self._momentum).add_(gradient)
        return gradient.add_(velocity, alpha=self._momentum) if self.nesterov else velocity


class Nag(Sgd):
    """Nesterov's accelerated gradient."""

    nesterov = True

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__(momentum)


class Adam(Optimizer):
    """Running means of g and g², corrected for their start at 0."""

    slots = 2

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = EPSILON) -> None:
        self._betas, self._epsilon = (beta_1, beta_2), epsilon

    def move(self, values: Tensor, gradient: Tensor, memory: list[Tensor], step: int, rate: float) -> None:
        (mean, square), (beta_1, beta_2) = memory, self._betas
        mean.lerp_(gradient, 1 - beta_1)
        square.mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        # The corrections are of the rate and of ε instead of the means: so much less is read and written.
        correction = (1 - beta_2**step) ** 0.5
        divisor = torch.sqrt(square, out=gradient).add_(self._epsilon * correction)
        values.addcdiv_(mean, divisor, value=-rate * correction / (1 - beta_1**step))


class Adagrad(_Directed):
    """Gradients divided by the root of the sum of their squares."""

    slots = 1

    def __init__(self, epsilon: float = ADAGRAD_EPSILON) -> None:
        self._epsilon = epsilon

    def direction(self, gradient: Tensor, memory: list[Tensor], step: int) -> Tensor:
        (square,) = memory
        square.addcmul_(gradient, gradient)
        return gradient.div_(square.sqrt().add_(self._epsilon))


class RmsProp(_Directed):
    """Gradients divided by the root of a running mean of their squares.

    Parameters
    ----------
    gamma_1 : float
        Share of the past in the running means.
    gamma_2 : float, optional
        With it the divisor is √(n − m² + ε), m being the running mean of g, and v ← γ₂·v + g / divisor is the step: Graves' form, which is
        what MXNet does where it is given a ``gamma2`` of its own.
    epsilon : float
    """

    def __init__(self, gamma_1: float = RMSPROP_DECAY, gamma_2: float | None = None, epsilon: float = EPSILON) -> None:
        self._gammas, self._epsilon = (gamma_1, gamma_2), epsilon
        self.slots = 1 if gamma_2 is None else 3

    def direction(self, gradient: Tensor, memory: list[Tensor], step: int) -> Tensor:
        square, (gamma_1, gamma_2) = memory[0], self._gammas
        square.mul_(gamma_1).addcmul_(gradient, gradient, value=1 - gamma_1)
        if gamma_2 is None:
            return gradient.div_(square.sqrt().add_(self._epsilon))
        _, mean, velocity = memory
        mean.lerp_(gradient, 1 - gamma_1)
        divisor = square.addcmul(mean, mean, value=-1).add_(self._epsilon).sqrt_()
        return velocity.mul_(gamma_2).addcdiv_(gradient, divisor)


class Adadelta(_Directed):
    """Steps in units of earlier steps; a learning rate of 1 is what the paper has."""

    slots = 2

    def __init__(self, rho: float = ADADELTA_DECAY, epsilon: float = ADADELTA_EPSILON) -> None:
        self._rho, self._epsilon = rho, epsilon

    def direction(self, gradient: Tensor, memory: list[Tensor], step: int) -> Tensor:
        square, moved = memory
        square.mul_(self._rho).addcmul_(gradient, gradient, value=1 - self._rho)
        delta = moved.add(self._epsilon).div_(square.add(self._epsilon)).sqrt_().mul_(gradient)
        moved.mul_(self._rho).addcmul_(delta, delta, value=1 - self._rho)
        return delta


#: By the names of the specifications.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adagrad": Adagrad,
    "sgd": Sgd,
    "nag": Nag,
    "rmsprop": RmsProp,
    "adadelta": Adadelta,
}
