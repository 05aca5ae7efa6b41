"""A file through a model, as a stream of bytes: split into records, filtered, answered, joined, assembled."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sparkml_algos.formats import recordio
from sparkml_algos.formats.content_types import CSV, JSON, JSON_LINES, RECORDIO_PROTOBUF, ContentType
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.serving.bodies import UNREADABLE
from sparkml_algos.serving.contract import Servable
from sparkml_algos.serving.files.jsonpath import Path, PathError

NONE, LINE, RECORD_IO, TF_RECORD = "None", "Line", "RecordIO", "TFRecord"
MULTI, SINGLE = "MultiRecord", "SingleRecord"
GZIP, INPUT = "Gzip", "Input"
OUTPUT_KEY, INPUT_KEY = "SageMakerOutput", "SageMakerInput"
ID_KEY, TIME_KEY = "SageMakerInferenceId", "SageMakerInferenceTime"
MAX_PAYLOAD_MB = 100
BLOCK_BYTES = 1 << 22

#: Body, content type and accept to what is answered.
Answer = Callable[[bytes, ContentType, ContentType], bytes]


@dataclass(frozen=True)
class Transform:
    """How files are transformed, with the service's names and rules.

    Parameters
    ----------
    content_type : str
        Of the input.
    accept : str, optional
        Of the output; by default the content type where the model answers such, else what it answers by default.
    split_type : str
        None: a file is one request; Line, RecordIO: a record is a line, or a frame.
    batch_strategy : str
        MultiRecord: as many records a request as its size allows; SingleRecord: one.
    max_payload_in_mb : int
        Of a request, from 0 to 100; 0: any size.
    assemble_with : str
        None: answers one after the other; Line: each record on a line of its own.
    compression_type : str
        None, or Gzip where the input is compressed.
    input_filter : str
        JSONPath: what the model gets of a record; see `jsonpath`.
    join_source : str
        None, or Input: the answer beside the record.
    output_filter : str
        JSONPath: what is written of what has been joined.
    generate_inference_id : bool
        Whether each record of the output has an identifier and the time of the job.

    Raises
    ------
    ValueError
        Naming all settings that do not fit.
    """

    content_type: str = CSV
    accept: str | None = None
    split_type: str = NONE
    batch_strategy: str = MULTI
    max_payload_in_mb: int = 6
    assemble_with: str = NONE
    compression_type: str = NONE
    input_filter: str = "$"
    join_source: str = NONE
    output_filter: str = "$"
    generate_inference_id: bool = False
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def __post_init__(self) -> None:
        problems = []
        for name, allowed in (
            ("split_type", (NONE, LINE, RECORD_IO)),
            ("batch_strategy", (MULTI, SINGLE)),
            ("assemble_with", (NONE, LINE)),
            ("compression_type", (NONE, GZIP)),
            ("join_source", (NONE, INPUT)),
        ):
            value = getattr(self, name)
            if value not in allowed:
                why = ": no algorithm reads TFRecord" if value == TF_RECORD else ""
                problems.append(f"{name} must be one of {', '.join(allowed)}, got {value!r}{why}")
        if not isinstance(self.max_payload_in_mb, int) or not 0 <= self.max_payload_in_mb <= MAX_PAYLOAD_MB:
            problems.append(f"max_payload_in_mb must be a whole number from 0 to {MAX_PAYLOAD_MB}, got {self.max_payload_in_mb!r}")
        if self.batch_strategy == SINGLE and self.split_type == NONE:
            problems.append("batch_strategy='SingleRecord' needs a split_type other than None")
        try:
            name = ContentType.parse(self.content_type).name
            given = ContentType.parse(self.accept).name if self.accept else name
        except FormatError as error:
            problems.append(str(error))
        else:
            problems += self._mismatches(name, given)
            for filter_ in ("input_filter", "output_filter"):
                try:
                    Path(getattr(self, filter_), records_are_lists=name == CSV)
                except PathError as error:
                    problems.append(f"{filter_}: {error}")
        if problems:
            raise ValueError("; ".join(problems))

    def _mismatches(self, content_type: str, accept: str) -> list[str]:
        problems = []
        if self.split_type == RECORD_IO and content_type != RECORDIO_PROTOBUF:
            problems.append(f"split_type='RecordIO' is of {RECORDIO_PROTOBUF}, the content type is {content_type}")
        if self.split_type == LINE and content_type == RECORDIO_PROTOBUF:
            problems.append("split_type='Line' is of text, RecordIO is split by 'RecordIO'")
        if self.split_type == LINE and content_type == JSON:
            problems.append(f"split_type='Line' would split a document of JSON; lines of JSON are {JSON_LINES}")
        if self.works_on_records and content_type not in (CSV, JSON, JSON_LINES):
            problems.append(f"filters, joins and identifiers are of CSV, JSON and JSON Lines, the content type is {content_type}")
        if self.works_on_records and self.accept and accept != content_type:
            problems.append(f"filters, joins and identifiers need an accept like the content type {content_type}, got {accept}")
        if self.assemble_with == LINE and accept == RECORDIO_PROTOBUF:
            problems.append("assemble_with='Line' is of text; records of RecordIO are put one after the other")
        return problems

    @property
    def works_on_records(self) -> bool:
        """Whether records are looked into."""
        return self.input_filter != "$" or self.output_filter != "$" or self.join_source != NONE or self.generate_inference_id


def answering(model: Servable) -> Answer:
    """A model as what is asked for the answer to each request."""

    def answer(body: bytes, content_type: ContentType, accept: ContentType) -> bytes:
        request = model.decode(body, content_type)
        return model.respond(request, [model.score(work.columns, work.variant) for work in model.work(request, accept)], accept)

    return answer


def types_of(model: Servable, transform: Transform) -> tuple[ContentType, ContentType, ContentType]:
    """Of the input, of what the model is asked for, and of the output.

    The three differ where records are looked into and the model answers no CSV: then it is asked for JSON Lines, whose values become cells.

    Raises
    ------
    ValueError
        If the model takes no such input or gives no such output.
    """
    content = ContentType.parse(transform.content_type)
    if content.name not in model.requests:
        raise ValueError(f"{model.name} takes {', '.join(model.requests)}, not {content.name}")
    if transform.accept is not None:
        output = ContentType.parse(transform.accept)
    else:
        output = ContentType(content.name if content.name in model.responses or transform.works_on_records else model.responses[0])
    if output.name in model.responses:
        return content, output, output
    if output.name == CSV and JSON_LINES in model.responses:
        return content, ContentType(JSON_LINES, output.parameters), output
    raise ValueError(f"{model.name} gives {', '.join(model.responses)}, not {output.name}")


def transform_bytes(source: Any, model: Servable, transform: Transform) -> Iterator[bytes]:
    """The output for one input, piece by piece.

    Parameters
    ----------
    source : binary file object
    model : Servable
    transform : Transform

    Raises
    ------
    ValueError
        Naming the record that is at fault.
    """
    content, asked, output = types_of(model, transform)
    answer = answering(model)
    most = transform.max_payload_in_mb << 20 or 1 << 62
    stream = gzip.GzipFile(fileobj=source) if transform.compression_type == GZIP else source
    done = 0
    for records in _unpacked(_requests(stream, transform, content, most)):
        try:
            yield _answered(records, done, answer, transform, content, asked, output)
        except UNREADABLE as error:
            until = done + len(records) - 1
            where = f"record {done}" if len(records) == 1 else f"one of the records {done} to {until}"
            raise ValueError(f"{where}: {error}") from error
        done += len(records)


def _unpacked(requests: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """The same, with what is wrong with a packed file as an error of its value."""
    try:
        yield from requests
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the gzip stream is broken: {error}") from error


def _requests(stream: Any, transform: Transform, content: ContentType, most: int) -> Iterator[list[bytes]]:
    """The records of each request."""
    if transform.split_type == NONE:
        body = stream.read(most + 1) if transform.max_payload_in_mb else stream.read()
        if len(body) > most:
            raise ValueError(f"a request has more than {transform.max_payload_in_mb} MB; set split_type, or a larger max_payload_in_mb")
        if body:
            yield [body]
        return
    records = _lines(stream, most) if transform.split_type == LINE else _frames(stream)
    pending: list[bytes] = []
    size = 0
    # A request is scored whole; there is no use in larger ones than this.
    aim = min(most, BLOCK_BYTES)
    for record in records:
        if len(record) > most:
            raise ValueError(f"a record has more than {transform.max_payload_in_mb} MB")
        if pending and (transform.batch_strategy == SINGLE or size + len(record) + 1 > aim):
            yield pending
            pending, size = [], 0
        pending.append(record)
        size += len(record) + 1
    if pending:
        yield pending


def _lines(stream: Any, most: int) -> Iterator[bytes]:
    """Lines that are not blank; of one that is longer than allowed no more than says so."""
    reader = io.BufferedReader(stream, 1 << 20)
    while line := reader.readline(most + 2):
        line = line.rstrip(b"\r\n")
        if line.strip():
            yield line


def _frames(stream: Any) -> Iterator[bytes]:
    for frames in recordio.read_blocks(stream, file="<input>"):
        for place in range(len(frames)):
            yield recordio.frame(bytes(frames.payload(place)))


def _answered(
    records: list[bytes],
    first: int,
    answer: Answer,
    transform: Transform,
    content: ContentType,
    asked: ContentType,
    output: ContentType,
) -> bytes:
    if not transform.works_on_records:
        body = records[0] if len(records) == 1 else (b"" if content.name == RECORDIO_PROTOBUF else b"\n").join(records)
        answered = answer(body, content, asked)
        if asked.name != output.name:
            answered = b"".join(_line(_values(json.loads(line))) for line in answered.splitlines())
        return answered if transform.assemble_with == NONE or answered.endswith(b"\n") or not answered else answered + b"\n"
    given = [record for body in records for record in _records(body, content.name, transform.split_type)]
    select = Path(transform.input_filter, records_are_lists=content.name == CSV)
    filtered = []
    for place, record in enumerate(given):
        try:
            filtered.append(select(record))
        except PathError as error:
            raise PathError(f"input_filter of record {first + place}: {error}") from None
    if content.name == CSV:
        found = _records_of_answer(answer(b"".join(_line(_listed(row)) for row in filtered), content, asked), asked.name)
    elif content.name == JSON_LINES:
        found = _records_of_answer(answer(b"".join(_dumped(row) + b"\n" for row in filtered), content, asked), asked.name)
    else:
        # A document: its answer is one record too.
        found = [json.loads(answer(_dumped(filtered[0]), content, asked))]
    if len(found) != len(given):
        raise ValueError(f"{len(given)} records have {len(found)} answers")
    if content.name == CSV and asked.name != CSV:
        found = [_values(one) for one in found]
    return _written(given, found, first, transform, content.name)


def _written(given: list[Any], found: list[Any], first: int, transform: Transform, content: str) -> bytes:
    """What is written of records and their answers."""
    select = Path(transform.output_filter, records_are_lists=content == CSV)
    lines = []
    for place, (record, answer) in enumerate(zip(given, found, strict=True)):
        joined = _joined(record, answer, content) if transform.join_source == INPUT else answer
        try:
            kept = select(joined)
        except PathError as error:
            raise PathError(f"output_filter of record {first + place}: {error}") from None
        if content == CSV:
            kept = _listed(kept)
            lines.append(_line([*kept, str(uuid.uuid4()), transform.started] if transform.generate_inference_id else kept))
            continue
        if transform.generate_inference_id:
            kept = kept if isinstance(kept, dict) else {OUTPUT_KEY: kept}
            kept = {**kept, ID_KEY: str(uuid.uuid4()), TIME_KEY: transform.started}
        lines.append(_dumped(kept) + (b"\n" if content == JSON_LINES or transform.assemble_with == LINE else b""))
    return b"".join(lines)


def _joined(record: Any, answer: Any, content: str) -> Any:
    if content == CSV:
        return [*record, *answer]
    if isinstance(record, dict):
        if OUTPUT_KEY in record:
            raise ValueError(f"the input has the reserved key {OUTPUT_KEY}")
        return {**record, OUTPUT_KEY: answer}
    return {INPUT_KEY: record, OUTPUT_KEY: answer}


def _records(body: bytes, content: str, split_type: str) -> list[Any]:
    """The records of a piece of input, looked into."""
    if content == CSV:
        try:
            return [row for row in csv.reader(io.StringIO(body.decode(), newline=""), strict=True) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"not CSV: {error}") from error
    try:
        if content == JSON_LINES:
            return [json.loads(line) for line in body.splitlines() if line.strip()]
        return [json.loads(body)]
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from error


def _records_of_answer(body: bytes, accept: str) -> list[Any]:
    return _records(body, CSV if accept == CSV else JSON_LINES, LINE)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _values(answer: Any) -> list[Any]:
    """The fields of an answer as cells."""
    return list(answer.values()) if isinstance(answer, dict) else [answer]


def _line(cells: Sequence[Any]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerow([_text(cell) for cell in cells])
    return sink.getvalue().encode()


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return "" if cell is None else json.dumps(cell)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
