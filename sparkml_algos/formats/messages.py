"""The protobuf message ``aialgs.data.Record`` and what one message says, column by column.

The descriptor is built here, in a pool of its own, because generated modules only load in the protobuf release line that made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

_Field = descriptor_pb2.FieldDescriptorProto
PACKAGE = "aialgs.data"
# Kind of tensor: member of Value, its number, NumPy type.
TENSORS: dict[str, tuple[int, np.dtype]] = {
    "float32_tensor": (2, np.dtype("<f4")),
    "float64_tensor": (3, np.dtype("<f8")),
    "int32_tensor": (7, np.dtype("<i4")),
}
BYTES = "bytes"


class RawTensor(NamedTuple):
    """Numbers of one entry as the message holds them, unchecked; ``kind`` is a key of `TENSORS`."""

    kind: str
    values: np.ndarray
    keys: np.ndarray
    shape: np.ndarray


class RawRecord(NamedTuple):
    """What one message says; an entry is a `RawTensor` or a list of bytes."""

    features: dict[str, RawTensor | list[bytes]]
    labels: dict[str, RawTensor | list[bytes]]
    uid: str | None
    metadata: str | None
    configuration: str | None


def _record_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="aialgs/data/record.proto", package=PACKAGE, syntax="proto2")

    def add(message: Any, name: str, number: int, kind: int, *, repeated: bool = False, **more: Any) -> Any:
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        return message.field.add(name=name, number=number, type=kind, label=label, **more)

    numbers = {"Float32Tensor": _Field.TYPE_FLOAT, "Float64Tensor": _Field.TYPE_DOUBLE, "Int32Tensor": _Field.TYPE_INT32}
    for name, kind in numbers.items():
        tensor = file.message_type.add(name=name)
        for field, number, of in (("values", 1, kind), ("keys", 2, _Field.TYPE_UINT64), ("shape", 3, _Field.TYPE_UINT64)):
            add(tensor, field, number, of, repeated=True).options.packed = True
    content = file.message_type.add(name="Bytes")
    add(content, "value", 1, _Field.TYPE_BYTES, repeated=True)
    add(content, "content_type", 2, _Field.TYPE_STRING)
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    members = [("float32_tensor", 2, "Float32Tensor"), ("float64_tensor", 3, "Float64Tensor")]
    for field, number, of in (*members, ("int32_tensor", 7, "Int32Tensor"), (BYTES, 9, "Bytes")):
        add(value, field, number, _Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.{of}", oneof_index=0)
    record = file.message_type.add(name="Record")
    for field, number in (("features", 1), ("label", 2)):
        entry = record.nested_type.add(name=f"{field.capitalize()}Entry")
        entry.options.map_entry = True
        add(entry, "key", 1, _Field.TYPE_STRING)
        add(entry, "value", 2, _Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.Value")
        kind = f".{PACKAGE}.Record.{entry.name}"
        add(record, field, number, _Field.TYPE_MESSAGE, repeated=True, type_name=kind)
    for field, number in (("uid", 3), ("metadata", 4), ("configuration", 5)):
        add(record, field, number, _Field.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if not hasattr(pool, "AddSerializedFile") else pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.Record")
    # GetMessageClass came with protobuf 4.22, and MessageFactory lost GetPrototype in 5.
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


Record = _record_class()


def parse(payload: bytes) -> RawRecord:
    """One message.

    Raises
    ------
    ValueError
        If the bytes are not such a message or an entry holds neither numbers nor bytes.
    """
    try:
        message = Record.FromString(payload)
        features, labels = _entries(message.features, "feature"), _entries(message.label, "label")
        strings = (getattr(message, name) if message.HasField(name) else None for name in ("uid", "metadata", "configuration"))
        return RawRecord(features, labels, *strings)
    except DecodeError as error:
        raise ValueError(f"not a Record message: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"a string of the Record message is not UTF-8: {error}") from error


def _entries(entries: Mapping[str, Any], what: str) -> dict[str, RawTensor | list[bytes]]:
    found: dict[str, RawTensor | list[bytes]] = {}
    for name, value in entries.items():
        kind = value.WhichOneof("value")
        if kind is None:
            raise ValueError(f"{what} {name!r} has no value")
        if kind == BYTES:
            found[name] = list(value.bytes.value)
            continue
        tensor = getattr(value, kind)
        integers = (np.array(numbers, np.uint64) for numbers in (tensor.keys, tensor.shape))
        found[name] = RawTensor(kind, np.array(tensor.values, TENSORS[kind][1]), *integers)
    return found


def build(record: RawRecord) -> Message:
    """The message that says this."""
    message = Record()
    for entries, target in ((record.features, message.features), (record.labels, message.label)):
        for name, entry in entries.items():
            if isinstance(entry, RawTensor):
                tensor = getattr(target[name], entry.kind)
                tensor.SetInParent()
                tensor.values.extend(entry.values.tolist())
                tensor.keys.extend(entry.keys.tolist())
                tensor.shape.extend(entry.shape.tolist())
            else:
                target[name].bytes.SetInParent()
                target[name].bytes.value.extend(entry)
    for name in ("uid", "metadata", "configuration"):
        if (text := getattr(record, name)) is not None:
            setattr(message, name, text)
    return message
