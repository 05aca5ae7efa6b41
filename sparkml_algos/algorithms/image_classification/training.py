"""Training of image classification; no Spark here, and torch only where it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.algorithms.image_classification.params import FIELDS, kinds
from sparkml_algos.algorithms.image_classification.prediction import load
from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.fields import LABEL
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.of_images import SYNCHRONOUS, check_samples, epochs_of
from sparkml_algos.training.prepared import PreparedBatches
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows

if TYPE_CHECKING:
    from sparkml_algos.algorithms.image_classification.network import ImageLearner
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.resnet import ResNet

# The last layer, which is fresh where the others start from weights of other classes.
_TOP = "fc."


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a model.

    Returns
    -------
    Artifact
        ``network/…``, of the epoch that is served; in its values ``classes``, the figures of that epoch, and which it was.
    """
    from sparkml_algos.algorithms.image_classification.network import OneClassLearner, SeveralClassesLearner, TopClassesLearner
    from sparkml_algos.networks.state import built

    of = hyperparameters
    start, watched = Start(job), WatchedRows(job, 0)
    classes = _classes(of, shard)
    check_samples(of.num_training_samples, job)
    weights = start.learned(lambda: _class_weights(of, shard, communicator)).arrays
    job.mixed_precision = job.mixed_precision or of.precision_dtype == "float16"
    preparation = Preparation(of)
    workers = communicator.size if of.kv_store == SYNCHRONOUS else 1
    batches = PreparedBatches(job, of.mini_batch_size * workers, preparation.for_training)
    arguments = built(lambda: _network(of, classes), job.seed), job, communicator, _optimizer(of), watched
    named: dict[str, Any] = {"batches": batches, "preparation": preparation, "checkpoint_frequency": of.checkpoint_frequency,
                             "shares_statistics": of.syncbn}  # fmt: skip
    learner: ImageLearner
    if of.multi_label:
        learner = SeveralClassesLearner(*arguments, weights=weights.get("class_weights"), **named)
    elif of.top_k is not None:
        learner = TopClassesLearner(*arguments, top_k=of.top_k, **named)
    else:
        learner = OneClassLearner(*arguments, **named)
    best = fit(
        learner,
        job,
        communicator,
        epochs=of.epochs,
        mini_batch_size=of.mini_batch_size * workers,
        batches=batches,
        stopping=_OnAccuracy(learner, of.early_stopping_patience, of.early_stopping_tolerance) if of.early_stopping else None,
        min_epochs=of.early_stopping_min_epochs,
        start=start,
    )
    artifact = learner.model(best)
    artifact.values["classes"] = classes
    return artifact


class _OnAccuracy(EarlyStopping):
    """Watches the accuracy, by whatever the state that is served is chosen."""

    def __init__(self, learner: ImageLearner, patience: int, tolerance: float) -> None:
        super().__init__(patience, tolerance, larger_is_better=True)
        self._learner = learner

    def watch(self, value: float) -> None:
        super().watch(self._learner.accuracy)


def _classes(of: Hyperparameters, shard: Shard) -> int:
    """Number of classes: what is said, or what the labels show."""
    if of.num_classes is not None:
        return of.num_classes
    if shard.num_rows is None and not of.multi_label:
        raise InvalidRows("num_classes is required with input_mode='Pipe', which trains before all labels are there")
    found = shard.facts[LABEL]["classes"] if of.multi_label else shard.largest_label + 1
    if of.top_k is not None and of.top_k > found:
        raise InvalidRows(f"top_k={of.top_k} is more than the {found} classes of the label")
    return found


def _class_weights(of: Hyperparameters, shard: Shard, communicator: Communicator) -> Artifact:
    """With `use_weighted_loss`, what not having and having each class weighs, rows / (2 · rows of which that is so): each class weighs the
    same, and in it those that have it as much as those that do not."""
    if not of.use_weighted_loss:
        return Artifact()
    sums = np.zeros(_classes(of, shard) + 1)
    for batch in shard.batches():
        weights = batch.weights
        sums += np.append(weights @ batch.label.astype(np.float64), weights.sum())
    sums = communicator.allreduce(sums)
    having, total = sums[:-1], sums[-1]
    counts = np.stack([total - having, having])
    return Artifact({"class_weights": np.where(counts > 0, total / (2 * np.maximum(counts, 1e-12)), 1).astype(np.float32)})


def _network(of: Hyperparameters, classes: int) -> ResNet:
    """The network at the start of the training."""
    from sparkml_algos.algorithms.image_classification.network import network_of
    from sparkml_algos.networks.pretrained import put_weights, read_weights
    from sparkml_algos.networks.state import put_state

    network = network_of(of, classes)
    if given := getattr(of, "pretrained", None):
        file = given.open()
        put_weights(network, read_weights(file.arrays["weights"], file.values["name"]), file=file.values["name"], fresh=[_TOP])
    if given := getattr(of, "model_state", None):
        put_state(network, given.open())
    return network


def _optimizer(of: Hyperparameters) -> OptimizerSettings:
    """The optimizer with what concerns it."""
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.schedules import AtEpochs

    options = {
        "sgd": {"momentum": of.momentum},
        "nag": {"momentum": of.momentum},
        "adam": {"beta_1": of.beta_1, "beta_2": of.beta_2, "epsilon": of.eps},
        "rmsprop": {"gamma_1": of.gamma, "epsilon": of.eps},
    }[of.optimizer]
    steps = epochs_of(of.lr_scheduler_step)
    return OptimizerSettings(
        of.optimizer,
        of.learning_rate,
        of.weight_decay if of.optimizer in ("sgd", "nag") else 0.0,
        schedule=AtEpochs(steps, of.lr_scheduler_factor) if steps else None,
        options=options,
    )


IMAGE_CLASSIFICATION = Algorithm(
    name="image_classification",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    libraries=("torch", "PIL"),
)
