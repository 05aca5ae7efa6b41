"""The residual network as it learns and scores; torch only here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.algorithms.image_classification.settings import shape_of
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.networks.images import to_input
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.resnet import ResNet
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.prepared import PreparedBatches
from sparkml_algos.training.progress import EpochResult

LOSS, ACCURACY, TOP_K = "loss", "accuracy", "top_k_accuracy"
# Images that are judged at a time.
_SCORED_ROWS = 64


def network_of(of: Hyperparameters, classes: int) -> ResNet:
    """The network of these settings, with weights as they are at the start of a training."""
    return ResNet(of.num_layers, classes, shape_of(of.image_shape).channels)


class ImageLearner(NetworkLearner):
    """A network that learns from prepared images.

    Parameters
    ----------
    *arguments
        As of `NetworkLearner`.
    batches : PreparedBatches
    preparation : Preparation
        Of the rows for validation.
    checkpoint_frequency : int or None
    shares_statistics : bool
        Of `NetworkLearner`.
    """

    larger_is_better = True

    def __init__(
        self,
        *arguments: Any,
        batches: PreparedBatches,
        preparation: Preparation,
        checkpoint_frequency: int | None = None,
        shares_statistics: bool = True,
    ) -> None:
        super().__init__(*arguments, shares_statistics=shares_statistics)
        self._batches, self._preparation, self._frequency = batches, preparation, checkpoint_frequency
        self.accuracy = float("nan")

    def scores(self, batch: Batch) -> Tensor:
        """What the network says of the images of a batch, (rows, classes), of 32 bits."""
        return self.forward(to_input(batch.image, self.device)).float()

    def weighted(self, batch: Batch, **of_rows: Tensor) -> dict[str, Tensor]:
        """Sums over rows, with their weights."""
        if batch.weight is None:
            return {name: values.sum() for name, values in of_rows.items()}
        weight = to_tensor(batch.weight, self.device)
        return {name: (weight * values).sum() for name, values in of_rows.items()}

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        prepared = self._batches.scored(batches, self._preparation.for_validation, _SCORED_ROWS)
        return super().validate(prepared, draws)

    def result(self, found: dict[str, float]) -> EpochResult:
        """The state of the best accuracy on rows for validation; the last one where there are none; or the last that is to be kept."""
        self.accuracy = found.get(f"validation:{ACCURACY}", found[f"train:{ACCURACY}"])
        if self._frequency is not None:
            return EpochResult(found, float((self._progress.epoch + 1) % self._frequency == 0))
        if not self._watched.marks_validation:
            return EpochResult(found, 0.0)
        return EpochResult(found, self.accuracy, found[f"validation:{LOSS}"])


class OneClassLearner(ImageLearner):
    """An image has one class, learned by the cross entropy of a softmax."""

    figures = (LOSS, ACCURACY)

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return self.weighted(batch, **self.of_rows(self.scores(batch), to_tensor(batch.label, self.device).long()))

    def of_rows(self, scores: Tensor, label: Tensor) -> dict[str, Tensor]:
        """The figures of each row."""
        return {LOSS: functional.cross_entropy(scores, label, reduction="none"), ACCURACY: (scores.argmax(1) == label).float()}


class TopClassesLearner(OneClassLearner):
    """The same, which tells besides how often the class is among the most probable ones.

    Parameters
    ----------
    top_k : int
        How many these are.
    """

    figures = (LOSS, ACCURACY, TOP_K)

    def __init__(self, *arguments: Any, top_k: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._top_k = top_k

    def of_rows(self, scores: Tensor, label: Tensor) -> dict[str, Tensor]:
        hits = (scores.topk(self._top_k, 1).indices == label[:, None]).any(1).float()
        return {**super().of_rows(scores, label), TOP_K: hits}


class SeveralClassesLearner(ImageLearner):
    """An image may have several classes, each learned by itself by the cross entropy of a sigmoid; the loss is the mean over classes.

    Parameters
    ----------
    weights : ndarray of float32, shape (2, classes), optional
        What not having a class weighs, and having it.
    """

    figures = (LOSS, ACCURACY)

    def __init__(self, *arguments: Any, weights: np.ndarray | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._weights = None if weights is None else torch.from_numpy(weights).to(self.device)

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        scores, label = self.scores(batch), to_tensor(batch.label, self.device)
        losses = functional.binary_cross_entropy_with_logits(scores, label, reduction="none")
        if self._weights is not None:
            losses = losses * torch.where(label > 0, self._weights[1], self._weights[0])
        hits = ((scores > 0) == (label > 0)).float()
        return self.weighted(batch, **{LOSS: losses.mean(1), ACCURACY: hits.mean(1)})


class Scores:
    """A network that says what images are.

    Parameters
    ----------
    network : ResNet
        Ready to predict.
    device : str
    several : bool
        Whether an image may have several classes.
    """

    def __init__(self, network: ResNet, device: str, several: bool) -> None:
        self._network, self._device, self._several = network, device, several

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The probability of each class, (images, classes), float64."""
        scores = self._network(to_input(images, self._device)).double()
        return (scores.sigmoid() if self._several else scores.softmax(1)).numpy(force=True)
