"""Rows of one batch, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.ragged import Ragged

# Dense numbers of equal shape, (rows, *shape); sparse, (rows, product of shape); of different lengths; bytes, a list per row.
Values: TypeAlias = np.ndarray | sp.csr_matrix | Ragged | list[list[bytes]]


@dataclass(frozen=True)
class Column:
    """One named feature or label.

    Attributes
    ----------
    values : ndarray, csr_matrix, Ragged or list of list of bytes
        An ndarray has shape ``(rows, *shape)``; a csr_matrix (rows, product of shape).
    shape : tuple of int, optional
        Of one row; None where rows differ.
    """

    values: Values
    shape: tuple[int, ...] | None

    @classmethod
    def of(cls, values: Values) -> Column:
        """A column around an array of shape ``(rows, *shape)``, or (rows,) for scalars, or around any other kind of values."""
        if isinstance(values, Ragged | list):
            return cls(values, None)
        if isinstance(values, np.ndarray):
            return cls(values.reshape(len(values), 1) if values.ndim == 1 else values, values.shape[1:] or (1,))
        return cls(sp.csr_matrix(values), (values.shape[1],))

    def __len__(self) -> int:
        return self.values.shape[0] if hasattr(self.values, "shape") else len(self.values)


@dataclass(frozen=True)
class RecordBatch:
    """Some rows of RecordIO-protobuf.

    Attributes
    ----------
    features, labels : dict of str to Column
    uid, metadata, configuration : list of str or None, optional
        One entry per row; None where no row has it.
    rows : int
    """

    rows: int
    features: Mapping[str, Column] = field(default_factory=dict)
    labels: Mapping[str, Column] = field(default_factory=dict)
    uid: Sequence[str | None] | None = None
    metadata: Sequence[str | None] | None = None
    configuration: Sequence[str | None] | None = None

    @classmethod
    def of(cls, features: Values, labels: Values | None = None) -> RecordBatch:
        """Rows with the one feature and at most one label, both named ``values``."""
        column = Column.of(features)
        return cls(len(column), {"values": column}, {} if labels is None else {"values": Column.of(labels)})

    def __len__(self) -> int:
        return self.rows

    @property
    def values(self) -> Values:
        """The feature named ``values``; of no rows, which name no features, (0, 0)."""
        if not self.rows and "values" not in self.features:
            return np.empty((0, 0), np.float32)
        return self.features["values"].values

    @property
    def label(self) -> np.ndarray | Values | None:
        """The label named ``values``: (rows,) for scalars, else ``(rows, *shape)``; None if there is none."""
        if "values" not in self.labels:
            return None
        values = self.labels["values"].values
        return values[:, 0] if isinstance(values, np.ndarray) and values.shape[1:] == (1,) else values
