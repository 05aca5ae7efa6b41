"""Weights that were trained elsewhere: read from files, without pickle's power to run code, and put into a network by their names."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Types of safetensors' format, and torch's.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# Names under which programs that train keep the state dict beside other things.
_NESTED = ("state_dict", "model_state_dict", "model", "state_dict_ema")
# What a wrapper of several GPUs puts before each name.
_WRAPPER = "module."
# What counts the batches that a batch normalisation has seen, which files of old versions lack.
_COUNTER = "num_batches_tracked"
_NAMES_SHOWN = 5


def read_weights(data: bytes | np.ndarray, file: str) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Parameters
    ----------
    data : bytes or ndarray of uint8
        Of safetensors' format, or what ``torch.save`` makes of a state dict, which is read with ``weights_only=True``.
    file : str
        Name of the file, for messages.

    Returns
    -------
    dict of str to Tensor
        On the CPU. Of a dictionary that has the state dict beside other things, the state dict; a ``module.`` before all names is left out.

    Raises
    ------
    ValueError
        If the file is neither, is cut off, or holds other things than tensors.
    """
    data = bytes(data)
    found = _of_safetensors(data, file) if _is_safetensors(data) else _of_torch(data, file)
    if found and all(name.startswith(_WRAPPER) for name in found):
        found = {name.removeprefix(_WRAPPER): tensor for name, tensor in found.items()}
    return found


@torch.no_grad()
def put_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    file: str,
    fresh: Sequence[str] = (),
    rename: Callable[[str], str] | None = None,
) -> list[str]:
    """Copy weights into a network.

    Parameters
    ----------
    network : Module
    weights : mapping of str to Tensor
    file : str
        Where they are from, for messages.
    fresh : sequence of str
        Beginnings of names, such as ``fc.``: what has such a name in the network stays as it is, and in the file is passed over.
    rename : callable, optional
        From a name in the file to that in the network.

    Returns
    -------
    list of str
        Names of what was copied.

    Raises
    ------
    ValueError
        If a tensor of the network is not in the file, or in another shape, or one of the file has no place in the network.
    """
    given = {rename(name) if rename else name: tensor for name, tensor in weights.items()}
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(tuple(fresh))}
    missing = [name for name in own if name not in given and not name.endswith(_COUNTER)]
    more = [name for name in given if name not in own and not name.startswith(tuple(fresh)) and not name.endswith(_COUNTER)]
    differ = [
        f"{name} has shape {tuple(given[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems = [f"it lacks {_some(missing)}"] if missing else []
    problems += [f"it has {_some(more)}, which the network has not"] if more else []
    problems += [_some(differ)] if differ else []
    if problems:
        raise ValueError(f"the weights in {file} are not those of this network: {'; '.join(problems)}")
    copied = [name for name in own if name in given]
    for name in copied:
        own[name].copy_(given[name])
    return copied


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMES_SHOWN
    return ", ".join(items[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _is_safetensors(data: bytes) -> bool:
    """Eight bytes say how long the JSON object is that follows."""
    return len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def _of_safetensors(data: bytes, file: str) -> dict[str, Tensor]:
    length = int.from_bytes(data[:8], "little")
    found = {}
    try:
        header = json.loads(data[8 : 8 + length])
        for name, entry in header.items():
            if name != "__metadata__":
                found[name] = _tensor(data, 8 + length, **{key: entry[key] for key in ("dtype", "shape", "data_offsets")})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not a file of safetensors: {error or type(error).__name__}") from error
    return found


def _tensor(data: bytes, start: int, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    if dtype not in _DTYPES:
        raise ValueError(f"tensors of type {dtype} cannot be read, those of {', '.join(_DTYPES)} can")
    first, end = data_offsets
    size = math.prod(shape) * _DTYPES[dtype].itemsize
    if not 0 <= first <= end <= len(data) - start or end - first != size:
        raise ValueError(f"{size} bytes of shape {shape} are not at {first} to {end}")
    if not size:
        return torch.empty(shape, dtype=_DTYPES[dtype])
    return torch.frombuffer(bytearray(data[start + first : start + end]), dtype=_DTYPES[dtype]).reshape(shape)


def _of_torch(data: bytes, file: str) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what the bytes are
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{file} is neither a file of safetensors nor a state dict that torch reads with weights_only=True ({first}); "
            "save it with torch.save(network.state_dict(), path)"
        ) from error
    for name in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not all(isinstance(name, str) and isinstance(item, Tensor) for name, item in found.items()):
        raise ValueError(f"{file} holds no state dict, which is tensors by name: save it with torch.save(network.state_dict(), path)")
    return dict(found)
