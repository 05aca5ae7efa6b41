"""The codec of RecordIO-protobuf beside a loop over protobuf's own messages.

Both make the same bytes and the same arrays. They take turns within one process; ratios are of medians.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Data
from harness import Options, Report, Table, measure, median, ratio, timed

TURNS = 9
SEED = 1
# Shape of MNIST, and of a row of counts over a vocabulary.
DENSE_SHAPE = (4_000, 784)
SPARSE_SHAPE, DENSITY = (10_000, 10_000), 0.005
MEGABYTE = 1e6


def features_of(form: str) -> np.ndarray | sp.csr_matrix:
    """The rows of a form, float32."""
    if form == "dense":
        return np.random.default_rng(SEED).random(DENSE_SHAPE, np.float32)
    return sp.random(*SPARSE_SHAPE, density=DENSITY, format="csr", dtype=np.float32, random_state=SEED)


def encode_one_by_one(features: np.ndarray | sp.csr_matrix, labels: np.ndarray) -> bytes:
    """What a client library does: a message per row."""
    from sparkml_algos.formats.messages import Record
    from sparkml_algos.formats.recordio import frame

    frames = []
    for row, label in enumerate(labels):
        record = Record()
        tensor = record.features["values"].float32_tensor
        if isinstance(features, np.ndarray):
            tensor.values.extend(features[row])
        else:
            part = slice(features.indptr[row], features.indptr[row + 1])
            tensor.values.extend(features.data[part])
            tensor.keys.extend(features.indices[part])
            tensor.shape.append(features.shape[1])
        record.label["values"].float32_tensor.values.append(label)
        frames.append(frame(record.SerializeToString()))
    return b"".join(frames)


def decode_one_by_one(data: bytes) -> tuple[Any, np.ndarray]:
    """Messages to the arrays of a batch."""
    from sparkml_algos.formats.messages import Record
    from sparkml_algos.formats.recordio import read_payloads

    values, keys, labels, size = [], [], [], 0
    for payload in read_payloads(data):
        record = Record.FromString(payload)
        tensor = record.features["values"].float32_tensor
        values.append(np.array(tensor.values, np.float32))
        if tensor.shape:
            keys.append(np.array(tensor.keys, np.int32))
            size = tensor.shape[0]
        labels.append(record.label["values"].float32_tensor.values[0])
    if not keys:
        return np.stack(values), np.array(labels, np.float32)
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in keys])])
    matrix = sp.csr_matrix((np.concatenate(values), np.concatenate(keys), pointers), shape=(len(keys), size))
    return matrix, np.array(labels, np.float32)


def seconds_of(form: str) -> dict[str, Any]:
    """Median seconds of the four actions, and the bytes they handle."""
    from sparkml_algos.formats import RecordBatch
    from sparkml_algos.formats.recordio_protobuf import decode, encode

    features = features_of(form)
    labels = np.arange(features.shape[0], dtype=np.float32)
    batch = RecordBatch.of(features, labels)
    data = encode(batch)
    pairs: list[dict[str, Callable[[], Any]]] = [
        {"encode": lambda: encode(batch), "encode_loop": lambda: encode_one_by_one(features, labels)},
        {"decode": lambda: decode(data), "decode_loop": lambda: decode_one_by_one(data)},
    ]
    found: dict[str, list[float]] = {name: [] for actions in pairs for name in actions}
    for actions in pairs:
        for _ in range(TURNS):
            for name, action in actions.items():
                found[name].append(timed(action)[0])
    return {"bytes": len(data), **{name: median(seconds) for name, seconds in found.items()}}


def codec(data: Data, options: Options) -> Report:
    """MB/s of both, dense and sparse."""
    table = Table("RecordIO-protobuf: MB/s", ["rows", "direction", "messages one by one", "codec", "ratio"])
    values: dict[str, Any] = {}
    for form in ("dense", "sparse"):
        measured = values[form] = measure(seconds_of, form=form)
        size = measured["bytes"] / MEGABYTE
        for action in ("encode", "decode"):
            loop, own = measured[f"{action}_loop"], measured[action]
            measured[f"{action}_ratio"] = ratio(loop, own)
            table.rows.append([form, action, ratio(size, loop), ratio(size, own), ratio(loop, own)])
    notes = [f"dense {DENSE_SHAPE}, sparse {SPARSE_SHAPE} with a share of {DENSITY} filled; one float32 label each; arrays in, arrays out."]
    return Report([table], values, notes)


CASES = {"codec": codec}
