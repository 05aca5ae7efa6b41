"""Batch normalisation with the statistics of the rows of all workers (S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015).

With those of its own rows alone a worker's gradient would be of another network than that of one worker with all rows, the more so the
fewer rows it has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.networks.exchange import add_up, gathered


class SharedBatchNorm(_BatchNorm):
    """A batch normalisation that looks at the rows of all workers while it trains; each of them calls it, with rows or without.

    Parameters
    ----------
    norm : BatchNorm1d, BatchNorm2d or BatchNorm3d
        Whose parameters and buffers it takes over.
    communicator : Communicator
    """

    def __init__(self, norm: _BatchNorm, communicator: Communicator) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var, self.num_batches_tracked = norm.running_mean, norm.running_var, norm.num_batches_tracked
        self._communicator, self._checks = communicator, norm._check_input_dim
        self.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        self._checks(input)

    def forward(self, input: Tensor) -> Tensor:
        # One worker leaves it to torch, which refuses a single row.
        if not self.training or self._communicator.size == 1 and input.numel() > input.shape[1]:
            return super().forward(input)
        self._check_input_dim(input)
        normalised, mean, square, count = _Normalised.apply(input, self.eps, self._communicator)
        if self.running_mean is not None:
            self._remember(mean, square, float(count))
        shape = [1, -1] + [1] * (input.dim() - 2)
        return normalised if self.weight is None else normalised * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, square: Tensor, count: float) -> None:
        """Running statistics, of the variance the unbiased one, as torch has them."""
        if not count:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((square / max(count - 1, 1)).to(self.running_var.dtype), share)


class _Normalised(torch.autograd.Function):
    """x̂ = (x − mean) / √(variance + ε) by channel, over the rows of all workers; then mean, sum of squared differences and count."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, epsilon: float, communicator: Communicator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        own = input.numel() // input.shape[1]
        wide = input.double()
        mean = wide.sum(rows) / max(own, 1)
        square = ((wide - mean.view(shape)) ** 2).sum(rows)
        message = torch.cat([mean.new_tensor([own]), mean, square])[None]
        parts = torch.cat(gathered(message, communicator, [1] * communicator.size))
        counts, means, squares = parts[:, :1], *parts[:, 1:].chunk(2, dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count.clamp(min=1)
        square = (squares + counts * (means - mean) ** 2).sum(0)  # T. Chan, G. Golub, R. LeVeque, "Updating formulae …", 1979
        scale = (square / count.clamp(min=1) + epsilon).rsqrt().to(input.dtype)
        normalised = (input - mean.to(input.dtype).view(shape)) * scale.view(shape)
        ctx.save_for_backward(normalised, scale, count)
        ctx.communicator, ctx.rows, ctx.shape = communicator, rows, shape
        ctx.mark_non_differentiable(mean, square, count)
        return normalised, mean, square, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        normalised, scale, count = ctx.saved_tensors
        sums = torch.cat([gradient.sum(ctx.rows), (gradient * normalised).sum(ctx.rows)])
        add_up(sums, ctx.communicator)
        along_mean, along_scale = (sums / count.clamp(min=1).to(sums.dtype)).chunk(2)
        found = gradient - along_mean.view(ctx.shape) - normalised * along_scale.view(ctx.shape)
        return found * scale.view(ctx.shape), None, None


def share_statistics(network: nn.Module, communicator: Communicator) -> bool:
    """Let the batch normalisations of a network look at the rows of all workers; whether these have to meet in each."""
    found = [
        (module, name, child) for module in network.modules() for name, child in module.named_children() if isinstance(child, _BatchNorm)
    ]
    for module, name, child in found:
        setattr(module, name, SharedBatchNorm(child, communicator))
    return bool(found) and communicator.size > 1
