"""Semantic segmentation: Estimator and Model.

A residual network finds features of each part of an image, a head on top of them the class of each of its pixels. Both learn by the cross
entropy of the pixels' classes

    − Σ log p(class of the pixel) / number of pixels

over pixels that are not left out.

References
----------
J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015. H. Zhao, J. Shi, X. Qi, X. Wang,
J. Jia, "Pyramid scene parsing network", CVPR 2017. L.-C. Chen, G. Papandreou, F. Schroff, H. Adam, "Rethinking atrous convolution for
semantic image segmentation", 2017. K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.
"""

from __future__ import annotations

import functools
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.algorithms.semantic_segmentation.params import SemanticSegmenterParams
from sparkml_algos.algorithms.semantic_segmentation.prediction import judged, load_judge
from sparkml_algos.algorithms.semantic_segmentation.settings import contradictions
from sparkml_algos.algorithms.semantic_segmentation.training import SEMANTIC_SEGMENTATION
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.arrays.segmentation import intersection_over_union, mean_iou, pixel_accuracy
from sparkml_algos.core.aggregation import sum_over_batches
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.incremental import StartsFromModel
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ShippedArtifact, ship
from sparkml_algos.core.weights_file import read_weights_file
from sparkml_algos.training.algorithm import Algorithm


class SemanticSegmenter(StartsFromModel, SemanticSegmenterParams, NetworkParams):
    """Gives every pixel of an image a class, learned from images with masks on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Masks are PNGs of one channel, grey with 8 bits or of a palette, as large as their images. Their pixel values are classes, unless
    `label_map` says which class a value stands for; 255 is left out, in training and in all metrics. Masks are all looked at before
    training starts, and a wrong one is an error that names its row.

    Images for training are scaled, mirrored if that is asked for, and cut in threads of each worker, ahead of the network. The model is the
    state of the epoch whose mIOU was the largest, on rows that `validationIndicatorCol` marks; without such, whose loss was the smallest.

    A step costs what the crops of its mini-batch cost, with ResNet-50 about 100 thousand million multiplications for one of 240 × 240
    pixels and its gradient, with `small_backbone` a sixtieth of it; and one exchange of all parameters (35 million with ``resnet-50`` and
    ``fcn``). With `syncbn` each batch normalisation is two small exchanges more. Scoring takes images as they are, one after the other.

    Where the specification is silent: an image that is smaller than its crop is filled up, and what is beside it is left out. In validation
    the middle of the image is taken as it is, not scaled. The power of ``poly`` is 0.9; the second loss is that of a fully convolutional
    head on the features of the third stage, with the weight `auxiliary_loss_weight`. The mean of mIOU is over the classes that some pixel
    has or was given. ``nag`` has the momentum 0.9, which `momentum` does not change. DeepLab's convolutions are dilated by 12, 24 and 36.

    Examples
    --------
    >>> from sparkml_algos import SemanticSegmenter
    >>> segmenter = SemanticSegmenter(
    ...     num_classes=11, small_backbone=True, use_pretrained_model=False, algorithm="deeplab", learning_rate=0.05, epochs=40,
    ...     mini_batch_size=8, label_map='{"map": {"0": 0, "1": 1, "255": 2}}', validationIndicatorCol="held",
    ... )
    >>> model = segmenter.fit(images)  # doctest: +SKIP
    >>> model.transform(others).select("image", "predicted_mask")  # doctest: +SKIP
    """

    must_match = ("backbone", "small_backbone", "algorithm", "crop_size", "num_classes", "auxiliary_loss_weight")

    @staticmethod
    def algorithm() -> Algorithm:
        return SEMANTIC_SEGMENTATION

    @staticmethod
    def model_class() -> type[SemanticSegmenterModel]:
        return SemanticSegmenterModel

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        settings = {**self.hyperparameters(), **self.initial_model(session)}
        if self.value("use_pretrained_model") and not self.starts_from_model:
            settings["weights"] = ShippedArtifact(read_weights_file(session, self.value("pretrained_weights")), session)
        return settings

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if problems:
            return problems
        problems = contradictions(Hyperparameters(**self.hyperparameters()), bool(self.value("validationIndicatorCol")))
        return problems + self.mismatches() + self._pretrained_problems()

    def _pretrained_problems(self) -> list[str]:
        file, depth = self.value("pretrained_weights"), self.value("backbone").removeprefix("resnet-")
        if self.starts_from_model:
            return ["pretrained_weights and an initial model are both given; leave one out"] if file else []
        if not self.value("use_pretrained_model"):
            return ["pretrained_weights needs use_pretrained_model=True"] if file else []
        if self.value("small_backbone"):
            return ["use_pretrained_model must be False with small_backbone=True, of which no weights are known"]
        if file:
            return []
        return [
            f"use_pretrained_model=True needs pretrained_weights, a file with the weights of a ResNet-{depth} of ImageNet, for nothing is "
            f"downloaded here: torchvision's as they come (resnet{depth}-….pth), timm's model.safetensors, or what torch.save("
            f"torchvision.models.resnet{depth}(weights='DEFAULT').state_dict(), path) writes; or set use_pretrained_model=False"
        ]


class SemanticSegmenterModel(HasSummary, AlgorithmModel, SemanticSegmenterParams):
    """A network that gives every pixel a class.

    `transform` appends ``predicted_mask``, a PNG of one channel as large as the image (binary) and, where `probabilityCol` names a column,
    the probability of each class at each pixel.
    """

    outputs = (
        Output("mask", "binary", "predictedMaskCol"),
        Output("probability", "struct<shape: array<long>, target: array<float>>", "probabilityCol"),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return SEMANTIC_SEGMENTATION

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
        """Metrics on images with masks, whole and as they are.

        Parameters
        ----------
        dataset : DataFrame
            Its masks are read by `validation_label_map`, or by `label_map` without one.

        Returns
        -------
        dict of str to float
            ``test:mIOU``, the mean over classes of intersection over union; ``test:pixel_accuracy``, the share of pixels whose class is the
            right one; and ``test:IOU_0`` and so on, of single classes, NaN of one that no pixel has or was given.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        settings, column = Hyperparameters(**self.hyperparameters()), f"mask column {self.value('maskCol')!r}"
        make = functools.partial(load_judge, hyperparameters=settings, device="cpu", column=column)
        judge = Opened(ship(self.artifact, dataset.sparkSession), make)
        counts = sum_over_batches(dataset, self, functools.partial(judged, judge))["confusion"]
        single = {f"test:IOU_{number}": float(share) for number, share in enumerate(intersection_over_union(counts))}
        return {"test:mIOU": mean_iou(counts), "test:pixel_accuracy": pixel_accuracy(counts), **single}
