"""Models in the formats of the libraries that have trained them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparkml_algos.export import comparison
from sparkml_algos.export.graph import CannotExport
from sparkml_algos.export.report import Report, written
from sparkml_algos.export.subject import OneModel
from sparkml_algos.export.translation import Trained

#: Suffixes: of the xgboost library, and of torch.
XGBOOST_SUFFIXES, TORCH_SUFFIX = (".ubj", ".json"), ".pt2"
NATIVE: Sequence[str] = (*XGBOOST_SUFFIXES, TORCH_SUFFIX)


def write_native(path: Path, target: Path, seed: int) -> Report:
    """Write a saved model as its library does.

    Parameters
    ----------
    path : Path
        Where it was saved.
    target : Path
        Its suffix says the format: ``.ubj`` and ``.json`` are xgboost's, ``.pt2`` is that of `torch.export`.
    seed : int
        Of the rows that a program of torch is compared by.

    Raises
    ------
    CannotExport
        If the model is not of this library.
    """
    trained = Trained.read(path)
    if target.suffix in XGBOOST_SUFFIXES:
        if not trained.name.startswith("XGBoost"):
            raise CannotExport(f"{target.suffix} is a format of xgboost, and {trained.name} is none of its models")
        from sparkml_algos.algorithms.xgboost.prediction import loaded

        content = bytes(loaded(trained.artifact).save_raw(target.suffix.removeprefix(".")))
        written(target, content)
        return Report(target, trained.name, "float32", len(content))
    from sparkml_algos.export.algorithms import translation_of
    from sparkml_algos.export.programs import program

    subject = OneModel(translation_of(trained))
    feeds, ours = subject.asked(subject.rows(np.random.default_rng(seed), subject.compared_rows))
    content, found = program(trained, feeds)
    differences = comparison.differences(found, ours, subject.decisions)
    report = Report(target, trained.name, "float64", len(content), subject.compared_rows, subject.tolerance, differences)
    if report.largest > subject.tolerance or report.differing:
        raise CannotExport(f"the program of {trained.name} is not equal to it\n{report}")
    written(target, content)
    return report
