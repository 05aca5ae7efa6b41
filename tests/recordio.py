"""RecordIO-protobuf files made and read by Google's protobuf library from the published message definitions: the independent answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

MAGIC = bytes.fromhex("0a23d7ce")

_TYPES = descriptor_pb2.FieldDescriptorProto
_NUMBERS = {"float32": _TYPES.TYPE_FLOAT, "float64": _TYPES.TYPE_DOUBLE, "int32": _TYPES.TYPE_INT32}


def record(
    features: dict[str, Any] | None = None, label: dict[str, Any] | None = None, *, packed: bool = True, kind: str = "float32"
) -> bytes:
    """A `Record` message: each entry a dictionary of ``values`` and, where there are such, ``keys`` and ``shape``."""
    message = _message("Record", packed)()
    for entries, tensors in ((message.features, features), (message.label, label)):
        for name, tensor in (tensors or {}).items():
            target = getattr(entries[name], f"{kind}_tensor")
            target.SetInParent()
            for field, numbers in tensor.items():
                getattr(target, field).extend(numbers)
    return message.SerializeToString()


def parse(payload: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Features and label of a `Record`: by name the kind of tensor, values, keys and shape."""
    message = _message("Record", True).FromString(payload)
    return tuple({name: _tensor(value) for name, value in entries.items()} for entries in (message.features, message.label))


def _tensor(value: Any) -> tuple:
    kind = value.WhichOneof("value")
    return kind, *(list(getattr(getattr(value, kind), field)) for field in ("values", "keys", "shape"))


def frame(payload: bytes, flag: int = 0) -> bytes:
    """A RecordIO frame."""
    return MAGIC + (flag << 29 | len(payload)).to_bytes(4, "little") + payload + bytes(-len(payload) % 4)


def in_parts(parts: Sequence[bytes]) -> bytes:
    """One record in several frames; the magic number belongs between its parts."""
    flags = [1, *[2] * (len(parts) - 2), 3]
    return b"".join(frame(part, flag) for part, flag in zip(parts, flags, strict=True))


def payloads(data: bytes) -> list[bytes]:
    """The payloads of frames that each hold a whole record."""
    found, position = [], 0
    while position < len(data):
        assert data[position : position + 4] == MAGIC
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        found.append(data[position + 8 : position + 8 + length])
        position += 8 + length + -length % 4
    assert position == len(data)
    return found


@cache
def _message(name: str, packed: bool) -> type:
    """The message classes; `packed` says how numbers are written, both ways are read."""
    file = descriptor_pb2.FileDescriptorProto(name=f"record{packed}.proto", package=f"test{packed}", syntax="proto2")
    for kind, number in _NUMBERS.items():
        tensor = file.message_type.add(name=f"{kind}Tensor")
        for index, (field, type_) in enumerate((("values", number), ("keys", _TYPES.TYPE_UINT64), ("shape", _TYPES.TYPE_UINT64)), 1):
            tensor.field.add(name=field, number=index, type=type_, label=_TYPES.LABEL_REPEATED).options.packed = packed
    blob = file.message_type.add(name="Bytes")
    blob.field.add(name="value", number=1, type=_TYPES.TYPE_BYTES, label=_TYPES.LABEL_REPEATED)
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    members = {"float32_tensor": 2, "float64_tensor": 3, "int32_tensor": 7, "bytes": 9}
    for (field, number), type_ in zip(members.items(), (*(f"{kind}Tensor" for kind in _NUMBERS), "Bytes"), strict=True):
        member = value.field.add(name=field, number=number, type=_TYPES.TYPE_MESSAGE, type_name=f".test{packed}.{type_}", oneof_index=0)
        member.label = _TYPES.LABEL_OPTIONAL
    message = file.message_type.add(name="Record")
    for index, field in enumerate(("features", "label"), 1):
        entry = message.nested_type.add(name=f"{field.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_TYPES.TYPE_STRING, label=_TYPES.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, type=_TYPES.TYPE_MESSAGE, type_name=f".test{packed}.Value", label=_TYPES.LABEL_OPTIONAL)
        message.field.add(
            name=field, number=index, type=_TYPES.TYPE_MESSAGE, label=_TYPES.LABEL_REPEATED, type_name=f".test{packed}.Record.{entry.name}"
        )
    message.field.add(name="uid", number=3, type=_TYPES.TYPE_STRING, label=_TYPES.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test{packed}.{name}"))
