"""Models of the classifier as fastText's files, and back; no Spark here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.blazingtext.classifier.counting import Counted
from sparkml_algos.algorithms.blazingtext.classifier.texts import LABEL_PREFIX
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.formats import fasttext
from sparkml_algos.formats.fasttext import FastTextModel, Settings

_LOSSES = {
    fasttext.HIERARCHICAL_SOFTMAX: "hierarchical softmax",
    fasttext.NEGATIVE_SAMPLING: "negative sampling",
    fasttext.ONE_VS_ALL: "one-vs-all",
}


def to_file(artifact: Artifact, hyperparameters: Hyperparameters) -> FastTextModel:
    """A model as fastText has it."""
    counted = Counted.of(artifact.arrays, artifact.values)
    settings = Settings(
        dim=artifact.arrays["vectors"].shape[1],
        epoch=hyperparameters.epochs,
        min_count=hyperparameters.min_count,
        word_ngrams=hyperparameters.word_ngrams,
        # fastText has no buckets where no n-gram needs them.
        bucket=hyperparameters.buckets if hyperparameters.word_ngrams > 1 else 0,
    )
    return FastTextModel(
        settings,
        fasttext.as_bytes(counted.words.words.to_pylist()),
        counted.words.counts,
        fasttext.as_bytes(LABEL_PREFIX + label for label in counted.labels),
        counted.label_counts,
        counted.tokens,
        artifact.arrays["vectors"][:-1],
        artifact.arrays["outputs"],
        counted.kept,
    )


def from_file(model: FastTextModel) -> tuple[Artifact, dict[str, int]]:
    """A model of fastText's as one of ours, and the hyperparameters it says it was trained with.

    Raises
    ------
    ValueError
        If it is no classifier, or one whose probabilities are not a softmax over words and word n-grams.
    """
    settings = model.settings
    if settings.model != fasttext.SUPERVISED:
        raise ValueError("the model has word vectors, no classes of texts: read it by BlazingTextWord2VecModel")
    if settings.loss != fasttext.SOFTMAX:
        raise ValueError(f"the model was trained with {_LOSSES[settings.loss]}; only models of loss softmax can be read")
    if settings.maxn > 0:
        raise ValueError(f"the model has character n-grams (maxn {settings.maxn}), which this classifier does not use")
    prefix = LABEL_PREFIX.encode()
    if wrong := next((label for label in model.labels if not label.startswith(prefix)), None):
        raise ValueError(f"the model has the label {wrong!r}, expected {LABEL_PREFIX} before each")
    words, labels = fasttext.as_words(model.words), [label.removeprefix(LABEL_PREFIX) for label in fasttext.as_words(model.labels)]
    # Rows of zeros, as of buckets that no training text has used, need not be kept.
    kept = np.flatnonzero(model.input[len(words) :].any(axis=1)) if settings.word_ngrams > 1 else np.empty(0, np.int64)
    vectors = np.zeros((len(words) + len(kept) + 1, settings.dim), np.float32)
    vectors[: len(words)], vectors[len(words) : -1] = model.input[: len(words)], model.input[len(words) :][kept]
    known = CountedWords(pa.array(words, pa.large_string()), model.word_counts)
    counted = Counted(known, labels, model.label_counts, kept.astype(np.int32), model.tokens)
    given = {"vector_dim": settings.dim, "word_ngrams": max(1, settings.word_ngrams), "buckets": max(1, settings.bucket)}
    given |= {"epochs": max(1, settings.epoch), "min_count": settings.min_count}
    return Artifact({**counted.to_arrays(), "vectors": vectors, "outputs": model.output.copy()}, counted.to_values()), given
