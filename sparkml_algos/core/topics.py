"""What models of topics have in common, whatever has found the topics."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from pyspark.ml.linalg import DenseMatrix
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays import topics as measures
from sparkml_algos.arrays.topics import TOP_WORDS

logger = logging.getLogger(__name__)

# Words that are named in a message.
_NAMED = 5


class HasTopics:
    """Topics by the names of MLlib, and how good they are. A subclass has `topics`, and like all models `feature_names`."""

    feature_names: list[str] | None

    @property
    def topics(self) -> np.ndarray:
        """Probability of each word in each topic, shape (num_topics, vocabulary), float64."""
        raise NotImplementedError

    def vocabSize(self) -> int:
        """Number of words."""
        return self.topics.shape[1]

    def topicsMatrix(self) -> DenseMatrix:
        """The topics as columns, as MLlib has them."""
        topics = self.topics
        return DenseMatrix(topics.shape[1], len(topics), topics.ravel())

    def describe_topics(self, maxTermsPerTopic: int = 10, vocabulary: Sequence[str] | None = None) -> DataFrame:
        """The most probable words of each topic.

        Parameters
        ----------
        maxTermsPerTopic : int
        vocabulary : sequence of str, optional
            The word of each feature, such as ``CountVectorizerModel.vocabulary``; by default the names of the features, where the training
            data had any.

        Returns
        -------
        DataFrame
            ``topic`` (int), ``termIndices`` (array of int), ``termWeights`` (array of double), most probable first, and ``terms`` (array
            of string) if the words are known.

        Raises
        ------
        ValueError
            If there are fewer or more words than features, or `maxTermsPerTopic` is less than 1.
        """
        if maxTermsPerTopic < 1:
            raise ValueError(f"maxTermsPerTopic must be at least 1, got {maxTermsPerTopic}")
        words, topics = self._words(vocabulary), self.topics
        rows = []
        for topic, best in enumerate(measures.top_words(topics, maxTermsPerTopic).tolist()):
            rows.append((topic, best, topics[topic, best].tolist(), *([[str(words[term]) for term in best]] if words is not None else [])))
        schema = "topic int, termIndices array<int>, termWeights array<double>" + (", terms array<string>" if words is not None else "")
        return SparkSession.active().createDataFrame(rows, schema)

    describeTopics = describe_topics

    def topic_uniqueness(self, words: int = TOP_WORDS) -> float:
        """How little topics share their first words: the mean over topics and words of 1 / (topics that have the word among theirs). It is
        1 if they share none, 1 / num_topics if all have the same; topics that have collapsed into each other show here.

        Parameters
        ----------
        words : int
            First words of a topic.
        """
        return measures.topic_uniqueness(self.topics, words)

    def word_embedding_coherence(
        self,
        vectors: Mapping[str, Sequence[float]] | np.ndarray,
        vocabulary: Sequence[str] | None = None,
        words: int = TOP_WORDS,
    ) -> float:
        """How near the first words of a topic are to each other in an embedding of words, such as GloVe's: the mean cosine similarity over
        pairs of words and topics (WETC).

        Parameters
        ----------
        vectors : mapping of str to sequence of float, or ndarray of shape (vocabulary, length)
            By word, or in the order of the features. Words without a vector have similarity 0 with all others, and a warning names some.
        vocabulary : sequence of str, optional
            The word of each feature, if `vectors` go by word; by default the names of the features, where the training data had any.
        words : int
            First words of a topic.

        Raises
        ------
        ValueError
            If the words of the features are needed and not known, or there are fewer or more words or vectors than features.
        """
        table = self._vectors_by_word(vectors, vocabulary, words) if isinstance(vectors, Mapping) else np.asarray(vectors, np.float64)
        if table.ndim != 2 or len(table) != self.vocabSize():
            raise ValueError(f"vectors has shape {table.shape}; the model was trained on {self.vocabSize()} features")
        return measures.embedding_coherence(self.topics, table, words)

    def _vectors_by_word(self, vectors: Mapping[str, Sequence[float]], vocabulary: Sequence[str] | None, words: int) -> np.ndarray:
        names = self._words(vocabulary)
        if names is None:
            raise ValueError("vectors by word need the word of each feature: give vocabulary")
        if not vectors:
            raise ValueError("vectors is empty")
        length = len(next(iter(vectors.values())))
        table = np.array([vectors.get(name, np.zeros(length)) for name in names], np.float64)
        wanted = dict.fromkeys(str(names[word]) for word in measures.top_words(self.topics, words).ravel())
        if missing := [name for name in wanted if name not in vectors]:
            named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
            logger.warning("%d of %d first words of topics have no vector, so are like no other: %s", len(missing), len(wanted), named)
        return table

    def _words(self, vocabulary: Sequence[str] | None) -> Sequence[str] | None:
        """The word of each feature, if known."""
        words = self.feature_names if vocabulary is None else vocabulary
        if words is not None and len(words) != self.vocabSize():
            raise ValueError(f"vocabulary has {len(words)} words; the model was trained on {self.vocabSize()} features")
        return words
