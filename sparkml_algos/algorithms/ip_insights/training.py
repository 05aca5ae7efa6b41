"""Training of IP Insights; no Spark here."""

from __future__ import annotations

import numpy as np

from sparkml_algos.algorithms.ip_insights.params import FIELDS, kinds
from sparkml_algos.algorithms.ip_insights.prediction import QUANTILES, load
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.identities import NO_ADDRESS
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train IP Insights.

    Returns
    -------
    Artifact
        ``network/…``, the state of `network.IPInsightsNetwork` in its best epoch, and ``quantiles``, float64, of the scores of a sample of
        the training rows at `prediction.QUANTILES`; in its values the figures of that epoch, and which it was.
    """
    from sparkml_algos.algorithms.ip_insights.network import IPInsightsLearner, IPInsightsNetwork
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import built

    start, watched = Start(job), WatchedRows(job)
    network = built(lambda: IPInsightsNetwork(*shape(hyperparameters)), job.seed)
    optimizer = OptimizerSettings("adam", hyperparameters.learning_rate, hyperparameters.weight_decay)
    learner = IPInsightsLearner(hyperparameters, network, job, communicator, optimizer, watched)
    best = fit(
        learner,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        mini_batch_size=hyperparameters.mini_batch_size,
        stopping=EarlyStopping(hyperparameters.early_stopping_patience, larger_is_better=True) if watched.marks_validation else None,
        start=start,
    )
    sample = watched.sample.take(np.flatnonzero(watched.sample.ip != NO_ADDRESS))
    scores = np.concatenate(communicator.allgather(learner.scores(sample.entity, sample.ip)))
    artifact = learner.model(best)
    artifact.arrays["quantiles"] = np.quantile(scores.astype(np.float64), QUANTILES) if len(scores) else np.full(len(QUANTILES), np.nan)
    return artifact


def shape(hyperparameters: Hyperparameters) -> tuple[int, int, int]:
    """What the network is built from."""
    return hyperparameters.num_entity_vectors, hyperparameters.vector_dim, hyperparameters.num_ip_encoder_layers


def _bytes_of(hyperparameters: Hyperparameters) -> int:
    """Of the vectors of entities, and of the layers that addresses go through: from 32 bits, and from one layer to the next."""
    width = hyperparameters.vector_dim
    return 4 * width * (hyperparameters.num_entity_vectors + 33 + hyperparameters.num_ip_encoder_layers * (width + 1))


IP_INSIGHTS = Algorithm(
    name="ip_insights",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    libraries=("torch",),
    model_bytes=lambda hyperparameters, num_features: _bytes_of(hyperparameters),
)
