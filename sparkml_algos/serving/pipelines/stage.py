"""What a stage is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkml_algos.serving.pipelines.columns import Frame
from sparkml_algos.serving.pipelines.saved import SavedStage


class Stage:
    """A translated stage: adds columns to a frame.

    Parameters
    ----------
    saved : SavedStage
    reads : mapping of str to str
        Columns that it reads, and what each is.
    makes : sequence of str
        Columns that it adds.

    Attributes
    ----------
    labels : dict of str to list of str
        Of columns of indices that it makes, what the indices stand for.
    """

    def __init__(self, saved: SavedStage, reads: Mapping[str, str], makes: Sequence[str]) -> None:
        self.uid, self.reads, self.makes = saved.uid, dict(reads), list(makes)
        self.labels: dict[str, list[str]] = {}

    def __call__(self, frame: Frame) -> None:
        """Add its columns.

        Raises
        ------
        InvalidRows
            Naming column and row.
        """
        raise NotImplementedError
