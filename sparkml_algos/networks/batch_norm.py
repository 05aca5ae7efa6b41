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
        weight, bias = (self.weight, self.bias) if self.affine else _identity(input)
        normalised, mean, square, count = _Normalised.apply(input, weight, bias, self.eps, self._communicator)
        if self.running_mean is not None:
            self._remember(mean, square, float(count))
        return normalised

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
    """γ (x − mean) / √(variance + ε) + β by channel, over the rows of all workers; then mean, sum of squared differences and count."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, epsilon: float, communicator: Communicator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = input.numel() // input.shape[1]
        mean, square = (torch.zeros(input.shape[1], dtype=torch.float64, device=input.device) for _ in range(2))
        if own:
            own_mean, variance = torch.batch_norm_update_stats(input, None, None, 0.0)
            mean, square = own_mean.double(), variance.double() * own
        message = torch.cat([mean.new_tensor([own]), mean, square])[None]
        parts = torch.cat(gathered(message, communicator, [1] * communicator.size))
        counts, means, squares = parts[:, :1], *parts[:, 1:].chunk(2, dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count.clamp(min=1)
        square = (squares + counts * (means - mean) ** 2).sum(0)  # T. Chan, G. Golub, R. LeVeque, "Updating formulae …", 1979
        moments = mean.to(weight.dtype), (square / count.clamp(min=1)).to(weight.dtype)
        # As torch does it with running statistics: in one go, whatever the form in memory.
        found = torch.native_batch_norm(input, weight, bias, *moments, False, 0.0, epsilon)[0] if own else torch.empty_like(input)
        ctx.save_for_backward(input, weight, *moments, count)
        ctx.communicator, ctx.epsilon = communicator, epsilon
        ctx.mark_non_differentiable(mean, square, count)
        return found, mean, square, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        input, weight, mean, variance, count = ctx.saved_tensors
        if input.numel():
            # As if mean and variance were given; what they change with the input is taken off below.
            fixed = None, None, False, ctx.epsilon, [True, True, True]
            found, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(gradient, input, weight, mean, variance, *fixed)
        else:
            found, of_weight, of_bias = torch.empty_like(input), torch.zeros_like(weight), torch.zeros_like(weight)
        sums = torch.cat([of_bias, of_weight])
        add_up(sums, ctx.communicator)
        if input.numel():
            along_mean, along_scale = (sums / count.clamp(min=1).to(sums.dtype)).chunk(2)
            scale = -weight * (variance + ctx.epsilon).rsqrt()
            # It is a normalisation with another weight and bias, which torch computes in one go.
            found.add_(torch.native_batch_norm(input, scale * along_scale, scale * along_mean, mean, variance, False, 0.0, ctx.epsilon)[0])
        return found, of_weight, of_bias, None, None


def _identity(input: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias that change nothing."""
    channels = input.shape[1]
    return torch.ones(channels, device=input.device), torch.zeros(channels, device=input.device)


def share_statistics(network: nn.Module, communicator: Communicator) -> bool:
    """Let the batch normalisations of a network look at the rows of all workers; whether these have to meet in each."""
    found = [
        (module, name, child) for module in network.modules() for name, child in module.named_children() if isinstance(child, _BatchNorm)
    ]
    for module, name, child in found:
        setattr(module, name, SharedBatchNorm(child, communicator))
    return bool(found) and communicator.size > 1


def batches_seen(network: nn.Module) -> int:
    """Mini-batches that the batch normalisations of a network have seen, in whatever training."""
    return max((int(norm.num_batches_tracked) for norm in _with_statistics(network)), default=0)


@torch.no_grad()
def mean_statistics(network: nn.Module, communicator: Communicator, since: int = 0) -> None:
    """Give running statistics, which each worker has of its own rows, their mean over the workers that have seen rows; all call it.

    Parameters
    ----------
    network : Module
    communicator : Communicator
    since : int
        What `batches_seen` said when all workers last had the same statistics: those that have seen no more do not count.
    """
    norms = _with_statistics(network)
    if communicator.size == 1 or not norms:
        return
    buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    seen = torch.stack([norm.num_batches_tracked for norm in norms])
    has_rows = (seen > since).any().to(buffers[0].dtype)
    message = torch.cat([*(buffer.double() for buffer in buffers), buffers[0].new_ones(1).double()]) * has_rows
    add_up(message, communicator)
    *parts, workers = message.split([*map(len, buffers), 1])
    if float(workers):
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part / workers)
    # A worker that has gone on from another's checkpoint has that one's counts.
    most = torch.stack(gathered(seen, communicator, [len(seen)] * communicator.size)).amax(0)
    for norm, count in zip(norms, most, strict=True):
        norm.num_batches_tracked.copy_(count)


def _with_statistics(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]
