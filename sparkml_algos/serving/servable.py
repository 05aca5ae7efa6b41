"""A saved model with the service's requests and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.arrays.saved import read_metadata
from sparkml_algos.formats.content_types import JSON, JSON_LINES, ContentType
from sparkml_algos.rows.columns import take
from sparkml_algos.rows.lists import TokenIds
from sparkml_algos.serving import bodies, responses
from sparkml_algos.serving.answers import Answer, Columns, answer_of
from sparkml_algos.serving.bodies import Part, Request
from sparkml_algos.serving.contract import Options, Servable, Variant, Work, signature
from sparkml_algos.serving.models import SavedModel, load
from sparkml_algos.serving.pipelines.pipeline import ServedPipeline
from sparkml_algos.serving.pipelines.saved import PIPELINES
from sparkml_algos.serving.values import values_of


class ServedModel:
    """A model of this package, served.

    Parameters
    ----------
    model : SavedModel
    options : Options
    """

    def __init__(self, model: SavedModel, options: Options = Options()) -> None:  # noqa: B008 - it is frozen
        self.name, self._model, self._options = model.name, model, options
        self._answer: Answer = answer_of(model.name, model.hyperparameters, options.outputs)
        self.requests, self.responses = self._answer.requests, self._answer.responses

    def decode(self, body: bytes, content_type: ContentType) -> Request:
        options = self._options
        return bodies.decode(
            body, content_type, self._model.fields, self._model.facts, index_base=options.index_base, max_bytes=options.max_bytes
        )

    def work(self, request: Request, accept: ContentType) -> list[Work]:
        labels = 0 if request.limits is None else int(request.limits.max(initial=0))
        detailed = request.detailed is not None and bool(request.detailed.any())
        asked = accept.flag("verbose") or accept.flag("annotation") or accept.name in self._answer.whole
        variant = Variant(asked or detailed, labels, request.longest)
        return [Work((variant, *signature(part.columns)), part.columns, part.rows, variant) for part in request.parts]

    def score(self, columns: Mapping[str, Any], variant: Variant) -> Columns:
        model = self._model
        if variant.longest:
            model = _cut_at(model, variant.longest)
        if variant.labels:
            model = model.with_labels(variant.labels)
        return self._answer.columns(model(**columns), variant.verbose)

    def respond(self, request: Request, found: Sequence[Columns], accept: ContentType) -> bytes:
        return respond(self._answer, request, found, accept.name)

    def response_type(self, content_type: ContentType, accept: ContentType) -> ContentType:
        return replace(accept, name=content_type.name) if self._answer.mirrors else accept


def respond(answer: Answer, request: Request, found: Sequence[Columns], accept: str) -> bytes:
    """The body of a response to the parts of a request."""
    if len(found) > 1:
        return responses.encode_objects(_together(request.parts, found, request.rows), accept, answer.algorithm)
    columns = dict(found[0]) if found else {}
    if request.limits is not None and columns:
        columns = {name: _firsts(values, request.limits) for name, values in columns.items()}
    if request.detailed is not None and columns and accept in (JSON, JSON_LINES):
        return responses.encode_objects(_plainer(answer, request.detailed, columns, request.rows), accept, answer.algorithm)
    if request.words is not None:
        columns = {"word": request.words, **columns}
    return responses.encode(columns, request.rows, accept, answer.algorithm, quoted=answer.quoted, echo=request.echo)


def _together(parts: Sequence[Part], found: Sequence[Columns], rows: int) -> list[dict[str, Any]]:
    """The answers to all parts at their places."""
    answers: list[dict[str, Any]] = [{} for _ in range(rows)]
    for part, columns in zip(parts, found, strict=True):
        places = range(rows) if part.places is None else part.places.tolist()
        for place, answer in zip(places, responses.objects(columns, part.rows), strict=True):
            answers[place] = answer
    return answers


def _plainer(answer: Answer, detailed: np.ndarray, columns: Columns, rows: int) -> list[dict[str, Any]]:
    """The answers, without what only the detailed ones have."""
    found = responses.objects(columns, rows)
    return [
        item if wanted else {name: value for name, value in item.items() if name not in answer.detail}
        for item, wanted in zip(found, detailed, strict=True)
    ]


def _firsts(values: Any, limits: np.ndarray) -> list[Any]:
    """Of each list as many entries as its row may have; 0: one."""
    return [row[: max(int(limit), 1)] for row, limit in zip(values_of(values), limits, strict=True)]


def _cut_at(model: SavedModel, longest: tuple[int, ...]) -> SavedModel:
    """The model with sequences cut elsewhere."""
    lengths = iter(longest)
    fields = [of.of(replace(of.kind, longest=next(lengths))) if isinstance(of.kind, TokenIds) else of for of in model.fields]
    return replace(model, fields=fields)


def joined(works: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of rows that are scored together, one after the other."""
    if len(works) == 1:
        return dict(works[0])
    return {role: _joined([work[role] for work in works]) for role in works[0]}


def _joined(values: Sequence[Any]) -> Any:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    if isinstance(values[0], Ragged):
        return Ragged.concat(values)
    if isinstance(values[0], pa.Array):
        return pa.concat_arrays(values)
    return sp.vstack(values, format="csr") if sp.issparse(values[0]) else [value for part in values for value in part]


def cut(columns: Columns, part: slice) -> Columns:
    """Some rows of all fields of answers."""
    return {name: values[part] if isinstance(values, list) else take(values, part) for name, values in columns.items()}


def load_servable(path: str | Path, options: Options = Options()) -> Servable:  # noqa: B008 - it is frozen
    """What was saved in a local directory, a model of this package or a pipeline, ready to be served.

    Raises
    ------
    FileNotFoundError
        If nothing was saved there.
    ValueError
        If it is neither, or has a stage that cannot be served without Spark, which is named.
    """
    if read_metadata(path)["class"] in PIPELINES:
        return ServedPipeline.load(path, options)
    return ServedModel(load(path, device=options.device), options)
