"""A saved ``PipelineModel``, served."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparkml_algos.formats.content_types import CSV, JSON, JSON_LINES, PARAMETERS, ContentType
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.lines import lines_of
from sparkml_algos.names import EXPORTS, current_name
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.serving import bodies, responses
from sparkml_algos.serving.answers import Answer, Columns
from sparkml_algos.serving.bodies import NAME, Part, Request
from sparkml_algos.serving.contract import Options, Variant, Work, signature
from sparkml_algos.serving.pipelines import numeric, textual
from sparkml_algos.serving.pipelines.columns import ANY, NUMBER, NUMBER_OR_VECTOR, TEXT, VECTOR, WORDS, Frame
from sparkml_algos.serving.pipelines.own import Model, settle, vocabulary
from sparkml_algos.serving.pipelines.saved import PIPELINES, CannotServe, SavedStage, stages_of
from sparkml_algos.serving.pipelines.stage import Stage

_SPARK = "org.apache.spark.ml.feature."

#: Spark's stages that are translated, by class.
TRANSLATED: Mapping[str, Callable[[SavedStage], Stage]] = {
    f"{_SPARK}{name}": stage
    for name, stage in {
        "Binarizer": numeric.Binarizer,
        "Bucketizer": numeric.Bucketizer,
        "ChiSqSelectorModel": numeric.Selector,
        "CountVectorizerModel": textual.CountVectorizer,
        "ElementwiseProduct": numeric.ElementwiseProduct,
        "HashingTF": textual.HashingTF,
        "IDFModel": numeric.Idf,
        "ImputerModel": numeric.Imputer,
        "MaxAbsScalerModel": numeric.MaxAbsScaler,
        "MinMaxScalerModel": numeric.MinMaxScaler,
        "NGram": textual.NGram,
        "Normalizer": numeric.Normalizer,
        "OneHotEncoderModel": numeric.OneHot,
        "PCAModel": numeric.Components,
        "RegexTokenizer": textual.RegexTokenizer,
        "RobustScalerModel": numeric.RobustScaler,
        "StandardScalerModel": numeric.StandardScaler,
        "StopWordsRemover": textual.StopWordsRemover,
        "StringIndexerModel": textual.StringIndexer,
        "Tokenizer": textual.Tokenizer,
        "UnivariateFeatureSelectorModel": numeric.Selector,
        "VarianceThresholdSelectorModel": numeric.Selector,
        "VectorAssembler": numeric.Assembler,
        "VectorSizeHint": numeric.SizeHint,
        "VectorSlicer": numeric.Slicer,
    }.items()
}
_INDEX_TO_STRING = f"{_SPARK}IndexToString"


class ServedPipeline:
    """A fitted pipeline, served.

    Its requests name the columns that its stages read and none of them makes; not those that are read only by stages from which no answer
    comes, such as what makes indices of labels to train on. Its answer is that of the last model of this package among
    its stages, with what stages behind it make; without such a model it is what the last stage makes.

    Parameters
    ----------
    stages : sequence of Stage
    options : Options

    Attributes
    ----------
    inputs : dict of str to str
        Columns of a request, in the order in which stages read them, and what each is.
    needed : frozenset of str
        Identifiers of the stages from which an answer comes. The others are passed over where a column that they read is missing.
    """

    def __init__(self, stages: Sequence[Stage], options: Options) -> None:
        self.name, self._stages, self._options = PIPELINES[0], list(stages), options
        self.needed = _needed(stages)
        read = {name for stage in stages if stage.uid in self.needed for name in stage.reads}
        self.inputs = {name: kind for name, kind in _inputs(stages).items() if name in read}
        self._columns = list(options.columns) or list(self.inputs)
        if missing := [name for name in self.inputs if name not in self._columns]:
            raise ValueError(f"columns must name all that the pipeline reads: {', '.join(missing)} is not among {', '.join(self._columns)}")
        models = [place for place, stage in enumerate(stages) if isinstance(stage, Model)]
        self._last = models[-1] if models else None
        behind = stages[self._last + 1 :] if self._last is not None else stages[-1:]
        self._shown = [name for stage in behind for name in stage.makes]
        last = stages[self._last] if self._last is not None else None
        self._model = last if isinstance(last, Model) else None
        self._answer = self._model.answer if self._model else Answer("", dict)
        if self._shown:
            self._answer = replace(self._answer, quoted=True)
        self.requests: tuple[str, ...] = (JSON, JSON_LINES, CSV)
        given = self._answer.responses if not self._shown else (JSON, JSON_LINES)
        self.responses: tuple[str, ...] = (*given, *(() if CSV in given else (CSV,)))

    @classmethod
    def load(cls, path: str | Path, options: Options) -> ServedPipeline:
        """A pipeline from the local directory where it was saved; a single stage is a pipeline of one.

        Raises
        ------
        CannotServe
            Naming the stage that has no translation.
        """
        return cls(_stages(Path(path), options), options)

    @property
    def answers(self) -> list[str]:
        """Columns that the last model and the stages behind it make; of a pipeline without a model, those of the last stage."""
        return [*(self._model.makes if self._model else ()), *self._shown]

    def decode(self, body: bytes, content_type: ContentType) -> Request:
        if unknown := sorted(content_type.parameters.keys() - PARAMETERS):
            raise FormatError(f"content type {content_type.name}: parameter {unknown[0]!r} is not known", NAME)
        if body[:2] == bodies.GZIP:
            body = bodies.unpacked(body, self._options.max_bytes)
        rows = self._of_csv(body) if content_type.name == CSV else self._of_json(body, content_type.name)
        columns = {name: _column([row[name] for row in rows], name, kind) for name, kind in self.inputs.items()} if rows else {}
        return Request(len(rows), [Part(columns, len(rows))] if rows else [])

    def work(self, request: Request, accept: ContentType) -> list[Work]:
        variant = Variant(accept.flag("verbose"))
        return [Work((variant, *signature(part.columns)), part.columns, part.rows, variant) for part in request.parts]

    def score(self, columns: Mapping[str, Any], variant: Variant) -> Columns:
        frame = self.transform(columns)
        found = self._model.answered(frame, variant.verbose) if self._model else {}
        for name in self._shown:
            settle(frame, name)
            found[name] = responses.plain(frame[name])
        return found

    def transform(self, columns: Mapping[str, Any]) -> Frame:
        """All columns, those of the request and those that stages make.

        Raises
        ------
        InvalidRows
            Naming stage, column and row.
        """
        frame = dict(columns)
        for stage in self._stages:
            if stage.uid not in self.needed and not stage.reads.keys() <= frame.keys():
                continue
            for name in stage.reads:
                settle(frame, name)
            try:
                stage(frame)
            except InvalidRows as error:
                raise InvalidRows(f"stage {stage.uid}: {error}") from None
        return frame

    def respond(self, request: Request, found: Sequence[Columns], accept: ContentType) -> bytes:
        columns = found[0] if found else {}
        return responses.encode(columns, request.rows, accept.name, self._answer.algorithm, quoted=self._answer.quoted, echo={})

    def response_type(self, content_type: ContentType, accept: ContentType) -> ContentType:
        return replace(accept, name=content_type.name) if self._answer.mirrors and content_type.name != CSV else accept

    def _of_csv(self, body: bytes) -> list[dict[str, Any]]:
        try:
            lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"not CSV: {error}", NAME) from error
        lines = [line for line in lines if line]
        if self.inputs and list(self.inputs.values()) in ([VECTOR], [NUMBER_OR_VECTOR]) and len(self._columns) == 1:
            return [{self._columns[0]: [_cell(cell, NUMBER) for cell in line]} for line in lines]
        for row, line in enumerate(lines):
            if len(line) != len(self._columns):
                raise FormatError(f"row {row}: {len(line)} cells, expected {len(self._columns)}: {', '.join(self._columns)}", NAME)
        if vectors := [name for name, kind in self.inputs.items() if kind in (VECTOR, WORDS)]:
            raise FormatError(f"a cell of CSV cannot hold {vectors[0]!r}, which is {self.inputs[vectors[0]]}; send JSON", NAME)
        return [{name: _cell(cell, self.inputs.get(name, ANY)) for name, cell in zip(self._columns, line, strict=True)} for line in lines]

    def _of_json(self, body: bytes, name: str) -> list[dict[str, Any]]:
        items = [_parsed(line) for line, _ in lines_of(body, 0)] if name == JSON_LINES else _items(_parsed(body))
        return [self._row(item, row) for row, item in enumerate(items)]

    def _row(self, item: Any, row: int) -> dict[str, Any]:
        """The columns of an instance: by their names, or as a list in their order."""
        data = item.get("data", item) if isinstance(item, dict) else item
        if isinstance(data, dict) and "features" in data and "features" not in self.inputs and isinstance(data["features"], list | dict):
            data = data["features"]["values"] if isinstance(data["features"], dict) and "values" in data["features"] else data["features"]
        if isinstance(data, list) and len(data) == len(self._columns):
            data = dict(zip(self._columns, data, strict=True))
        if not isinstance(data, dict) and len(self.inputs) == 1 and not isinstance(data, list):
            data = {next(iter(self.inputs)): data}
        if not isinstance(data, dict):
            raise FormatError(f"instance {row}: expected an object with {', '.join(self.inputs)}", NAME)
        if missing := [name for name in self.inputs if name not in data]:
            raise FormatError(f"instance {row}: it has no {missing[0]!r}", NAME)
        return data


def _stages(path: Path, options: Options) -> list[Stage]:
    if SavedStage.read(path).cls not in PIPELINES:
        return [_stage(SavedStage.read(path), options, {})]
    found: list[Stage] = []
    for saved in stages_of(path):
        found.append(_stage(saved, options, {name: labels for stage in found for name, labels in stage.labels.items()}))
    return found


def _stage(saved: SavedStage, options: Options, labels: Mapping[str, list[str]]) -> Stage:
    if saved.cls == _INDEX_TO_STRING:
        return textual.IndexToString(saved, labels)
    if saved.cls in TRANSLATED:
        return TRANSLATED[saved.cls](saved)
    name = current_name(saved.cls).rpartition(".")[2]
    if name == "VocabularyModel":
        return textual.Vocabulary(saved, vocabulary(saved))
    if name in EXPORTS and current_name(saved.cls).startswith("sparkml_algos."):
        if (saved.path / "data").is_dir():
            return Model(saved, options)
        raise saved.cannot("it needs the rows beside a row, or is not fitted")
    raise saved.cannot("there is no translation of this class")


def _needed(stages: Sequence[Stage]) -> frozenset[str]:
    """Models of this package, what is behind the last of them, or the last stage, and what makes a column that one of these reads."""
    behind = max((place for place, stage in enumerate(stages) if isinstance(stage, Model)), default=len(stages) - 2)
    found: set[str] = set()
    read: set[str] = set()
    for place in reversed(range(len(stages))):
        stage = stages[place]
        if isinstance(stage, Model) or place > behind or read & set(stage.makes):
            found.add(stage.uid)
            read |= set(stage.reads)
    return frozenset(found)


def _inputs(stages: Sequence[Stage]) -> dict[str, str]:
    """What nobody makes of all that is read."""
    made: set[str] = set()
    lacking: dict[str, str] = {}
    found: dict[str, str] = {}
    for stage in stages:
        for name, kind in stage.reads.items():
            if name in lacking and name not in made:
                raise CannotServe(f"stage {stage.uid} reads {name!r}, which only Spark makes of {lacking[name]}")
            if name in made:
                continue
            before = found.get(name, kind)
            found[name] = kind if before in (ANY, NUMBER_OR_VECTOR) else before
        made |= set(stage.makes)
        lacking |= dict.fromkeys(getattr(stage, "lacks", ()), stage.uid)
    return found


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", NAME) from error


def _items(document: Any) -> list[Any]:
    """``instances``, or a table as pandas writes it: records, or columns and data."""
    if isinstance(document, dict):
        for key in ("instances", "dataframe_records", "inputs"):
            if isinstance(document.get(key), list):
                return document[key]
        split = document.get("dataframe_split", document)
        if isinstance(split, dict) and isinstance(split.get("columns"), list) and isinstance(split.get("data"), list):
            names, rows = split["columns"], split["data"]
            if all(isinstance(row, list) and len(row) == len(names) for row in rows) and all(isinstance(name, str) for name in names):
                return [dict(zip(names, row, strict=True)) for row in rows]
            raise FormatError("data must be lists as long as columns, which are texts", NAME)
    if isinstance(document, list):
        return document
    raise FormatError('expected {"instances": [...]}', NAME)


def _cell(text: str, kind: str) -> Any:
    if kind not in (NUMBER, NUMBER_OR_VECTOR):
        return text
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _column(values: list[Any], name: str, kind: str) -> Any:
    """Values of a request as a column of this kind."""
    if kind == NUMBER_OR_VECTOR:
        kind = VECTOR if any(isinstance(value, list | dict) for value in values) else NUMBER
    if kind == NUMBER:
        return _numbers(values, name)
    if kind == VECTOR:
        return _vectors(values, name)
    if kind == TEXT and (wrong := next((row for row, value in enumerate(values) if not isinstance(value, str)), None)) is not None:
        raise FormatError(f"instance {wrong}: {name} must be a text", NAME)
    return values


def _numbers(values: list[Any], name: str) -> np.ndarray:
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, int | float):
            raise FormatError(f"instance {row}: {name} must be a number, got {str(value)[:60]!r}", NAME)
    try:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except OverflowError as error:
        raise FormatError(f"{name}: {error}", NAME) from error


def _vectors(values: list[Any], name: str) -> np.ndarray:
    rows, size = [], 0
    for row, value in enumerate(values):
        rows.append(_vector(value, name, row))
        size += len(rows[-1])
        if size > MAX_NUMBERS:
            raise FormatError(f"instance {row}: {name} and those before have more than {MAX_NUMBERS} numbers, with their zeros", NAME)
    for row, vector in enumerate(rows):
        if len(vector) != len(rows[0]):
            raise FormatError(f"instance {row}: {name} has {len(vector)} values, where the first has {len(rows[0])}", NAME)
    return np.array(rows, np.float64)


# A sparse vector of a request is written out; one of more than this is refused.
MAX_LENGTH = 1 << 22
# Of all rows of a request: 256 MB.
MAX_NUMBERS = 1 << 25


def _vector(value: Any, name: str, row: int) -> list[float] | np.ndarray:
    keys = None
    if isinstance(value, dict):
        keys, shape, value = value.get("keys"), value.get("shape"), value.get("values")
    numbers = value
    if not isinstance(numbers, list) or not all(type(one) in (int, float) or one is None for one in numbers):
        raise FormatError(f"instance {row}: {name} must be a list of numbers", NAME)
    floats = _numbers(numbers, f"instance {row}: {name}")
    if keys is None:
        return floats
    size = shape[0] if isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int else -1
    right = isinstance(keys, list) and all(type(key) is int and 0 <= key < size for key in keys)
    if not 0 < size <= MAX_LENGTH or not right or len(keys) != len(numbers) or len(set(keys)) < len(keys):
        raise FormatError(f"instance {row}: {name} needs as many different keys as values, below its shape [n], n up to {MAX_LENGTH}", NAME)
    found = np.zeros(size)
    found[keys] = floats
    return found
