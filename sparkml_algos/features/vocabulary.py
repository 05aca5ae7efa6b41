"""Vocabularies: words to ids by falling frequency, and back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml import Estimator, Model
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, DeclaredParam, Hyperparameters, InvalidParams
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.cluster.errors import InvalidDataError
from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.columns import Found, column, find, parts, refusal
from sparkml_algos.core.inputs import Inputs, output_problems
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.saving import Persistable
from sparkml_algos.core.scoring import Output, rowwise, scored
from sparkml_algos.core.shared_artifacts import ship
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.kinds import InvalidRows, Kind
from sparkml_algos.rows.lists import TokenIds, Tokens
from sparkml_algos.rows.predictor import Predictor

_KEEP, _SKIP, _ERROR = "keep", "skip", "error"
_INPUT, _OUTPUT = "words", "found"


class VocabularyParams(Declarations):
    """Columns and settings of `Vocabulary` and `VocabularyModel`."""

    inputCols = ColumnParam("Columns of words, which share the vocabulary: strings, split at blanks, or arrays of strings.", type=list)
    outputCols = ColumnParam("For each of these, the output column: an array of ids.", type=list)
    max_size = DeclaredParam(int, "Ids at most, reserved ones included; the most frequent words have them.", minimum=1, on_model=False)
    min_count = DeclaredParam(int, "Times that a word must occur to have an id.", default=1, minimum=1, on_model=False)
    reserved = DeclaredParam(
        list,
        "Words that have the first ids, in this order, whether they occur or not; None for none.",
        default=["<pad>", "<unk>"],
        on_model=False,
    )
    unknown_word = DeclaredParam(str, "The reserved word whose id unknown words have.", default="<unk>", on_model=False)
    unknown = DeclaredParam(
        str,
        "What becomes of unknown words: keep gives them the id of unknown_word, skip leaves them out, error refuses the row.",
        default=_KEEP,
        choices=[_KEEP, _SKIP, _ERROR],
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        reserved, size = self.value("reserved") or [], self.value("max_size")
        if len(set(reserved)) < len(reserved) or not all(isinstance(word, str) and word for word in reserved):
            found.append(f"reserved must be different words, got {reserved!r}")
        if size is not None and size < len(reserved):
            found.append(f"max_size is {size}, less than the {len(reserved)} reserved words")
        if self.value("unknown") == _KEEP and self.value("unknown_word") not in reserved:
            found.append(
                f"unknown_word {self.value('unknown_word')!r} is not among the reserved words {reserved!r}; add it, or set "
                "unknown to 'skip'"
            )
        return found


class Vocabulary(Estimator, DeclaredParams, VocabularyParams, Persistable):
    """Numbers the words of text columns, counted on the executors: the more frequent, the smaller the id.

    {parameters}

    Notes
    -----
    Ids follow falling frequency in all `inputCols` together, words of equal frequency in the order of their code points, so that the
    same rows give the same ids however they are spread. Counting is one aggregation of Spark over the distinct words; the vocabulary is
    collected on the driver.

    Examples
    --------
    >>> from sparkml_algos import Vocabulary
    >>> vocabulary = Vocabulary(inputCols=["question", "answer"], outputCols=["in0", "in1"], max_size=30_000)
    >>> model = vocabulary.fit(dataframe)  # doctest: +SKIP
    >>> model.transform(dataframe).select("in0", "in1")  # doctest: +SKIP
    """

    @staticmethod
    def model_class() -> type[VocabularyModel]:
        """The class of the fitted model."""
        return VocabularyModel

    def _fit(self, dataset: DataFrame) -> VocabularyModel:
        problems = self.problems() or _column_problems(dataset, self, Tokens())
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        reserved, size = self.value("reserved") or [], self.value("max_size")
        with described(dataset.sparkSession, "Vocabulary: count words"):
            rows = _counted(dataset, self.value("inputCols"), reserved, self.value("min_count"), size).collect()
        if rows and rows[0]["word"] is None:
            raise InvalidDataError(f"{rows[0]['count']} lists of words, or words, are null in {', '.join(self.value('inputCols'))}")
        rows = rows if size is None else rows[: size - len(reserved)]
        model = VocabularyModel()
        model._resetUid(self.uid)
        self._copyValues(model)
        model.artifact = _artifact([*reserved, *(row["word"] for row in rows)], [0] * len(reserved) + [row["count"] for row in rows])
        return model


def _counted(dataset: DataFrame, names: Sequence[str], reserved: Sequence[str], min_count: int, size: int | None) -> DataFrame:
    """Words that are not reserved and how often they occur, in the order of their ids; first null, if a list or a word is."""
    null = F.array(F.lit(None).cast("string"))
    lists = [F.coalesce(parts(Tokens(), _INPUT, [find(dataset, name)])[0], null) for name in names]
    words = dataset.select(F.explode(F.flatten(F.array(*lists))).alias("word"))
    if reserved:
        words = words.where(F.col("word").isNull() | ~F.col("word").isin(list(reserved)))
    counted = words.groupBy("word").agg(F.count("*").alias("count")).where(F.col("word").isNull() | (F.col("count") >= min_count))
    # Ordered by their bytes, whatever collation the columns have.
    counted = counted.orderBy(F.col("word").isNotNull(), F.desc("count"), F.encode("word", "UTF-8"))
    return counted if size is None else counted.limit(size - len(reserved) + 1)


class VocabularyModel(Model, DeclaredParams, VocabularyParams, Persistable):
    """Words and their ids.

    `transform` appends an array of ids (array<int>) for each of `inputCols`; `unknown` may be changed.

    Attributes
    ----------
    artifact : Artifact
        The words, one after the other.
    """

    artifact: Artifact | None = None

    @classmethod
    def _settable(cls, param: DeclaredParam) -> bool:
        return param.on_model

    @classmethod
    def from_words(cls, words: Sequence[str], **params: Any) -> VocabularyModel:
        """The vocabulary of words whose ids are their places.

        Parameters
        ----------
        words : sequence of str
            Each once.
        **params
            Of the class; unknown words are left out unless `unknown` says otherwise, or `unknown_word` is among the words.

        Raises
        ------
        ValueError
            If a word is there twice, or Params do not fit.
        """
        words = list(words)
        if len(set(words)) < len(words):
            twice = next(word for place, word in enumerate(words) if word in words[:place])
            raise ValueError(f"the word {twice!r} is there twice")
        unknown_word = params.get("unknown_word", "<unk>")
        reserved = words[: words.index(unknown_word) + 1] if unknown_word in words else []
        model = cls(**{"reserved": reserved or None, "unknown": _KEEP if reserved else _SKIP, **params})
        model.artifact = _artifact(words, [0] * len(words))
        return model

    @classmethod
    def read_json(cls, path: str, **params: Any) -> VocabularyModel:
        """The vocabulary of a ``vocab.json``, a map of words to ids, which must be all from 0 on.

        Parameters
        ----------
        path : str
            On any storage of the session.
        **params
            As of `from_words`.
        """
        ids = json.loads(_read(path))
        if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
            raise ValueError(f"{path} is no map of words to the ids from 0 on, each once")
        return cls.from_words(sorted(ids, key=ids.__getitem__), **params)

    @classmethod
    def read_text(cls, path: str, **params: Any) -> VocabularyModel:
        """The vocabulary of a ``vocab.txt``: a word per line, in the order of their ids; see `read_json`."""
        return cls.from_words(_read(path).removesuffix("\n").split("\n"), **params)

    def write_json(self, path: str) -> None:
        """Write a ``vocab.json`` as the service reads it: a map of words to ids, in a local file."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.ids, file, ensure_ascii=False)

    def write_text(self, path: str) -> None:
        """Write a ``vocab.txt`` as the service reads it: a word per line in the order of their ids, in a local file.

        Raises
        ------
        ValueError
            If a word has a line break.
        """
        if broken := next((word for word in self.words if "\n" in word), None):
            raise ValueError(f"the word {broken!r} has a line break, for which vocab.txt has no form; use write_json")
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{word}\n" for word in self.words)

    @property
    def words(self) -> list[str]:
        """The words in the order of their ids."""
        # No `cached_property`, which Spark's Params would look at, and so compute, in their search for Params.
        known = vars(self).get("_known_words")
        if known is None or known[0] is not self.artifact:
            known = self._known_words = self.artifact, _words(self.artifact)
        return known[1]

    @property
    def ids(self) -> dict[str, int]:
        """Of each word its id."""
        return {word: token for token, word in enumerate(self.words)}

    @property
    def counts(self) -> np.ndarray:
        """How often each occurred, 0 of reserved ones, shape (size,), int64."""
        return self.artifact.arrays["counts"]

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.artifact.arrays["counts"])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._append(dataset, self, Tokens(), "array<int>")

    def inverse(self, dataset: DataFrame, inputCol: str, outputCol: str) -> DataFrame:
        """Append the words of ids.

        Parameters
        ----------
        dataset : DataFrame
        inputCol : str
            An array of ids, or one id.
        outputCol : str
            An array of strings.

        Raises
        ------
        ValueError
            If a column does not fit. Spark's error when the rows are computed says so of an id that there is not.
        """
        names = self.copy()._set(inputCols=[inputCol], outputCols=[outputCol])
        kind = TokenIds(self.size, hint=f"the vocabulary has {self.size} words", may_be_empty=True)
        return self._append(dataset, names, kind, "array<string>")

    def _append(self, dataset: DataFrame, names: VocabularyModel, kind: Kind, type_: str) -> DataFrame:
        problems = names.problems() or _column_problems(dataset, names, kind)
        outputs = names.value("outputCols") or []
        problems = problems or output_problems(dataset, outputs, ["outputCols"])
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        ensure_importable(dataset.sparkSession, ALWAYS)
        shipment, settings = ship(self.artifact, dataset.sparkSession), {name: self.value(name) for name in ("unknown", "unknown_word")}
        appended, temporary = rowwise(dataset), []
        for place, name in enumerate(names.value("inputCols")):
            found = Inputs([Source(Field(_INPUT, kind, ""), [name])], [[find(dataset, name)]])
            decoder = found.decoder()
            decoder.where = " of its task"
            output = Output(_OUTPUT, type_.replace("int", "long"), "outputCols")
            temporary.append(f"{_SCORED}{place}")
            appended = appended.withColumn(temporary[-1], scored(_Lookup, shipment, settings, found, decoder, [output]))
        values = [column(one)[_OUTPUT].cast(type_).alias(name) for one, name in zip(temporary, outputs, strict=True)]
        return appended.select("*", *values).drop(*temporary)

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        return self.artifact, {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self.artifact = artifact


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> Predictor:
    """What turns words into ids, and ids into words."""
    words = _words(artifact)
    ids = {word: token for token, word in enumerate(words)}
    unknown = ids[hyperparameters.unknown_word] if hyperparameters.unknown == _KEEP else -1
    values = pa.array(words, pa.string())

    def found(batch: Batch) -> Ragged:
        lists = batch.columns[_INPUT]
        if not isinstance(lists.values, pa.Array):
            return Ragged(values.take(pa.array(lists.values)), lists.offsets)
        encoded = lists.values.dictionary_encode()
        of_distinct = np.array([ids.get(word, unknown) for word in encoded.dictionary.to_pylist()], np.int64)
        tokens = of_distinct[encoded.indices.to_numpy()] if len(of_distinct) else np.empty(0, np.int64)
        return _without_unknown(Ragged(tokens, lists.offsets), lists.values, hyperparameters.unknown)

    return lambda batch: {_OUTPUT: found(batch)}


def _without_unknown(lists: Ragged, words: pa.Array, unknown: str) -> Ragged:
    is_known = lists.values >= 0
    if is_known.all():
        return lists
    if unknown == _ERROR:
        place = int(np.flatnonzero(~is_known)[0])
        row = int(np.searchsorted(lists.offsets, place, side="right")) - 1
        where = f"token {place - int(lists.offsets[row])} of row {row} of its batch"
        raise InvalidRows(f"the word {words[place].as_py()!r}, {where}, is not in the vocabulary; set unknown to 'keep' or 'skip'")
    ends = np.concatenate([[0], np.cumsum(is_known)])
    return Ragged(lists.values[is_known], ends[lists.offsets].astype(np.int64))


def _artifact(words: Iterable[str], counts: Sequence[int]) -> Artifact:
    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)])
    return Artifact({"text": np.frombuffer(b"".join(encoded), np.uint8), "ends": ends, "counts": np.array(counts, np.int64)})


def _words(artifact: Artifact) -> list[str]:
    text, ends = artifact.arrays["text"].tobytes(), artifact.arrays["ends"].tolist()
    return [text[start:end].decode() for start, end in itertools.pairwise(ends)]


def _read(path: str) -> str:
    rows = VocabularyModel.read().sparkSession.read.text(path, wholetext=True).collect()
    return "".join(row.value for row in rows)


def _column_problems(dataset: DataFrame, params: DeclaredParams, kind: Kind) -> list[str]:
    names, outputs = params.value("inputCols") or [], params.value("outputCols") or []
    if not names or len(names) != len(outputs):
        return [f"inputCols and outputCols must name equally many columns, at least one, got {names} and {outputs}"]
    return [problem for name in names if (problem := _problem(dataset, name, kind))]


def _problem(dataset: DataFrame, name: str, kind: Kind) -> str | None:
    found: Found | None = find(dataset, name)
    if found is None:
        return f"inputCols: {name!r} is not a column of the dataset; it has {', '.join(dataset.columns)}"
    expected = refusal(kind, found.type)
    return expected and f"inputCols: column {name!r} is {found.type.simpleString()}; it must be {expected}"


class _Lookup:
    """How the words or ids of a row are looked up, as `core.scoring` takes it."""

    load = staticmethod(load)


_SCORED = "_sparkml_algos_words"
