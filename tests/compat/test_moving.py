"""The tables of moving over name what there is, with the defaults it has: of this package, the connector, MLlib and xgboost.spark."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xgboost.spark
from pyspark.ml import classification, clustering, feature, regression
from pyspark.ml.param import Params
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType

import sparkml_algos
from sparkml_algos.compat.sagemaker_pyspark import algorithms
from sparkml_algos.compat.sagemaker_pyspark.natives import classes_of
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel

PAGE = Path(__file__).parents[2] / "docs" / "moving.md"
ELSEWHERE = (classification, clustering, feature, regression, xgboost.spark)
# What a cell may say of a default in place of a value.
IN_WORDS = ("", "by the class", "by the uid", "random")
REQUIRED = "required"


@dataclass(frozen=True)
class Row:
    """A row of a table below its heading."""

    heading: str
    cells: list[str]

    def names(self, cell: int) -> list[str]:
        """What stands between backticks, without parentheses and what is in them."""
        return [name.partition("(")[0] for name in re.findall(r"`([^`]+)`", self.cells[cell])]

    def defaults(self, cell: int, count: int) -> list[str]:
        """One for each of so many names."""
        values = [value.strip().replace("\\|", "|") for value in self.cells[cell].split(",")]
        return values if len(values) == count else values * count


def tables() -> Iterator[Row]:
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not cells[0].startswith("---") and not cells[-1].startswith("differs"):
            yield Row(heading, cells)


ROWS = list(tables())
MOVED = [row for row in ROWS if "→" in row.heading]


def of(*headings: str) -> list[Row]:
    return [row for row in ROWS if row.heading in headings]


def ours(row: Row) -> list[type]:
    """The Estimators on the right of a heading."""
    return [getattr(sparkml_algos, name) for name in re.findall(r"`(\w+)`", row.heading)]


def theirs(row: Row) -> list[type]:
    """The Estimators on the left of a heading."""
    names = row.heading.partition("→")[0].strip().split(", ")
    return [getattr(next(module for module in ELSEWHERE if hasattr(module, name)), name) for name in names]


def is_said(said: str, found: Any) -> bool:
    """Whether a default is what the page says."""
    if said in IN_WORDS:
        return True
    if found is None or found is inspect.Parameter.empty:
        return said == ("none" if found is None else REQUIRED)
    if isinstance(found, (bool, str)):
        return said.lower() == str(found).lower()
    return said.lower() == "nan" if math.isnan(found) else float(said) == found


def has_ours(estimators: list[type[AlgorithmEstimator]], name: str, said: str) -> bool:
    """Whether one of the Estimators, or its Model, has a Param of that name with that default, or an attribute where none is said."""
    classes = [cls for estimator in estimators for cls in (estimator, estimator.model_class())]
    declared = [cls.declared[name] for cls in classes if name in cls.declared]
    if not declared:
        return said == "" and any(hasattr(cls, name.removeprefix("model.")) for cls in classes)
    return any(param.required if said == REQUIRED else not param.required and is_said(said, param.default) for param in declared)


@pytest.mark.parametrize("row", MOVED, ids=lambda row: f"{row.heading.split()[0]} {row.cells[0]}")
def test_what_a_name_is_called_here_is_there_with_that_default(row: Row) -> None:
    names = row.names(2)
    assert names or row.cells[2] == "—"
    wrong = [name for name, said in zip(names, row.defaults(3, len(names)), strict=True) if not has_ours(ours(row), name, said)]
    assert wrong == []


def their_default(cls: type, name: str) -> Any:
    """Of a Param, else of a keyword of the constructor; raises where there is neither."""
    instance: Params = cls()
    if instance.hasParam(name):
        param = instance.getParam(name)
        return instance.getOrDefault(param) if instance.isDefined(param) else None
    return inspect.signature(cls.__init__).parameters[name].default


def has_theirs(classes: list[type], name: str, said: str) -> bool:
    if name.startswith("model."):
        models = [model for cls in classes for model in _models(cls)]
        return any(hasattr(model, name.split(".")[1]) for model in models)
    found = []
    for cls in classes:
        try:
            found.append(their_default(cls, name))
        except KeyError:
            continue
    return any(is_said(said, value) for value in found)


def _models(estimator: type) -> list[type]:
    """Model classes of the module that are called after an Estimator."""
    names = [estimator.__name__ + "Model", re.sub("(ifier|or)$", "", estimator.__name__) + "ificationModel"]
    names += [estimator.__name__.replace("Regressor", "RegressionModel"), estimator.__name__.replace("Classifier", "ClassificationModel")]
    module = next(module for module in ELSEWHERE if hasattr(module, estimator.__name__))
    return [getattr(module, name) for name in names if hasattr(module, name)]


@pytest.mark.classic
def test_what_a_name_is_called_there_is_there_with_that_default(spark: SparkSession) -> None:
    wrong = []
    for row in MOVED:
        names = row.names(0)
        wrong += [
            (row.heading, name, said)
            for name, said in zip(names, row.defaults(1, len(names)), strict=True)
            if not has_theirs(theirs(row), name, said)
        ]
    assert wrong == []


def test_every_algorithm_of_the_connector_is_in_its_tables_with_the_estimators_that_train_it() -> None:
    named = {row.names(0)[0]: row.names(1) for row in of("Classes")}
    assert sorted(named) == sorted(algorithms.__all__)
    for name, natives in named.items():
        assert set(natives) <= {cls.__name__ for cls in classes_of(getattr(algorithms, name).algorithm)}


def test_arguments_of_the_connector_are_there_with_their_defaults() -> None:
    parameters = inspect.signature(algorithms.KMeansSageMakerEstimator).parameters
    for row in of("Arguments of the constructors"):
        [name] = row.names(0)
        default = parameters[name].default
        assert row.cells[1] in IN_WORDS or is_said(row.cells[1], getattr(default, "value", default)), name
        names = row.names(2)
        for here, said in zip(names, row.defaults(3, len(names)), strict=True):
            assert here == "uid" or has_ours([sparkml_algos.LinearLearnerRegressor], here, said), here


def test_hyperparameters_of_the_connector_are_there_with_their_defaults() -> None:
    for row in of("Hyperparameters"):
        names, said = row.names(0), row.defaults(1, len(row.names(0)))
        for name, default in zip(names, said, strict=True):
            estimator, _, hyperparameter = name.partition(".")
            cls = getattr(algorithms, estimator)
            assert hyperparameter in cls.settings and is_said(default, cls.defaults.get(hyperparameter)), name
        natives = list(classes_of(cls.algorithm))
        for here, default in zip(row.names(2), row.defaults(3, len(row.names(2))), strict=True):
            assert has_ours(natives, here, default), here


def test_columns_of_the_connector_have_the_names_and_types_that_the_page_says() -> None:
    for row in of("Columns of the result"):
        for name in row.names(0):
            cls = getattr(algorithms, name)
            schema = cls.deserializer().schema
            said = {column: re.search(rf"`{column}`[^:]*: (double|vector)", row.cells[1])[1] for column in schema.fieldNames()}
            assert row.names(1) == schema.fieldNames()
            assert said == {field.name: "double" if field.dataType == DoubleType() else "vector" for field in schema}
            models: list[type[AlgorithmModel]] = [one.model_class() for one in classes_of(cls.algorithm)]
            assert all(any(param in model.declared for model in models) for param in row.names(2))
