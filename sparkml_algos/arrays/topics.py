"""How good topics are, by the words that are first in them.

All functions take topics as rows of an array (topics, vocabulary), the larger a number the more of the word, and look at the first words
of each; of equal numbers the word that comes first in the vocabulary.

References
----------
G. Bouma, "Normalized (pointwise) mutual information in collocation extraction", GSCL 2009. R. Ding, R. Nallapati, B. Xiang,
"Coherence-aware neural topic modeling", EMNLP 2018 (word embedding coherence). F. Nan et al., "Topic modeling with Wasserstein
autoencoders", ACL 2019 (topic uniqueness).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

#: First words of a topic that are looked at by default.
TOP_WORDS = 10


def top_words(topics: np.ndarray, words: int = TOP_WORDS) -> np.ndarray:
    """The first words of each topic, shape (topics, min(words, vocabulary)), int64."""
    return np.argsort(-np.asarray(topics), axis=1, kind="stable")[:, :words]


def topic_uniqueness(topics: np.ndarray, words: int = TOP_WORDS) -> float:
    """Mean over topics and their first words of 1 / (topics that have the word among theirs): 1 if no two topics share a word, 1 / topics
    if all have the same.

    Parameters
    ----------
    topics : ndarray, shape (topics, vocabulary)
    words : int
        Words of a topic.
    """
    found = top_words(topics, words)
    return float((1 / np.bincount(found.ravel())[found]).mean())


def npmi(topics: np.ndarray, documents: sp.csr_matrix | sp.csr_array | np.ndarray, words: int = TOP_WORDS) -> float:
    """Normalised pointwise mutual information of the first words of topics, mean over their pairs and topics.

    With the shares p of documents that have a word, or both of a pair, it is log(p(v, w) / p(v)p(w)) / −log p(v, w): 1 for words that only
    occur together, 0 for independent ones, −1 for those that no document has both of.

    Parameters
    ----------
    topics : ndarray, shape (topics, vocabulary)
    documents : csr_matrix or ndarray, shape (documents, vocabulary)
        Counts.
    words : int
        Words of a topic.
    """
    present = (sp.csr_matrix(documents) > 0).astype(np.float64)
    return float(np.mean([_npmi_of(present[:, first]) for first in top_words(topics, words)]))


def _npmi_of(present: sp.csr_matrix) -> float:
    """Of the words of one topic, each a column that says in which documents it is."""
    together = (present.T @ present).toarray() / present.shape[0]
    alone = np.diag(together)
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.log(together / np.outer(alone, alone)) / -np.log(together)
    shared = np.where(together > 0, shared, -1)
    # Words that are in every document have no information on each other.
    return float(np.where(together < 1, shared, 0)[np.triu_indices(len(together), 1)].mean())


def embedding_coherence(topics: np.ndarray, vectors: np.ndarray, words: int = TOP_WORDS) -> float:
    """Cosine similarity of the vectors of the first words of topics, mean over their pairs and topics (word embedding topic coherence).

    Parameters
    ----------
    topics : ndarray, shape (topics, vocabulary)
    vectors : ndarray, shape (vocabulary, length)
        Of the words; the cosine with a vector of zeros is 0.
    words : int
        Words of a topic.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    first = unit[top_words(topics, words)]
    cosines = first @ first.transpose(0, 2, 1)
    one, other = np.triu_indices(first.shape[1], 1)
    return float(cosines[:, one, other].mean())
