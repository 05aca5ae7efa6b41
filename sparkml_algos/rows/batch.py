"""Some rows as columns, each under the role it plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from sparkml_algos.rows import columns as cols
from sparkml_algos.rows.columns import Column

Features = np.ndarray | sp.csr_matrix


class Batch:
    """Some rows.

    Parameters
    ----------
    **columns
        By role, such as ``features``, ``label`` or ``tokens``: an ndarray, csr_matrix, `Ragged` or Arrow array of equally many rows; None
        for a role that the rows do not have.

    Attributes
    ----------
    columns : dict of str to column
        Every role is an attribute too, None where the rows do not have it.
    """

    def __init__(self, **columns: Column | None) -> None:
        self.columns: Mapping[str, Column] = {role: column for role, column in columns.items() if column is not None}

    def __getattr__(self, role: str) -> Column | None:
        if role.startswith("_") or role == "columns":
            raise AttributeError(role)
        return self.columns.get(role)

    def __len__(self) -> int:
        return cols.length(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(map(cols.nbytes, self.columns.values()))

    @property
    def weights(self) -> np.ndarray:
        """Weights of the rows, 1 without any, float64, shape (rows,)."""
        return np.ones(len(self)) if self.weight is None else self.weight.astype(np.float64)

    def take(self, rows: np.ndarray | slice) -> Batch:
        return Batch(**{role: cols.take(column, rows) for role, column in self.columns.items()})

    def replace(self, **columns: Column | None) -> Batch:
        """The same rows with other columns in these roles; None leaves a role out."""
        return Batch(**{**self.columns, **columns})

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """One batch of all rows; the batches have the same roles, and columns of the same kinds."""
        if len(batches) == 1:
            return batches[0]
        return Batch(**{role: cols.concat([batch.columns[role] for batch in batches]) for role in batches[0].columns})
