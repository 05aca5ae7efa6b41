"""Networks as artifacts, and back: named arrays, nothing pickled."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.device import to_device

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
    return {name: tensor.detach() for name, tensor in _named_state(network).items()}


def put_state(network: nn.Module, artifact: Artifact) -> None:
    """Copy into a network what `state_of` found in one built alike.

    Raises
    ------
    ValueError
        If the artifact is that of another network.
    """
    own = state_of(network)
    _check_names(own, artifact)
    for name, tensor in own.items():
        tensor.copy_(from_artifact(artifact, name))


def loaded(make: Callable[[], nn.Module], artifact: Artifact, device: str = "cpu") -> nn.Module:
    """A network with the state of an artifact, on a device, ready to predict.

    On the CPU it shares the artifact's memory, which tasks of an executor share in their turn: change none of its numbers in place.

    Parameters
    ----------
    make : callable
        Builds the network, whose start nobody needs: it is called where tensors have no memory, so what a network computes with must be in
        its state, or be made when it computes.
    artifact : Artifact
    device : str

    Raises
    ------
    ValueError
        If the artifact is that of another network.
    TypeError
        If the network has buffers that are not in its state.
    """
    with torch.device("meta"):
        network = make()
    own = _named_state(network)
    _check_names(own, artifact)
    left_out = {name for name, _ in network.named_buffers()} - {name.removeprefix(PREFIX) for name in own}
    if left_out:
        raise TypeError(f"a network that is loaded must not have buffers that are not persistent, such as {min(left_out)}")
    found = {id(tensor): _shared(artifact, name).to(device) for name, tensor in own.items()}
    parameters = {place: nn.Parameter(tensor, requires_grad=False) for place, tensor in found.items()}
    # Not by `torch.utils.swap_tensors`, which refuses what recurrent layers of torch hold weak references to.
    for module in network.modules():
        for name, tensor in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            setattr(module, name, parameters[id(tensor)])
        for name, tensor in list(module.named_buffers(recurse=False, remove_duplicate=False)):
            setattr(module, name, found[id(tensor)])
    return network.eval()


def _named_state(network: nn.Module) -> dict[str, Tensor]:
    kept = network.state_dict(keep_vars=True)
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {f"{PREFIX}{name}": tensor for name, tensor in named.items() if name in kept}


def _check_names(own: Mapping[str, Tensor], artifact: Artifact) -> None:
    there = {name: array.shape for name, array in artifact.arrays.items() if name.startswith(PREFIX)}
    if set(there) != set(own):
        lacks, more = sorted(set(own) - set(there)), sorted(set(there) - set(own))
        raise ValueError(f"the artifact is of another network: it lacks {lacks}, and has {more} more")
    for name, tensor in own.items():
        if there[name] != tuple(tensor.shape):
            raise ValueError(f"the artifact is of another network: {name} has shape {there[name]}, expected {tuple(tensor.shape)}")


def _shared(artifact: Artifact, name: str) -> Tensor:
    """A tensor of an artifact in the artifact's own memory, whether that may be written to or not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        tensor = torch.from_numpy(artifact.arrays[name])
    return tensor.view(torch.bfloat16) if name in artifact.values.get(BFLOAT16, ()) else tensor


def to_tensor(array: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """An array as a tensor on a device.

    It is copied on the CPU too: what torch allocates starts at multiples of 64 bytes, on which the last bits of a matrix product may
    depend, so that the same rows give the same product in a process that goes on later.
    """
    tensor = to_device(array if array.flags.writeable else array.copy(), str(device))
    return tensor.clone(memory_format=torch.contiguous_format) if tensor.device.type == "cpu" else tensor
