"""Vectors of words and texts; no Spark here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.blazingtext.subwords import ngram_buckets
from sparkml_algos.algorithms.blazingtext.vocabulary import UNKNOWN, CountedWords
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor


class WordVectors:
    """The vectors of a model.

    A word with subwords has the mean of a vector of its own and those of its n-grams, an unknown word the mean of those of its n-grams,
    of which those that no word of the vocabulary has are 0, all as in fastText. Without subwords an unknown word has none.

    Parameters
    ----------
    words : CountedWords
    inputs : ndarray of float32, shape (words + buckets used, dim)
    used : ndarray of int64, shape (buckets used,)
        Which buckets these are, ascending.
    hyperparameters : Hyperparameters
    """

    def __init__(self, words: CountedWords, inputs: np.ndarray, used: np.ndarray, hyperparameters: Hyperparameters) -> None:
        self.words, self._inputs, self._used = words, inputs, used
        self._subwords = hyperparameters.subwords
        self._ngrams = hyperparameters.min_char, hyperparameters.max_char, hyperparameters.buckets

    @classmethod
    def of(cls, artifact: Artifact, hyperparameters: Hyperparameters) -> WordVectors:
        """Those of a model's artifact."""
        arrays = artifact.arrays
        return cls(CountedWords.from_arrays(arrays), arrays["inputs"], arrays["buckets"], hyperparameters)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._inputs.shape[1]

    def of_words(self, words: pa.Array | Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of words.

        Returns
        -------
        ndarray of float32, shape (words, dim)
        ndarray of bool, shape (words,)
            Which have one.
        """
        words = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
        encoded = words.dictionary_encode()
        vectors, is_known = self._of_distinct(encoded.dictionary)
        places = encoded.indices.to_numpy()
        return vectors[places], is_known[places]

    def of_vocabulary(self) -> np.ndarray:
        """Vectors of all words of the vocabulary in the order of their ids, shape (words, dim), float32."""
        return self._of_distinct(self.words.words)[0] if self._subwords else self._inputs[: len(self.words)]

    def of_texts(self, texts: Ragged) -> np.ndarray:
        """The mean of the vectors of the words of each text that have one, 0 where none has, shape (texts, dim), float64."""
        encoded = texts.values.dictionary_encode()
        vectors, is_known = self._of_distinct(encoded.dictionary)
        places = encoded.indices.to_numpy() if len(texts.values) else np.empty(0, np.int64)
        row = np.repeat(np.arange(len(texts)), texts.lengths)
        known = is_known[places]
        places, row = places[known], row[known]
        sums = np.zeros((len(texts), self.dim))
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        if len(row):
            sums[row[starts]] = np.add.reduceat(vectors[places].astype(np.float64), starts, axis=0)
        return sums / np.maximum(np.bincount(row, minlength=len(texts)), 1)[:, None]

    def _of_distinct(self, words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        ids = self.words.ids_of(words)
        vectors, is_known = np.zeros((len(words), self.dim), np.float32), ids != UNKNOWN
        vectors[is_known] = self._inputs[ids[is_known]]
        if self._subwords and len(words):
            ngrams = ngram_buckets(words, *self._ngrams)
            places = np.searchsorted(self._used, ngrams.values)
            there = places < len(self._used)
            there[there] = self._used[places[there]] == ngrams.values[there]
            word = np.repeat(np.arange(len(words)), ngrams.lengths)[there]
            starts = np.flatnonzero(np.diff(word, prepend=-1))
            if len(word):
                vectors[word[starts]] += np.add.reduceat(self._inputs[len(self.words) + places[there]], starts, axis=0)
            vectors /= np.maximum(ngrams.lengths + is_known, 1)[:, None].astype(np.float32)
            is_known[word] = True
        return vectors, is_known


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """The predictor of a model: its output is ``vector`` (rows, dim), float64."""
    vectors = WordVectors.of(artifact, hyperparameters)

    def predictor(batch: Batch) -> dict[str, np.ndarray]:
        return {"vector": vectors.of_texts(batch.text)}

    return predictor
