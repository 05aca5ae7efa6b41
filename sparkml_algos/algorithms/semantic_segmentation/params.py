"""Hyperparameters of semantic segmentation, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.algorithms.semantic_segmentation.settings import DEEPLAB, FCN, PSP, contradictions, without_effect
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import PretrainedParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.images import Image, Mask

FIELDS = (
    Field("image", Image(), "Image: the bytes of a JPEG or PNG, or a struct of Spark's image source.", default="image", scoring=True,
          evaluating=True),
    Field("mask", Mask(), "Mask: the bytes of a PNG of one channel, as large as its image, whose pixels are classes; 255 is left out.",
          default="mask", evaluating=True),
    fields.validation(),
)  # fmt: skip


class SemanticSegmenterParams(PretrainedParams):
    """Hyperparameters and columns of `SemanticSegmenter` and `SemanticSegmenterModel`."""

    reads = FIELDS

    backbone = Hyperparameter(str, "Network that finds features.", default="resnet-50", choices=["resnet-50", "resnet-101"])
    use_pretrained_model = Hyperparameter(
        bool, "Let the backbone start from weights that are known: those of the file pretrained_weights.", default=True
    )
    # Estimator and Model have a method of this name; `core.params` lets both be.
    algorithm = Hyperparameter(
        str,
        "Network that tells classes from features: fully convolutional, pyramid scene parsing, or DeepLab V3.",
        default=FCN,
        choices=[FCN, PSP, DEEPLAB],
    )
    num_classes = Hyperparameter(
        int, "Number of classes; taken from the data by default, one more than the largest.", minimum=2, maximum=254
    )
    num_training_samples = Hyperparameter(int, "Number of training images; taken from the data and, where given, checked.", minimum=1)
    base_size = Hyperparameter(
        int,
        "What the longer side of a training image is scaled to, times a random number from 0.5 to 2.",
        default=520,
        minimum=16,
        min_exclusive=True,
    )
    crop_size = Hyperparameter(
        int, "Side of the random squares that are trained on, rounded up to a multiple of 8.", default=240, minimum=16, min_exclusive=True
    )
    early_stopping = Hyperparameter(bool, "End training that gains no mIOU of the rows for validation any more.", default=False)
    early_stopping_min_epochs = Hyperparameter(int, "Epochs before which early stopping does not end it.", default=5)
    early_stopping_patience = Hyperparameter(int, "Epochs in a row of too little gain after which early stopping ends it.", default=4)
    early_stopping_tolerance = Hyperparameter(
        float, "Gains of mIOU count from this share of it on, for early stopping.", default=0.0, minimum=0.0, maximum=1.0
    )
    epochs = Hyperparameter(int, "Passes over the training images at most.", default=10, minimum=1)
    gamma1 = Hyperparameter(float, "Share of the past in the mean of squared gradients of rmsprop.", default=0.9, minimum=0.0, maximum=1.0)
    gamma2 = Hyperparameter(float, "Momentum of rmsprop.", default=0.9, minimum=0.0, maximum=1.0)
    learning_rate = Hyperparameter(float, "Learning rate at the start.", default=0.001, minimum=0.0, maximum=1.0, min_exclusive=True)
    lr_scheduler = Hyperparameter(
        str,
        "How it falls: poly, with the power 0.9 of the share of training that is left; cosine, along half a wave; step, at some epochs.",
        default="poly",
        choices=["step", "poly", "cosine"],
    )
    lr_scheduler_factor = Hyperparameter(float, "What step multiplies it with at each of them.", default=0.1, minimum=0.0, maximum=1.0)
    lr_scheduler_step = Hyperparameter(str, 'Epochs after which step does so, such as "10, 20".')
    mini_batch_size = Hyperparameter(int, "Images per mini-batch, of all workers together.", default=16, minimum=1)
    momentum = Hyperparameter(float, "Momentum of sgd.", default=0.9, minimum=0.0, maximum=1.0, min_exclusive=True, max_exclusive=True)
    optimizer = Hyperparameter(str, "Optimizer.", default="sgd", choices=["adam", "adagrad", "nag", "rmsprop", "sgd"])
    syncbn = Hyperparameter(
        bool, "Normalise by the images of all workers; otherwise each worker by its own, and the mean of what it keeps.", default=False
    )
    validation_mini_batch_size = Hyperparameter(
        int,
        "Images that are validated together, of each the middle of crop_size; with 1 whole images, which is slower.",
        default=16,
        minimum=1,
    )
    weight_decay = Hyperparameter(
        float,
        "How many times itself sgd adds each parameter to its gradient.",
        default=0.0001,
        minimum=0.0,
        maximum=1.0,
        min_exclusive=True,
        max_exclusive=True,
    )
    small_backbone = OwnHyperparameter(
        bool,
        "Take a residual network of 10 layers and 0.5 million parameters in place of backbone, which CPUs can train from nothing.",
        default=False,
    )
    auxiliary_loss_weight = OwnHyperparameter(
        float, "Weight of the loss of a second head, on the features before the last; 0 leaves it out.", default=0.4, minimum=0.0
    )
    mirror = OwnHyperparameter(bool, "Mirror half of the training images, left to right.", default=False)
    label_map = OwnHyperparameter(
        str,
        'Classes of pixel values as the service has them in JSON: {"scale": 3}, or {"map": {"0": 5, "1": 0}} from classes to values.',
        on_model=True,
    )
    validation_label_map = OwnHyperparameter(str, "The same of rows for validation and evaluation; label_map by default.", on_model=True)

    predictedMaskCol = ColumnParam("Output column: a PNG of one channel, as large as the image, of classes.", default="predicted_mask")
    probabilityCol = ColumnParam(
        "Output column: the probability of each class at each pixel, a struct of shape (1, classes, height, width) and target."
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        defaults = Hyperparameters(**{name: param.default for name, param in self.declared.items()})
        of = Hyperparameters(**self.hyperparameters())
        return contradictions(of, None) + without_effect(of, defaults)
