"""Pairs that nobody gave, drawn as examples of what does not belong together."""

from __future__ import annotations

import numpy as np

from sparkml_algos.rows import columns as cols
from sparkml_algos.rows.batch import Batch


def with_negatives(batch: Batch, rate: int, random: np.random.Generator) -> Batch:
    """A batch and, of each of its positive pairs, `rate` pairs of label 0: its first input with the second one of other rows.

    A row is met at most once, so of a batch of n rows at most n − 1 are drawn for each; those that have the very input of the pair are
    left out. Which side is exchanged makes no difference, for both give pairs of the inputs of two rows.

    Parameters
    ----------
    batch : Batch
        With ``in0``, ``in1`` and ``label``; rows of label 0 are negative, the others positive.
    rate : int
    random : numpy.random.Generator

    Returns
    -------
    Batch
    """
    rows, positive = len(batch), np.flatnonzero(batch.label > 0)
    if rows < 2 or not len(positive):
        return batch
    shifts = random.permutation(rows - 1)[:rate] + 1
    own = np.tile(positive, len(shifts))
    others = (own + np.repeat(shifts, len(positive))) % rows
    inputs = cols.row_hashes(batch.in1)
    differ = inputs[own] != inputs[others]
    own, others = own[differ], others[differ]
    drawn = batch.take(own).replace(in1=cols.take(batch.in1, others), label=np.zeros(len(own), np.float32))
    return Batch.concat([batch, drawn])
