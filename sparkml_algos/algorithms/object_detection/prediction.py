"""How a detector finds objects; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.object_detection.detecting import Suppression, found_boxes
from sparkml_algos.algorithms.object_detection.settings import settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.images.decoding import size_of
from sparkml_algos.images.sample import Sample, resize
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import decoded, views
from sparkml_algos.rows.kinds import InvalidValue
from sparkml_algos.rows.predictor import Computed, Predictor

#: Images that go through the network together.
TOGETHER = 8
#: Numbers of a detection as it is in the output, after its class.
PARTS = ("score", "left", "top", "width", "height")


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model.

    It gives ``detections``, a list of structs a row: class, score, left, top, width and height in pixels; ``prediction``, the same as the
    service answers: class, score, xmin, ymin, xmax and ymax as fractions; ``pixels``, width, height and channels of each image; and
    ``boxes``, a `Ragged` of class, score, left, top, width and height in pixels.
    """
    from sparkml_algos.algorithms.object_detection.network import Detector, predicted
    from sparkml_algos.networks.state import loaded

    settings = settings_of(hyperparameters, artifact.values["num_classes"])
    network = loaded(lambda: Detector(settings), artifact, device)
    default, suppression, side = settings.boxes, Suppression.of(hyperparameters), settings.side

    def found_in(batch: Batch) -> Ragged:
        """Class, score, left, top, width and height as fractions."""
        rows = [np.empty((0, 6))]
        for start in range(0, len(batch), TOGETHER):
            squares = squares_of(batch.image, start, side)
            rows += found_boxes(predicted(network, squares, device, suppression.most), default, suppression)
        return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows[1:])]).astype(np.int64))

    def predictor(batch: Batch) -> Mapping[str, Any]:
        fractions = found_in(batch)
        sizes = np.array([size_of(data) for data in views(batch.image)], np.int64).reshape(-1, 2)[:, ::-1]

        def boxes() -> Ragged:
            values = fractions.values.copy()
            values[:, 2:] *= np.tile(np.repeat(sizes, fractions.lengths, axis=0), 2)
            return Ragged(values, fractions.offsets)

        def detections() -> pa.Array:
            of = boxes()
            parts = [pa.array(of.values[:, 0].astype(np.int64)), *(pa.array(column) for column in of.values[:, 1:].T.copy())]
            structs = pa.StructArray.from_arrays(parts, names=["class_id", *PARTS])
            return pa.ListArray.from_arrays(of.offsets.astype(np.int32), structs)

        def prediction() -> Ragged:
            values = fractions.values.copy()
            values[:, 4:] += values[:, 2:4]
            return Ragged(values, fractions.offsets)

        def pixels() -> np.ndarray:
            return np.column_stack([sizes, np.full(len(batch), 3)])

        return Computed({"detections": detections, "prediction": prediction, "pixels": pixels, "boxes": boxes})

    return predictor


def squares_of(images: pa.Array, start: int, side: int) -> list[np.ndarray]:
    """`TOGETHER` images of a column, from one on, each as a square.

    Raises
    ------
    InvalidValue
        If one cannot be read.
    """
    try:
        found = decoded(images[start : start + TOGETHER], at_least=(side, side))
    except InvalidValue as error:
        raise InvalidValue(str(error), start + error.row) from None
    return [resize(Sample(image), side, side).image for image in found]
