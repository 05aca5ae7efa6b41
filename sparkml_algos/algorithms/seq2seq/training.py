"""Training of sequence to sequence; no Spark here."""

from __future__ import annotations

import functools

from sparkml_algos.algorithms.seq2seq.params import FIELDS
from sparkml_algos.algorithms.seq2seq.prediction import load
from sparkml_algos.algorithms.seq2seq.settings import contradictions, settings_of
from sparkml_algos.algorithms.seq2seq.words import Sides, learned
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job
from sparkml_algos.training.stretches import Stretches, steps_per_pass
from sparkml_algos.training.trainer import EarlyStopping, Start, fit
from sparkml_algos.training.watching import WatchedRows


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train the network of a model.

    Returns
    -------
    Artifact
        ``network/…``, of the best checkpoint, and the vocabularies, ``source/…`` and ``target/…``; in its values ``length_ratio`` and
        ``length_deviation`` of targets to sources, the figures of that checkpoint, and which it was.
    """
    from sparkml_algos.algorithms.seq2seq.network import Seq2SeqLearner, Seq2SeqNetwork
    from sparkml_algos.networks.initial import start_weights
    from sparkml_algos.networks.state import built

    of = hyperparameters
    if problems := contradictions(of, shard.marks_validation):
        raise InvalidRows("; ".join(problems))
    start = Start(job)
    batches = shard.batches()  # all have arrived now
    given = getattr(of, "vocabularies", None)
    known = start.learned(lambda: learned(batches, of, communicator, job.replicated, given.open() if given else None))
    watched = WatchedRows(job, 0)
    sides = Sides.of(known, of)

    def make() -> Seq2SeqNetwork:
        network = Seq2SeqNetwork(settings_of(of, sides.sizes))
        start_weights(network, of.weight_init_type, of.weight_init_scale, of.xavier_factor_type)
        return network

    optimizer, plateau = _optimizer(of)
    learner = Seq2SeqLearner(
        *(built(make, job.seed), job, communicator, optimizer, watched),
        sides=sides,
        metric=of.optimized_metric,
        plateau=plateau,
        beams=of.beam_size,
        translated=of.bleu_sample_size,
    )
    best = _fit(learner, of, job, communicator, start, sides)
    artifact = learner.model(best)
    artifact.arrays |= known.arrays
    artifact.values |= known.values
    return artifact


def _optimizer(of: Hyperparameters) -> tuple[object, object]:
    """The settings of the optimizer, and its schedule where that goes by what is gained."""
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.schedules import Inverse, PlateauReduce

    plateau = None
    if of.lr_scheduler_type == "plateau_reduce":
        larger = of.optimized_metric != "perplexity"
        schedule = plateau = PlateauReduce(of.plateau_reduce_lr_factor, of.plateau_reduce_lr_threshold, larger)
    else:
        half_life = of.fixed_rate_lr_half_life * of.checkpoint_frequency_num_batches
        schedule = Inverse(half_life, root=of.lr_scheduler_type == "fixed_rate_inv_sqrt_t")
    settings = OptimizerSettings(
        of.optimizer_type,
        of.learning_rate,
        of.weight_decay,
        clip_gradient=None if of.clip_gradient < 0 else of.clip_gradient,
        schedule=schedule,
        options={"momentum": of.momentum} if of.momentum is not None else {},
    )
    return settings, plateau


def _fit(learner, of: Hyperparameters, job: Job, communicator: Communicator, start: Start, sides: Sides):  # noqa: ANN001, ANN202
    """Train by the service's rules of when checkpoints are and when training ends."""
    per_pass, stretch = steps_per_pass(job, of.batch_size), of.checkpoint_frequency_num_batches
    caps = [of.max_num_epochs * per_pass] if of.max_num_epochs is not None else []
    caps += [of.max_num_batches] if of.max_num_batches != -1 else []
    total = min(caps, default=None)
    if total is None and not job.shard.marks_validation:
        job.warn(
            "nothing ends this training but a loss of the training rows that no longer falls, which may take very long: mark rows for "
            "validation (validationIndicatorCol), or give max_num_epochs or max_num_batches"
        )
    bucket = functools.partial(sides.buckets, width=of.bucket_width) if of.bucketing_enabled else None
    return fit(
        learner,
        job,
        communicator,
        epochs=None if total is None else -(-total // stretch),
        mini_batch_size=of.batch_size,
        batches=Stretches(job, of.batch_size, stretch, total=total, prepare=sides.encoded, bucket=bucket),
        stopping=None
        if of.max_num_epochs is not None
        else EarlyStopping(of.checkpoint_threshold, larger_is_better=learner.larger_is_better),
        min_epochs=-(-of.min_num_epochs * per_pass // stretch),
        start=start,
        advice="raise max_num_batches or max_num_epochs, or lower batch_size",
    )


SEQ2SEQ = Algorithm(
    name="seq2seq",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: 2,  # rows are read again, however often
    on_gpu=True,
    libraries=("torch",),
    unit="checkpoints",
)
