"""Where the weights of a network start, by what the specifications call it, as MXNet draws them."""

from __future__ import annotations

import math

import torch
from torch import nn

UNIFORM, XAVIER = "uniform", "xavier"


@torch.no_grad()
def start_weights(network: nn.Module, kind: str = XAVIER, scale: float = 2.34, factor: str = "in") -> None:
    """Draw all matrices of a network anew, and put 0 into all vectors.

    Parameters
    ----------
    network : Module
    kind : {"uniform", "xavier"}
        Uniform from −scale to scale; or, with f the fan of a matrix, from −√(scale / f) to √(scale / f).
    scale : float
        Its sign is of no effect.
    factor : {"in", "out", "avg"}
        The fan: numbers that come in, that go out, or half of both together. Of a table of embeddings of V words with D numbers each, as of
        a matrix (V, D), D come in and V go out.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """
    for parameter in network.parameters():
        if parameter.dim() < 2:
            parameter.zero_()
            continue
        bound = abs(scale)
        if kind == XAVIER:
            field = math.prod(parameter.shape[2:])
            fans = {"in": parameter.shape[1] * field, "out": parameter.shape[0] * field}
            fans["avg"] = (fans["in"] + fans["out"]) / 2
            bound = math.sqrt(abs(scale) / fans[factor])
        parameter.uniform_(-bound, bound)
