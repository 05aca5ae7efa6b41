"""How well a detector finds what is there; no Spark here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparkml_algos.algorithms.object_detection.preparing import corners_of
from sparkml_algos.algorithms.object_detection.settings import FRACTIONS
from sparkml_algos.arrays.average_precision import (
    COCO_AREAS,
    COCO_MOST,
    COCO_OVERLAPS,
    average_precisions,
    coco_figures,
    matched,
    mean,
)
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor

# Beginnings of the names of matches by the two rules.
_VOC, _COCO = "voc/", "coco/"


def judged(predictor: Predictor, hyperparameters: Hyperparameters, batch: Batch) -> dict[str, np.ndarray]:
    """What `figures` needs to know of some images."""
    found = predictor(batch)
    detections, sizes, objects = list(found["boxes"]), found["pixels"], []
    for row, (given, (width, height, _)) in enumerate(zip(batch.boxes, sizes.tolist(), strict=True)):
        size = (1, 1) if hyperparameters.box_units == FRACTIONS else (height, width)
        corners = corners_of(given, size, row) * np.array([width, height] * 2)
        objects.append(np.column_stack([given[:, 0], corners[:, :2], corners[:, 2:] - corners[:, :2]]))
    voc = matched(detections, objects, [hyperparameters.overlap_threshold])
    coco = matched(detections, objects, COCO_OVERLAPS, COCO_AREAS, COCO_MOST)
    return {f"{_VOC}{name}": array for name, array in voc.items()} | {f"{_COCO}{name}": array for name, array in coco.items()}


def figures(found: Mapping[str, np.ndarray], classes: int, points: str) -> dict[str, float]:
    """The figures of all images together, by name: ``mAP``, ``AP_0`` … of the single classes, and COCO's twelve, ``coco_AP`` …; NaN of
    what there is no object of."""
    voc = {name.removeprefix(_VOC): array for name, array in found.items() if name.startswith(_VOC)}
    coco = {name.removeprefix(_COCO): array for name, array in found.items() if name.startswith(_COCO)}
    precisions, _ = average_precisions(voc, classes, points=points)
    named = {f"AP_{number}": float(value) for number, value in enumerate(precisions[0, 0])}
    return {"mAP": mean(precisions), **named, **{f"coco_{name}": value for name, value in coco_figures(coco, classes).items()}}
