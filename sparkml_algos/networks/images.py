"""Images on their way into a network."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from sparkml_algos.networks.state import to_tensor

#: Mean and standard deviation of red, green and blue over ImageNet, from 0 to 1, which weights trained on it expect.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def to_input(images: np.ndarray, device: str | torch.device, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images as networks take them: less ImageNet's mean, in its standard deviations, on a device.

    Bytes travel to it, and become numbers there. In memory the channels stay last, which convolutions on CPUs and on the tensor cores of
    GPUs are faster with.

    Parameters
    ----------
    images : ndarray of uint8, shape (images, height, width, channels)
        Of grey images mean and deviation are the means of the three.
    device : str or device
    dtype : dtype

    Returns
    -------
    Tensor, shape (images, channels, height, width)
        In the memory format ``channels_last``.
    """
    mean, deviation = _scale(images.shape[-1], str(device))
    pixels = to_tensor(images, device).permute(0, 3, 1, 2)
    return pixels.to(torch.float32).sub_(mean).div_(deviation).to(dtype)


@functools.cache
@torch.inference_mode(False)
def _scale(channels: int, device: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation of bytes, (1, channels, 1, 1); made once, for each time they would have to travel to the device."""
    values = (IMAGENET_MEAN, IMAGENET_DEVIATION)
    whole = [torch.tensor(value if channels == 3 else [sum(value) / 3] * channels, dtype=torch.float32) * 255 for value in values]
    mean, deviation = (value.view(1, -1, 1, 1).to(device) for value in whole)
    return mean, deviation
