"""Training of the object detector; no Spark here."""

from __future__ import annotations

from typing import Any

from sparkml_algos.algorithms.object_detection.default_boxes import Matcher
from sparkml_algos.algorithms.object_detection.detecting import Suppression
from sparkml_algos.algorithms.object_detection.params import FIELDS, kinds
from sparkml_algos.algorithms.object_detection.prediction import load
from sparkml_algos.algorithms.object_detection.preparing import Preparation, check_boxes
from sparkml_algos.algorithms.object_detection.settings import FRACTIONS, settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.of_images import SYNCHRONOUS, check_samples, epochs_of
from sparkml_algos.training.prepared import PreparedBatches
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a detector.

    Returns
    -------
    Artifact
        ``network/…``, of the best epoch; in its values ``num_classes``, the figures of that epoch, and which it was.
    """
    from sparkml_algos.algorithms.object_detection.network import Detector, DetectorLearner, put_base_weights
    from sparkml_algos.networks.pretrained import read_weights
    from sparkml_algos.networks.state import built, put_state

    of = hyperparameters
    start = Start(job)
    classes = _classes(of, shard)
    has_arrived = job.total_rows() is not None
    if has_arrived:
        check_samples(of.num_training_samples, job)
        check_boxes(shard, of.box_units == FRACTIONS, communicator.rank)
    watched = WatchedRows(job, 0)
    settings, weights = settings_of(of, classes), getattr(of, "pretrained", None)

    def make() -> Detector:
        network = Detector(settings, of.freeze_layer_pattern)
        if weights is not None:
            file = weights.open()
            put_base_weights(network, read_weights(file.arrays["weights"], file.values["name"]), file.values["name"])
        if known := getattr(of, "model_state", None):
            put_state(network, known.open())
        return network

    boxes = settings.boxes
    preparation = Preparation(Matcher(boxes), len(boxes), settings.side, of.max_expansion, of.box_units == FRACTIONS)
    mini_batch_size = of.mini_batch_size * (communicator.size if of.kv_store == SYNCHRONOUS else 1)
    prepared = PreparedBatches(job, mini_batch_size, preparation.training)
    learner = DetectorLearner(
        *(built(make, job.seed), job, communicator, _optimizer(of), watched),
        boxes=boxes,
        classes=classes,
        suppression=Suppression.of(of),
        prepared=prepared,
        central=preparation.central,
        overlap=of.overlap_threshold,
        points=of.average_precision,
        shares_statistics=of.syncbn,
    )
    best = fit(
        learner,
        job,
        communicator,
        epochs=of.epochs,
        mini_batch_size=mini_batch_size,
        stopping=EarlyStopping(of.early_stopping_patience, of.early_stopping_tolerance, larger_is_better=True)
        if of.early_stopping
        else None,
        min_epochs=of.early_stopping_min_epochs if of.early_stopping else 0,
        batches=prepared,
        start=start,
    )
    if not has_arrived:
        check_samples(of.num_training_samples, job)
    job.input_wait = prepared.report()
    artifact = learner.model(best)
    artifact.values["num_classes"] = classes
    return artifact


def _classes(of: Hyperparameters, shard: Shard) -> int:
    """How many classes there are: as many as are said, or one more than the largest."""
    if of.num_classes is not None:
        return of.num_classes
    largest = shard.facts["boxes"]["largest"]
    if largest < 0:
        raise InvalidRows("boxes column: no image has a box, so there is nothing to learn")
    return largest + 1


def _optimizer(of: Hyperparameters) -> Any:
    """The settings of the optimizer."""
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.schedules import AtEpochs

    steps = epochs_of(of.lr_scheduler_step)
    return OptimizerSettings(
        of.optimizer,
        of.learning_rate,
        of.weight_decay if of.optimizer in ("sgd", "rmsprop") else 0.0,
        schedule=AtEpochs(steps, of.lr_scheduler_factor) if steps else None,
        options={"momentum": of.momentum} if of.optimizer == "sgd" else {},
    )


OBJECT_DETECTION = Algorithm(
    name="object_detection",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    libraries=("torch", "PIL"),
)
