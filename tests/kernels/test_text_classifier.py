"""Kernels of the text classifier equal what NumPy and plain Python say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("numba", reason="numba is not installed")

from sparkml_algos.algorithms.blazingtext.classifier import descent
from sparkml_algos.algorithms.blazingtext.classifier.texts import Encoder, buckets_of, hashes_of
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.kernels import text_classifier

TEXTS = [
    "the cat sat on the mat",
    "",
    "  \t __label__pet the\ncat\v__label__other __label__never seen before ",
    "Müller naïve 漢字 the 漢字",
    "before </s> after __label__pet",
    "__label__",
    "__label____label__pet the",
    "the",
    "a\0b\fc\rthe",
]


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    words = pa.array(["the", "</s>", "cat", "漢字", "seen", "before"], pa.large_string())
    kept = np.arange(0, 97, 2) if request.param > 1 else np.empty(0, int)
    return Encoder(CountedWords(words, np.arange(len(words), 0, -1)), ["pet", "other"], kept, request.param, 97)


def test_texts_are_encoded_as_numpy_encodes_them(encoder: Encoder) -> None:
    texts = pa.array(TEXTS * 3)
    found, wanted = encoder(texts), encoder._by_numpy(texts)
    assert [sorted(row) for row in found.features] == [sorted(row) for row in wanted.features]
    assert [row.tolist() for row in found.labels] == [row.tolist() for row in wanted.labels]


def test_a_slice_of_texts_is_encoded_as_its_texts_are(encoder: Encoder) -> None:
    part, whole = encoder(pa.array(TEXTS)[3:6]), encoder(pa.array(TEXTS))
    assert [row.tolist() for row in part.features] == [row.tolist() for row in list(whole.features)[3:6]]


def test_random_bytes_of_text_are_encoded_alike(encoder: Encoder) -> None:
    random = np.random.default_rng(0)
    pieces = ["the", "cat", "漢字", "</s>", "__label__pet", "__label__", " ", "\n", "x", "é"]
    texts = pa.array(["".join(random.choice(pieces, random.integers(0, 30))) for _ in range(300)])
    found, wanted = encoder(texts), encoder._by_numpy(texts)
    assert [sorted(row) for row in found.features] == [sorted(row) for row in wanted.features]
    assert [row.tolist() for row in found.labels] == [row.tolist() for row in wanted.labels]


def test_no_text_at_all_is_encoded(encoder: Encoder) -> None:
    assert len(encoder(pa.array([], pa.string())).features) == 0


def test_buckets_are_those_of_plain_arithmetic() -> None:
    words = ["the", "Müller", "won"]
    signed = []
    for word in words:
        value = 2166136261
        for byte in word.encode():
            value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
        signed.append(value - (1 << 32) if value >= 1 << 31 else value)
    pair = lambda first, second: (first * 116049371 + second) & ((1 << 64) - 1)  # noqa: E731
    wanted = [
        [pair(signed[0], signed[1]) % 1000, pair(pair(signed[0], signed[1]), signed[2]) % 1000],
        [pair(signed[1], signed[2]) % 1000, -1],
        [-1, -1],
    ]
    assert buckets_of(hashes_of(pa.array(words)), np.array([0, 3]), 3, 1000).tolist() == wanted


@pytest.mark.parametrize(("dim", "labels"), [(1, 1), (5, 3), (16, 2), (100, 20)])
def test_steps_are_those_of_numpy(dim: int, labels: int) -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(0, 9, 40)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    features = random.integers(0, 12, ends[-1]).astype(np.int32)
    targets, rates = random.integers(0, labels, 40).astype(np.int32), np.linspace(0.5, 0, 40, dtype=np.float32)
    vectors, outputs = (random.normal(size=(rows, dim)).astype(np.float32) for rows in (12, labels))
    others = vectors.copy(), outputs.copy()
    loss = text_classifier.train_rows(features, ends, targets, rates, vectors, outputs)
    assert loss == pytest.approx(descent.train_rows(features, ends, targets, rates, *others), rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(vectors, others[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs, others[1], rtol=1e-4, atol=1e-5)
