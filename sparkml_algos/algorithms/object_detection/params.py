"""Hyperparameters of the object detector, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping

from sparkml_algos.algorithms.object_detection.settings import (
    FRACTIONS,
    PIXELS,
    RESNET50,
    VGG16,
    contradictions,
    most_boxes,
)
from sparkml_algos.arrays.average_precision import AREA, ELEVEN_POINTS
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import PretrainedParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.boxes import Boxes
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.kinds import Kind
from sparkml_algos.training.of_images import ASYNCHRONOUS, SYNCHRONOUS

#: Smaller images have no room for the maps of features.
SMALLEST_SIDE = 32

FIELDS = (
    Field(
        "image", Image(), "Image: the bytes of a file, or a struct of Spark's image source.", default="image", scoring=True, evaluating=True
    ),
    Field(
        "boxes",
        Boxes(),
        "Objects in the image: an array of structs of class_id, left, top, width, height, or with xmin, ymin, xmax, ymax.",
        default="boxes",
        evaluating=True,
    ),
    fields.validation(),
)


def kinds(hyperparameters: Hyperparameters) -> Mapping[str, Kind]:
    """What the hyperparameters say of the columns."""
    of = hyperparameters
    hint = f"label_width={of.label_width} has room for so many: it must be 2 + 5 for each object of the image that has most"
    return {"boxes": Boxes(of.num_classes, most_boxes(of.label_width), hint, of.box_units == FRACTIONS)}


class ObjectDetectorParams(PretrainedParams):
    """Hyperparameters and columns of `ObjectDetector` and `ObjectDetectorModel`."""

    reads = FIELDS

    num_classes = Hyperparameter(int, "Classes of objects; taken from the data and, where given, checked.", minimum=1)
    num_training_samples = Hyperparameter(int, "Images to train on; taken from the data and, where given, checked.", minimum=1)
    base_network = Hyperparameter(str, "Network that the detector stands on.", default=VGG16, choices=[VGG16, RESNET50])
    base_width = OwnHyperparameter(
        float,
        "Share of the channels that each layer has. Less than 1 is the variant for CPUs; no weights to start from fit it.",
        default=1.0,
        minimum=0,
        maximum=1,
        min_exclusive=True,
    )
    image_shape = Hyperparameter(
        int, "Side of the square that images are rescaled to; 300 and 512 work best, less is for CPUs.", default=300, minimum=SMALLEST_SIDE
    )
    use_pretrained_model = Hyperparameter(
        int,
        "1: the base starts with the weights of pretrained_weights; 0: with random ones.",
        default=1,
        minimum=0,
        maximum=1,
        choices=[0, 1],
    )
    freeze_layer_pattern = Hyperparameter(
        str, "Regular expression: layers of the base whose name matches it keep their weights. conv1_1 to fc7, or conv1 to layer4.2.bn3."
    )
    epochs = Hyperparameter(int, "Passes over the images at most.", default=30, minimum=1)
    mini_batch_size = Hyperparameter(int, "Images of a mini-batch, see kv_store.", default=32, minimum=1)
    optimizer = Hyperparameter(str, "Optimizer.", default="sgd", choices=["sgd", "adam", "rmsprop", "adadelta"])
    learning_rate = Hyperparameter(float, "Learning rate at the start.", default=0.001, minimum=0, maximum=1, min_exclusive=True)
    momentum = Hyperparameter(float, "Momentum of sgd.", default=0.9, minimum=0, maximum=1, min_exclusive=True, max_exclusive=True)
    weight_decay = Hyperparameter(
        float,
        "Share of itself that is added to each weight's gradient, with sgd and rmsprop.",
        default=0.0005,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        max_exclusive=True,
    )
    lr_scheduler_step = Hyperparameter(
        str, 'Epochs after which the learning rate is multiplied by lr_scheduler_factor, such as "10, 20".', default=""
    )
    lr_scheduler_factor = Hyperparameter(
        float, "What it is multiplied by.", default=0.1, minimum=0, maximum=1, min_exclusive=True, max_exclusive=True
    )
    early_stopping = Hyperparameter(bool, "End where the mAP of rows for validation is not gained on any more.", default=False)
    early_stopping_min_epochs = Hyperparameter(int, "Epochs before which it does not end.", default=10, minimum=1)
    early_stopping_patience = Hyperparameter(int, "Epochs in a row without a gain after which it ends.", default=5, minimum=1)
    early_stopping_tolerance = Hyperparameter(
        float, "Share of the best mAP so far from which on a gain is one.", default=0.0, minimum=0, maximum=1
    )
    label_width = Hyperparameter(
        int, "Numbers that the label of an image may have: 2, and 5 for each object. Images with more objects are refused.",
        default=350,
        minimum=1,
    )  # fmt: skip
    kv_store = Hyperparameter(
        str,
        "dist_sync: mini_batch_size images of each worker make a mini-batch; by default of all workers together. dist_async is refused.",
        choices=[SYNCHRONOUS, ASYNCHRONOUS],
    )
    max_expansion = OwnHyperparameter(
        float,
        "In training half of the images are put somewhere on a larger canvas, up to so many times as wide and as high; 1 for none.",
        default=4.0,
        minimum=1,
        maximum=10,
    )
    syncbn = OwnHyperparameter(
        bool,
        "Normalise by the images of all workers, so that any number of workers makes the same steps; otherwise each worker by its own, and "
        "the mean of what it keeps, which is faster.",
        default=True,
    )
    box_units = OwnHyperparameter(
        str, "Whether the edges of boxes are in pixels, or fractions of the image's width and height.", default=PIXELS,
        choices=[PIXELS, FRACTIONS],
        on_model=True,
    )  # fmt: skip
    nms_threshold = Hyperparameter(
        float,
        "Overlap above which a box of a class with a better one goes.",
        default=0.45,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        on_model=True,
    )
    force_suppress = OwnHyperparameter(bool, "Whether boxes of different classes suppress each other, too.", default=False, on_model=True)
    nms_topk = OwnHyperparameter(
        int,
        "Boxes of an image, the most probable ones, that suppression looks at and leaves some of.",
        default=400,
        minimum=1,
        on_model=True,
    )
    score_threshold = OwnHyperparameter(
        float, "Probability below which a box is no detection.", default=0.01, minimum=0, maximum=1, on_model=True
    )
    overlap_threshold = Hyperparameter(
        float,
        "Overlap with an object of its class from which on a detection is a hit, in evaluation.",
        default=0.5,
        minimum=0,
        maximum=1,
        min_exclusive=True,
        on_model=True,
    )
    average_precision = OwnHyperparameter(
        str,
        "How mAP takes the area under precision over recall: all of it (VOC since 2010), or the mean at 11 recalls (VOC 2007).",
        default=AREA,
        choices=[AREA, ELEVEN_POINTS],
        on_model=True,
    )

    detectionsCol = ColumnParam(
        "Output column: what was found, the most probable first, an array of structs of class_id, score and the box in pixels.",
        default="detections",
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        defaults = {name: param.default for name, param in self.declared.items()}
        return contradictions(Hyperparameters(**self.hyperparameters()), defaults)
