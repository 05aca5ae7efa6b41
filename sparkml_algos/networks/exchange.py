"""How tensors are added up over workers.

Where the communicator takes tensors (torch's, over gloo or NCCL) they stay on the device where they are; else they go by way of NumPy, on
the CPU without a copy.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sparkml_algos.collectives.communicator import Communicator


def add_up(tensor: Tensor, communicator: Communicator) -> None:
    """Put the sum over all workers, the same to the last bit on each, in the place of a contiguous tensor."""
    if communicator.size == 1:
        return
    if communicator.takes_tensors:
        communicator.allreduce_(tensor)
    else:
        tensor.copy_(torch.from_numpy(communicator.allreduce(tensor.numpy(force=True))))


def gathered(tensor: Tensor, communicator: Communicator, lengths: list[int] | None = None) -> list[Tensor]:
    """The contiguous tensors of all workers in order of rank.

    Parameters
    ----------
    tensor : Tensor
    communicator : Communicator
    lengths : list of int, optional
        First dimensions of the tensors of all workers, where these know them; else they tell each other.
    """
    if communicator.size == 1:
        return [tensor]
    if not communicator.takes_tensors:
        arrays = communicator.allgather(tensor.numpy(force=True), lengths)
        return [torch.from_numpy(array).to(tensor.device) for array in arrays]
    if lengths is None:
        lengths = [int(length[0]) for length in communicator.allgather(np.array([len(tensor)], np.int64), [1] * communicator.size)]
    return communicator.allgather_tensors(tensor, lengths)


def touched_by_any(ids: Tensor, communicator: Communicator) -> Tensor:
    """The rows of a table that the mini-batch of any worker touches.

    Parameters
    ----------
    ids : Tensor of int64, shape (touched,)
        Those of this worker, each once, ascending.

    Returns
    -------
    Tensor of int64, shape (touched by any,)
        Ascending, the same on every worker.
    """
    return ids if communicator.size == 1 else torch.unique(torch.cat(gathered(ids, communicator)))
