"""Training of the neural topic model on arrays; no Spark here, and torch only where it trains."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.ntm.params import FIELDS
from sparkml_algos.algorithms.ntm.prediction import load, network_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows

# Adadelta's steps are in units of their own, of which the service's takes one, having no learning rate, and much too small a one at that:
# on 20-newsgroups, 50 topics and 40 epochs, one leaves a topic uniqueness of 0.35, five 0.52, ten 0.74. The default rate, 0.001, is ten.
RATE_UNITS = {"adadelta": 10_000.0}


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train a neural topic model.

    Returns
    -------
    Artifact
        The network of the best epoch as ``network/…``; in its values the metrics of that epoch, and which it was.
    """
    from sparkml_algos.algorithms.ntm.network import TopicLearner
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import built

    start, watched = Start(job), WatchedRows(job)
    network = built(lambda: network_of(hyperparameters, shard.num_features), job.seed)
    network.expect_words(_word_shares(watched, job, communicator))
    settings = OptimizerSettings(
        hyperparameters.optimizer,
        hyperparameters.learning_rate * RATE_UNITS.get(hyperparameters.optimizer, 1.0),
        hyperparameters.weight_decay,
        clip_gradient=hyperparameters.clip_gradient,
        rescale=hyperparameters.rescale_gradient,
    )
    learner = TopicLearner(network, job, communicator, settings, watched, hyperparameters)
    best = fit(
        learner,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        # Of so many the share that is drawn makes a mini-batch.
        mini_batch_size=round(hyperparameters.mini_batch_size / hyperparameters.sub_sample),
        stopping=EarlyStopping(hyperparameters.num_patience_epochs, hyperparameters.tolerance),
        start=start,
    )
    return learner.model(best)


def _word_shares(watched: WatchedRows, job: Job, communicator: Communicator) -> np.ndarray:
    """Share of each word among those of all documents, or of a sample of many, shape (vocabulary,). No word has none."""
    counts = np.zeros(job.shard.num_features)
    for batch in watched.of_training():
        counts += batch.features.T @ batch.weights
    copies = communicator.size if job.replicated else 1
    counts = communicator.allreduce(counts) / copies + 1
    return counts / counts.sum()


NEURAL_TOPIC_MODEL = Algorithm(
    name="ntm",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    libraries=("torch",),
)
