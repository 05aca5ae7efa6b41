"""Training of semantic segmentation; no Spark here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sparkml_algos.algorithms.semantic_segmentation.crops import Crops
from sparkml_algos.algorithms.semantic_segmentation.masks import classes_of, tables_of
from sparkml_algos.algorithms.semantic_segmentation.params import FIELDS
from sparkml_algos.algorithms.semantic_segmentation.prediction import load
from sparkml_algos.algorithms.semantic_segmentation.settings import contradictions, crop_side, settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.of_images import check_samples, epochs_of
from sparkml_algos.training.prepared import PreparedBatches
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a model.

    Returns
    -------
    Artifact
        ``network/…``, of the epoch with the largest mIOU of rows for validation or, without such, the smallest loss; in its values
        ``num_classes``, the figures of that epoch, and which it was.
    """
    from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationLearner, SegmentationNetwork
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import built

    of = hyperparameters
    if problems := contradictions(of, shard.marks_validation):
        raise InvalidRows("; ".join(problems))
    start = Start(job)
    classes = start.learned(lambda: Artifact(values={"num_classes": _classes(of, shard, communicator)})).values["num_classes"]
    check_samples(of.num_training_samples, job)
    watched = WatchedRows(job, 0)
    table, validation_table = tables_of(of)
    crops = Crops(crop_side(of), of.base_size, of.mirror, table, validation_table)
    batches = PreparedBatches(job, of.mini_batch_size, crops.random)

    def validated(given: Iterable[Batch]) -> Iterable[Batch]:
        rows = of.validation_mini_batch_size
        return batches.scored(given, crops.whole if rows == 1 else crops.central, rows)

    def make() -> SegmentationNetwork:
        network = SegmentationNetwork(settings_of(of, classes))
        _put_known(network, of)
        return network

    options: dict[str, dict[str, Any]] = {"sgd": {"momentum": of.momentum}, "rmsprop": {"gamma_1": of.gamma1, "gamma_2": of.gamma2}}
    optimizer = OptimizerSettings(
        of.optimizer,
        of.learning_rate,
        of.weight_decay if of.optimizer == "sgd" else 0.0,
        schedule=_schedule(of),
        options=options.get(of.optimizer, {}),
    )
    learner = SegmentationLearner(
        *(built(make, job.seed), job, communicator, optimizer, watched),
        auxiliary_weight=of.auxiliary_loss_weight,
        classes=classes,
        shares_statistics=of.syncbn,
        validated=validated,
    )
    stopping = EarlyStopping(of.early_stopping_patience, of.early_stopping_tolerance, larger_is_better=True)
    best = fit(
        learner,
        job,
        communicator,
        epochs=of.epochs,
        mini_batch_size=of.mini_batch_size,
        stopping=stopping if of.early_stopping else None,
        min_epochs=of.early_stopping_min_epochs,
        batches=batches,
        start=start,
    )
    artifact = learner.model(best)
    artifact.values["num_classes"] = classes
    return artifact


def _classes(of: Hyperparameters, shard: Shard, communicator: Communicator) -> int:
    """Number of classes: what is given, or as many as the masks of all workers show."""
    largest, labelled = communicator.allreduce(np.array(classes_of(shard, of), np.int64), "max").tolist()
    if not labelled:
        raise InvalidRows("every pixel of every mask for training is left out (255): there is nothing to learn from")
    return of.num_classes or largest


def _schedule(of: Hyperparameters) -> Any:
    """How the learning rate falls."""
    from sparkml_algos.networks.schedules import AtEpochs, Cosine, Polynomial

    if of.lr_scheduler == "step":
        return AtEpochs(epochs_of(of.lr_scheduler_step), of.lr_scheduler_factor)
    return Cosine() if of.lr_scheduler == "cosine" else Polynomial()


def _put_known(network: Any, of: Hyperparameters) -> None:
    """Let a network start from a model, or its backbone from weights that are known, where such are given."""
    from sparkml_algos.networks.pretrained import put_weights, read_weights
    from sparkml_algos.networks.state import put_state

    if known := getattr(of, "model_state", None):
        put_state(network, known.open())
    elif weights := getattr(of, "weights", None):
        file = weights.open()
        name = file.values["name"]
        put_weights(network.backbone, read_weights(file.arrays["weights"], name), file=name, fresh=["fc."])


SEMANTIC_SEGMENTATION = Algorithm(
    name="semantic_segmentation",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs + 1,  # masks are looked at before
    on_gpu=True,
    libraries=("torch", "PIL"),
)
