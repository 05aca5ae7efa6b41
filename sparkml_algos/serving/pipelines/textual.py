"""Spark's stages over texts and words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.lists import words_of
from sparkml_algos.serving.pipelines.columns import ANY, NUMBER, TEXT, WORDS, Frame, java_text, matrix, numbers, refuse, texts, words
from sparkml_algos.serving.pipelines.saved import SavedStage, chosen
from sparkml_algos.serving.pipelines.stage import Stage


class StringIndexer(Stage):
    """``StringIndexerModel``. A number is looked for as Spark would write it, of type int and of type double; so is a text, as a cell of
    CSV is, where all labels are written as doubles are, and so were of a column of doubles."""

    def __init__(self, saved: SavedStage) -> None:
        self._inputs, self._outputs = saved.columns("inputCol", "inputCols"), saved.columns("outputCol", "outputCols")
        super().__init__(saved, dict.fromkeys(self._inputs, ANY), self._outputs)
        table = saved.table
        labels = saved.value("labelsArray") if "labelsArray" in table.column_names else [saved.value("labels")]
        self._keeps = chosen(saved, "handleInvalid", ["error", "keep"]) == "keep"
        self._places = [{label: float(place) for place, label in enumerate(of_one)} for of_one in labels]
        self._of_doubles = [all(map(_is_double, of_one)) for of_one in labels]
        self.labels = {
            output: [*of_one, *(["__unknown"] if self._keeps else [])] for output, of_one in zip(self._outputs, labels, strict=True)
        }

    def __call__(self, frame: Frame) -> None:
        for name, output, places, of_doubles in zip(self._inputs, self._outputs, self._places, self._of_doubles, strict=True):
            column = frame[name]
            values = column.tolist() if isinstance(column, np.ndarray) else column
            found = np.array([_place(_number(value) if of_doubles else value, places) for value in values], np.float64)
            if self._keeps:
                found[np.isnan(found)] = len(places)
            else:
                refuse(np.isnan(found), f"column {name!r} is", list(values), "an unknown label")
            frame[output] = found


def _is_double(label: str) -> bool:
    value = _number(label)
    return isinstance(value, float) and java_text(value)[-1] == label


def _number(value: Any) -> Any:
    """A text as the number that it is, if it is one."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _place(value: Any, places: Mapping[str, float]) -> float:
    if isinstance(value, str):
        return places.get(value, np.nan)
    if isinstance(value, bool):
        return places.get("true" if value else "false", np.nan)
    if not isinstance(value, int | float):
        return np.nan
    return next((places[text] for text in java_text(value) if text in places), np.nan)


class IndexToString(Stage):
    """``IndexToString``, of labels that are given, or those of the ``StringIndexerModel`` that made the column."""

    def __init__(self, saved: SavedStage, known: Mapping[str, list[str]]) -> None:
        self._input, self._output = saved.param("inputCol"), saved.param("outputCol")
        super().__init__(saved, {self._input: NUMBER}, [self._output])
        self._labels: list[str] = saved.metadata["paramMap"].get("labels") or known.get(self._input) or []
        if not self._labels:
            raise saved.cannot(f"nothing says what the indices in {self._input!r} stand for; set its labels")

    def __call__(self, frame: Frame) -> None:
        column = numbers(frame, self._input)
        wrong = ~((column >= 0) & (column < len(self._labels)))
        refuse(wrong, f"column {self._input!r} is", column, f"no index of {len(self._labels)} labels")
        frame[self._output] = [self._labels[int(place)] for place in column]


class _OfWords(Stage):
    """A stage that makes words of words, or of a text."""

    kind = WORDS

    def __init__(self, saved: SavedStage) -> None:
        self._input, self._output = saved.param("inputCol"), saved.param("outputCol")
        super().__init__(saved, {self._input: self.kind}, [self._output])


# What Java's \s is.
_BLANK = re.compile("[ \t\n\x0b\f\r]")


class Tokenizer(_OfWords):
    """``Tokenizer``."""

    kind = TEXT

    def __call__(self, frame: Frame) -> None:
        frame[self._output] = [_split(_BLANK, text.lower()) for text in texts(frame, self._input)]


def _split(pattern: re.Pattern[str], text: str) -> list[str]:
    """A text split as Java does it: a separator of no length before the first sign parts nothing, and empty parts at the end are dropped;
    all of them where there are no others."""
    parts, start = [], 0
    for match in pattern.finditer(text):
        if match.end() == 0:
            continue
        parts.append(text[start : match.start()])
        start = match.end()
    if not parts:
        return [text]
    parts.append(text[start:])
    while parts and not parts[-1]:
        parts.pop()
    return parts


class RegexTokenizer(_OfWords):
    """``RegexTokenizer``. What its pattern means to Java and not to Python is refused."""

    kind = TEXT

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        pattern = saved.param("pattern")
        if re.search(r"\\[pPhHRXGZzQEk]|\[\^?.*(&&|\[)|\(\?[a-zA-Z]", pattern):
            raise saved.cannot(f"its pattern {pattern!r} is Java's alone")
        try:
            self._pattern = re.compile(pattern, re.ASCII)
        except re.error as error:
            raise saved.cannot(f"its pattern {pattern!r}: {error}") from error
        self._gaps, self._shortest = bool(saved.param("gaps")), int(saved.param("minTokenLength"))
        self._lowers = bool(saved.param("toLowercase"))

    def __call__(self, frame: Frame) -> None:
        found = []
        for text in texts(frame, self._input):
            text = text.lower() if self._lowers else text
            parts = _split(self._pattern, text) if self._gaps else [match.group() for match in self._pattern.finditer(text)]
            found.append([part for part in parts if len(part) >= self._shortest])
        frame[self._output] = found


class StopWordsRemover(Stage):
    """``StopWordsRemover``."""

    def __init__(self, saved: SavedStage) -> None:
        self._inputs, self._outputs = saved.columns("inputCol", "inputCols"), saved.columns("outputCol", "outputCols")
        super().__init__(saved, dict.fromkeys(self._inputs, WORDS), self._outputs)
        self._sensitive = bool(saved.param("caseSensitive"))
        given = saved.param("stopWords")
        self._words = set(given if self._sensitive else (word.lower() for word in given))
        locale = str(saved.param("locale") or "en")
        if not self._sensitive and locale.split("_")[0] in ("tr", "az", "lt"):
            raise saved.cannot(f"lower case of the locale {locale!r} is not Python's")

    def __call__(self, frame: Frame) -> None:
        for name, output in zip(self._inputs, self._outputs, strict=True):
            column = words(frame, name)
            frame[output] = [[word for word in row if (word if self._sensitive else word.lower()) not in self._words] for row in column]


class NGram(_OfWords):
    """``NGram``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._n = int(saved.param("n"))

    def __call__(self, frame: Frame) -> None:
        column = words(frame, self._input)
        frame[self._output] = [[" ".join(row[start : start + self._n]) for start in range(len(row) - self._n + 1)] for row in column]


class CountVectorizer(_OfWords):
    """``CountVectorizerModel``."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._places = {word: place for place, word in enumerate(saved.value("vocabulary"))}
        self._least, self._binary = float(saved.param("minTF")), bool(saved.param("binary"))

    def __call__(self, frame: Frame) -> None:
        entries = []
        for row in words(frame, self._input):
            least = self._least if self._least >= 1 else self._least * len(row)
            counts = Counter(self._places[word] for word in row if word in self._places)
            entries.append({place: 1.0 if self._binary else float(count) for place, count in counts.items() if count >= least})
        frame[self._output] = matrix(entries, len(self._places))


class HashingTF(_OfWords):
    """``HashingTF`` as of Spark 3 and later."""

    def __init__(self, saved: SavedStage) -> None:
        super().__init__(saved)
        self._size, self._binary = int(saved.param("numFeatures")), bool(saved.param("binary"))

    def __call__(self, frame: Frame) -> None:
        entries = []
        for row in words(frame, self._input):
            counts = Counter((_murmur3 if len(word) <= REMEMBERED else _murmur3.__wrapped__)(word) % self._size for word in row)
            entries.append({place: 1.0 if self._binary else float(count) for place, count in counts.items()})
        frame[self._output] = matrix(entries, self._size)


# A longer word is hashed anew each time: what is remembered must not grow with what requests hold.
REMEMBERED = 64


@lru_cache(1 << 16)
def _murmur3(word: str) -> int:
    """MurmurHash3 of 32 bits with Spark's seed, signed."""
    data, mask = word.encode(), 0xFFFFFFFF
    found = 42
    for start in range(0, len(data) - len(data) % 4, 4):
        found ^= _mixed(int.from_bytes(data[start : start + 4], "little"))
        found = (found << 13 | found >> 19) & mask
        found = (found * 5 + 0xE6546B64) & mask
    if rest := data[len(data) - len(data) % 4 :]:
        found ^= _mixed(int.from_bytes(rest, "little"))
    found ^= len(data)
    found = (found ^ found >> 16) * 0x85EBCA6B & mask
    found = (found ^ found >> 13) * 0xC2B2AE35 & mask
    found ^= found >> 16
    return found - (1 << 32) if found >> 31 else found


def _mixed(block: int) -> int:
    block = block * 0xCC9E2D51 & 0xFFFFFFFF
    block = (block << 15 | block >> 17) & 0xFFFFFFFF
    return block * 0x1B873593 & 0xFFFFFFFF


class Vocabulary(Stage):
    """This package's ``VocabularyModel``."""

    def __init__(self, saved: SavedStage, ids: Mapping[str, int]) -> None:
        self._inputs, self._outputs = list(saved.param("inputCols")), list(saved.param("outputCols"))
        super().__init__(saved, dict.fromkeys(self._inputs, ANY), self._outputs)
        self._ids, self._unknown = ids, saved.param("unknown")
        self._of_unknown = ids.get(saved.param("unknown_word")) if self._unknown == "keep" else None

    def __call__(self, frame: Frame) -> None:
        for name, output in zip(self._inputs, self._outputs, strict=True):
            frame[output] = [self._found(value, name, row) for row, value in enumerate(frame[name])]

    def _found(self, value: Any, name: str, row: int) -> list[int]:
        parts = words_of(value) if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(word, str) for word in parts):
            raise InvalidRows(f"column {name!r} must be a text or a list of words in row {row}")
        found = [self._ids.get(word, self._of_unknown) for word in parts]
        if self._unknown == "error" and None in found:
            raise InvalidRows(f"column {name!r} has the unknown word {parts[found.index(None)]!r} in row {row}")
        return [place for place in found if place is not None]
