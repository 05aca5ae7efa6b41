"""Masks as rows have them, checked against their images: which classes their pixels are of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sparkml_algos.algorithms.semantic_segmentation.label_maps import UNKNOWN, table_of
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.segmentation import IGNORED
from sparkml_algos.images.decoding import UnreadableImage, decode_mask, size_of
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.images import views
from sparkml_algos.rows.kinds import InvalidRows, InvalidValue
from sparkml_algos.rows.shard import Shard

#: Classes at least, whatever masks show, and at most: what `num_classes` may be.
LEAST_CLASSES, MOST_CLASSES = 2, 254


def tables_of(of: Hyperparameters) -> tuple[np.ndarray, np.ndarray]:
    """Classes by pixel value, of masks for training and of those for validation."""
    return table_of(of.label_map), table_of(of.validation_label_map or of.label_map)


def classes_of(shard: Shard, of: Hyperparameters) -> tuple[int, int]:
    """Number of classes that a worker's masks have, at least, and of pixels for training that have one; all masks are checked.

    Raises
    ------
    InvalidRows
        Naming the column and the row: if a mask has another size than its image, a value that the label map does not have, or a class
        that is none.
    """
    column, largest, labelled = shard.column("mask"), LEAST_CLASSES - 1, 0
    parts: list[tuple[str, Iterable[Batch]]] = [("training", shard.batches()), ("validation", shard.validation)]
    for (purpose, batches), table in zip(parts, tables_of(of), strict=True):
        number = 0
        for batch in batches:
            try:
                for labels in labels_of(batch, table, of.num_classes, column):
                    counted = labels != IGNORED
                    largest = max(largest, int(labels.max(initial=0, where=counted)))
                    labelled += int(counted.sum()) if purpose == "training" else 0
            except InvalidValue as error:
                raise InvalidRows(f"{error} in row {number + error.row} of a worker's rows for {purpose}") from None
            number += len(batch)
    return largest + 1, labelled


def labels_of(batch: Batch, table: np.ndarray, classes: int | None, column: str) -> Iterable[np.ndarray]:
    """Of each row of a batch the classes of the pixels, shape (height, width), uint8, `IGNORED` among them.

    Parameters
    ----------
    batch : Batch
        With ``image`` and ``mask``, encoded.
    table : ndarray of int, shape (256,)
    classes : int or None
        None: there are as many as masks show, `MOST_CLASSES` at most.
    column : str
        What messages call the column of masks.

    Raises
    ------
    InvalidValue
    """
    for row, (image, mask) in enumerate(zip(views(batch.image), views(batch.mask), strict=True)):
        try:
            values, size = decode_mask(mask), size_of(image)
        except UnreadableImage as error:
            raise InvalidValue(f"{column} or its image cannot be read: {error},", row) from None
        if values.shape != size:
            found, wanted = (f"{width} x {height}" for height, width in (values.shape, size))
            raise InvalidValue(f"{column} is of {found} pixels, its image of {wanted},", row)
        labels = table[values]
        wrong = labels == UNKNOWN
        if wrong.any():
            y, x = np.argwhere(wrong)[0]
            raise InvalidValue(f"{column} has the value {values[y, x]} at pixel ({x}, {y}), which the label map does not have,", row)
        most = MOST_CLASSES if classes is None else classes
        wrong = (labels >= most) & (labels != IGNORED)
        if wrong.any():
            y, x = np.argwhere(wrong)[0]
            expected = f"a class from 0 to {most - 1}, or {IGNORED} for what is left out"
            raise InvalidValue(f"{column} has the class {labels[y, x]} at pixel ({x}, {y}), expected {expected},", row)
        yield labels.astype(np.uint8)
