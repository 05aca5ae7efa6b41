"""Mutated inputs: a valid result or a FormatError, in bounded time and memory.

``SPARKML_ALGOS_FUZZ`` says how many mutations; the default is a share that fits a test run.
"""

from __future__ import annotations

import io
import os
import time
import tracemalloc

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import Column, FormatError, RecordBatch, csv, images, json_instances, libsvm, manifest, recordio
from sparkml_algos.formats import recordio_protobuf as codec

MUTATIONS = int(os.environ.get("SPARKML_ALGOS_FUZZ", "6000"))
# What parsers keep for themselves, however small the input; and bytes per byte of input.
PEAK, PEAK_PER_BYTE = 2 << 20, 100
# No input has more than a few hundred bytes; a second for one means that something loops.
SECONDS = 5.0


def seeds():
    dense = np.arange(12, dtype=np.float32).reshape(4, 3)
    sparse = sp.csr_matrix(np.where(dense > 6, dense, 0).astype(np.float32))
    source = Column.of(np.array([[4, 300], [-1, 7]], np.int32))
    records = [
        codec.encode(RecordBatch.of(dense, dense[:, 0])),
        codec.encode(RecordBatch.of(sparse)),
        codec.encode(RecordBatch(2, {"source": source, "image": Column.of([[b"a"], [b"b"]])}, uid=["x", None])),
        codec.encode(RecordBatch(2, {"source": source}, configuration=["{}", None])),
    ]
    image = recordio.split_frames(
        images.pack(images.ImageRecord(1, images.detection_label(np.ones((1, 5))), recordio.MAGIC_BYTES * 2, False))
    )
    listing = b"0\t3\tcats/a.jpg\n2\t2\t5\t0.0\t0.10\t0.20\t0.50\t0.90\tx/c.jpg\n"
    request = b'{"instances":[{"features":[1.5,16.0]},{"data":{"features":{"keys":[1],"shape":[2],"values":[16.0]}}}]}'
    lines = b'{"features":[1.5,2]}\n{"source-ref":"u","class":1}\n'
    return [
        *((codec.decode, data) for data in records),
        (lambda data: list(codec.read(io.BytesIO(data), block_bytes=32)), b"".join(records[:1])),
        (lambda data: [images.objects(r.labels) for r in images.read(data)], image * 2),
        (lambda data: list(images.read_list(data)), listing),
        (images.read_index, b"0\t0\n1\t48\n"),
        (lambda data: csv.decode(data, label_size=1), b"1,2.5,3\n4,5,6e3\n\n"),
        (lambda data: csv.decode(data, missing=True, weights=True), b"1,,3\n4,5,nan\n"),
        (lambda data: list(csv.read_strings(data)), b'user,10.0.0.1\n"a,b",x\n'),
        (libsvm.decode, b"1:0.7 0:1.5 3:2\n0:1 1:2 2:4\n"),
        (lambda data: json_instances.decode(data).features(), request),
        (lambda data: json_instances.decode_lines(data).features(), lines),
        (lambda data: list(manifest.read(data, ["source-ref", "class"], str.encode)), lines[21:]),
    ]


def mutate(data, random):
    data = bytearray(data)
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(0, len(data) + 1))
        action = random.integers(0, 5)
        if action == 0 and at < len(data):
            data[at] = random.integers(0, 256)
        elif action == 1 and at < len(data):
            data[at] ^= 1 << int(random.integers(0, 8))
        elif action == 2:
            del data[at : at + int(random.integers(1, 9))]
        elif action == 3:
            data[at:at] = data[int(random.integers(0, at + 1)) : at][:32]
        else:
            data[at:at] = bytes([255] * int(random.integers(1, 11)))
    return bytes(data)


def test_mutated_input_is_read_or_refused():
    random, parsers = np.random.default_rng(11), seeds()
    for parse, data in parsers:
        parse(data) if not data.startswith(b'{"features"') else None
    refused = 0
    tracemalloc.start()
    for number in range(MUTATIONS):
        parse, data = parsers[number % len(parsers)]
        data = mutate(data, random)
        tracemalloc.reset_peak()
        before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
        try:
            parse(data)
        except FormatError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"mutation {number} of parser {number % len(parsers)}: {data!r}") from error
        assert tracemalloc.get_traced_memory()[1] - before < PEAK + PEAK_PER_BYTE * len(data), (number, data)
        assert time.perf_counter() - start < SECONDS, (number, data)
    tracemalloc.stop()
    assert 0 < refused < MUTATIONS


def test_mutated_records_read_the_same_both_ways(monkeypatch):
    random, walk = np.random.default_rng(12), codec._walk.layout_of
    data_of = [data for _, data in seeds()[:4]]
    for number in range(MUTATIONS // 4):
        frames, _ = recordio.scan(data_of[number % 4])
        data = b"".join(recordio.frame(mutate(frames.payload(i), random) if i == 1 else frames.payload(i)) for i in range(len(frames)))
        outcomes = []
        for layout in (walk, lambda payload: None):
            monkeypatch.setattr(codec._walk, "layout_of", layout)
            try:
                outcomes.append(plain(codec.decode(data)))
            except FormatError:
                outcomes.append(None)
        assert str(outcomes[0]) == str(outcomes[1]), (number, data)


def plain(batch):
    def numbers(values):
        if sp.issparse(values):
            return values.shape, values.data.tobytes(), values.indices.tolist(), values.indptr.tolist()
        if hasattr(values, "offsets"):
            return values.values.tobytes(), values.offsets.tolist()
        return values if isinstance(values, list) else (values.shape, values.tobytes())

    named = [
        sorted((name, column.shape, numbers(column.values)) for name, column in part.items()) for part in (batch.features, batch.labels)
    ]
    blank = [None] * len(batch)
    return named, *(list(part or blank) for part in (batch.uid, batch.metadata, batch.configuration))
