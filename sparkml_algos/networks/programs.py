"""Networks as programs of `torch.export`."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sparkml_algos.networks.state import to_tensor


def exported(network: nn.Module, inputs: Sequence[np.ndarray]) -> tuple[bytes, list[np.ndarray]]:
    """A network as bytes of the format ``.pt2``, for any number of rows and any length of lists, and what these answer when read again.

    Parameters
    ----------
    network : Module
        Gives a tuple of tensors.
    inputs : sequence of ndarray
        With two rows or more. The second axis of whole numbers is that of lists.
    """
    rows = torch.export.Dim("rows", min=1)
    given = tuple(to_tensor(array) for array in inputs)
    shapes = tuple(
        {0: rows} if tensor.dim() < 2 or tensor.is_floating_point() else {0: rows, 1: torch.export.Dim(f"length{place}", min=1)}
        for place, tensor in enumerate(given)
    )
    program = torch.export.export(network.eval(), given, dynamic_shapes=shapes)
    sink = io.BytesIO()
    torch.export.save(program, sink)
    read = torch.export.load(io.BytesIO(sink.getvalue())).module()
    with torch.no_grad():
        return sink.getvalue(), [tensor.numpy(force=True) for tensor in read(*given)]
