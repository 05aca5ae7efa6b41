"""Object detection: Estimator and Model.

A network looks at an image once and says of some thousand default boxes, of different places, sizes and shapes, what is in them and by how
much the object lies aside of them and is larger. What it says of the same object several times is then reduced to the best.

References
----------
W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C. Fu, A. Berg, "SSD: single shot multibox detector", ECCV 2016. K. Simonyan,
A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015. K. He, X. Zhang, S. Ren, J. Sun, "Deep
residual learning for image recognition", CVPR 2016.
"""

from __future__ import annotations

import functools
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.object_detection.measures import figures, judged
from sparkml_algos.algorithms.object_detection.params import ObjectDetectorParams
from sparkml_algos.algorithms.object_detection.settings import contradictions, starting_problems
from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import Sums, joined_over_batches
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


class ObjectDetector(StartsFromModel, AlgorithmEstimator["ObjectDetectorModel"], ObjectDetectorParams, NetworkParams):
    """Learns to find objects in images, on the executors of a Spark cluster: a single shot detector (SSD).

    {parameters}

    Notes
    -----
    Images are rescaled to a square. In training each is seen through a random window, half of them put on a larger canvas before, half
    mirrored, and in other colours; that is always on. Default boxes are those of SSD300 and SSD512, for other sides as much like them as
    may be; those that overlap an object by more than a half learn it, and of the others the three hardest for each of these learn that
    nothing is there. The gradient is that of the sum over an image's boxes, divided by the number of those that learn an object (one at
    least for each image) over the mini-batch of all workers.

    The model is the state of the epoch whose mAP was best on the rows that `validationIndicatorCol` marks, or whose loss was the smallest
    where none are marked.

    ``vgg-16`` has no batch normalisation and learns little from random weights; ``resnet-50`` does. A `base_width` below 1 is the variant
    for CPUs: the same layers with fewer channels. A step costs what its images cost in the network, which grows with the square of
    `image_shape` and of `base_width`, and one exchange of all parameters. Images are decoded and changed in threads ahead of it.

    Weights to start from are read from a file (`pretrained_weights`), for nothing is fetched: a state dict of torchvision or timm.
    `setInitialModel` goes on from an earlier model.

    Examples
    --------
    >>> from sparkml_algos import ObjectDetector
    >>> learner = ObjectDetector(
    ...     base_network="resnet-50", base_width=0.25, image_shape=160, use_pretrained_model=0, optimizer="adam", learning_rate=0.002,
    ...     mini_batch_size=16, epochs=60, validationIndicatorCol="held",
    ... )
    >>> model = learner.fit(images)  # doctest: +SKIP
    >>> found = model.transform(images).selectExpr("path", "explode(detections) AS found")  # doctest: +SKIP
    >>> found.where("found.score > 0.5").select("path", "found.*").show()  # doctest: +SKIP
    """

    must_match = ("num_classes", "base_network", "base_width", "image_shape")

    @staticmethod
    def algorithm() -> Algorithm:
        return OBJECT_DETECTION

    @staticmethod
    def model_class() -> type[ObjectDetectorModel]:
        return ObjectDetectorModel

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if problems:
            return problems
        defaults = {name: param.default for name, param in self.declared.items()}
        settings = Hyperparameters(**self.hyperparameters())
        problems = contradictions(settings, defaults, bool(self.value("validationIndicatorCol")))
        if self.value("input_mode") == "Pipe" and self.value("num_classes") is None and not self.starts_from_model:
            problems.append("num_classes is required with input_mode='Pipe': training starts before all boxes are known")
        return problems + self.mismatches() + starting_problems(settings, self.starts_from_model)

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings = {**self.hyperparameters(), **self.initial_model(session)}
        if settings["pretrained_weights"]:
            settings["pretrained"] = ShippedArtifact(read_weights_file(session, settings["pretrained_weights"]), session)
        return settings


class ObjectDetectorModel(HasSummary, AlgorithmModel, ObjectDetectorParams):
    """A network that finds objects in images.

    `transform` appends ``detections``, what was found, the most probable first: an array of structs of ``class_id`` (long), ``score``
    (double, the probability), ``left``, ``top``, ``width`` and ``height`` (double, in pixels of the image). All that reaches
    `score_threshold` is there; filter by the score.
    """

    outputs = (
        Output(
            "detections",
            "array<struct<class_id: long, score: double, left: double, top: double, width: double, height: double>>",
            "detectionsCol",
        ),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return OBJECT_DETECTION

    @property
    def numClasses(self) -> int:
        """Number of classes."""
        return self.artifact.values["num_classes"]

    @property
    def served_epoch(self) -> int:
        """The epoch, counted from 1, whose state this model is."""
        return self.artifact.values["epoch"]

    def objective_metric(self) -> str:
        return "loss"

    def _take_what_was_found(self) -> None:
        self._put({"num_classes": self.numClasses})

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on images with their boxes.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:mAP``, the mean over the classes of their average precision, ``test:AP_0`` …, with hits from `overlap_threshold` on and
            the area that `average_precision` says; and what COCO's evaluation gives, ``test:coco_AP`` (the mean over overlaps from 0.5 to
            0.95), ``test:coco_AP50``, ``test:coco_AP75``, ``test:coco_APs``, ``test:coco_APm``, ``test:coco_APl`` (of small, medium and
            large objects, below 32², below 96² pixels, and above) and recalls, ``test:coco_AR1`` …. NaN of what there is no object of.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        settings = Hyperparameters(**self.hyperparameters())
        make = functools.partial(OBJECT_DETECTION.load, hyperparameters=settings, device="cpu")
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        found = joined_over_batches(dataset, self, functools.partial(_judged, predictor, settings))
        return {f"test:{name}": value for name, value in figures(found, self.numClasses, settings.average_precision).items()}


def _judged(predictor: Opened[Predictor], settings: Hyperparameters, batch: Batch) -> Sums:
    return judged(predictor.get(), settings, batch)
