"""Training of DeepAR; no Spark here."""

from __future__ import annotations

import math

from sparkml_algos.algorithms.deepar.frequency import Frequency
from sparkml_algos.algorithms.deepar.params import CAT, DYNAMIC, FIELDS, kinds
from sparkml_algos.algorithms.deepar.prediction import load
from sparkml_algos.algorithms.deepar.windows import Shape, WindowShard
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.trainer import EarlyStopping, Progress, Start, fit
from sparkml_algos.training.watching import WatchedRows

# Observations that there must be, as the service asks.
LEAST_OBSERVATIONS = 300
# The gradient's length is bounded by this, for a likelihood of few degrees of freedom has cliffs.
CLIP_NORM = 10.0
# What the learning rate falls to, as a share of itself, in the second half of the training.
LAST_RATE = 0.05
# Numbers that draw windows, told from those of other things.
_WINDOWS = 7


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a model.

    Returns
    -------
    Artifact
        ``network/…``, of the best epoch; in its values what builds it (``network``), the scales it is used to (``scaling``), the figures of
        that epoch, and which it was.
    """
    from sparkml_algos.algorithms.deepar.network import DeepARLearner, build
    from sparkml_algos.networks.likelihoods import LIKELIHOODS
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import built

    shape = Shape(Frequency.parse(hyperparameters.time_freq), hyperparameters.context_length, hyperparameters.prediction_length)
    windows = WindowShard(shard, shape, [job.seed, communicator.rank, _WINDOWS], release=job.last)
    scaling = _shared_out(windows, shape, communicator, job)
    job.shard = windows
    start, watched = Start(job), WatchedRows(job, sample_rows=0)
    scaling = start.learned(lambda: Artifact(values=scaling)).values
    dynamic = shard.facts.get(DYNAMIC, {}).get("series", 0)
    network = {
        "inputs": shape.num_inputs(dynamic),
        "cells": hyperparameters.num_cells,
        "layers": hyperparameters.num_layers,
        "parameters": LIKELIHOODS[hyperparameters.likelihood].parameters,
        "cardinality": _cardinality(hyperparameters, shard),
        "embedding": hyperparameters.embedding_dimension,
        "zoneout": hyperparameters.dropout_rate,
    }
    optimizer = OptimizerSettings("adam", hyperparameters.learning_rate, clip_norm=CLIP_NORM, schedule=falling)
    learner = DeepARLearner(
        built(lambda: build(network), job.seed), job, communicator, optimizer, watched, hyperparameters.likelihood, shape, scaling
    )
    patience = hyperparameters.early_stopping_patience
    best = fit(
        learner,
        job,
        communicator,
        epochs=hyperparameters.epochs,
        mini_batch_size=hyperparameters.mini_batch_size,
        stopping=None if patience is None else EarlyStopping(patience),
        start=start,
    )
    artifact = learner.model(best)
    artifact.values |= {"network": network, "scaling": scaling, "dynamic": dynamic}
    return artifact


def falling(rate: float, progress: Progress) -> float:
    """The learning rate of a step: itself in the first half of the training, then ever less."""
    late = max(0.0, 2 * (progress.elapsed or 0.0) - 1)
    return rate * (1 - (1 - LAST_RATE) * min(1.0, late))


def _cardinality(hyperparameters: Hyperparameters, shard: Shard) -> list[int]:
    found = shard.facts.get(CAT, {}).get("cardinality", [])
    return list(hyperparameters.cardinality) if found and isinstance(hyperparameters.cardinality, list) else list(found)


def _shared_out(windows: WindowShard, shape: Shape, communicator: Communicator, job: Job) -> dict[str, float]:
    """Give each worker its share of the windows; the scales of all series."""
    series, steps, observed, weight, absolute, number, logs, squares = communicator.allreduce(windows.count.numbers()).tolist()
    copies = communicator.size if job.replicated else 1
    if observed / copies < LEAST_OBSERVATIONS:
        raise InvalidRows(
            f"the series have {round(observed / copies)} observations in all, at least {LEAST_OBSERVATIONS} are needed to learn from them"
        )
    if not series:
        longest = max(communicator.allgather_json(windows.count.longest))
        raise InvalidRows(
            f"no series is as long as prediction_length={shape.horizon}: the longest target has {longest} steps, and shorter ones are "
            "forecast, but not learned from"
        )
    windows.take_share(max(math.ceil(steps / copies / shape.horizon), math.ceil(series / copies)), weight)
    mean = logs / number if number else 0.0
    deviation = math.sqrt(max(squares / number - mean**2, 0.0)) if number else 0.0
    # Of series that are alike, differences are as good as none.
    return {"typical": absolute / number if number else 1.0, "log_mean": mean, "log_unit": max(deviation, 0.1)}


DEEPAR = Algorithm(
    name="deepar",
    fields=FIELDS,
    kinds=kinds,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs + 1,
    on_gpu=True,
    libraries=("torch",),
)
