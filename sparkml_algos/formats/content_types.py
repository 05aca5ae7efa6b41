"""Names of formats with their parameters, and the codec that each stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from sparkml_algos.formats.errors import FormatError

RECORDIO_PROTOBUF, CSV, LIBSVM, X_LIBSVM = "application/x-recordio-protobuf", "text/csv", "text/libsvm", "text/x-libsvm"
JSON, JSON_LINES = "application/json", "application/jsonlines"
PNG = "image/png"
#: An image is a body, and the body an image.
IMAGES = (PNG, "image/jpeg", "application/x-image")
# What some of the service's samples call RecordIO-protobuf.
X_PROTOBUF = "application/x-protobuf"
# CSV and libsvm of numbers are the same bytes in all of these.
ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1")
ENCODING_PARAMETERS = {"encoding", "charset"}
# The last four belong to single algorithms, which read them themselves.
PARAMETERS = {*ENCODING_PARAMETERS, "label_size", "csv_weights", "label-format", "infer_max_seqlens", "verbose", "annotation"}


@dataclass(frozen=True)
class ContentType:
    """A media type: lower-case name, parameters by lower-case name."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ContentType:
        """``"Text/CSV ; label_size=1"`` and the like.

        Raises
        ------
        FormatError
            On a parameter without ``=`` or a name without ``/``.
        """
        name, *rest = (part.strip() for part in text.split(";"))
        parameters = {}
        for part in filter(None, rest):
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise FormatError(f"content type {text!r}: {part!r} is not name=value")
            parameters[key.strip().lower()] = value.strip().strip('"')
        if "/" not in name:
            raise FormatError(f"content type {text!r} has no '/'")
        return cls(name.lower(), parameters)

    def integer(self, name: str, default: int) -> int:
        """A parameter that counts something."""
        text = self.parameters.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise FormatError(f"content type {self.name}: {name} must be an integer >= 0, got {text!r}")
        return int(text)

    def flag(self, name: str) -> bool:
        """A parameter that is true or false, also as 1 or 0; false where absent."""
        text = self.parameters.get(name, "false").lower()
        if text not in ("true", "false", "1", "0"):
            raise FormatError(f"content type {self.name}: {name} must be true or false, got {text!r}")
        return text in ("true", "1")

    def check_encoding(self) -> None:
        """Refuse an encoding in which numbers are other bytes."""
        for name in ENCODING_PARAMETERS & self.parameters.keys():
            if self.parameters[name].lower() not in ENCODINGS:
                raise FormatError(f"content type {self.name}: {name} must be one of {', '.join(ENCODINGS)}, got {self.parameters[name]!r}")


def decode(
    data: bytes,
    content_type: str,
    *,
    label_size: int = 0,
    index_base: Literal[0, 1] = 0,
    num_features: int | None = None,
    file: str = "<bytes>",
) -> Any:
    """A body by its content type: `RecordBatch`, `Rows` or, for JSON, `Instances`. An empty body has no rows, except as JSON.

    Parameters
    ----------
    label_size : int
        Leading label columns of CSV where the content type does not say: 1 for supervised training, 0 for inference. Above 0, libsvm
        lines begin with a label.
    index_base : 0 or 1
        Index of the first feature in libsvm, for all bodies alike: none tells its own.
    num_features : int, optional
        Features of a libsvm row; by default the largest index of the body says it.

    Raises
    ------
    FormatError
        On a type or parameter that is not known, and on bytes that are not of the type.
    """
    from sparkml_algos.formats import csv, json_instances, libsvm, recordio_protobuf

    kind = ContentType.parse(content_type)
    if unknown := sorted(kind.parameters.keys() - PARAMETERS):
        raise FormatError(f"content type {content_type!r}: parameter {unknown[0]!r} is not one of {', '.join(sorted(PARAMETERS))}")
    kind.check_encoding()
    if kind.name == RECORDIO_PROTOBUF:
        return recordio_protobuf.decode(data, file=file)
    if kind.name == CSV:
        size = kind.integer("label_size", label_size)
        return csv.decode(data, label_size=size, weights=kind.flag("csv_weights"), file=file)
    if kind.name in (LIBSVM, X_LIBSVM):
        labelled = kind.integer("label_size", label_size) > 0
        return libsvm.decode(data, labelled=labelled, index_base=index_base, num_features=num_features, file=file)
    if kind.name == JSON:
        return json_instances.decode(data, file=file)
    if kind.name == JSON_LINES:
        return json_instances.decode_lines(data, file=file)
    known = ", ".join((RECORDIO_PROTOBUF, CSV, LIBSVM, X_LIBSVM, JSON, JSON_LINES))
    raise FormatError(f"content type {kind.name!r} is not one of {known}", file)


def encode(results: Any, content_type: str, *, algorithm: str = "") -> bytes:
    """Results as a body of a content type, what an endpoint answers.

    Parameters
    ----------
    results : RecordBatch, Rows, ndarray or sequence
        A `RecordBatch` for RecordIO-protobuf, numeric rows for CSV, one JSON value per instance for JSON and JSON Lines.
    content_type : str
        No parameters but ``encoding``: what is to be written is in ``results``.
    algorithm : str
        Module name of the algorithm; a JSON response calls its list accordingly, see `json_instances.encode`.

    Raises
    ------
    FormatError
        On a type or parameter that is not known, and on results that the type cannot hold.
    """
    from sparkml_algos.formats import csv, json_instances, recordio_protobuf
    from sparkml_algos.formats.columns import RecordBatch
    from sparkml_algos.formats.lines import Rows

    kind = ContentType.parse(content_type)
    if kind.parameters.keys() - ENCODING_PARAMETERS:
        raise FormatError(f"content type {content_type!r}: a response has no parameter but encoding")
    kind.check_encoding()
    writers: dict[str, tuple[type | tuple[type, ...], Callable[[Any], bytes]]] = {
        RECORDIO_PROTOBUF: (RecordBatch, recordio_protobuf.encode),
        CSV: ((Rows, np.ndarray), csv.encode),
        JSON: (Sequence, lambda values: json_instances.encode(values, algorithm)),
        JSON_LINES: (Sequence, json_instances.encode_lines),
    }
    if kind.name not in writers:
        raise FormatError(f"content type {kind.name!r} of a response is not one of {', '.join(writers)}")
    holds, write = writers[kind.name]
    if not isinstance(results, holds) or isinstance(results, str | bytes):
        raise FormatError(f"{type(results).__name__} cannot be written as {kind.name}")
    return write(results)
