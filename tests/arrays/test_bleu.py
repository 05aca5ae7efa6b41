"""BLEU of a corpus, against sacrebleu where it is there, and against numbers that sacrebleu gave."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.arrays.bleu import bleu, corpus_bleu, counts

RANDOM = np.random.default_rng(0)
# Of Multi30k, test 2016.
SENTENCES = [
    text.split()
    for text in (
        "ein mann mit einem orangefarbenen hut , der etwas anstarrt .",
        "ein boston terrier läuft über saftig-grünes gras vor einem weißen zaun .",
        "ein mädchen in einem karateanzug bricht ein brett mit einem tritt .",
        "fünf leute in winterjacken und mit helmen stehen im schnee mit schneemobilen im hintergrund .",
        "leute reparieren das dach eines hauses .",
        "ein hell gekleideter mann fotografiert eine gruppe von männern in dunklen anzügen und mit hüten .",
    )
]
# Of sacrebleu 2.6.0, tokenize="none", for `noisy` sentences against these.
EXPECTED = 44.26362035661729


def corpus(sentences, noise, words=12):
    """References, and the same with words exchanged and left out."""
    references = [RANDOM.integers(0, words, RANDOM.integers(1, 15)).tolist() for _ in range(sentences)]
    kept = [[word for word in row if RANDOM.random() > noise / 2] for row in references]
    hypotheses = [[word if RANDOM.random() > noise else int(RANDOM.integers(0, words)) for word in row] for row in kept]
    return [list(map(str, row)) for row in hypotheses], [list(map(str, row)) for row in references]


def noisy(sentences):
    return [[word for place, word in enumerate(row) if (place + number) % 5] for number, row in enumerate(sentences)]


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("sentences", [1, 3, 100])
def test_it_is_that_of_sacrebleu(noise, sentences):
    sacrebleu = pytest.importorskip("sacrebleu")
    for _ in range(10):
        hypotheses, references = corpus(sentences, noise)
        texts = [" ".join(row) for row in hypotheses], [[" ".join(row) for row in references]]
        expected = sacrebleu.corpus_bleu(*texts, tokenize="none", force=True).score
        assert corpus_bleu(hypotheses, references) == pytest.approx(expected, abs=1e-9)


def test_it_is_that_of_sacrebleu_on_real_sentences():
    sacrebleu = pytest.importorskip("sacrebleu")
    texts = [" ".join(row) for row in noisy(SENTENCES)], [[" ".join(row) for row in SENTENCES]]
    expected = sacrebleu.corpus_bleu(*texts, tokenize="none", force=True).score
    assert corpus_bleu(noisy(SENTENCES), SENTENCES) == pytest.approx(expected, abs=1e-9)


def test_it_is_what_sacrebleu_gave_for_real_sentences():
    assert corpus_bleu(noisy(SENTENCES), SENTENCES) == pytest.approx(EXPECTED, abs=1e-6)


def test_the_same_is_100_and_nothing_in_common_is_0():
    assert corpus_bleu([list("abcde")], [list("abcde")]) == pytest.approx(100)
    assert corpus_bleu([list("abcde")], [list("vwxyz")]) == 0
    assert corpus_bleu([[]], [list("abcde")]) == 0


def test_counts_of_parts_add_up():
    hypotheses, references = corpus(50, 0.3)
    parts = counts(hypotheses[:20], references[:20]) + counts(hypotheses[20:], references[20:])
    assert bleu(parts) == corpus_bleu(hypotheses, references)


def test_a_word_counts_no_more_often_than_in_its_reference():
    found = counts([["the"] * 7], [["the", "cat", "is", "on", "the", "mat"]])
    assert found[0] == 2
    assert found[4] == 7
