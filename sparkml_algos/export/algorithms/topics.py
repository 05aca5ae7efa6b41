"""Graphs of topics: mixtures that are found step by step, and the encoder of the neural topic model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkml_algos.algorithms.lda.mixtures import TINY, Topics
from sparkml_algos.algorithms.lda.prediction import STEPS, TOLERANCE
from sparkml_algos.algorithms.ntm.measures import WEIGHTS
from sparkml_algos.export.graph import FLOAT32, FLOAT64, Graph
from sparkml_algos.export.translation import SINGLE, OfFeatures

# Of torch's normalisation over mini-batches.
_EPSILON = 1e-5
_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}
_LONGEST = 200


def documents(random: np.random.Generator, count: int, topics: np.ndarray) -> np.ndarray:
    """Counts of words, float32, of a few topics a document; some have no word.

    Parameters
    ----------
    random : Generator
    count : int
    topics : ndarray, shape (topics, words)
        What each has of a word; need not add up to 1.
    """
    shares = np.maximum(topics.astype(np.float64), 0) + 1e-12
    shares /= shares.sum(axis=1, keepdims=True)
    mixtures = random.dirichlet(np.full(len(shares), 0.3), size=count)
    lengths = random.integers(_LONGEST, size=count) * (np.arange(count) % 17 != 5)
    words = mixtures @ shares
    return np.array([random.multinomial(length, row / row.sum()) for length, row in zip(lengths, words, strict=True)], np.float32)


class Mixtures(OfFeatures):
    """``LDAModel``: as many steps as ours, each document until it stands still; with 32 bits, as ours.

    Whether a share has moved by more than the tolerance may be decided otherwise than by ours at the edge: a step more or less.
    """

    tolerance = SINGLE
    precisions = (FLOAT64, FLOAT32)

    def num_features(self) -> int:
        return self.artifact.arrays["beta"].shape[1]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        topics = Topics.of(self.artifact.arrays["alpha"], self.artifact.arrays["beta"])
        words, prior, counts = topics.words, topics.prior, inputs["features"]
        by_word, by_topic = graph.constant(words), graph.constant(np.ascontiguousarray(words.T))
        alpha, least, tolerance = (graph.constant(np.asarray(number, np.float32)) for number in (prior, TINY, TOLERANCE))
        shape = graph("Concat", graph.size(counts), graph.ints(len(prior)), axis=0)
        theta = graph("Expand", graph.constant((prior / prior.sum())[None].astype(np.float32)), shape)
        total = graph("Add", graph.sum(counts, 1, keep=True), graph.constant(np.float32(prior.sum())))
        moves = graph("GreaterOrEqual", total, graph.constant(np.float32(-1)))

        def step(inner: Graph, names: list[str]) -> tuple[list[str], str]:
            before, moving = names
            ratio = inner("Div", counts, inner("Max", inner("MatMul", before, by_topic), least))
            after = inner("Add", alpha, inner("Mul", before, inner("MatMul", ratio, by_word)))
            after = inner("Div", after, total)
            moved = inner("Greater", inner.reduced("ReduceMax", inner("Abs", inner("Sub", after, before)), 1, keep=True), tolerance)
            still = inner("And", moving, moved)
            any_moves = inner("ReduceMax", inner.cast(still, np.int32), keepdims=0)
            return [inner("Where", moving, after, before), still], inner.cast(any_moves, np.bool_)

        theta = graph.loop(STEPS, [(theta, np.float32), (moves, np.bool_)], step)[0]
        theta = graph("Div", theta, graph.sum(theta, 1, keep=True))
        theta = graph.real(theta)
        return {"topic_mixture": graph("Div", theta, graph.sum(theta, 1, keep=True))}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"features": documents(random, count, self.artifact.arrays["beta"])}


class TopicEncoder(OfFeatures):
    """``NeuralTopicModelModel``: the encoder without noise."""

    def num_features(self) -> int:
        return len(self.artifact.arrays[WEIGHTS])

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        settings, counts = self.hyperparameters, graph.real(inputs["features"])
        hidden = graph("Log", graph("Add", graph.reals(1), counts))
        hidden = graph.affine(hidden, self._array("words.weight"), self._array("bias"))
        layers, place = settings.encoder_layers, 0
        for number in range(2 if layers == "auto" else len(layers)):
            if number:
                hidden = self._dense(graph, hidden, f"rest.{place}")
                place += 1
            if settings.batch_norm:
                hidden = self._normalized(graph, hidden, f"rest.{place}")
                place += 1
            hidden = graph(_ACTIVATIONS[settings.encoder_layers_activation], hidden)
            place += 1
        mean = self._dense(graph, hidden, "mean")
        if settings.normalize_latent:
            mean = self._normalized(graph, mean, "norms.0")
        weights = graph("Softmax", mean, axis=1)
        empty = graph("Equal", graph.sum(counts, 1, keep=True), graph.reals(0))
        return {"topic_weights": graph("Where", empty, graph.reals(1 / settings.num_topics), weights)}

    def _array(self, name: str) -> np.ndarray:
        return self.artifact.arrays[f"network/encoder.{name}"].astype(np.float64)

    def _dense(self, graph: Graph, hidden: str, name: str) -> str:
        return graph.affine(hidden, self._array(f"{name}.weight").T, self._array(f"{name}.bias"))

    def _normalized(self, graph: Graph, hidden: str, name: str) -> str:
        scale = 1 / np.sqrt(self._array(f"{name}.running_var") + _EPSILON)
        shift = -self._array(f"{name}.running_mean") * scale
        if f"network/encoder.{name}.weight" in self.artifact.arrays:
            weight = self._array(f"{name}.weight")
            scale, shift = scale * weight, shift * weight + self._array(f"{name}.bias")
        return graph("Add", graph("Mul", hidden, graph.reals(scale)), graph.reals(shift))

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        weights = self.artifact.arrays[WEIGHTS].astype(np.float64).T
        shares = np.exp(weights - weights.max(axis=1, keepdims=True))
        return {"features": documents(random, count, shares)}
