"""A toy over bytes and boxes: how often each byte occurs, and the mean box of each class; it gives arrays of numbers and of structs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows import fields
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.boxes import BOX_PARTS, Boxes
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Bytes
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

CLASSES = 4
FIELDS = (
    Field("image", Bytes(), "Image.", default="image", scoring=True),
    Field("boxes", Boxes(CLASSES), "Objects in the image.", default="boxes"),
    fields.validation(),
)


class PicturesParams(PredictionParams):
    reads = FIELDS

    epochs = Hyperparameter(int, "Passes over the rows.", default=1, minimum=1)
    mini_batch_size = Hyperparameter(int, "Images per mini-batch.", default=100, minimum=1)
    scale = Hyperparameter(float, "Factor of scores.", default=1.0, minimum=0.0)
    histogramCol = ColumnParam("Output column: how often each fourth of all bytes occurs in the image.", default="histogram")
    detectionsCol = ColumnParam("Output column: the mean box of each class, with a score.", default="detections")


class Pictures(AlgorithmEstimator, PicturesParams):
    """Bytes and mean boxes."""

    @staticmethod
    def algorithm() -> Algorithm:
        return PICTURES

    @staticmethod
    def model_class() -> type[PicturesModel]:
        return PicturesModel


class PicturesModel(AlgorithmModel, PicturesParams):
    outputs = (
        Output("size", "double", "predictionCol"),
        Output("histogram", "array<double>", "histogramCol"),
        Output("detections", "array<struct<class_id: long, score: double, left: double>>", "detectionsCol"),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return PICTURES


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    state = job.resume()
    for _ in job.epochs(hyperparameters.epochs):
        histogram, sums = np.zeros(256), np.zeros((CLASSES, len(BOX_PARTS) + 1))
        for batch in job.minibatches(hyperparameters.mini_batch_size):
            for image in batch.image:
                histogram += np.bincount(np.frombuffer(image.as_buffer(), np.uint8), minlength=256)
            boxes = batch.boxes.values.astype(np.float64)
            np.add.at(sums, boxes[:, 0].astype(int), np.column_stack([boxes, np.ones(len(boxes))]))
        seen = sum(image.as_buffer().size for batch in shard.validation for image in batch.image)
        bytes_seen = communicator.allreduce(np.array([seen]))
        state = Artifact({"histogram": communicator.allreduce(histogram), "boxes": communicator.allreduce(sums), "validated": bytes_seen})
        job.end_epoch(state, **{"train:bytes": float(state.arrays["histogram"].sum())})
    return state


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    boxes = artifact.arrays["boxes"]
    counts = np.maximum(boxes[:, -1], 1)
    classes, left = np.arange(CLASSES), boxes[:, 1] / counts
    scores = hyperparameters.scale * boxes[:, -1] / max(1, boxes[:, -1].sum())
    found = pa.StructArray.from_arrays([pa.array(classes), pa.array(scores), pa.array(left)], names=["class_id", "score", "left"])

    def predictor(batch: Batch) -> Mapping[str, Any]:
        values = [np.frombuffer(image.as_buffer(), np.uint8) for image in batch.image]
        histogram = np.array([np.bincount(image // 64, minlength=4) / len(image) for image in values]).reshape(-1, 4)
        offsets = np.arange(len(batch) + 1, dtype=np.int32) * CLASSES
        repeated = found.take(pa.array(np.tile(classes, len(batch))))
        return {
            "size": np.array([len(image) for image in values], float),
            "histogram": histogram,
            "detections": pa.ListArray.from_arrays(offsets, repeated),
        }

    return predictor


PICTURES = Algorithm(name="pictures", fields=FIELDS, train=train, load=load, passes=lambda hyperparameters: hyperparameters.epochs)
