"""Arrays on their way to the device that computes on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def to_device(array: np.ndarray, device: str) -> Tensor:
    """An array as a tensor on a device.

    To a GPU it goes by way of pinned memory, from which it is copied while this process goes on; what is then computed there waits for it.
    On the CPU the tensor shares the array's memory.

    Parameters
    ----------
    array : ndarray
    device : str
        As torch calls it.
    """
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cpu":
        return tensor
    # Memory is pinned by way of the current GPU, which must not be another worker's. Torch gives it to another array only once the copy is
    # done.
    with torch.cuda.device(device):
        return tensor.pin_memory().to(device, non_blocking=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch, where it is installed, for the time of small matrices: more would wait for each other for most of it."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
