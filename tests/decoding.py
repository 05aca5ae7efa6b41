"""Decoders and record batches of the fields that most algorithms read, for tests of what is behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from sparkml_algos.rows import decoder as decoding
from sparkml_algos.rows import fields
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.kinds import Kind, Number
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm


def common_fields(label: Kind = Number(), **features: Any) -> list[Field]:  # noqa: B008 - it is frozen
    """Fields of every role; options are those of the features."""
    return [
        fields.features(**features),
        fields.label(label),
        fields.weight(),
        fields.validation(),
        fields.id("Name of the row."),
        fields.group(),
        fields.base_margin(),
    ]


def decoder_of(
    names: Sequence[str] = ("x",),
    *,
    label_kind: Kind = Number(),  # noqa: B008
    features: dict[str, Any] | None = None,
    **columns: str,
) -> Decoder:
    """Of features in the columns `names`, and of the columns given by role; `features` are options of these."""
    sources = {"features": list(names), **{role: [name] for role, name in columns.items() if name}}
    known = {field.role: field for field in common_fields(label_kind, **(features or {}))}
    return Decoder([Source(known[role], given) for role, given in sources.items()])


def record_batches(features: Any, label: Any = None, weight: Any = None, rows: int = 10_000, **columns: Any) -> Iterator[pa.RecordBatch]:
    """Arrays by role as record batches."""
    given = {"features": features, "label": label, "weight": weight, **columns}
    return decoding.record_batches(common_fields(), {role: values for role, values in given.items() if values is not None}, rows)


def shard_of(algorithm: Algorithm, **columns: Any) -> Shard:
    """The rows of a worker, by role, as an algorithm reads them."""
    fields_read = [field for field in algorithm.fields if field.role in columns]
    decoder = Decoder([Source(field, [field.role]) for field in fields_read])
    return Shard(decoding.record_batches(fields_read, columns), decoder)
