"""fastText's models: the binary form of word vectors and of text classifiers, and word vectors as text.

A binary file, integers and floats little-endian, is::

    int32 magic, int32 version
    int32 × 12 settings, float64 sampling threshold
    int32 entries, words, labels; int64 tokens of the training; int64 pruned (-1: none)
    for each entry, words first: its bytes, a zero byte; int64 count; int8 type (0 a word, 1 a label)
    int8 0 (not quantised); int64 rows, columns; float32 × rows · columns: vectors of words, then of buckets of hashed n-grams
    int8 0 (not quantised); int64 rows, columns; float32 × rows · columns: of labels or, in models of word vectors, of words

Word vectors as text, which word2vec began with: a line ``count dimensions``, then a line ``word v1 v2 …`` for each.

References
----------
A. Joulin, E. Grave, P. Bojanowski, T. Mikolov, "Bag of tricks for efficient text classification", EACL 2017. P. Bojanowski et al.,
"Enriching word vectors with subword information", TACL 2017.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparkml_algos.formats.errors import FormatError

MAGIC = 793_712_314
VERSION = 12
# Models of version 11 are the same but for classifiers, whose character n-grams were stored and are to be ignored.
OLD_VERSION = 11

CBOW, SKIPGRAM, SUPERVISED = 1, 2, 3
HIERARCHICAL_SOFTMAX, NEGATIVE_SAMPLING, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4

_HEAD = struct.Struct("<2i")
_SETTINGS = struct.Struct("<12id")
_DICTIONARY = struct.Struct("<3i2q")
_ENTRY = struct.Struct("<qb")
_MATRIX = struct.Struct("<?2q")
_WORD, _LABEL = 0, 1
_NOT_PRUNED = -1
# Floats written at a time, where rows are all 0.
_BLOCK_ROWS = 4096
# What the text form has before its numbers.
_WITHOUT_BLANKS = re.compile(r"\S+", re.ASCII)

Source = str | Path | bytes | BinaryIO


@dataclass(frozen=True)
class Settings:
    """How a model was trained, as far as its file says.

    Attributes
    ----------
    dim : int
        Length of the vectors.
    ws, epoch, min_count, neg : int
        Window, passes, least count of a word, negative samples.
    word_ngrams : int
        Longest word n-gram of a classifier.
    loss : int
        `HIERARCHICAL_SOFTMAX`, `NEGATIVE_SAMPLING`, `SOFTMAX` or `ONE_VS_ALL`.
    model : int
        `CBOW`, `SKIPGRAM` or `SUPERVISED`.
    bucket : int
        Rows of hashed n-grams.
    minn, maxn : int
        Lengths of character n-grams; 0 for none.
    lr_update_rate : int
    t : float
        Sampling threshold.
    """

    dim: int
    ws: int = 5
    epoch: int = 5
    min_count: int = 1
    neg: int = 5
    word_ngrams: int = 1
    loss: int = SOFTMAX
    model: int = SUPERVISED
    bucket: int = 0
    minn: int = 0
    maxn: int = 0
    lr_update_rate: int = 100
    t: float = 1e-4


@dataclass(frozen=True)
class FastTextModel:
    """What a binary file holds.

    Attributes
    ----------
    settings : Settings
    words, labels : list of bytes
        UTF-8, as a rule; labels with their prefix.
    word_counts, label_counts : ndarray of int64
        How often each was seen.
    tokens : int
        Of the training texts.
    input : ndarray of float32, shape (words + buckets, dim)
        Vectors of words, then of buckets.
    output : ndarray of float32, shape (labels or words, dim)
    kept : ndarray of int, optional
        The buckets, ascending, that `input` has rows of; those of the others are 0. All of them by default.
    """

    settings: Settings
    words: list[bytes]
    word_counts: np.ndarray
    labels: list[bytes]
    label_counts: np.ndarray
    tokens: int
    input: np.ndarray
    output: np.ndarray
    kept: np.ndarray | None = None


def read_model(source: Source) -> FastTextModel:
    """Read a binary model.

    Parameters
    ----------
    source : str, Path, bytes or binary file

    Returns
    -------
    FastTextModel
        Its arrays are views of the file's bytes, which take as much memory as the file is long.

    Raises
    ------
    FormatError
        A ValueError: if it is no such model, is cut off, or is quantised.
    """
    data, name = _bytes_of(source)
    cursor = _Cursor(data, name)
    magic, version = cursor.unpack(_HEAD, "the head")
    if magic != MAGIC:
        raise FormatError(f"no fastText model: it begins with {magic}, expected {MAGIC}", name, 0)
    if version not in (OLD_VERSION, VERSION):
        raise FormatError(f"version {version} of fastText's format is not known, only {OLD_VERSION} and {VERSION}", name, 4)
    settings = Settings(*cursor.unpack(_SETTINGS, "the settings"))
    if version == OLD_VERSION and settings.model == SUPERVISED:
        settings = Settings(**{**vars(settings), "maxn": 0})
    _check_settings(settings, cursor)
    entries, words, labels, tokens, pruned = cursor.unpack(_DICTIONARY, "the dictionary")
    if min(words, labels, tokens) < 0 or words + labels != entries:
        raise cursor.error(f"the dictionary says {entries} entries, {words} words, {labels} labels, {tokens} tokens")
    if pruned != _NOT_PRUNED:
        raise cursor.error("the model is pruned (quantised), and only its full form can be read: save it before quantize()")
    found, counts = _entries(cursor, words, labels)
    vectors = _matrix(cursor, "input", words + settings.bucket, settings.dim)
    output = _matrix(cursor, "output", labels if settings.model == SUPERVISED else words, settings.dim)
    if cursor.position != len(data):
        raise cursor.error(f"{len(data) - cursor.position} bytes follow the model")
    return FastTextModel(settings, found[:words], counts[:words], found[words:], counts[words:], tokens, vectors, output)


def write_model(model: FastTextModel, target: str | Path | BinaryIO) -> None:
    """Write a binary model, of version 12.

    Parameters
    ----------
    model : FastTextModel
    target : str, Path or binary file
        A file that exists is overwritten.

    Raises
    ------
    ValueError
        If the parts do not fit each other, or a word has a zero byte, which ends words in the file.
    """
    settings, words, labels = model.settings, model.words, model.labels
    kept = np.arange(settings.bucket) if model.kept is None else np.asarray(model.kept)
    _check_shape("input", model.input, (len(words) + len(kept), settings.dim))
    _check_shape("output", model.output, (len(labels) if settings.model == SUPERVISED else len(words), settings.dim))
    if wrong := next((entry for entry in (*words, *labels) if b"\0" in entry), None):
        raise ValueError(f"{wrong!r} has a zero byte, which fastText's format cannot hold")
    with _opened(target) as file:
        file.write(_HEAD.pack(MAGIC, VERSION))
        file.write(_SETTINGS.pack(*vars(settings).values()))
        file.write(_DICTIONARY.pack(len(words) + len(labels), len(words), len(labels), model.tokens, _NOT_PRUNED))
        for entries, counts, kind in ((words, model.word_counts, _WORD), (labels, model.label_counts, _LABEL)):
            for entry, count in zip(entries, counts.tolist(), strict=True):
                file.write(entry + b"\0" + _ENTRY.pack(count, kind))
        file.write(_MATRIX.pack(False, len(words) + settings.bucket, settings.dim))
        _write_rows(file, model.input[: len(words)])
        _write_sparse(file, model.input[len(words) :], kept, settings.bucket)
        file.write(_MATRIX.pack(False, *model.output.shape))
        _write_rows(file, model.output)


def read_vectors(source: Source) -> tuple[list[str], np.ndarray]:
    """Read word vectors as text.

    Parameters
    ----------
    source : str, Path, bytes or binary file

    Returns
    -------
    (list of str, ndarray of float32, shape (words, dimensions))

    Raises
    ------
    FormatError
        A ValueError that names the line at fault.
    """
    data, name = _bytes_of(source)
    lines = data.split(b"\n")
    try:
        count, dimensions = map(int, lines[0].split())
    except ValueError:
        raise FormatError(f"no word vectors: the first line is {lines[0][:80]!r}, expected 'count dimensions'", name, 0) from None
    # Each number takes a digit and a blank at least, so a file cannot ask for more memory than a few times its own length.
    if count < 0 or dimensions < 1 or 2 * count * dimensions > len(data):
        raise FormatError(f"the first line says {count} words of {dimensions} dimensions, more than {len(data)} bytes hold", name, 0)
    words, vectors = [], np.empty((count, dimensions), np.float32)
    for number in range(count):
        word, _, numbers = (lines[number + 1] if number + 1 < len(lines) else b"").rstrip(b" \r").partition(b" ")
        try:
            row = np.array(numbers.split(), np.float32)
            words.append(word.decode())
        except ValueError as error:
            raise FormatError(f"line {number + 2} cannot be read: {error}", name) from None
        if len(row) != dimensions:
            raise FormatError(f"line {number + 2} has {len(row)} numbers, expected {dimensions}", name)
        vectors[number] = row
    if any(line.strip() for line in lines[count + 1 :]):
        raise FormatError(f"more than the {count} words that the first line says", name)
    return words, vectors


def write_vectors(words: Sequence[str], vectors: np.ndarray, target: str | Path | BinaryIO) -> None:
    """Write word vectors as text, with as many digits as 32 bits take, so that they are read back to the last bit.

    Parameters
    ----------
    words : sequence of str
        Without blanks of ASCII.
    vectors : ndarray of float32, shape (words, dimensions)
    target : str, Path or binary file
        A file that exists is overwritten.

    Raises
    ------
    ValueError
        If a word is empty or has a blank, or there is not one vector for each.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(f"{len(words)} words, but vectors of shape {vectors.shape}")
    wrong = [word for word in words if not _WITHOUT_BLANKS.fullmatch(word)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no word: the text form parts words by blanks")
    with _opened(target) as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, row in zip(words, vectors, strict=True):
            file.write(f"{word} {' '.join(map(str, row))}\n".encode())


class _Cursor:
    """A place in the bytes of a file."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.position = data, name, 0

    def unpack(self, form: struct.Struct, what: str) -> tuple:
        self.need(form.size, what)
        found = form.unpack_from(self.data, self.position)
        self.position += form.size
        return found

    def need(self, count: int, what: str) -> None:
        """Refuse a file that ends within so many bytes."""
        left = len(self.data) - self.position
        if count > left:
            raise self.error(f"the file ends within {what}: {count} bytes are needed, {left} are left")

    def error(self, reason: str) -> FormatError:
        return FormatError(reason, self.name, self.position)


def _check_settings(settings: Settings, cursor: _Cursor) -> None:
    if settings.dim < 1 or settings.bucket < 0 or settings.word_ngrams < 0:
        raise cursor.error(f"the settings say dim {settings.dim}, bucket {settings.bucket}, wordNgrams {settings.word_ngrams}")
    if settings.model not in (CBOW, SKIPGRAM, SUPERVISED) or not HIERARCHICAL_SOFTMAX <= settings.loss <= ONE_VS_ALL:
        raise cursor.error(f"the settings say model {settings.model}, loss {settings.loss}, which are not known")


def _entries(cursor: _Cursor, words: int, labels: int) -> tuple[list[bytes], np.ndarray]:
    """Words and labels, and how often each was seen."""
    total = words + labels
    cursor.need(total * (_ENTRY.size + 1), "the dictionary")
    found, counts, data, position = [], np.empty(total, np.int64), cursor.data, cursor.position
    for index in range(total):
        end = data.find(b"\0", position)
        if end < 0 or end + 1 + _ENTRY.size > len(data):
            cursor.position = position
            raise cursor.error("the file ends within the dictionary")
        count, kind = _ENTRY.unpack_from(data, end + 1)
        if kind != (_WORD if index < words else _LABEL) or count < 0:
            cursor.position = position
            raise cursor.error(f"entry {index} of the dictionary is of type {kind} with count {count}; words come first, then labels")
        found.append(data[position:end])
        counts[index] = count
        position = end + 1 + _ENTRY.size
    cursor.position = position
    return found, counts


def _matrix(cursor: _Cursor, name: str, rows: int, columns: int) -> np.ndarray:
    quantised, *shape = cursor.unpack(_MATRIX, f"the {name} matrix")
    if quantised:
        raise cursor.error(f"the {name} matrix is quantised, and only full ones can be read: save the model before quantize()")
    if shape != [rows, columns]:
        raise cursor.error(f"the {name} matrix is {shape[0]} x {shape[1]}, expected {rows} x {columns}")
    cursor.need(4 * rows * columns, f"the {name} matrix")
    found = np.frombuffer(cursor.data, "<f4", rows * columns, cursor.position).reshape(rows, columns)
    cursor.position += 4 * rows * columns
    return found


def _check_shape(name: str, array: np.ndarray, expected: tuple[int, int]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}")


def _write_rows(file: BinaryIO, rows: np.ndarray) -> None:
    for start in range(0, len(rows), _BLOCK_ROWS):
        file.write(np.ascontiguousarray(rows[start : start + _BLOCK_ROWS], "<f4").tobytes())


def _write_sparse(file: BinaryIO, rows: np.ndarray, kept: np.ndarray, total: int) -> None:
    """Rows of which only some are given, a block at a time."""
    for start in range(0, total, _BLOCK_ROWS):
        block = np.zeros((min(_BLOCK_ROWS, total - start), rows.shape[1]), "<f4")
        own = slice(*np.searchsorted(kept, [start, start + len(block)]))
        block[kept[own] - start] = rows[own]
        file.write(block.tobytes())


def _bytes_of(source: Source) -> tuple[bytes, str]:
    """All bytes of a file, and what messages call it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "<bytes>"
    if isinstance(source, str | Path):
        return Path(source).read_bytes(), str(source)
    return source.read(), getattr(source, "name", "<file>")


@contextmanager
def _opened(target: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(target, str | Path):
        with Path(target).open("wb") as file:
            yield file
    else:
        yield target


def to_bytes(model: FastTextModel) -> bytes:
    """The binary file of a model."""
    file = io.BytesIO()
    write_model(model, file)
    return file.getvalue()


def as_bytes(words: Iterable[str]) -> list[bytes]:
    """Words as a `FastTextModel` has them."""
    return [word.encode() for word in words]


def as_words(entries: Iterable[bytes]) -> list[str]:
    """The inverse of `as_bytes`.

    Raises
    ------
    ValueError
        Naming one that is no UTF-8.
    """
    try:
        return [entry.decode() for entry in entries]
    except UnicodeDecodeError as error:
        raise ValueError(f"the model has the word {error.object!r}, which is no UTF-8") from None
