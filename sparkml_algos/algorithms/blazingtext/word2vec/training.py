"""Training of word vectors; no Spark here."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.algorithms.blazingtext.word2vec import corpus, steps
from sparkml_algos.algorithms.blazingtext.word2vec.exchange import BLOCK_TOKENS, CURVATURE, SharedTable, all_are_due
from sparkml_algos.algorithms.blazingtext.word2vec.params import BATCH_SKIPGRAM, CBOW, FIELDS
from sparkml_algos.algorithms.blazingtext.word2vec.prediction import WordVectors, load
from sparkml_algos.algorithms.blazingtext.word2vec.similarity import agreement
from sparkml_algos.algorithms.blazingtext.word2vec.steps import Parts, Tables, Texts
from sparkml_algos.algorithms.blazingtext.word2vec.tables import NOISE_POWER, parts, tables, whole_words
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

logger = logging.getLogger(__name__)

# Texts that make a thread of their own worth while; few texts are so trained on alike in every run.
TEXTS_PER_THREAD = 512

# The learning rate falls to this share of itself, not quite to 0.
LAST_RATE = 1e-4


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Train word vectors.

    Returns
    -------
    Artifact
        Arrays: ``words/…``, see `CountedWords.to_arrays`; ``inputs`` (words + buckets used, dim) and ``outputs`` (words, dim), float32;
        ``buckets`` (buckets used,), which bucket each row of `inputs` behind those of the words is. Values: the figures of the last epoch
        and what ran the steps.
    """
    start = job.resume()
    words, texts = corpus.read(shard, communicator, hyperparameters.min_count, job.replicated)
    if job.last:
        shard.release()
    logger.info("%s: %d words, %d different ones; steps run by %s", hyperparameters.mode, words.counts.sum(), len(words), kernels.name())
    learner = WordLearner(hyperparameters, words, texts, communicator, job, start)
    evaluated: dict[str, Any] = {}
    for epoch in job.epochs(hyperparameters.epochs):
        metrics = {"train:loss": learner.epoch(epoch)}
        if hyperparameters.evaluation and getattr(hyperparameters, "word_pairs", None):
            found = agreement(hyperparameters.word_pairs, lambda asked: learner.vectors().of_words(asked)[0])
            metrics["train:mean_rho"], evaluated = found.mean_rho, found.to_values()
        job.end_epoch(learner.state(), **metrics)
    last = {name: value for name, value in job.history[-1].items() if name.startswith("train:")}
    arrays = {**words.to_arrays(), **learner.state().arrays, "buckets": learner.used}
    return Artifact(arrays, {**last, "evaluated": evaluated, "kernels": kernels.name()})


class WordLearner:
    """The tables of this worker, equal on all workers between epochs.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    words : CountedWords
    texts : Texts
    communicator : Communicator
    job : Job
    start : Artifact, optional
        What `state` gave, to go on from.
    """

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        words: CountedWords,
        texts: Texts,
        communicator: Communicator,
        job: Job,
        start: Artifact | None = None,
    ) -> None:
        self._settings, self._words, self._texts = hyperparameters, words, texts
        self._communicator, self._seed = communicator, job.seed
        self._tables = tables(words.counts, hyperparameters.sampling_threshold)
        self.used = np.empty(0, np.int64)
        self._parts = whole_words(len(words))
        if hyperparameters.subwords:
            ngrams = hyperparameters.min_char, hyperparameters.max_char, hyperparameters.buckets
            self._parts, self.used = parts(words.words, *ngrams)
        dim, rows = hyperparameters.vector_dim, len(words) + len(self.used)
        self.inputs = (job.random.random((rows, dim), np.float32) - np.float32(0.5)) / np.float32(dim)
        self.outputs = np.zeros((len(words), dim), np.float32)
        if start is not None:
            self.inputs, self.outputs = (np.array(start.arrays[name]) for name in ("inputs", "outputs"))
        self._threads = max(1, min(kernels.threads(), len(texts) // TEXTS_PER_THREAD)) if kernels.available() else 1
        self._blocks, self._shared = 1, []
        if communicator.size > 1:
            own = -(-len(texts.tokens) // (BLOCK_TOKENS * self._threads))
            self._blocks = max(1, int(communicator.allreduce(np.array([own], np.int64), "max")[0]))
            of_inputs, of_outputs = self._steps()
            self._shared = [
                SharedTable(self.inputs, of_inputs, self._blocks, communicator),
                SharedTable(self.outputs, of_outputs, self._blocks, communicator),
            ]
            self._lengths = self._squared_lengths()

    def epoch(self, epoch: int) -> float:
        """Go through the texts once, in an order of this epoch; the mean loss over all workers.

        Raises
        ------
        FloatingPointError
            If a vector has a number that is not finite. The loss, which is looked up in a table, does not tell.
        """
        settings, rank = self._settings, self._communicator.rank
        random = np.random.default_rng([self._seed, rank, epoch])
        order, total = random.permutation(len(self._texts)), np.zeros(2)
        for block, own in enumerate(self._alike(order, self._blocks)):
            done = (epoch + np.array([block, block + 1]) / self._blocks) / settings.epochs
            rates = settings.learning_rate * np.maximum(1 - done, LAST_RATE)
            shares = self._alike(own, self._threads)
            seeds = random.integers(1, 1 << 63, size=len(shares), dtype=np.uint64)
            calls = [functools.partial(self._run, share, rates, seed) for share, seed in zip(shares, seeds, strict=True) if len(share)]
            total += np.sum(kernels.in_threads(calls), axis=0) if calls else 0
            if self._shared:
                self._exchange(block + 1, float(rates.mean()))
        if not all(np.isfinite(table.sum(dtype=np.float64)) for table in (self.inputs, self.outputs)):
            raise FloatingPointError(f"the vectors are not finite in epoch {epoch + 1}: lower learning_rate")
        loss, count = self._communicator.allreduce(total)
        return float(loss / count) if count else float("nan")

    def vectors(self) -> WordVectors:
        """As they stand."""
        return WordVectors(self._words, self.inputs, self.used, self._settings)

    def state(self) -> Artifact:
        """The tables."""
        return Artifact({"inputs": self.inputs, "outputs": self.outputs})

    def _alike(self, order: np.ndarray, parts: int) -> list[np.ndarray]:
        """Cut texts into parts of about as many words, for whoever has done a part waits for others."""
        if parts == 1:
            return [order]
        words = np.cumsum(np.diff(self._texts.offsets)[order])
        total = words[-1] if len(words) else 0
        return np.split(order, np.searchsorted(words, total * np.arange(1, parts) / parts))

    def _run(self, order: np.ndarray, rates: np.ndarray, seed: np.uint64) -> tuple[float, int]:
        settings, texts = self._settings, self._texts
        arguments = [settings.window_size, settings.negative_samples]
        if settings.mode == BATCH_SKIPGRAM:
            arguments.append(settings.batch_size)
            return _step(settings.mode)(texts, order, self.inputs, self.outputs, self._tables, *arguments, rates, seed)
        return _step(settings.mode)(texts, order, self.inputs, self.outputs, self._parts, self._tables, *arguments, rates, seed)

    def _exchange(self, block: int, rate: float) -> None:
        """Bring the tables of all workers together, those rows that are due after so many blocks of the epoch."""
        # Inputs are moved along outputs, and outputs along inputs.
        for table, length in zip(self._shared, self._lengths[::-1], strict=True):
            table.exchange(block, rate * CURVATURE * length)
        if all_are_due(block, self._blocks):
            self._lengths = self._squared_lengths()

    def _steps(self) -> tuple[np.ndarray, np.ndarray]:
        """About how many steps this worker makes with each row of the two tables in an epoch."""
        settings, texts = self._settings, self._texts
        kept = np.bincount(texts.tokens[texts.tokens >= 0], minlength=len(self._words)) * (self._tables.keep / 2.0**32)
        pairs = kept * (settings.window_size + 1)
        predicted = kept if settings.mode == CBOW else pairs
        noise = self._words.counts**NOISE_POWER
        of_words = pairs * (1 + settings.negative_samples)
        of_parts = np.repeat(of_words, np.diff(self._parts.starts))
        of_inputs = np.bincount(self._parts.rows, of_parts, minlength=len(self.inputs))
        return of_inputs, predicted + predicted.sum() * settings.negative_samples * noise / noise.sum()

    def _squared_lengths(self) -> np.ndarray:
        """Of the rows of inputs and of outputs, the mean as words occur; the tables are equal on all workers."""
        weights = self._words.counts * self._tables.keep.astype(np.float64)
        tables = (table[: len(weights)] for table in (self.inputs, self.outputs))
        found = np.array([weights @ np.einsum("rd,rd->r", table, table) for table in tables]) / max(weights.sum(), 1)
        return self._communicator.broadcast(found)  # to the bit


def _step(mode: str) -> Any:
    """The function that goes through texts: compiled where that is possible."""
    if not kernels.available():
        return getattr(steps, mode)
    from sparkml_algos.kernels import word_vectors

    compiled = getattr(word_vectors, mode)

    def run(texts: Texts, order: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, *others: Any) -> tuple[float, int]:
        (*more, rates, seed), flat = others, []
        for one in more:
            flat += _fields(one)
        return compiled(texts.tokens, texts.offsets, order, inputs, outputs, *flat, rates, seed)

    return run


def _fields(argument: Parts | Tables | int) -> Sequence[np.ndarray | int]:
    """What a kernel takes for an argument of the steps: the arrays of a class one by one."""
    if isinstance(argument, Parts):
        return argument.starts, argument.rows
    if isinstance(argument, Tables):
        return argument.keep, argument.noise, argument.sigmoids, argument.losses
    return (argument,)


WORD2VEC = Algorithm(
    name="blazingtext",
    fields=FIELDS,
    train=train,
    load=load,
    passes=lambda hyperparameters: hyperparameters.epochs,
)
