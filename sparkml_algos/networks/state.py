"""Networks as artifacts, and back: named arrays, nothing pickled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sparkml_algos.arrays.artifact import Artifact

#: Beginning of the names of a network's arrays in an artifact.
PREFIX = "network/"
# In an artifact's values, the names of arrays whose numbers NumPy does not have. They rest as integers of their bits.
BFLOAT16 = "bfloat16"

# Torch's random state, from which modules draw their start, is one for all threads of a process.
_BUILDING = threading.Lock()


def built(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What `make` gives, with a start that depends on the seed alone; torch's own random state is left as it was.

    Parameters
    ----------
    make : callable
    seed : int
    """
    with _BUILDING, torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return make()


def to_artifact(tensors: Mapping[str, Tensor]) -> Artifact:
    """Tensors by name as an artifact; those on the CPU share their memory with its arrays."""
    arrays, bits = {}, []
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.view(torch.int16)
            bits.append(name)
        arrays[name] = tensor.cpu().numpy()
    return Artifact(arrays, {BFLOAT16: bits} if bits else {})


def from_artifact(artifact: Artifact, name: str) -> Tensor:
    """One tensor of an artifact that `to_artifact` gave; shares its memory, or has a copy where that may not be written to."""
    array = artifact.arrays[name]
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor.view(torch.bfloat16) if name in artifact.values.get(BFLOAT16, ()) else tensor


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, as in the state dict, each tensor once: of a tensor with several names the first."""
    kept = network.state_dict(keep_vars=True)
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {f"{PREFIX}{name}": tensor.detach() for name, tensor in named.items() if name in kept}


def put_state(network: nn.Module, artifact: Artifact) -> None:
    """Copy into a network what `state_of` found in one built alike.

    Raises
    ------
    ValueError
        If the artifact is that of another network.
    """
    own = state_of(network)
    there = {name for name in artifact.arrays if name.startswith(PREFIX)}
    if there != set(own):
        lacks, more = sorted(set(own) - there), sorted(there - set(own))
        raise ValueError(f"the artifact is of another network: it lacks {lacks}, and has {more} more")
    for name, tensor in own.items():
        found = from_artifact(artifact, name)
        if found.shape != tensor.shape:
            raise ValueError(f"the artifact is of another network: {name} has shape {tuple(found.shape)}, expected {tuple(tensor.shape)}")
        tensor.copy_(found)


def loaded(network: nn.Module, artifact: Artifact, device: str = "cpu") -> nn.Module:
    """A network with the state of an artifact, on a device, ready to predict: build it within ``torch.device("meta")`` or anyhow."""
    network = network.to_empty(device="cpu") if any(one.is_meta for one in network.parameters()) else network
    put_state(network, artifact)
    return network.to(device).eval().requires_grad_(False)


def to_tensor(array: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """An array as a tensor on a device.

    It is copied on the CPU too: what torch allocates starts at multiples of 64 bytes, on which the last bits of a matrix product may
    depend, so that the same rows give the same product in a process that goes on later.
    """
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    if torch.device(device).type == "cpu":
        return tensor.clone(memory_format=torch.contiguous_format)
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)
