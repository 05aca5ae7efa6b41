"""fastText's model files, and word vectors as text: what fastText has written is read, and what is written is what fastText reads."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from sparkml_algos.formats import FormatError, fasttext
from sparkml_algos.formats.fasttext import FastTextModel, Settings

# Written by fastText 0.9.2 from the eight lines of `TEXTS`, see `golden.py` beside them.
GOLDEN = Path(__file__).parent / "fasttext"


def a_model(bucket: int = 3, words: int = 2, labels: int = 2, dim: int = 2) -> FastTextModel:
    random = np.random.default_rng(0)
    return FastTextModel(
        Settings(dim=dim, word_ngrams=2 if bucket else 1, bucket=bucket),
        [f"word{index}".encode() for index in range(words)],
        np.arange(words, 0, -1),
        [f"__label__{index}".encode() for index in range(labels)],
        np.arange(labels, 0, -1),
        17,
        random.normal(size=(words + bucket, dim)).astype(np.float32),
        random.normal(size=(labels, dim)).astype(np.float32),
    )


@pytest.mark.parametrize("name", ["supervised.bin", "bigrams.bin", "skipgram.bin"])
def test_a_file_of_fasttext_is_written_again_byte_for_byte(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    assert fasttext.to_bytes(fasttext.read_model(data)) == data


def test_a_classifier_of_fasttext_has_its_words_and_labels() -> None:
    model = fasttext.read_model(GOLDEN / "supervised.bin")
    assert model.settings.model == fasttext.SUPERVISED and model.settings.loss == fasttext.SOFTMAX
    assert model.words[0] == b"the" and b"</s>" in model.words and set(model.labels) == {b"__label__sport", b"__label__politics"}
    assert model.input.shape == (len(model.words), model.settings.dim) and model.output.shape == (2, model.settings.dim)


def test_word_vectors_of_fasttext_are_read() -> None:
    model = fasttext.read_model(GOLDEN / "skipgram.bin")
    assert model.settings.model == fasttext.SKIPGRAM and model.settings.minn == 3
    assert model.input.shape[0] == len(model.words) + model.settings.bucket and len(model.output) == len(model.words)


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = a_model()
    fasttext.write_model(model, tmp_path / "model.bin")
    found = fasttext.read_model(str(tmp_path / "model.bin"))
    assert found.settings == model.settings and found.words == model.words and found.labels == model.labels and found.tokens == 17
    for name in ("input", "output", "word_counts", "label_counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(model, name))


def test_buckets_that_are_not_kept_are_written_as_zeros() -> None:
    whole = a_model(bucket=10_000)
    kept = np.array([0, 4095, 4096, 9999])
    few = FastTextModel(**{**vars(whole), "input": whole.input[np.append([0, 1], 2 + kept)], "kept": kept})
    found = fasttext.read_model(fasttext.to_bytes(few)).input
    np.testing.assert_array_equal(found[2 + kept], whole.input[2 + kept])
    assert np.flatnonzero(found[2:].any(axis=1)).tolist() == kept.tolist()


def test_every_cut_off_file_is_one_short_error() -> None:
    data = fasttext.to_bytes(a_model())
    for length in range(len(data)):
        with pytest.raises(FormatError, match=r"ends within|no fastText"):
            fasttext.read_model(data[:length])


def test_a_changed_byte_is_read_or_refused_but_nothing_else() -> None:
    data, random = fasttext.to_bytes(a_model()), np.random.default_rng(1)
    for place in range(min(len(data), 200)):
        changed = bytearray(data)
        changed[place] ^= int(random.integers(1, 256))
        try:
            fasttext.read_model(bytes(changed))
        except FormatError:
            pass


def test_sizes_that_a_file_only_claims_take_no_memory() -> None:
    data = bytearray(fasttext.to_bytes(a_model()))
    struct.pack_into("<i", data, 8 + 4 * 8, 2_000_000_000)  # buckets
    with pytest.raises(FormatError, match="input matrix is 5 x 2, expected 2000000002 x 2"):
        fasttext.read_model(bytes(data))
    data = bytearray(fasttext.to_bytes(a_model()))
    struct.pack_into("<3i", data, 64, 2_000_000_000, 1_999_999_998, 2)
    with pytest.raises(FormatError, match="ends within the dictionary"):
        fasttext.read_model(bytes(data))


@pytest.mark.parametrize(
    ("place", "form", "value", "message"),
    [
        (0, "<i", 1, "no fastText model"),
        (4, "<i", 13, "version 13"),
        (8, "<i", 0, "dim 0"),
        (8 + 4 * 7, "<i", 9, "model 9"),
        (64 + 20, "<q", 5, "pruned"),
    ],
)
def test_what_cannot_be_read_is_named(place: int, form: str, value: int, message: str) -> None:
    data = bytearray(fasttext.to_bytes(a_model()))
    struct.pack_into(form, data, place, value)
    with pytest.raises(FormatError, match=message):
        fasttext.read_model(bytes(data))


def test_a_quantised_model_is_refused_with_the_reason() -> None:
    model = a_model()
    data = bytearray(fasttext.to_bytes(model))
    at = data.rindex(struct.pack("<?2q", False, 5, 2))
    data[at] = 1
    with pytest.raises(FormatError, match=r"the input matrix is quantised.*before quantize"):
        fasttext.read_model(bytes(data))


def test_bytes_after_the_model_are_refused() -> None:
    with pytest.raises(FormatError, match="1 bytes follow"):
        fasttext.read_model(fasttext.to_bytes(a_model()) + b"\0")


def test_a_word_with_a_zero_byte_cannot_be_written() -> None:
    model = a_model()
    with pytest.raises(ValueError, match="zero byte"):
        fasttext.to_bytes(FastTextModel(**{**vars(model), "words": [b"a\0b", b"c"]}))


def test_matrices_that_do_not_fit_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"input has shape \(4, 2\), expected \(5, 2\)"):
        fasttext.to_bytes(FastTextModel(**{**vars(a_model()), "input": np.zeros((4, 2), np.float32)}))


def test_word_vectors_as_text_are_read_to_the_last_bit() -> None:
    random, file = np.random.default_rng(0), io.BytesIO()
    # Words of blanks that are none of ASCII, as Spark's splitting leaves them.
    words, vectors = ["the", "naïve", "</s>", "10\u00a0km", "\u3000"], random.normal(size=(5, 4)).astype(np.float32)
    fasttext.write_vectors(words, vectors, file)
    assert file.getvalue().startswith(b"5 4\nthe ")
    found = fasttext.read_vectors(file.getvalue())
    assert found[0] == words
    np.testing.assert_array_equal(found[1], vectors)


def test_word_vectors_with_blanks_at_the_ends_of_lines_are_read() -> None:
    words, vectors = fasttext.read_vectors(b"2 2\na 1 2 \r\nb -3e-1 4 \n\n")
    assert words == ["a", "b"] and vectors.tolist() == [[1, 2], [np.float32(-0.3), 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no word vectors"),
        (b"the 1 2\n", "no word vectors"),
        (b"1000000000000 300\na 1", "more than"),
        (b"2 1\na 1\n", "line 3"),
        (b"1 2\na 1\n", "line 2 has 1 numbers, expected 2"),
        (b"1 1\na x\n", "line 2 cannot be read"),
        (b"1 1\na 1\nb 2\n", "more than the 1 words"),
    ],
)
def test_text_that_has_no_word_vectors_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        fasttext.read_vectors(text)


@pytest.mark.parametrize("word", ["a b", "", "a\t", "\n"])
def test_a_word_with_a_blank_has_no_text_form(word: str) -> None:
    with pytest.raises(ValueError, match="is no word"):
        fasttext.write_vectors([word], np.zeros((1, 1)), io.BytesIO())
