"""From columns of a DataFrame to what workers read: checked on the driver, as Spark expressions, without a Python row in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DataType, IntegralType, NumericType

from sparkml_algos.core.hyperparameters import DeclaredParams
from sparkml_algos.training.batch import ID, INDICES, LABEL, SIZE, VALIDATION, VALUES, WEIGHT, Decoder

# One Arrow record batch holds at most this much, and this many rows where the width of a row is not known.
RECORD_BATCH_BYTES = 64 << 20
RECORD_BATCH_ROWS = 4096
MAX_RECORD_BATCH_ROWS = 1 << 16
# Vectors may be sparse, and then as wide as they like: a batch has so many at least, dense ones of 32,768 values being 64 MiB.
MIN_RECORD_BATCH_VECTORS = 512


@dataclass(frozen=True)
class Input:
    """The input columns of an Estimator or Model in one DataFrame.

    Attributes
    ----------
    features : list of Column
        ``values`` and, of a Vector column, ``indices`` and ``size``.
    scalars : list of Column
        ``label``, ``weight``, ``validation`` and ``id``, where there are such.
    names : list of str
        The features column, or the numeric columns.
    num_features : int or None
        As far as the schema tells.
    feature_names : list of str or None
        Names of the single features, from ``ml_attr`` metadata or the list of columns.
    """

    features: list[Column]
    scalars: list[Column]
    names: list[str]
    num_features: int | None
    feature_names: list[str] | None
    label: str | None
    weight: str | None
    validation: str | None
    id: str | None = None

    @property
    def is_vector(self) -> bool:
        """Whether the features are a Vector column."""
        return len(self.features) > 1

    def decoder(self, classes: int | None = None) -> Decoder:
        """A decoder of these columns; with `classes`, labels must be integers below it."""
        return Decoder(self.names, self.num_features, self.label, self.weight, self.validation, classes, self.id)

    @property
    def rows_per_record_batch(self) -> int:
        """Rows of one Arrow batch, from the width of a row."""
        if self.num_features is None:
            return RECORD_BATCH_ROWS
        least = MIN_RECORD_BATCH_VECTORS if self.is_vector else 1
        return max(least, min(MAX_RECORD_BATCH_ROWS, RECORD_BATCH_BYTES // (4 * self.num_features)))


def column_problems(dataset: DataFrame, params: DeclaredParams, with_scalars: bool) -> list[str]:
    """What is wrong with the input columns that `params` name; an empty list if nothing."""
    problems = []
    numeric = params.value("featuresCols")
    if numeric:
        problems += [problem for name in numeric if (problem := _not_numeric(dataset, name, "featuresCols"))]
        duplicates = sorted({name for name in numeric if numeric.count(name) > 1})
        problems += [f"featuresCols names {name!r} more than once" for name in duplicates]
    else:
        name = params.value("featuresCol")
        type_ = _type(dataset, name)
        if type_ is None:
            problems.append(_missing(dataset, name, "featuresCol"))
        elif not isinstance(type_, VectorUDT) and not (isinstance(type_, ArrayType) and _is_number(type_.elementType)):
            found = type_.simpleString()
            problems.append(f"features column {name!r} is {found}; it must be a Vector or an array of numbers")
    for param in _scalar_params(params) if with_scalars else ():
        name = params.value(param)
        if problem := _CHECKS.get(param, _not_numeric)(dataset, name, param):
            problems.append(problem)
    key = with_scalars and "shardKeyCol" in params.declared and params.value("shardKeyCol")
    if key and _type(dataset, key) is None:
        problems.append(_missing(dataset, key, "shardKeyCol"))
    declared = _declared_dimension(params)
    known = None if problems else _describe_features(dataset, params)[0]
    if declared and known and declared != known:
        problems.append(f"feature_dim is {declared} but {_source(params)} has {known} features")
    return problems


def output_problems(dataset: DataFrame, names: Sequence[str], params: Sequence[str]) -> list[str]:
    """What is wrong with output columns of these names, which the `params` give."""
    problems = [] if names else [f"no output has a column; name one of {', '.join(params)}"]
    problems += [f"output column {name!r} exists already; drop it or rename the output" for name in names if name in dataset.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    return problems + [f"output column {name!r} is named twice; rename one of the outputs" for name in twice]


def read_input(dataset: DataFrame, params: DeclaredParams, with_scalars: bool) -> Input:
    """Expressions for the columns that `params` name; call `column_problems` first."""
    known, feature_names = _describe_features(dataset, params)
    numeric = params.value("featuresCols")
    scalars = {param: params.value(param) for param in _scalar_params(params)} if with_scalars else {}
    return Input(
        features=_feature_columns(dataset, params),
        scalars=[column(name).cast(_SCALARS[param][1]).alias(_SCALARS[param][0]) for param, name in scalars.items()],
        names=numeric or [params.value("featuresCol")],
        num_features=_declared_dimension(params) or known,
        feature_names=feature_names,
        label=scalars.get("labelCol"),
        weight=scalars.get("weightCol"),
        validation=scalars.get("validationIndicatorCol"),
        id=scalars.get("idCol"),
    )


def column(name: str) -> Column:
    """The top-level column of this very name, whatever characters it has."""
    return F.col("`" + name.replace("`", "``") + "`")


def _feature_columns(dataset: DataFrame, params: DeclaredParams) -> list[Column]:
    numeric = params.value("featuresCols")
    if numeric:
        return [F.array(*(column(name).cast("float") for name in numeric)).alias(VALUES)]
    features = column(params.value("featuresCol"))
    if not isinstance(_type(dataset, params.value("featuresCol")), VectorUDT):
        return [features.cast("array<float>").alias(VALUES)]
    vector = F.unwrap_udt(features)
    return [vector["values"].cast("array<float>").alias(VALUES), vector["indices"].alias(INDICES), vector["size"].alias(SIZE)]


def _describe_features(dataset: DataFrame, params: DeclaredParams) -> tuple[int | None, list[str] | None]:
    """Number and names of the features, as far as the schema tells."""
    numeric = params.value("featuresCols")
    if numeric:
        return len(numeric), numeric
    field = next((field for field in dataset.schema.fields if field.name == params.value("featuresCol")), None)
    attributes = field.metadata.get("ml_attr", {}) if field else {}
    named = {attr["idx"]: attr.get("name") for group in attributes.get("attrs", {}).values() for attr in group}
    count = attributes.get("num_attrs") or len(named) or None
    if not named or None in named.values() or len(named) != count:
        return count, None
    return count, [named[index] for index in sorted(named)]


def _declared_dimension(params: DeclaredParams) -> int | None:
    """`feature_dim`, where an algorithm has it and it is a number."""
    declared = params.value("feature_dim") if "feature_dim" in params.declared else None
    return None if declared == "auto" else declared


def _scalar_params(params: DeclaredParams) -> list[str]:
    return [name for name in _SCALARS if name in params.declared and name not in params.unread_in_training and params.value(name)]


def _source(params: DeclaredParams) -> str:
    return "featuresCols" if params.value("featuresCols") else f"column {params.value('featuresCol')!r}"


def _type(dataset: DataFrame, name: str) -> DataType | None:
    return next((field.dataType for field in dataset.schema.fields if field.name == name), None)


def _missing(dataset: DataFrame, name: str, param: str) -> str:
    return f"{param}={name!r} is not a column of the dataset; it has {', '.join(dataset.columns)}"


def _not_numeric(dataset: DataFrame, name: str, param: str) -> str | None:
    type_ = _type(dataset, name)
    if type_ is None:
        return _missing(dataset, name, param)
    return None if _is_number(type_) else f"{param}: column {name!r} is {type_.simpleString()}; it must be numeric"


def _not_boolean(dataset: DataFrame, name: str, param: str) -> str | None:
    type_ = _type(dataset, name)
    if type_ is None:
        return _missing(dataset, name, param)
    return None if isinstance(type_, BooleanType) else f"{param}: column {name!r} is {type_.simpleString()}; it must be boolean"


def _not_integral(dataset: DataFrame, name: str, param: str) -> str | None:
    type_ = _type(dataset, name)
    if type_ is None:
        return _missing(dataset, name, param)
    return None if isinstance(type_, IntegralType) else f"{param}: column {name!r} is {type_.simpleString()}; it must be a whole number"


def _is_number(type_: DataType) -> bool:
    return isinstance(type_, (NumericType, BooleanType))


# Name and type under which workers read the column of a Param.
_SCALARS = {
    "labelCol": (LABEL, "float"),
    "weightCol": (WEIGHT, "float"),
    "validationIndicatorCol": (VALIDATION, "boolean"),
    "idCol": (ID, "long"),
}
# What such a column must be, other than numeric.
_CHECKS = {"validationIndicatorCol": _not_boolean, "idCol": _not_integral}
