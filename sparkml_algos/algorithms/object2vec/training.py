"""Training of Object2Vec; no Spark here."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.object2vec.params import FIELDS, kinds
from sparkml_algos.algorithms.object2vec.prediction import load
from sparkml_algos.algorithms.object2vec.settings import SOFTMAX, settings_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a model.

    Returns
    -------
    Artifact
        ``network/…``, of the best epoch; in its values what its numbers are in (``label_mean``, ``label_unit``), the figures of that epoch,
        and which it was.
    """
    from sparkml_algos.algorithms.object2vec.network import ClassLearner, NumberLearner, Object2VecNetwork
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import built

    start, watched = Start(job), WatchedRows(job)
    scale = start.learned(lambda: _scale(hyperparameters, watched.sample, communicator)).values

    def make() -> Object2VecNetwork:
        network = Object2VecNetwork(settings_of(hyperparameters))
        pretrained = getattr(hyperparameters, "pretrained", None)
        for part in pretrained.parts() if pretrained else ():
            network.put_pretrained(part.side, part.ids, part.vectors, part.frozen)
        return network

    optimizer = OptimizerSettings(hyperparameters.optimizer, hyperparameters.learning_rate, hyperparameters.weight_decay)
    arguments = built(make, job.seed), job, communicator, optimizer, watched
    negatives = hyperparameters.negative_sampling_rate
    if hyperparameters.output_layer == SOFTMAX:
        learner = ClassLearner(*arguments, negatives=negatives)
    else:
        learner = NumberLearner(*arguments, negatives=negatives, mean=scale["label_mean"], unit=scale["label_unit"])
    best = fit(
        learner,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        mini_batch_size=hyperparameters.mini_batch_size,
        stopping=EarlyStopping(hyperparameters.early_stopping_patience, hyperparameters.early_stopping_tolerance),
        start=start,
    )
    artifact = learner.model(best)
    artifact.values |= scale
    return artifact


def _scale(hyperparameters: Hyperparameters, sample: Batch, communicator: Communicator) -> Artifact:
    """What numbers are learned in: their distance from the mean of a sample, in standard deviations; as they are where pairs of label 0
    are drawn."""
    if hyperparameters.output_layer == SOFTMAX or hyperparameters.negative_sampling_rate:
        return Artifact(values={"label_mean": 0.0, "label_unit": 1.0})
    label, weights = sample.label.astype(np.float64), sample.weights
    rows, total = communicator.allreduce(np.array([weights.sum(), weights @ label]))
    mean = total / rows
    deviation = float(np.sqrt(communicator.allreduce(np.array([weights @ (label - mean) ** 2]))[0] / rows))
    return Artifact(values={"label_mean": float(mean), "label_unit": deviation or 1.0})


OBJECT2VEC = Algorithm(
    name="object2vec",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    libraries=("torch",),
)
