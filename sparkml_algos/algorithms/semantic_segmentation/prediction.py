"""What a model says of images; no Spark here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.semantic_segmentation.masks import labels_of, tables_of
from sparkml_algos.algorithms.semantic_segmentation.settings import settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.segmentation import confusion
from sparkml_algos.images.decoding import UnreadableImage, decode, encode_png
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.rows.kinds import InvalidValue
from sparkml_algos.rows.predictor import Computed, Predictor

if TYPE_CHECKING:
    from sparkml_algos.algorithms.semantic_segmentation.network import Scored, SegmentationNetwork

Judge = Callable[[Batch], dict[str, np.ndarray]]

# Numbers of a column of Arrow at most.
_MOST = (1 << 31) - 1


class _Held(Protocol):
    def get(self) -> Judge: ...


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model: of each image ``mask``, a PNG of one channel with the most probable classes, and ``probability``, a struct
    of ``shape``, 1 × classes × height × width, and ``target``, the probabilities in that order. Images are scored one after the other, as
    they are."""
    network = network_of(artifact, hyperparameters, device)

    def predictor(batch: Batch) -> Mapping[str, Any]:
        scored = scores_of(batch, network, device)
        return Computed(
            {
                "mask": lambda: pa.array([encode_png(classes) for classes in scored.classes()], pa.binary()),
                "probability": lambda: _tensors(scored),
            }
        )

    return predictor


def load_judge(artifact: Artifact, hyperparameters: Hyperparameters, device: str, column: str = "the mask") -> Judge:
    """What gives, of rows with masks, ``confusion``: how often pixels of each class were given each class; `column` is what messages call
    that of the masks."""
    network, (_, table) = network_of(artifact, hyperparameters, device), tables_of(hyperparameters)
    classes: int = artifact.values["num_classes"]

    def judge(batch: Batch) -> dict[str, np.ndarray]:
        truth = labels_of(batch, table, classes, column)
        found = scores_of(batch, network, device).classes()
        return {"confusion": sum(confusion(one, other, classes) for one, other in zip(truth, found, strict=True))}

    return judge


def judged(held: _Held, batch: Batch) -> dict[str, np.ndarray]:
    """What a batch adds to the metrics."""
    return held.get()(batch)


def network_of(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> SegmentationNetwork:
    """The network of a model, ready to predict."""
    from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationNetwork
    from sparkml_algos.networks.state import loaded

    return loaded(lambda: SegmentationNetwork(settings_of(hyperparameters, artifact.values["num_classes"])), artifact, device)


def scores_of(batch: Batch, network: SegmentationNetwork, device: str) -> Scored:
    """The scores of the images of a batch, of which one is decoded at a time.

    Raises
    ------
    InvalidValue
        If one cannot be read.
    """
    from sparkml_algos.algorithms.semantic_segmentation.network import Scored

    scored = Scored(network, device)
    for row, image in enumerate(views(batch.image)):
        try:
            scored.add(decode(image))
        except UnreadableImage as error:
            raise InvalidValue(f"image is no image that can be used: {error},", row) from None
    return scored


def _tensors(scored: Scored) -> pa.StructArray:
    """The probabilities of all images as shapes and numbers."""
    shapes, values = [], []
    for probabilities in scored.probabilities():
        shapes.append([1, *probabilities.shape])
        values.append(probabilities.ravel())
    ends = np.cumsum([0, *map(len, values)])
    if ends[-1] > _MOST:
        raise ValueError(
            f"the probabilities of {len(values)} images are {ends[-1]:,} numbers, more than a batch holds: lower "
            "spark.sql.execution.arrow.maxRecordsPerBatch, or leave probabilityCol unset"
        )
    flat = np.concatenate(values) if values else np.empty(0, np.float32)
    targets = pa.ListArray.from_arrays(ends.astype(np.int32), pa.array(flat))
    return pa.StructArray.from_arrays([pa.array(shapes, pa.list_(pa.int64())), targets], names=["shape", "target"])
