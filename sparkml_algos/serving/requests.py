"""Requests as columns: each field of a model is looked for under its role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats.columns import RecordBatch
from sparkml_algos.formats.errors import FormatError
from sparkml_algos.formats.json_instances import Instances
from sparkml_algos.rows.fields import FEATURES, Field
from sparkml_algos.rows.kinds import Bytes, Number
from sparkml_algos.rows.vectors import Vector

# What RecordIO-protobuf calls the features; other fields go by their role.
_RECORD_KEYS = {FEATURES: "values"}


def columns_of_instances(fields: Sequence[Field], instances: Instances) -> dict[str, Any]:
    """The columns of a JSON request: ``{"features": [1, 2], "base_margin": 0.5}``, or, of the service's form, within ``data``. Where a
    model has no features but, say, entity and address, these may be a list in that order: ``{"features": ["user_17", "192.0.2.10"]}``; one
    column may stand for itself: ``{"data": "das haus"}``.

    Parameters
    ----------
    fields : sequence of Field
    instances : Instances

    Returns
    -------
    dict of str to array or list
        By role, as `Kind.arrays` takes them; optional fields that no instance has are left out.

    Raises
    ------
    FormatError
        Naming the instance and what it lacks.
    """
    found: dict[str, Any] = {}
    if not any(field.role == FEATURES for field in fields):
        instances = replace(instances, items=[_by_role(fields, item) for item in instances.items])
    for field in fields:
        has = [_has(item, field.role) for item in instances.items]
        if (field.default is None or field.alone) and not any(has):
            continue
        if isinstance(field.kind, Vector):
            found[field.role] = instances.features(field.role)
            continue
        if not all(has):
            raise FormatError(f"instance {has.index(False)}: it has no {field.role}", instances.file, None)
        try:
            found[field.role] = field.kind.from_json([_of(item)[field.role] for item in instances.items])
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"{field.role} of an instance cannot be read: {error}", instances.file, None) from error
    return found


def columns_of_records(fields: Sequence[Field], records: RecordBatch) -> dict[str, Any]:
    """The columns of RecordIO-protobuf: features are ``values``, others go by their role.

    Raises
    ------
    FormatError
        Naming the feature that the records lack, or that holds no vectors of one length.
    """
    found: dict[str, Any] = {}
    for field in fields:
        key = _RECORD_KEYS.get(field.role, field.role)
        if key not in records.features:
            if field.default is None:
                continue
            raise FormatError(f"the records have no feature {key!r}; they have {', '.join(records.features) or 'none'}", "<records>", None)
        values = records.features[key].values
        if isinstance(field.kind, Vector):
            _check_vectors(key, values)
        elif isinstance(field.kind, Number):
            values = np.asarray(values).reshape(len(records), -1)[:, 0]
        elif isinstance(field.kind, Bytes):
            values = [row[0] for row in values]
        found[field.role] = values
    return found


def _check_vectors(key: str, values: Any) -> None:
    if isinstance(values, Ragged):
        lengths = values.lengths
        row = int((lengths != lengths[0]).argmax())
        raise FormatError(f"record {row}: {key!r} has {lengths[row]} values, where the first has {lengths[0]}", "<records>")
    if not isinstance(values, np.ndarray) and not sp.issparse(values):
        raise FormatError(f"{key!r} holds bytes, expected numbers", "<records>")


def _by_role(fields: Sequence[Field], item: Any) -> Any:
    """An instance whose columns, which it may have as a list or be itself, go by their roles."""
    required = [field.role for field in fields if field.default is not None]
    if isinstance(item, dict) and isinstance(item.get("data"), str) and len(required) == 1:
        return {required[0]: item["data"]}
    given = _of(item).get(FEATURES)
    values = given.get("values") if isinstance(given, dict) else given
    if not isinstance(values, list) or len(values) != len(required):
        return item
    return {**_of(item), **dict(zip(required, values, strict=True))}


def _of(item: Any) -> dict[str, Any]:
    """The object that has the columns of an instance."""
    data = item.get("data", item) if isinstance(item, dict) else {}
    return data if isinstance(data, dict) else {}


def _has(item: Any, role: str) -> bool:
    return _of(item).get(role) is not None
