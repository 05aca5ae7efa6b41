"""JSON and JSON Lines: requests of instances, responses of one object per instance. Strict JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import scipy.sparse as sp

from sparkml_algos.formats import recordio
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.lines import lines_of, read_line_blocks

# What the list of a response is called; all others say ``predictions``.
RESPONSE_LISTS = {"random_cut_forest": "scores", "pca": "projections", "object_detection": "prediction"}
# Their response is the list itself.
BARE_LISTS = ("image_classification", "blazingtext")


@dataclass(frozen=True)
class Instances:
    """Instances of a request.

    Attributes
    ----------
    items : list
        As they came: objects, or strings for algorithms that take them.
    configurations : list of dict or None
    file : str
    offsets : list of int or None
        Where each line begins; None within one JSON document.
    configuration : dict, optional
        Of the request as a whole.
    """

    items: Sequence[Any]
    configurations: Sequence[dict[str, Any] | None]
    file: str = "<bytes>"
    offsets: Sequence[int | None] = ()
    configuration: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def features(self, name: str = "features") -> np.ndarray | sp.csr_matrix:
        """Feature vectors, float32, (rows, features); CSR if any is sparse.

        Parameters
        ----------
        name : str
            Of the vector in an instance, where it has several.

        Raises
        ------
        FormatError
            If an instance has none, or they differ in length.
        """
        values: list[np.ndarray] = []
        keys: list[np.ndarray | None] = []
        sizes: list[int] = []
        for row, item in enumerate(self.items):
            try:
                numbers, own_keys, size = _vector(item, name)
            except ValueError as error:
                raise self.error(row, str(error)) from error
            values.append(numbers)
            keys.append(own_keys)
            sizes.append(size)
            if sizes[-1] != sizes[0]:
                raise self.error(row, f"{sizes[-1]} features, where the first has {sizes[0]}")
        if not values:
            return np.empty((0, 0), np.float32)
        if all(key is None for key in keys):
            return np.stack(values) if len(values) > 1 else values[0][None]
        indices = [np.arange(sizes[0]) if key is None else key for key in keys]
        pointers = np.concatenate([[0], np.cumsum([len(row) for row in values])])
        return sp.csr_matrix((np.concatenate(values), np.concatenate(indices), pointers), shape=(len(values), sizes[0]))

    def series(self, name: str = "target") -> list[np.ndarray]:
        """The time series of this name of every instance, float32; ``null`` and ``"NaN"`` are missing values, NaN.

        Raises
        ------
        FormatError
            If an instance has none, or it holds anything else than numbers and missing values.
        """
        found = []
        for row, item in enumerate(self.items):
            values = item.get(name) if isinstance(item, dict) else None
            if not isinstance(values, list):
                raise self.error(row, f"{name} must be a list of numbers")
            missing = np.array([value is None or value == "NaN" for value in values], bool)
            try:
                numbers = _numbers([0.0 if gap else value for value, gap in zip(values, missing.tolist(), strict=True)], name)
            except ValueError as error:
                raise self.error(row, str(error)) from error
            numbers[missing] = np.nan
            found.append(numbers)
        return found

    def error(self, row: int, reason: str) -> FormatError:
        """What to raise about an instance."""
        return FormatError(f"instance {row}: {reason}", self.file, self.offsets[row] if self.offsets else None)


def _vector(item: Any, name: str) -> tuple[np.ndarray, np.ndarray | None, int]:
    data = item.get("data", item) if isinstance(item, dict) else None
    features = data.get(name) if isinstance(data, dict) else None
    if isinstance(features, list):
        features = {"values": features}
    if not isinstance(features, dict) or not isinstance(features.get("values"), list):
        raise ValueError(f'expected {{"{name}": [numbers]}} or {{"data": {{"{name}": {{"values": [numbers]}}}}}}')
    values = _numbers(features["values"], "values")
    if not features.get("keys") and not (features.get("shape") and not len(values)):
        return values, None, len(values)
    keys, shape = (_integers(features.get(name), name) for name in ("keys", "shape"))
    size = 1
    for dimension in shape:
        size *= dimension
    if not shape or size > np.iinfo(np.int64).max:
        raise ValueError("shape of sparse features must be given and below 2**63 entries")
    if len(keys) != len(values) or len(set(keys)) != len(keys) or any(key >= size for key in keys):
        raise ValueError(f"keys must be as many as values, different and below {size}")
    return values, np.array(keys, np.int64), size


_NUMBERS = frozenset((int, float))


def _numbers(found: list[Any], name: str) -> np.ndarray:
    if not _NUMBERS.issuperset(map(type, found)):
        raise ValueError(f"{name} must be numbers")
    try:
        with np.errstate(over="ignore"):
            return np.array(found, np.float64).astype(np.float32)
    except OverflowError as error:
        raise ValueError(f"{name}: {error}") from error


def _integers(found: Any, name: str) -> list[int]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(type(number) is int and number >= 0 for number in found):
        raise ValueError(f"{name} must be a list of integers >= 0")
    return found


def decode(data: bytes, *, file: str = "<bytes>") -> Instances:
    """A JSON request ``{"instances": […]}``.

    Raises
    ------
    FormatError
        On anything else, an empty body too.
    """
    if not data:
        raise FormatError('the body is empty; expected {"instances": [...]}', file, 0)
    document = _load(data, file, 0)
    items = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise FormatError('expected {"instances": [...]}', file, 0)
    return _instances(items, file, [], document.get("configuration"))


def decode_lines(data: bytes, *, file: str = "<bytes>") -> Instances:
    """A JSON Lines request, one instance per line."""
    batches = list(read_lines(data, file=file))
    items, offsets = ([x for batch in batches for x in getattr(batch, name)] for name in ("items", "offsets"))
    return _instances(items, file, offsets)


def read_lines(source: BinaryIO | bytes, *, file: str = "<stream>", block_bytes: int = recordio.BLOCK_BYTES) -> Iterator[Instances]:
    """The same in batches of about ``block_bytes`` bytes of text."""
    for block, base in read_line_blocks(source, file=file, block_bytes=block_bytes):
        lines = list(lines_of(block, base))
        if lines:
            yield _instances([_load(line, file, offset) for line, offset in lines], file, [offset for _, offset in lines])


def _instances(items: list[Any], file: str, offsets: list[int], configuration: Any = None) -> Instances:
    configurations = [item.get("configuration") if isinstance(item, dict) else None for item in items]
    return Instances(items, configurations, file, offsets, configuration)


def _load(data: bytes, file: str, offset: int) -> Any:
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error}", file, offset + error.start) from error
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg}", file, offset + len(error.doc[: error.pos].encode())) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", file, offset) from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def encode(results: Sequence[Any], algorithm: str = "") -> bytes:
    """A JSON response of one object per instance; the name of the list is the algorithm's.

    Raises
    ------
    FormatError
        On NaN or infinity, which JSON does not have.
    """
    return _dump(results if algorithm in BARE_LISTS else {RESPONSE_LISTS.get(algorithm, "predictions"): results})


def encode_lines(results: Iterable[Any]) -> bytes:
    """The same as JSON Lines."""
    return b"".join(_dump(result) + b"\n" for result in results)


def _dump(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise FormatError(f"cannot be written as JSON: {error}") from error
