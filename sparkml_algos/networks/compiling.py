"""Networks compiled by ``torch.compile``, and what that has cost and gained."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

from sparkml_algos.networks.batch_norm import SharedBatchNorm
from sparkml_algos.networks.parameters import is_table

# Steps made without compiling, to know what compiling gains; each is made a second time, compiled, and only that one counts.
TIMED_STEPS = 3
# Steps in which torch may compile: the first, and the second of another number of rows, for which it compiles once more for any number.
COMPILING_STEPS = 3


class Compiled:
    """A network that is compiled when it is first called.

    Parameters
    ----------
    network : Module

    Attributes
    ----------
    is_to_be_timed : bool
        Whether `time_step` is still to be called.
    """

    def __init__(self, network: nn.Module) -> None:
        for module in network.modules():
            # The first talks to the other workers; gradients of the second, of touched rows alone, a compiled network does not have.
            if isinstance(module, SharedBatchNorm) or is_table(module):
                module.forward = torch.compiler.disable(module.forward)
        self._network, self._compiled, self._bypassed = network, torch.compile(network), False
        self._eager: list[float] = []
        self._steps: list[float] = []

    @property
    def is_to_be_timed(self) -> bool:
        return len(self._steps) < COMPILING_STEPS + TIMED_STEPS

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return (self._network if self._bypassed else self._compiled)(*inputs, **named)

    def time_step(self, step: Callable[[], object]) -> None:
        """Time a step with and without compiling, and leave the network as it was; gradients are whoever calls it to clear."""
        buffers = [buffer.clone() for buffer in self._network.buffers()]
        for bypassed, seconds in ((True, self._eager), (False, self._steps)):
            self._bypassed = bypassed
            began = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
            with torch.no_grad():
                for buffer, before in zip(self._network.buffers(), buffers, strict=True):
                    buffer.copy_(before)

    def report(self) -> dict[str, float]:
        """Seconds that compiling took, and of a step without it and with it; of steps too few to tell only the first."""
        later = self._steps[COMPILING_STEPS:]
        found = {"seconds": sum(self._steps[:COMPILING_STEPS])}
        if later:
            eager, compiled = median(self._eager), median(later)
            found = {
                "seconds": max(0.0, found["seconds"] - COMPILING_STEPS * compiled),
                "eager_step_seconds": eager,
                "compiled_step_seconds": compiled,
            }
        return {name: round(value, 6) for name, value in found.items()}
