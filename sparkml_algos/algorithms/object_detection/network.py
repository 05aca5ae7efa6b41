"""The network of a single shot detector: its base, the maps on top, heads, the loss, and what learns; torch.

References
----------
W. Liu et al., "SSD: single shot multibox detector", ECCV 2016. K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale
image recognition", ICLR 2015. W. Liu, A. Rabinovich, A. Berg, "ParseNet", 2015 (a map scaled by its length; the base with less of its fully
connected layers, dilated). K. He et al., "Deep residual learning for image recognition", CVPR 2016.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparkml_algos.algorithms.object_detection.detecting import Candidates, Suppression, found_boxes
from sparkml_algos.algorithms.object_detection.settings import VGG16, VGG_DILATION, VGG_STAGES, Settings, step_to_extra
from sparkml_algos.arrays import average_precision
from sparkml_algos.networks.images import to_input
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.pretrained import put_weights
from sparkml_algos.networks.resnet import ResNet, scaled_channels
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.prepared import Prepare, PreparedBatches
from sparkml_algos.training.progress import EpochResult

# Channels and convolutions of the five stages of VGG-16, and channels of what stands in place of its first two fully connected layers, of
# the first of which every third weight along either edge is left.
_VGG_STAGES = tuple(zip((64, 128, 256, 512, 512), VGG_STAGES, strict=True))
_VGG_TOP = 1024
# Where the lengths of the features of VGG's fourth stage start, of which the others are some twenty times smaller.
_LENGTH = 20.0
# Channels of the maps on top of a base: those of the convolution that makes fewer of them, and of the map.
_EXTRAS = ((256, 512), (128, 256))
# Negatives for each positive.
_NEGATIVES = 3
# The normalisation of a residual that starts at 0, so that a block starts as what goes into it: P. Goyal et al., "Accurate, large minibatch
# SGD", 2017.
_LAST_OF_RESIDUAL = ".bn3"
# Where torchvision and timm have the layers of VGG-16, in the order of ours.
_VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_VGG_TOP_NAMES = (("classifier.0", "classifier.3"), ("pre_logits.fc1", "pre_logits.fc2"))


class Vgg16(nn.Module):
    """VGG-16 up to its second fully connected layer, both made convolutions: maps of strides 8 and 16.

    Layers are called ``conv1_1`` … ``conv5_3``, ``fc6`` and ``fc7``.

    Parameters
    ----------
    width : float
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        before = 3
        for stage, (channels, count) in enumerate(_VGG_STAGES, 1):
            for place in range(1, count + 1):
                setattr(self, f"conv{stage}_{place}", nn.Conv2d(before, scaled_channels(channels, width), 3, padding=1))
                before = scaled_channels(channels, width)
        top = scaled_channels(_VGG_TOP, width)
        self.fc6, self.fc7 = nn.Conv2d(before, top, 3, padding=VGG_DILATION, dilation=VGG_DILATION), nn.Conv2d(top, top, 1)
        self.length = nn.Parameter(torch.full((1, scaled_channels(_VGG_STAGES[3][0], width), 1, 1), _LENGTH))
        self.channels = [scaled_channels(_VGG_STAGES[3][0], width), top]

    def maps(self, images: Tensor) -> list[Tensor]:
        found, features = [], images
        for stage, (_, count) in enumerate(_VGG_STAGES, 1):
            for place in range(1, count + 1):
                features = functional.relu(getattr(self, f"conv{stage}_{place}")(features))
            if stage == 4:
                found.append(functional.normalize(features, dim=1) * self.length)
            if stage < 5:
                features = functional.max_pool2d(features, 2, ceil_mode=stage == 3)
        features = functional.max_pool2d(features, 3, stride=1, padding=1)
        return [*found, functional.relu(self.fc7(functional.relu(self.fc6(features))))]


class ResNetBase(ResNet):
    """ResNet-50 without its classes: maps of strides 8, 16 and 32.

    Parameters
    ----------
    width : float
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(50, None, width=width)
        self.channels = list(self.stage_channels[1:])

    def maps(self, images: Tensor) -> list[Tensor]:
        return self.stages(images)[1:]


class Detector(nn.Module):
    """What is where in images, as said of default boxes.

    Parameters
    ----------
    settings : Settings
    frozen : str, optional
        Regular expression: layers of the base whose name matches keep their weights and, if they normalise, their statistics.
    """

    def __init__(self, settings: Settings, frozen: str | None = None) -> None:
        super().__init__()
        self._numbers = settings.classes + 1 + 4
        is_vgg = settings.base == VGG16
        self.base = Vgg16(settings.width) if is_vgg else ResNetBase(settings.width)
        channels, sides = list(self.base.channels), [one.side for one in settings.maps]
        self.extras = nn.ModuleList()
        for place in range(len(channels), len(sides)):
            narrow, wide = (scaled_channels(size, settings.width) for size in _EXTRAS[min(place - len(self.base.channels), 1)])
            self.extras.append(_extra(channels[-1], narrow, wide, sides[place - 1], normalises=not is_vgg))
            channels.append(wide)
        self.heads = nn.ModuleList(
            nn.Conv2d(size, one.per_cell * self._numbers, 3, padding=1) for size, one in zip(channels, settings.maps, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for name, module in self.base.named_modules():
            if name.endswith(_LAST_OF_RESIDUAL):
                nn.init.zeros_(module.weight)
        for head in self.heads:
            nn.init.xavier_uniform_(head.weight)
        self._frozen = frozen_layers(self.base, frozen)
        for name in self._frozen:
            self.base.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> Detector:
        super().train(mode)
        for name in self._frozen:
            self.base.get_submodule(name).eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the classes, that of nothing first, and offsets, for each default box.

        Parameters
        ----------
        images : Tensor, shape (images, 3, side, side)

        Returns
        -------
        (Tensor, Tensor), shapes (images, boxes, classes + 1) and (images, boxes, 4)
        """
        maps = self.base.maps(images)
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        # In the order of the default boxes: row, column, box of a cell.
        said = [head(one).permute(0, 2, 3, 1).flatten(1) for head, one in zip(self.heads, maps, strict=True)]
        together = torch.cat(said, dim=1).unflatten(1, (-1, self._numbers))
        return together[..., :-4], together[..., -4:]


def frozen_layers(base: nn.Module, pattern: str | None) -> list[str]:
    """Names of the layers of a base that match a pattern, somewhere in their name.

    Raises
    ------
    InvalidRows
        If there is none.
    """
    if pattern is None:
        return []
    layers = [name for name, module in base.named_modules() if name and not list(module.children()) and list(module.parameters())]
    found = [name for name in layers if re.search(pattern, name)]
    if not found:
        raise InvalidRows(f"freeze_layer_pattern={pattern!r} matches no layer of the base network; it has {', '.join(layers)}")
    return found


def _extra(before: int, narrow: int, wide: int, side: int, normalises: bool) -> nn.Sequential:
    """What makes a map out of one of this side."""
    stride, padding = step_to_extra(side)
    found: list[nn.Module] = []
    for layer in (nn.Conv2d(before, narrow, 1, bias=not normalises), nn.Conv2d(narrow, wide, 3, stride, padding, bias=not normalises)):
        found += [layer, *([nn.BatchNorm2d(layer.out_channels)] if normalises else []), nn.ReLU(inplace=True)]
    return nn.Sequential(*found)


def put_base_weights(network: Detector, weights: Mapping[str, Tensor], file: str) -> None:
    """Let the base start with weights that torchvision or timm has of it.

    Raises
    ------
    ValueError
        If a layer is missing, or of another shape.
    """
    if isinstance(network.base, Vgg16):
        put_weights(network.base, _of_vgg(weights), file=file, fresh=("length", "classifier.", "head.", "pre_logits."))
    else:
        put_weights(network.base, weights, file=file, fresh=("fc.",))


def _of_vgg(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of VGG-16 under our names; of fully connected layers some rows and, of the first, every third place along either edge."""
    names = [f"conv{stage}_{place}" for stage, (_, count) in enumerate(_VGG_STAGES, 1) for place in range(1, count + 1)]
    renamed = {f"features.{place}.": f"{name}." for place, name in zip(_VGG_PLACES, names, strict=True)}
    found = {}
    for name, tensor in weights.items():
        layer, _, part = name.rpartition(".")
        found[renamed.get(f"{layer}.", f"{layer}.") + part] = tensor
    for first, second in _VGG_TOP_NAMES:
        if f"{first}.weight" in found and f"{second}.weight" in found:
            last = _VGG_STAGES[-1][0]
            whole, after = found[f"{first}.weight"].reshape(-1, last, 7, 7), found[f"{second}.weight"]
            step = len(whole) // _VGG_TOP
            found["fc6.weight"], found["fc6.bias"] = whole[::step, :, ::3, ::3], found[f"{first}.bias"][::step]
            found["fc7.weight"] = after.reshape(len(after), -1)[::step, ::step, None, None]
            found["fc7.bias"] = found[f"{second}.bias"][::step]
    return found


def losses(scores: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the boxes that are matched and of the hardest others, three for each, and smooth L1 of the offsets of those that are
    matched; sums. Of an image in which nothing is the three hardest boxes count.

    Parameters
    ----------
    scores : Tensor, shape (images, boxes, classes + 1)
    offsets : Tensor, shape (images, boxes, 4)
    labels : Tensor of int64, shape (images, boxes)
        0 where nothing is.
    targets : Tensor, shape (images, boxes, 4)
    """
    entropies = functional.cross_entropy(scores.float().transpose(1, 2), labels, reduction="none")
    is_positive = labels > 0
    wanted = _NEGATIVES * is_positive.sum(1).clamp(min=1)
    hardness = entropies.detach().masked_fill(is_positive, -1.0)
    most = min(int(wanted.max()) if len(wanted) else 0, hardness.shape[1])
    values, places = hardness.topk(most, dim=1)
    counts = (torch.arange(most, device=labels.device) < wanted[:, None]) & (values >= 0)
    is_chosen = is_positive.scatter(1, places, counts | is_positive.gather(1, places))
    far = functional.smooth_l1_loss(offsets.float()[is_positive], targets[is_positive], reduction="sum")
    return entropies[is_chosen].sum(), far


def candidates(scores: Tensor, offsets: Tensor, most: int) -> Candidates:
    """Of each image the most probable pairs of a default box and a class.

    Parameters
    ----------
    scores : Tensor, shape (images, boxes, classes + 1)
    offsets : Tensor, shape (images, boxes, 4)
    most : int
    """
    probable = scores.float().softmax(2)[:, :, 1:]
    classes = probable.shape[2]
    values, places = probable.flatten(1).topk(min(most, probable.shape[1] * classes), dim=1)
    boxes = torch.div(places, classes, rounding_mode="floor")
    chosen = offsets.float().gather(1, boxes[..., None].expand(-1, -1, 4))
    return Candidates(*(part.numpy(force=True) for part in (values, places % classes, boxes, chosen)))


class DetectorLearner(NetworkLearner):
    """A detector that learns; the figure that is watched is the mAP of the rows for validation.

    Parameters
    ----------
    *arguments
        Of `NetworkLearner`.
    boxes : ndarray, shape (boxes, 4)
        Default ones.
    classes : int
    suppression : Suppression
    prepared : PreparedBatches
    central : callable
        Prepares rows for validation.
    overlap : float
        From which on a detection is a hit.
    points : {"area", "11_points"}
    shares_statistics : bool
        Of `NetworkLearner`.
    """

    figures: ClassVar[tuple[str, ...]] = ("loss", "cross_entropy", "smooth_l1")

    def __init__(
        self,
        *arguments: Any,
        boxes: np.ndarray,
        classes: int,
        suppression: Suppression,
        prepared: PreparedBatches,
        central: Prepare,
        overlap: float,
        points: str,
        shares_statistics: bool,
    ) -> None:
        super().__init__(*arguments, shares_statistics=shares_statistics)
        self._boxes, self._classes, self._suppression = boxes, classes, suppression
        self._prepared, self._central, self._overlap, self._points = prepared, central, overlap, points
        self.larger_is_better = self._watched.marks_validation
        self._matches: list[average_precision.Matches] = []

    def weight(self, batch: Batch) -> float:
        """Boxes that are matched, one at least for each image."""
        return float(np.maximum((batch.labels > 0).sum(1), 1).sum()) if len(batch) else 0.0

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        scores, offsets = self.forward(to_input(batch.image, self.device))
        labels, targets = to_tensor(batch.labels, self.device).long(), to_tensor(batch.offsets, self.device)
        entropy, far = losses(scores, offsets, labels, targets)
        if not self.network.training and len(batch):
            self._look(candidates(scores, offsets, self._suppression.most), batch)
        return {"loss": entropy + far, "cross_entropy": entropy, "smooth_l1": far}

    def _look(self, found: Candidates, batch: Batch) -> None:
        """Match what is found in rows for validation with what is there."""
        detections = found_boxes(found, self._boxes, self._suppression)
        self._matches.append(average_precision.matched(detections, list(batch.objects), [self._overlap]))

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        self._matches = [average_precision.matched([], [], [self._overlap])]
        found = dict(super().validate(self._prepared.scored(batches, self._central), draws))
        of_all = gathered(average_precision.together(self._matches), self._communicator)
        precisions, _ = average_precision.average_precisions(of_all, self._classes, points=self._points)
        return {**found, "mAP": average_precision.mean(precisions)}

    def result(self, found: dict[str, float]) -> EpochResult:
        """The mAP of rows for validation is watched, or the loss without any; of states with an equal mAP the one with the smaller loss."""
        if not self.larger_is_better:
            return super().result(found)
        return EpochResult(found, found["validation:mAP"], found["validation:loss"])


def gathered(parts: Mapping[str, np.ndarray], communicator: Any) -> dict[str, np.ndarray]:
    """Arrays of all workers, one after the other."""
    if communicator.size == 1:
        return dict(parts)
    found = {}
    for name, array in parts.items():
        rows = communicator.allgather(np.ascontiguousarray(array, array.dtype if array.dtype != bool else np.uint8))
        found[name] = np.concatenate(rows).astype(array.dtype)
    return found


def said_of_boxes(network: nn.Module, images: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """What a network says of every default box of images, uint8 (images, side, side, 3): how probable each class is, shape (images, boxes,
    classes), and the offsets, (images, boxes, 4); float32."""
    with torch.inference_mode():
        scores, offsets = network(to_input(images, device))
        return scores.float().softmax(2)[:, :, 1:].numpy(force=True), offsets.float().numpy(force=True)


def predicted(network: nn.Module, images: Sequence[np.ndarray], device: str, most: int) -> Candidates:
    """What a network finds in images that are squares of its side."""
    with torch.inference_mode():
        scores, offsets = network(to_input(np.stack(images), device))
        return candidates(scores, offsets, most)
