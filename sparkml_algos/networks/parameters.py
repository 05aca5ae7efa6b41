"""The parameters of a network as training moves them: dense ones in one tensor, and tables of which a step touches few rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sparkml_algos.networks.optimizers import Optimizer

# Numbers of 32 bits in 64 bytes, and of 64 bits in 128. Every parameter starts at a multiple, as what torch allocates does: what the last
# bit of a matrix product is may depend on it.
ALIGNMENT = 16


class FlatParameters:
    """The dense parameters of a network in one tensor, and their gradients gathered in another.

    Between backward passes no parameter has a gradient: a pass that finds none keeps what it computes, where it would else read, add and
    write, and one copy brings all of them together.

    Parameters
    ----------
    network : Module
        Of parameters with 32 bits, or all of 64, already on its device.
    figures : int
        Further numbers that travel with the gradients.

    Attributes
    ----------
    values : Tensor, shape (numbers,)
    sums : Tensor, shape (numbers + figures,)
        Gradients, then figures.
    tables : dict of str to Parameter
        By name, the weights of embeddings that are ``sparse``: their gradients are of the rows that a batch touches alone.

    Raises
    ------
    TypeError
        If a parameter to be trained has not 32 bits, unless all have 64.
    """

    def __init__(self, network: nn.Module, figures: int = 0) -> None:
        trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        dtype = torch.float64 if {parameter.dtype for parameter in trained.values()} == {torch.float64} else torch.float32
        other = {name: parameter.dtype for name, parameter in trained.items() if parameter.dtype != dtype}
        if other:
            raise TypeError(f"parameters to be trained must be torch.float32, or all torch.float64, got {other}")
        sparse = {id(module.weight) for module in network.modules() if is_table(module)}
        self.tables = {name: parameter for name, parameter in trained.items() if id(parameter) in sparse}
        dense = [parameter for name, parameter in trained.items() if name not in self.tables]
        ends = [0]
        for parameter in dense:
            ends.append(ends[-1] + math.ceil(parameter.numel() / ALIGNMENT) * ALIGNMENT)
        device = next((parameter.device for parameter in trained.values()), torch.device("cpu"))
        self.values, self.sums = (torch.zeros(ends[-1] + more, dtype=dtype, device=device) for more in (0, figures))
        self._dense, self._places, self._gaps = dense, [], []
        for parameter, start in zip(dense, ends[:-1], strict=True):
            part = slice(start, start + parameter.numel())
            self.values[part] = parameter.detach().reshape(-1)
            parameter.data = self.values[part].view(parameter.shape)
            self._places.append(self.sums[part].view(parameter.shape))
            if gap := -parameter.numel() % ALIGNMENT:
                self._gaps.append(self.sums[part.stop : part.stop + gap])

    @property
    def gradients(self) -> Tensor:
        """Those of `sums`, shape (numbers,)."""
        return self.sums[: len(self.values)]

    @property
    def figures(self) -> Tensor:
        """The rest of `sums`."""
        return self.sums[len(self.values) :]

    def are_finite(self) -> bool:
        """Whether all numbers are."""
        sums = (values.detach().sum(dtype=torch.float64) for values in (self.values, *self.tables.values()))
        return all(bool(torch.isfinite(total)) for total in sums)

    def gather(self) -> None:
        """Bring the gradients of the last backward pass into `sums`, 0 where a parameter has taken no part; they are then forgotten."""
        # Gaps too: an optimizer leaves what it likes in the gradient.
        absent, places, gradients = list(self._gaps), [], []
        for place, parameter in zip(self._places, self._dense, strict=True):
            if parameter.grad is None:
                absent.append(place)
            else:
                places.append(place)
                gradients.append(parameter.grad)
                parameter.grad = None
        if absent:
            torch._foreach_zero_(absent)
        if places:
            torch._foreach_copy_(places, gradients)

    def take_rows(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each table the rows that the last backward pass has touched, ascending, and their gradients; which are then forgotten."""
        found = {}
        for name, table in self.tables.items():
            gradient, table.grad = table.grad, None
            if gradient is None:
                empty = torch.empty(0, dtype=torch.int64, device=table.device)
                found[name] = empty, table.new_zeros((0, table.shape[1]))
            else:
                gradient = gradient.coalesce()
                found[name] = gradient.indices()[0], gradient.values()
        return found


def is_table(module: nn.Module) -> bool:
    """Whether a module looks up rows of its weights, of which a step touches few."""
    return isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse


class Mover:
    """Moves parameters, and remembers what the optimizer must know of them.

    Parameters
    ----------
    optimizer : Optimizer
    parameters : FlatParameters

    Attributes
    ----------
    steps : int
        Steps done.
    """

    def __init__(self, optimizer: Optimizer, parameters: FlatParameters) -> None:
        self.steps = 0
        self._optimizer, self._parameters = optimizer, parameters
        whole = {"": parameters.values, **parameters.tables}
        # Of a table this touches no memory before a step does.
        self._memory = {name: [torch.zeros_like(values) for _ in range(optimizer.slots)] for name, values in whole.items()}

    @torch.no_grad()
    def step(self, gradient: Tensor, rows: dict[str, tuple[Tensor, Tensor]], rate: float, decay: float) -> None:
        """One step.

        Parameters
        ----------
        gradient : Tensor, shape (numbers,)
            May be overwritten, like those of the rows.
        rows : dict of str to (Tensor, Tensor)
            By table, the rows to move and their gradients. The others and their memory stay as they are.
        rate, decay : float
        """
        self.steps += 1
        self._move(self._parameters.values, self._memory[""], gradient, rate, decay)
        for name, (ids, gradients) in rows.items():
            if not len(ids):
                continue
            table, memory = self._parameters.tables[name].data, self._memory[name]
            values, slots = table[ids], [slot[ids] for slot in memory]
            self._move(values, slots, gradients, rate, decay)
            for array, part in zip([table, *memory], [values, *slots], strict=True):
                array[ids] = part

    def _move(self, values: Tensor, memory: list[Tensor], gradient: Tensor, rate: float, decay: float) -> None:
        if decay:
            gradient.add_(values, alpha=decay)
        self._optimizer.move(values, gradient, memory, self.steps, rate)

    def state(self) -> dict[str, Tensor]:
        """What a training that goes on later must be given back, besides `steps`."""
        return {f"{name}/{slot}": tensor for name, memory in self._memory.items() for slot, tensor in enumerate(memory)}
