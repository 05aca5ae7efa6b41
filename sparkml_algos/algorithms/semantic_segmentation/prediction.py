"""What a model says of images; no Spark here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.semantic_segmentation.masks import labels_of, tables_of
from sparkml_algos.algorithms.semantic_segmentation.settings import settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.segmentation import confusion
from sparkml_algos.images.decoding import UnreadableImage, decode, encode_png, size_of
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.rows.kinds import InvalidValue
from sparkml_algos.rows.predictor import Computed, Predictor

if TYPE_CHECKING:
    from sparkml_algos.algorithms.semantic_segmentation.network import Scores, SegmentationNetwork

Judge = Callable[[Batch], dict[str, np.ndarray]]

#: Of a batch, scores that are kept until it is known what is asked for; the probabilities that these make take 64 times as much.
KEPT_BYTES = 1 << 25
# Numbers of a column of Arrow at most.
_MOST = (1 << 31) - 1


class _Held(Protocol):
    def get(self) -> Judge: ...


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model: of each image ``mask``, a PNG of one channel with the most probable classes, and ``probability``, a struct
    of ``shape``, 1 × classes × height × width, and ``target``, the probabilities in that order. Images are scored one after the other, as
    they are."""
    network, classes = network_of(artifact, hyperparameters, device), artifact.values["num_classes"]

    def predictor(batch: Batch) -> Mapping[str, Any]:
        found = _kept(scores_of(batch, network, device))

        def mask() -> pa.Array:
            return pa.array([one if isinstance(one, bytes) else encode_png(one.classes()) for one in found], pa.binary())

        def probability() -> pa.StructArray:
            sizes = [size_of(data) for data in views(batch.image)]
            return _tensors(_again(found, batch, network, device), sizes, classes)

        return Computed({"mask": mask, "probability": probability})

    return predictor


def _kept(scores: Iterable[Scores]) -> list[Scores | bytes]:
    """The scores of images, for which nobody knows yet whether classes or probabilities will be made of them; of those beyond `KEPT_BYTES`
    the masks alone."""
    found: list[Scores | bytes] = []
    room = KEPT_BYTES
    for one in scores:
        room -= one.nbytes
        found.append(one if room >= 0 else encode_png(one.classes()))
    return found


def _again(found: Sequence[Scores | bytes], batch: Batch, network: SegmentationNetwork, device: str) -> Iterator[Scores]:
    """All scores, those that were not kept once more."""
    for row, one in enumerate(found):
        yield from scores_of(batch.take(slice(row, row + 1)), network, device) if isinstance(one, bytes) else [one]


def load_judge(artifact: Artifact, hyperparameters: Hyperparameters, device: str, column: str = "the mask") -> Judge:
    """What gives, of rows with masks, ``confusion``: how often pixels of each class were given each class; `column` is what messages call
    that of the masks."""
    network, (_, table) = network_of(artifact, hyperparameters, device), tables_of(hyperparameters)
    classes: int = artifact.values["num_classes"]

    def judge(batch: Batch) -> dict[str, np.ndarray]:
        truth = labels_of(batch, table, classes, column)
        found = scores_of(batch, network, device)
        return {"confusion": sum(confusion(one, scores.classes(), classes) for one, scores in zip(truth, found, strict=True))}

    return judge


def judged(held: _Held, batch: Batch) -> dict[str, np.ndarray]:
    """What a batch adds to the metrics."""
    return held.get()(batch)


def network_of(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> SegmentationNetwork:
    """The network of a model, ready to predict."""
    from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationNetwork
    from sparkml_algos.networks.state import loaded

    return loaded(lambda: SegmentationNetwork(settings_of(hyperparameters, artifact.values["num_classes"])), artifact, device)


def scores_of(batch: Batch, network: SegmentationNetwork, device: str) -> Iterator[Scores]:
    """The scores of the images of a batch, one after the other.

    Raises
    ------
    InvalidValue
        If one cannot be read.
    """
    from sparkml_algos.algorithms.semantic_segmentation.network import scored

    for row, data in enumerate(views(batch.image)):
        try:
            image = decode(data)
        except UnreadableImage as error:
            raise InvalidValue(f"image is no image that can be used: {error},", row) from None
        yield scored(network, image, device)


def _tensors(scored: Iterable[Scores], sizes: Sequence[tuple[int, int]], classes: int) -> pa.StructArray:
    """The probabilities of all images as shapes and numbers."""
    ends = np.cumsum([0, *(classes * height * width for height, width in sizes)])
    if ends[-1] > _MOST:
        raise ValueError(
            f"the probabilities of {len(sizes)} images are {ends[-1]:,} numbers, more than a batch holds: lower "
            "spark.sql.execution.arrow.maxRecordsPerBatch, or leave probabilityCol unset"
        )
    flat = np.empty(ends[-1], np.float32)
    for scores, start, end in zip(scored, ends[:-1], ends[1:], strict=True):
        scores.put_probabilities(flat[start:end].reshape(classes, scores.height, scores.width))
    shapes = [[1, classes, height, width] for height, width in sizes]
    targets = pa.ListArray.from_arrays(ends.astype(np.int32), pa.array(flat))
    return pa.StructArray.from_arrays([pa.array(shapes, pa.list_(pa.int64())), targets], names=["shape", "target"])
