"""A toy over tokens, a text and a key: how often each word occurs, how long texts are, how many owners there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, Hyperparameters
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows import fields
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Key, Text
from sparkml_algos.rows.lists import Tokens
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

FIELDS = (
    Field("tokens", Tokens(counts_words=True), "Words.", default="tokens", scoring=True),
    Field("text", Text(), "Text.", scoring=True),
    Field("owner", Key(hashed=True), "Whose the row is."),
    fields.weight(),
)


class WordsParams(PredictionParams):
    reads = FIELDS

    epochs = Hyperparameter(int, "Passes over the rows.", default=1, minimum=1)
    mini_batch_size = Hyperparameter(int, "Rows per mini-batch.", default=100, minimum=1)
    size = Hyperparameter(int, "Most words that are known.", default=1000, minimum=1)
    idsCol = ColumnParam("Output column: the rank of each word by its frequency, -1 of those that are not known.", default="ids")


class Words(AlgorithmEstimator, WordsParams):
    """How often words occur."""

    @staticmethod
    def algorithm() -> Algorithm:
        return WORDS

    @staticmethod
    def model_class() -> type[WordsModel]:
        return WordsModel


class WordsModel(AlgorithmModel, WordsParams):
    outputs = (Output("length", "double", "predictionCol"), Output("ids", "array<long>", "idsCol"))

    @staticmethod
    def algorithm() -> Algorithm:
        return WORDS


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    state = job.resume() or Artifact({"sums": np.zeros(3)}, {"words": {}})
    for _ in job.epochs(hyperparameters.epochs):
        words, sums, owners = Counter(), np.zeros(3), set()
        for batch in job.minibatches(hyperparameters.mini_batch_size):
            words.update(batch.tokens.values.to_pylist())
            lengths = np.zeros(len(batch)) if batch.text is None else [len(text) for text in batch.text.to_pylist()]
            sums += [batch.weights @ lengths, batch.weights.sum(), 0]
            owners.update([] if batch.owner is None else batch.owner.tolist())
        everyone = communicator.allgather_json([words, sorted(owners)])
        sums = communicator.allreduce(sums)
        sums[2] = len(set().union(*(theirs for _, theirs in everyone)))
        total = Counter()
        for theirs, _ in everyone:
            total.update(theirs)
        state = Artifact({"sums": sums}, {"words": dict(total)})
        job.end_epoch(state)
    ranked = sorted(state.values["words"].items(), key=lambda item: (-item[1], item[0]))
    return Artifact({**state.arrays, "counts": np.array([count for _, count in ranked])}, {"words": [word for word, _ in ranked]})


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    ranks = {word: rank for rank, word in enumerate(artifact.values["words"][: hyperparameters.size])}

    def predictor(batch: Batch) -> Mapping[str, Any]:
        words = batch.tokens.values.to_pylist()
        lengths = np.zeros(len(batch)) if batch.text is None else np.array([len(text) for text in batch.text.to_pylist()], float)
        return {"length": lengths, "ids": Ragged(np.array([ranks.get(word, -1) for word in words], np.int64), batch.tokens.offsets)}

    return predictor


WORDS = Algorithm(name="words", fields=FIELDS, train=train, load=load, passes=lambda hyperparameters: hyperparameters.epochs)
