"""The network of DeepAR: what it is given of each step, what it says of it, and how paths are drawn from it.

Sequences lie as (steps, numbers, rows), see `networks.zoneout`; rows are windows in training, and paths of a series when they are drawn.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparkml_algos.algorithms.deepar.windows import Inputs, Shape
from sparkml_algos.arrays.device import one_thread
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.likelihoods import LIKELIHOODS, Randomness
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.networks.zoneout import ZoneoutLSTM
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.job import Job
from sparkml_algos.training.progress import EpochResult
from sparkml_algos.training.watching import WatchedRows

# About so many paths are drawn together: more have no room in a core's cache, of fewer the calls cost more than what they compute.
_PATHS = 800
# What is computed of a number must not depend on how many are beside it, so that vector units, two of 16 numbers, must have no remainder.
_LANES = 32


class DeepARNetwork(nn.Module):
    """Embeddings of categories, recurrent layers, and what these say of each step.

    Parameters
    ----------
    inputs : int
        Numbers that are given of a step.
    cells, layers : int
    parameters : int
        Numbers that are said of a step.
    cardinality : sequence of int
        Categories of each feature.
    embedding : int
        Numbers of the embedding of each.
    zoneout : float
        Rate of `ZoneoutLSTM`.
    """

    def __init__(
        self, inputs: int, cells: int, layers: int, parameters: int, cardinality: Sequence[int], embedding: int, zoneout: float
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, embedding) for size in cardinality)
        statics = 1 + embedding * len(cardinality)
        self.of_static = nn.Linear(statics, 4 * cells)
        self.of_inputs = nn.ParameterList(nn.Parameter(_uniform(4 * cells, size, cells)) for size in [inputs, *[cells] * (layers - 1)])
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(4 * cells, 1)) for _ in range(layers))
        for bias in self.biases:
            nn.init.ones_(bias[cells : 2 * cells])  # gates that forget start open
        self.layers = nn.ModuleList(ZoneoutLSTM(cells, zoneout) for _ in range(layers))
        self.says = nn.Parameter(_uniform(parameters, cells, cells))
        self.says_bias = nn.Parameter(torch.zeros(parameters, 1))

    def static(self, scale: Tensor, categories: Tensor | None) -> Tensor:
        """What is given of a series: the logarithm of its scale, in units, and its embeddings, shape (rows, numbers)."""
        parts = [scale[:, None]]
        if categories is not None:
            parts += [embedding(categories[:, place]) for place, embedding in enumerate(self.embeddings)]
        return torch.cat(parts, 1)

    def forward(self, steps: Tensor, scale: Tensor, categories: Tensor | None, masks: Sequence[Tensor | None]) -> Tensor:
        """What is said of each step, shape (parameters, steps, rows).

        Parameters
        ----------
        steps : Tensor, shape (steps, inputs, rows)
        scale : Tensor, shape (rows,)
            The logarithm, in units.
        categories : Tensor of int64, shape (rows, features), optional
        masks : sequence of Tensor or None
            Those of each layer.
        """
        hiddens = self.unrolled(steps, self.static(scale, categories), masks)[0]
        return self.said(hiddens).transpose(0, 1)

    def unrolled(self, steps: Tensor, static: Tensor, masks: Sequence[Tensor | None]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Hidden states of the last layer, shape (steps, cells, rows), and the state of every layer after the last step."""
        states, current = [], steps
        for place, (layer, of_inputs, bias) in enumerate(zip(self.layers, self.of_inputs, self.biases, strict=True)):
            constant = bias + self.of_static(static).t() if place == 0 else bias
            gates = _of_every_step(of_inputs, current, constant)
            current, cell = layer(gates, None, masks[place])
            states.append((current[-1], cell))
        return current, states

    def said(self, hiddens: Tensor) -> Tensor:
        """Of hidden states (steps, cells, rows) what they say, (steps, parameters, rows)."""
        return _of_every_step(self.says, hiddens, self.says_bias)


def _of_every_step(weights: Tensor, steps: Tensor, constant: Tensor) -> Tensor:
    """A matrix times each of (steps, numbers, rows), plus what is the same in all steps. Not by `torch.matmul`, which for a matrix that
    learns turns the steps, the products and later their derivatives round in memory."""
    return torch.baddbmm(constant, weights.expand(len(steps), -1, -1), steps)


def _uniform(rows: int, columns: int, cells: int) -> Tensor:
    bound = 1 / math.sqrt(cells)
    return torch.empty(rows, columns).uniform_(-bound, bound)


class DeepARLearner(NetworkLearner):
    """The network in training: the mean negative log-likelihood of the steps of windows that are not missing.

    Parameters
    ----------
    network, job, communicator, optimizer, watched
        See `NetworkLearner`.
    likelihood : str
        A key of `LIKELIHOODS`.
    shape : Shape
        Of windows.
    scaling : mapping of str to float
        ``typical``, ``log_mean`` and ``log_unit``: the scale of series that show none, and mean and deviation of logarithms of scales.
    """

    figures = ("loss",)

    def __init__(
        self,
        network: DeepARNetwork,
        job: Job,
        communicator: Communicator,
        optimizer: OptimizerSettings,
        watched: WatchedRows,
        likelihood: str,
        shape: Shape,
        scaling: Mapping[str, float],
    ) -> None:
        super().__init__(network, job, communicator, optimizer, watched)
        self._likelihood, self._shape, self._scaling = LIKELIHOODS[likelihood], shape, scaling

    def loss(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        inputs = Inputs.of(batch, self._shape, typical=self._scaling["typical"], is_scaled=self._likelihood.is_scaled)
        steps, rows = len(inputs.steps), len(batch)
        masks = [layer.masks(steps, rows, draws.random) if self.network.training else None for layer in self.network.layers]
        scale = to_tensor(in_units(inputs.scale, self._scaling).astype(np.float32), self.device)
        categories = None if batch.cat is None or not len(self.network.embeddings) else to_tensor(batch.cat, self.device)
        said = self.forward(to_tensor(inputs.steps, self.device), scale, categories, masks).float()
        target, observed = to_tensor(inputs.target, self.device), to_tensor(inputs.observed, self.device)
        cost = self._likelihood.cost(said.unbind(0), target, to_tensor(inputs.scale.astype(np.float32), self.device))
        return {"loss": torch.where(observed, cost, 0.0).sum()}

    def weight(self, batch: Batch) -> float:
        """Steps that are not missing."""
        return float(batch.observed[:, 1:].sum())

    def result(self, found: dict[str, float]) -> EpochResult:
        """The service calls the loss of the last epoch ``train:final_loss``."""
        metrics = {"train:final_loss": found["train:loss"]} | {name: value for name, value in found.items() if name != "train:loss"}
        return EpochResult(metrics, found.get("validation:loss", found["train:loss"]))


def in_units(scale: np.ndarray, scaling: Mapping[str, float]) -> np.ndarray:
    """Logarithms of scales as the network is given them."""
    return (np.log(scale) - scaling["log_mean"]) / scaling["log_unit"]


class Sampler:
    """Draws paths of series.

    The network reads the context with 64 bits; paths are drawn with 32 bits, of each series from random numbers of its own. Sums are over
    cells and inputs alone, in one order for every path, so that a path does not depend on the series beside it. What of the inputs is known
    of the horizon, all but values that are drawn on the way, is multiplied once, not for every path.

    Parameters
    ----------
    network : DeepARNetwork
        From `networks.state.loaded`.
    likelihood : str
    shape : Shape
    scaling : mapping
        See `DeepARLearner`.
    """

    def __init__(self, network: DeepARNetwork, likelihood: str, shape: Shape, scaling: Mapping[str, float]) -> None:
        self._likelihood, self._shape, self._scaling = LIKELIHOODS[likelihood], shape, scaling
        self._wide = copy.deepcopy(network).double()
        self._device = network.says.device
        lags = np.array(shape.frequency.lags)
        # At each step of the horizon: which lags reach values that are drawn, and of which step these are.
        self._drawn = [(np.flatnonzero(lags <= step), step - lags[lags <= step]) for step in range(shape.horizon)]
        first = network.of_inputs[0]
        self._of_drawn = [
            (first[:, 1 + torch.from_numpy(places)].contiguous(), torch.from_numpy(steps).to(self._device)) for places, steps in self._drawn
        ]
        # Looked up once, for a step is so short that looking up a parameter counts.
        self._recurrent = [layer.recurrent for layer in network.layers]
        self._upper = list(zip(network.of_inputs, network.biases, strict=True))
        self._says, self._says_bias, self._rate = network.says, network.says_bias, network.layers[0].rate

    @torch.no_grad()
    @one_thread()  # which several would part among them, each with a remainder of its own; steps are too short for it
    def paths(self, windows: Batch, seeds: Iterable[int], samples: int) -> np.ndarray:
        """Paths of the horizon of windows.

        Parameters
        ----------
        windows : Batch
            From `Table.windows`; their horizon is not looked at.
        seeds : iterable of int
            Of each.
        samples : int

        Returns
        -------
        ndarray of float64, shape (windows, samples, horizon)
        """
        shape, context = self._shape, self._shape.context
        inputs = Inputs.of(windows, shape, typical=self._scaling["typical"], is_scaled=self._likelihood.is_scaled, dtype=np.float64)
        steps = torch.from_numpy(inputs.steps).to(self._device)
        steps[context + 1 :, 0] = 1  # what is drawn counts as observed
        for step, (places, _) in enumerate(self._drawn):
            steps[context + step, 1 + torch.from_numpy(places)] = 0
        scale = torch.from_numpy(in_units(inputs.scale, self._scaling)).to(self._device)
        categories = None if windows.cat is None or not len(self._wide.embeddings) else to_tensor(windows.cat, self._device)
        static = self._wide.static(scale, categories)
        _, states = self._wide.unrolled(steps[:context], static, [None] * len(self._wide.layers))
        known = torch.matmul(self._wide.of_inputs[0], steps[context:]) + self._wide.biases[0] + self._wide.of_static(static).t()
        known = known.float()  # (horizon, 4 · cells, windows)
        states = [(hidden.float(), cell.float()) for hidden, cell in states]
        units = torch.from_numpy(inputs.scale).float().to(self._device)
        found, all_seeds = np.empty((len(windows), samples, shape.horizon)), list(seeds)
        together = max(1, _PATHS // samples)
        for start in range(0, len(windows), together):
            part = slice(start, start + together)
            generators = [torch.Generator(self._device).manual_seed(seed) for seed in all_seeds[part]]
            own = [(hidden[:, part], cell[:, part]) for hidden, cell in states]
            drawn = self._of_some(known[:, :, part], own, units[part], Randomness(generators, samples))
            drawn = drawn[:, : len(generators) * samples].view(shape.horizon, -1, samples)
            found[part] = drawn.permute(1, 2, 0).double().numpy(force=True)
        return found

    def _of_some(self, known: Tensor, states: list[tuple[Tensor, Tensor]], scale: Tensor, random: Randomness) -> Tensor:
        """Paths of some series, one series after the other, filled up to a multiple of `_LANES`, shape (horizon, paths)."""
        cells, rate = states[0][0].shape[0], self._rate
        owner = torch.arange(len(scale), device=self._device).repeat_interleave(random.samples)
        paths = -(-len(owner) // _LANES) * _LANES
        owner = torch.cat([owner, owner.new_zeros(paths - len(owner))])
        hiddens, memories = ([state[kind].index_select(1, owner) for state in states] for kind in (0, 1))
        values = known.new_empty(self._shape.horizon, paths)
        units = torch.empty_like(values)  # the same in units of the scale
        scale = scale[owner]
        unit = 1 / scale if self._likelihood.is_scaled else torch.ones_like(scale)
        gates = known.new_empty(4 * cells, paths)
        opened, (enter, keep, leave, new) = gates[: 3 * cells], gates.view(4, cells, paths).unbind(0)
        for step, (of_drawn, lagged) in enumerate(self._of_drawn):
            for place, recurrent in enumerate(self._recurrent):
                hidden, memory = hiddens[place], memories[place]
                if place == 0:
                    torch.index_select(known[step], 1, owner, out=gates)
                    if step:
                        gates.addmm_(of_drawn, units.index_select(0, lagged))
                else:
                    of_inputs, bias = self._upper[place]
                    torch.addmm(bias, of_inputs, hiddens[place - 1], out=gates)
                gates.addmm_(recurrent, hidden)
                opened.sigmoid_()
                new.tanh_()
                fresh = torch.addcmul(keep * memory, enter, new)
                said = torch.tanh(fresh).mul_(leave)
                hiddens[place] = said.lerp_(hidden, rate) if rate else said
                memories[place] = fresh.lerp_(memory, rate) if rate else fresh
            told = torch.addmm(self._says_bias, self._says, hiddens[-1])
            values[step] = self._likelihood.draw(told.unbind(0), scale, random)
            torch.mul(values[step], unit, out=units[step])
        return values


def build(settings: Mapping[str, Any]) -> DeepARNetwork:
    """The network of an artifact, by what it says of its size."""
    return DeepARNetwork(**settings)
