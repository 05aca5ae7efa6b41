"""How good topics are: against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from sparkml_algos.arrays.topics import embedding_coherence, npmi, top_words, topic_uniqueness

TOPICS = np.array([[0.5, 0.3, 0.2, 0.0], [0.0, 0.3, 0.2, 0.5]])


def test_top_words_are_the_largest_first_and_of_equals_the_first() -> None:
    assert top_words(TOPICS, 2).tolist() == [[0, 1], [3, 1]]
    assert top_words(np.ones((1, 3)), 10).tolist() == [[0, 1, 2]]


def test_uniqueness_counts_the_topics_that_share_a_word() -> None:
    assert topic_uniqueness(TOPICS, 1) == 1
    assert topic_uniqueness(TOPICS, 2) == 0.75
    assert topic_uniqueness(np.tile(TOPICS[:1], (5, 1)), 3) == pytest.approx(0.2)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_npmi_is_that_of_counted_documents(form: type) -> None:
    documents = np.array([[1, 2, 0, 0], [3, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]])
    # Of the first topic: words 0 and 1 are in 3 and 2 of 4 documents, together in 2; of the second 3 and 1 in 1 and 2, together in 1.
    first = np.log((2 / 4) / (3 / 4 * 2 / 4)) / -np.log(2 / 4)
    second = np.log((1 / 4) / (1 / 4 * 2 / 4)) / -np.log(1 / 4)
    assert npmi(TOPICS, form(documents), 2) == pytest.approx((first + second) / 2)
    # Words 0 and 2 never meet.
    assert npmi(np.array([[2.0, 0, 1, 0]]), form(documents), 2) == -1
    assert npmi(np.ones((1, 2)), form(np.ones((5, 2))), 2) == 0


def test_embedding_coherence_is_the_mean_cosine_of_pairs() -> None:
    vectors = np.array([[1.0, 0], [1, 1], [0, 0], [0, 3]])
    half = np.sqrt(0.5)
    assert embedding_coherence(TOPICS, vectors, 2) == pytest.approx(half)
    assert embedding_coherence(TOPICS, vectors, 3) == pytest.approx(half / 3)
