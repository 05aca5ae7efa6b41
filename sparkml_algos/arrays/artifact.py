"""What training produces: named arrays plus JSON values, in one tabular form.

An artifact travels from a worker to the driver, rests in a saved model and in a checkpoint as rows of the same table,
so nothing is pickled and pyarrow alone can read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

# Rows of about 1 MiB: small rows are ten times slower through Spark Connect, huge ones meet the 2 GiB limit of a message.
CHUNK_BYTES = 1 << 20

#: Arrow schema of an artifact; `SPARK_SCHEMA` is the same table for Spark.
ARROW_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("part", pa.int64()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("data", pa.binary()),
    ]
)
SPARK_SCHEMA = "name string, part long, dtype string, shape array<long>, data binary"
#: Several artifacts in one table, told apart by a first column.
ITEM_SPARK_SCHEMA = f"item string, {SPARK_SCHEMA}"
_ITEM = pa.field("item", pa.string())

_VALUES_NAME, _VALUES_DTYPE = "", "json"


@dataclass
class Artifact:
    """Named arrays and JSON values.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Numeric arrays of any shape.
    values : dict
        Anything `json` can write.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The artifact as rows of `ARROW_SCHEMA`, each at most `CHUNK_BYTES` of data."""
        yield from _chunks(_VALUES_NAME, _VALUES_DTYPE, [], json.dumps(self.values).encode())
        for name, array in self.arrays.items():
            flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
            yield from _chunks(name, flat.dtype.str, list(np.shape(array)), memoryview(flat.view(np.uint8)))

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> Artifact:
        """Put the rows of one artifact together again, in whatever order they come."""
        parts: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            parts.setdefault(row["name"], []).append(row)
        artifact = cls()
        for name, chunks in parts.items():
            chunks.sort(key=lambda row: row["part"])
            if [row["part"] for row in chunks] != list(range(len(chunks))):
                raise ValueError(f"array {name!r} is incomplete: parts {[row['part'] for row in chunks]}")
            data = b"".join(bytes(row["data"]) for row in chunks)
            if chunks[0]["dtype"] == _VALUES_DTYPE:
                artifact.values = json.loads(data)
            else:
                flat = np.frombuffer(data, dtype=np.dtype(chunks[0]["dtype"]))
                artifact.arrays[name] = flat.reshape(chunks[0]["shape"])
        return artifact

    def to_table(self) -> pa.Table:
        return pa.Table.from_pylist(list(self.rows()), schema=ARROW_SCHEMA)

    def to_item(self, item: str) -> pa.Table:
        """The same with a name, for a table of several artifacts."""
        table = self.to_table()
        return table.add_column(0, _ITEM, pa.array([item] * len(table), _ITEM.type))

    @classmethod
    def items(cls, rows: Iterable[Any]) -> dict[str, Artifact]:
        """The artifacts of such a table by name; its rows may come in any order."""
        parts: dict[str, list[Any]] = {}
        for row in rows:
            parts.setdefault(row[_ITEM.name], []).append(row)
        return {item: cls.from_rows(part) for item, part in parts.items()}

    @classmethod
    def from_table(cls, table: pa.Table) -> Artifact:
        return cls.from_rows(table.select(ARROW_SCHEMA.names).to_pylist())


def _chunks(name: str, dtype: str, shape: list[int], data: bytes | memoryview) -> Iterator[dict[str, Any]]:
    for part in range(max(1, -(-len(data) // CHUNK_BYTES))):
        chunk = bytes(data[part * CHUNK_BYTES : (part + 1) * CHUNK_BYTES])
        yield {"name": name, "part": part, "dtype": dtype, "shape": shape, "data": chunk}
