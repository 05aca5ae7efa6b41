"""Image classification: Estimator and Model.

A residual network sees a part of an image, and says how probable each class is: p = softmax(W h), h the means of its last channels; trained
by the cross entropy −log p(label), or, where an image may have several classes, by that of a sigmoid for each.

References
----------
K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.image_classification.params import ImageClassifierParams
from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.incremental import StartsFromModel
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ShippedArtifact, ship
from sparkml_algos.core.weights_file import read_weights_file
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.training.algorithm import Algorithm


class ImageClassifier(StartsFromModel, AlgorithmEstimator["ImageClassifierModel"], ImageClassifierParams, NetworkParams):
    """A residual network that tells the classes of images, trained on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Rows hold images as files, in memory and on disk, and threads decode and change them ahead of the network, one thread for each CPU of a
    task: `training_summary.input_wait` says how long the network waited. A worker needs the bytes of its images, the network three times
    or more (gradients, memory of the optimizer), and what the network makes of a mini-batch. An image that cannot be decoded, or is smaller
    than `image_shape`, is told by worker and row before training.

    A step costs what the network costs for its images, three times forward, and an exchange of all parameters; the mean and variance of
    each batch normalisation are those of the images of all workers, so that the step is the one that a single worker would make, but for
    what is drawn at random and for rounding, of which a deep network makes much: with 32 bits half a percent of the gradient, whoever adds
    it up. With several workers make mini-batches large. With ``syncbn=False`` each worker normalises by its own images, and workers meet
    once a step instead of twice more for each normalisation.

    Training cuts `image_shape` out of an image, after `resize`: at random with an `augmentation_type`, else from the middle, as of images
    for validation. Scoring brings the whole image to that size, whatever its aspect, as the service does. Pixels enter the network less the
    mean and by the deviation of ImageNet.

    The model is the state of the epoch of the best accuracy on the rows that `validationIndicatorCol` marks; without such rows, of the last
    epoch; with `checkpoint_frequency`, of the last epoch that this divides. Where the specification is silent: `use_weighted_loss` gives
    having and not having a class the same weight as a whole. Of sgd and nag the memory is the sum of gradients, as torch has it. ResNets of
    50 and more layers halve in the 3 x 3 of a bottleneck, as torchvision's. What a rotation or `pad_size` puts around an image is grey.

    Examples
    --------
    >>> from sparkml_algos import ImageClassifier
    >>> files = spark.read.format("binaryFile").load("photos/*/*.jpg")  # doctest: +SKIP
    >>> learner = ImageClassifier(
    ...     imageCol="content", validationIndicatorCol="held", num_layers=20, image_shape="3,32,32", augmentation_type="crop", pad_size=4,
    ...     epochs=100, mini_batch_size=128, lr_scheduler_step="50,75",
    ... )
    >>> model = learner.fit(files.join(labels, "path"))  # doctest: +SKIP
    >>> model.transform(files).select("path", "prediction", "probability").show()  # doctest: +SKIP
    """

    must_match = ("num_layers", "image_shape", "multi_label", "num_classes")

    @staticmethod
    def algorithm() -> Algorithm:
        return IMAGE_CLASSIFICATION

    @staticmethod
    def model_class() -> type[ImageClassifierModel]:
        return ImageClassifierModel

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings = {**self.hyperparameters(), **self.initial_model(session)}
        if self.value("use_pretrained_model"):
            settings["pretrained"] = ShippedArtifact(read_weights_file(session, self.value("pretrained_weights")), session)
        return settings

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if problems:
            return problems
        if self.value("early_stopping") and not self.value("validationIndicatorCol"):
            problems.append("early_stopping=True needs rows to validate on: name a validationIndicatorCol")
        if self.value("precision_dtype") == "float16" and not self.value("use_gpu"):
            problems.append("precision_dtype='float16' needs use_gpu=True: on CPUs it would only cost precision")
        if self.value("input_mode") == "Pipe":
            problems += self._pipe_problems()
        return problems + self.mismatches() + self._initial_problems()

    def _pipe_problems(self) -> list[str]:
        found = []
        if self.value("num_classes") is None and self._initial is None and not self.value("multi_label"):
            found.append("num_classes is required with input_mode='Pipe', which trains before all labels are there")
        if self.value("num_training_samples") is not None:
            found.append(
                "num_training_samples cannot be checked with input_mode='Pipe', which trains before all rows are there; leave it out"
            )
        if self.value("use_weighted_loss") and self.value("epochs") == 1:
            found.append("use_weighted_loss=1 counts the classes of all rows first, which input_mode='Pipe' with epochs=1 does not have")
        return found

    def _initial_problems(self) -> list[str]:
        """What does not go with a model that the training starts from."""
        if self._initial is None:
            return []
        found: list[str] = []
        top_k, classes = self.value("top_k"), self._initial.values["num_classes"]
        if self.value("use_pretrained_model"):
            found.append("use_pretrained_model=1 and an initial model are both given; leave one out")
        if top_k is not None and top_k > classes:
            found.append(f"top_k={top_k} is more than the {classes} classes of the initial model")
        return found


class ImageClassifierModel(HasSummary, AlgorithmModel, ImageClassifierParams):
    """A residual network that tells the classes of images.

    `transform` appends ``prediction``, the number of the most probable class (double), and ``probability`` (vector). With `multi_label` the
    prediction is an array of the classes whose probability is above a half (array<int>).
    """

    outputs = (Output("predicted_label", "double", "predictionCol"), Output("probability", "vector", "probabilityCol"))

    @staticmethod
    def algorithm() -> Algorithm:
        return IMAGE_CLASSIFICATION

    @property
    def numClasses(self) -> int | None:
        """Number of classes."""
        return None if self.artifact is None else self.artifact.values["classes"]

    @property
    def served_epoch(self) -> int:
        """The epoch, counted from 1, whose state this model is."""
        return self.artifact.values["epoch"]

    def own_outputs(self) -> Sequence[Output]:
        outputs = super().own_outputs()
        if not self.value("multi_label"):
            return outputs
        several = Output("predicted_labels", "array<int>", "predictionCol")
        return [several if output.param == several.param else output for output in outputs]

    def objective_metric(self) -> str:
        return "loss"

    def _take_what_was_found(self) -> None:
        self._put({"num_classes": self.artifact.values["classes"]})

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on images with labels, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:accuracy``, with several labels the mean over classes; ``test:cross_entropy``, with several labels of a sigmoid each, the
            mean over classes; and ``test:top_k_accuracy`` where `top_k` is set.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        make = functools.partial(IMAGE_CLASSIFICATION.load, hyperparameters=Hyperparameters(**self.hyperparameters()), device="cpu")
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        judge = _several if self.value("multi_label") else functools.partial(_one, top_k=self.value("top_k"))
        totals = sum_over_batches(dataset, self, functools.partial(_judged, predictor, judge))
        return {f"test:{name}": float(total / totals["weight"]) for name, total in totals.items() if name != "weight"}


# Below which no probability is taken, so that a logarithm is finite.
_TINY = 1e-30


def _judged(predictor: Opened[Predictor], judge: Any, batch: Batch) -> Sums:
    """What a batch adds to the metrics of a model."""
    weights = batch.weights
    found = judge(predictor.get()(batch)["probability"], batch.label)
    return {"weight": weights.sum(), **{name: weights @ values for name, values in found.items()}}


def _one(probability: np.ndarray, label: np.ndarray, top_k: int | None) -> dict[str, np.ndarray]:
    """Figures of each row, which has one class."""
    label = label.astype(np.int64)
    own = probability[np.arange(len(label)), label]
    found = {"accuracy": probability.argmax(1) == label, "cross_entropy": -np.log(np.maximum(own, _TINY))}
    if top_k is not None:
        found["top_k_accuracy"] = (probability > own[:, None]).sum(1) < top_k
    return found


def _several(probability: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of each row, which may have several classes."""
    of_label = np.where(label > 0, probability, 1 - probability)
    hits = (probability > 0.5) == (label > 0)
    return {"accuracy": hits.mean(1), "cross_entropy": -np.log(np.maximum(of_label, _TINY)).mean(1)}
