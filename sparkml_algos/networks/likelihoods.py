"""Distributions of the steps of series: what values cost, and how they are drawn, from what a network says."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

# Numbers are kept so far from where logarithms end.
_SMALL = 1e-6
# The least degrees of freedom of Student's t: from there on it has a variance.
_LEAST_FREEDOM = 2.0


class Likelihood(ABC):
    """A distribution of a step, from what the network says of it.

    Attributes
    ----------
    parameters : int
        Numbers that the network says.
    is_scaled : bool
        Whether values are in units of the scale of their window.
    is_point : bool
        Whether it is a single value, no distribution.
    """

    parameters: ClassVar[int]
    is_scaled: ClassVar[bool] = True
    is_point: ClassVar[bool] = False

    @abstractmethod
    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        """What values cost: −log p.

        Parameters
        ----------
        said : sequence of Tensor, shape (steps, rows)
            `parameters` of them.
        target : Tensor, shape (steps, rows)
            As the user has it.
        scale : Tensor, shape (rows,)
        """

    @abstractmethod
    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        """A value for each path, as the user has it.

        Parameters
        ----------
        said : sequence of Tensor, shape (paths,)
            `parameters` of them; the paths of a series after those of the other.
        scale : Tensor, shape (paths,)
        random : Randomness
        """


@dataclass(frozen=True)
class Randomness:
    """Random numbers of the paths of some series, each from those of its series alone.

    Parameters
    ----------
    generators : sequence of Generator
        One for each series.
    samples : int
        Paths of each, which lie together. Further ones, that only fill up, get no random numbers.
    """

    generators: Sequence[torch.Generator]
    samples: int

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers, of this shape."""
        found = torch.zeros_like(like)
        for part, generator in self._parts(found):
            part.normal_(generator=generator)
        return found

    def gamma(self, shape: Tensor) -> Tensor:
        """Of gamma distributions of these shapes, and scale 1."""
        return self._drawn(shape, torch._standard_gamma)

    def poisson(self, rate: Tensor) -> Tensor:
        """Of Poisson distributions of these rates."""
        return self._drawn(rate, torch.poisson)

    def _drawn(self, of: Tensor, draw: Callable[..., Tensor]) -> Tensor:
        found = torch.ones_like(of)
        for (part, generator), (target, _) in zip(self._parts(of), self._parts(found), strict=True):
            target.copy_(draw(part, generator=generator))
        return found

    def _parts(self, tensor: Tensor) -> Iterator[tuple[Tensor, torch.Generator]]:
        return zip(tensor[: len(self.generators) * self.samples].view(-1, self.samples), self.generators, strict=True)


class StudentT(Likelihood):
    """Location, width and degrees of freedom, of real values that burst."""

    parameters = 3

    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        center, width, freedom = said[0], softplus(said[1]) + _SMALL, _LEAST_FREEDOM + softplus(said[2])
        off = (target / scale - center) / width
        norm = torch.lgamma(freedom / 2) - torch.lgamma((freedom + 1) / 2) + 0.5 * torch.log(math.pi * freedom)
        return norm + torch.log(width * scale) + (freedom + 1) / 2 * torch.log1p(off * off / freedom)

    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        center, width, half = said[0], softplus(said[1]) + _SMALL, (softplus(said[2]) + _LEAST_FREEDOM).mul_(0.5)
        normal = random.normal(center)
        spread = random.gamma(half).clamp_min_(torch.finfo(half.dtype).tiny)
        return normal.mul_(width).mul_(half.div_(spread).sqrt_()).add_(center).mul_(scale)


class Gaussian(Likelihood):
    """Mean and deviation, of real values."""

    parameters = 2

    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        center, width = said[0], softplus(said[1]) + _SMALL
        off = (target / scale - center) / width
        return 0.5 * (off * off + math.log(2 * math.pi)) + torch.log(width * scale)

    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        center, width = said[0], softplus(said[1]) + _SMALL
        normal = random.normal(center)
        return (center + width * normal) * scale


class NegativeBinomial(Likelihood):
    """Mean μ and dispersion α, of counts, whose variance is μ + α·μ²; the mean in units of the scale, the dispersion of its root."""

    parameters = 2

    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        mean, inverse = self._parameters(said, scale)
        return (
            torch.lgamma(target + 1)
            + torch.lgamma(inverse)
            - torch.lgamma(target + inverse)
            + inverse * torch.log1p(mean / inverse)
            - target * (torch.log(mean) - torch.log(mean + inverse))
        )

    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        mean, inverse = self._parameters(said, scale)
        return random.poisson(random.gamma(inverse) * mean / inverse)

    @staticmethod
    def _parameters(said: Sequence[Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, and 1 / α."""
        return (softplus(said[0]) + _SMALL) * scale, torch.sqrt(scale) / (softplus(said[1]) + _SMALL)


class Beta(Likelihood):
    """Mean and concentration, of values from 0 to 1."""

    parameters = 2
    is_scaled = False

    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        first, second = self._parameters(said)
        value = target.clamp(_SMALL, 1 - _SMALL)
        norm = torch.lgamma(first) + torch.lgamma(second) - torch.lgamma(first + second)
        return norm - (first - 1) * torch.log(value) - (second - 1) * torch.log1p(-value)

    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        first, second = (random.gamma(shape) for shape in self._parameters(said))
        return (first / (first + second).clamp_min(torch.finfo(first.dtype).tiny)).clamp(0, 1)

    @staticmethod
    def _parameters(said: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, concentration = torch.sigmoid(said[0]), softplus(said[1]) + _SMALL
        # So many as are worth a value each, for either end.
        return mean * concentration + _SMALL, (1 - mean) * concentration + _SMALL


class Point(Likelihood):
    """A value that is as near as it can be: the absolute error, in units of the scale."""

    parameters = 1
    is_point = True

    def cost(self, said: Sequence[Tensor], target: Tensor, scale: Tensor) -> Tensor:
        return torch.abs(target / scale - said[0])

    def draw(self, said: Sequence[Tensor], scale: Tensor, random: Randomness) -> Tensor:
        return said[0] * scale


#: By the names that the specification gives them.
LIKELIHOODS: Mapping[str, Likelihood] = {
    "student-T": StudentT(),
    "gaussian": Gaussian(),
    "negative-binomial": NegativeBinomial(),
    "beta": Beta(),
    "deterministic-L1": Point(),
}
