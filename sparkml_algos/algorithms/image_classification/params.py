"""Hyperparameters of image classification, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparkml_algos.algorithms.image_classification.settings import (
    CLASS_ID,
    MULTI_HOT,
    PRETRAINED_DEPTHS,
    PRETRAINED_SHAPE,
    Shape,
    shape_of,
)
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import PredictionParams, PretrainedParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.classes import ClassSet
from sparkml_algos.rows.fields import LABEL, Field
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.kinds import ClassLabel, Kind
from sparkml_algos.training.of_images import ASYNCHRONOUS, NO_ASYNCHRONOUS, SYNCHRONOUS, epochs_of

FIELDS = (
    Field(
        "image",
        Image(),
        "Image: the bytes of a file (JPEG, PNG …), as the source binaryFile gives them, or the struct of the source image.",
        default="image",
        scoring=True,
        evaluating=True,
    ),
    fields.label(ClassLabel(1 << 24), "Label column: the number of the class from 0; with multi_label=1 an array, see label_format."),
    fields.weight(),
    fields.validation(),
)


class ImageClassifierParams(PredictionParams, PretrainedParams):
    """Hyperparameters and columns of `ImageClassifier` and `ImageClassifierModel`."""

    reads = FIELDS

    num_classes = Hyperparameter(int, "Number of classes; taken from the data and, where given, checked.", minimum=1)
    num_training_samples = Hyperparameter(int, "Number of training images; taken from the data and, where given, checked.", minimum=1)
    augmentation_type = Hyperparameter(
        str,
        "What training changes at random: place of the crop and side; and colours; and rotation, shear and aspect. By default nothing.",
        choices=["crop", "crop_color", "crop_color_transform"],
    )
    beta_1 = Hyperparameter(
        float, "Share of the past in adam's mean; of no effect on others.", default=0.9, minimum=0, maximum=1, max_exclusive=True
    )
    beta_2 = Hyperparameter(
        float,
        "Share of the past in adam's mean of squares; of no effect on others.",
        default=0.999,
        minimum=0,
        maximum=1,
        max_exclusive=True,
    )
    checkpoint_frequency = Hyperparameter(
        int,
        "Epochs from one state that is kept to the next, of which the last is the model. By default it is the epoch of the best accuracy.",
        minimum=1,
    )
    early_stopping = Hyperparameter(bool, "End training when the accuracy on rows for validation no longer gains.", default=False)
    early_stopping_min_epochs = Hyperparameter(int, "Epochs before early stopping may end it.", default=10, minimum=1)
    early_stopping_patience = Hyperparameter(int, "Epochs in a row of too little gain after which it does.", default=5, minimum=1)
    early_stopping_tolerance = Hyperparameter(
        float, "Gains of the accuracy count from this share of it on.", default=0.0, minimum=0, maximum=1
    )
    epochs = Hyperparameter(int, "Passes over the training images.", default=30, minimum=1)
    eps = Hyperparameter(float, "What adam and rmsprop add to what they divide by.", default=1e-8, minimum=0, maximum=1)
    gamma = Hyperparameter(
        float, "Share of the past in rmsprop's mean of squares; of no effect on others.", default=0.9, minimum=0, maximum=1
    )
    image_shape = Hyperparameter(str, "Channels (1 or 3), height and width of what the network sees of an image.", default="3,224,224")
    kv_store = Hyperparameter(
        str,
        "dist_sync: mini_batch_size images of each worker make a mini-batch; by default of all workers together. dist_async is refused.",
        choices=[SYNCHRONOUS, ASYNCHRONOUS],
    )
    learning_rate = Hyperparameter(float, "Learning rate at the start.", default=0.1, minimum=0, maximum=1)
    lr_scheduler_factor = Hyperparameter(
        float, "What the learning rate is multiplied with after each epoch of lr_scheduler_step.", default=0.1, minimum=0, maximum=1
    )
    lr_scheduler_step = Hyperparameter(str, "Epochs after which that is done, such as '10, 20'.")
    mini_batch_size = Hyperparameter(int, "Images of a mini-batch, see kv_store.", default=32, minimum=1)
    momentum = Hyperparameter(
        float, "Momentum of sgd and nag; of no effect on others.", default=0.9, minimum=0, maximum=1, max_exclusive=True
    )
    multi_label = Hyperparameter(
        int, "1: an image may have several classes, each of which is learned by itself.", default=0, minimum=0, maximum=1, choices=[0, 1]
    )
    num_layers = Hyperparameter(
        int,
        "Layers of the residual network: 18 to 200 shrink an image to a 32nd; 20, 32, 44, 56 and 110 are for small ones, such as 28 x 28.",
        default=152,
        choices=[18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110],
    )
    optimizer = Hyperparameter(
        str, "Optimizer; nag is Nesterov's accelerated gradient.", default="sgd", choices=["sgd", "adam", "rmsprop", "nag"]
    )
    precision_dtype = Hyperparameter(
        str, "float16: compute with 16 bits (bfloat16) on GPUs; parameters keep 32.", default="float32", choices=["float32", "float16"]
    )
    resize = Hyperparameter(
        int,
        "Length that the shorter side of an image is brought to before training cuts image_shape out of it; by default as it is.",
        minimum=1,
    )
    top_k = Hyperparameter(int, "Tell also how often the class is among the top_k most probable ones.", minimum=1, min_exclusive=True)
    use_pretrained_model = Hyperparameter(
        int,
        "1: start from the weights in pretrained_weights, the last layer fresh; for 18 to 200 layers and images of 3,224,224.",
        default=0,
        minimum=0,
        maximum=1,
        choices=[0, 1],
    )
    use_weighted_loss = Hyperparameter(
        int,
        "1: with multi_label=1, let the rarer of having and not having a class weigh more.",
        default=0,
        minimum=0,
        maximum=1,
        choices=[0, 1],
    )
    weight_decay = Hyperparameter(
        float,
        "How many times itself sgd and nag add each parameter to its gradient; of no effect on others.",
        default=0.0001,
        minimum=0,
        maximum=1,
    )
    label_format = OwnHyperparameter(
        str,
        "With multi_label=1, what the label is: an array with a 0 or 1 for each class, or one of the ids of an image's classes.",
        default=MULTI_HOT,
        choices=[MULTI_HOT, CLASS_ID],
    )
    syncbn = OwnHyperparameter(
        bool,
        "Normalise by the images of all workers, so that any number of workers makes the same steps; otherwise each worker by its own, and "
        "the mean of what it keeps, which is faster.",
        default=True,
    )
    pad_size = OwnHyperparameter(int, "Grey pixels put around an image before training cuts a random part out of it.", default=0, minimum=0)
    probabilityCol = ColumnParam("Output column: a vector of the probability of each class.", default="probability")

    def problems(self) -> list[str]:
        found = super().problems()
        return found or _contradictions(Hyperparameters(**self.hyperparameters()))


def _contradictions(of: Hyperparameters) -> list[str]:
    """What does not go together."""
    found = [problem for problem in (_said(shape_of, of.image_shape), _said(epochs_of, of.lr_scheduler_step)) if problem]
    if found:
        return found
    shape = shape_of(of.image_shape)
    if of.kv_store == ASYNCHRONOUS:
        found.append(NO_ASYNCHRONOUS)
    if of.resize is not None and of.resize < max(shape.height, shape.width):
        found.append(f"resize={of.resize} must be at least the larger of height and width of image_shape={of.image_shape!r}")
    if of.checkpoint_frequency is not None and of.checkpoint_frequency > of.epochs:
        found.append(f"checkpoint_frequency={of.checkpoint_frequency} keeps no state of {of.epochs} epochs; give at most as many")
    if of.use_weighted_loss and not of.multi_label:
        found.append("use_weighted_loss=1 needs multi_label=1; with one label weigh the rows by a weightCol")
    if of.top_k is not None and of.multi_label:
        found.append("top_k has no meaning with multi_label=1, where several classes are right; leave it out")
    if of.top_k is not None and of.num_classes is not None and of.top_k > of.num_classes:
        found.append(f"top_k={of.top_k} is more than num_classes={of.num_classes}")
    if of.label_format == CLASS_ID and of.multi_label and of.num_classes is None:
        found.append("num_classes is required with label_format='class-id': images may not have the largest class")
    if of.pad_size and of.augmentation_type is None:
        found.append("pad_size needs an augmentation_type: without one the part in the middle is taken")
    return found + _pretrained_problems(of, shape)


def _pretrained_problems(of: Hyperparameters, shape: Shape) -> list[str]:
    if not of.use_pretrained_model:
        return ["pretrained_weights needs use_pretrained_model=1"] if of.pretrained_weights else []
    found = []
    if of.num_layers not in PRETRAINED_DEPTHS:
        found.append(f"use_pretrained_model=1 needs num_layers of {', '.join(map(str, PRETRAINED_DEPTHS))}, got {of.num_layers}")
    if (shape.channels, shape.height, shape.width) != PRETRAINED_SHAPE:
        found.append(f"use_pretrained_model=1 needs image_shape='3,224,224', got {of.image_shape!r}")
    if not of.pretrained_weights:
        found.append(
            f"use_pretrained_model=1 needs pretrained_weights, a file with weights of a ResNet-{of.num_layers} of ImageNet, and nothing is "
            f"downloaded here: torchvision's weights as they come (resnet{of.num_layers}-….pth), timm's model.safetensors, or what "
            f"torch.save(torchvision.models.resnet{of.num_layers}(weights='DEFAULT').state_dict(), path) writes"
        )
    return found


def _said(read: Callable[[str], object], text: str) -> str | None:
    """What is wrong with a text."""
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return None


def kinds(hyperparameters: Hyperparameters) -> Mapping[str, Kind]:
    """What the image and the label are, by role."""
    of, shape = hyperparameters, shape_of(hyperparameters.image_shape)
    image = Image(shape.channels, of.resize, (shape.height, shape.width), hint=f"image_shape={of.image_shape!r}; resize brings it to size")
    given = "" if of.num_classes is None else f"num_classes={of.num_classes}"
    if of.multi_label:
        return {"image": image, LABEL: ClassSet(of.num_classes, of.label_format == CLASS_ID, given)}
    return {"image": image, LABEL: ClassLabel(of.num_classes or 1 << 24, given)}
