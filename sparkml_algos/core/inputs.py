"""From columns of a DataFrame to what workers read: checked on the driver, as Spark expressions, without a Python row in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DataType, IntegralType, NumericType

from sparkml_algos.cluster.launcher import RECORD_BATCH_BYTES
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.rows.batch import (
    BASE_MARGIN,
    GROUP,
    ID,
    INDICES,
    LABEL,
    SIZE,
    VALIDATION,
    VALUES,
    WEIGHT,
    Decoder,
    LabelRange,
)
from sparkml_algos.training.algorithm import Algorithm

# An Arrow record batch has this many rows where the width of a row is not known.
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
        ``label``, ``weight``, ``validation``, ``id``, ``group`` and ``base_margin``, where there are such.
    scalar_names : dict of str to str
        For each of these its column in the dataset.
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
    scalar_names: dict[str, str]

    @property
    def is_vector(self) -> bool:
        """Whether the features are a Vector column."""
        return len(self.features) > 1

    def decoder(
        self,
        algorithm: Algorithm,
        classes: int | None = None,
        label_range: LabelRange | None = None,
        num_features: int | None = None,
    ) -> Decoder:
        """A decoder of these columns that accepts the features an algorithm does; see `Decoder` for the other arguments."""
        accepted = {"missing_values": algorithm.missing_values, "counts": algorithm.counts}
        checks = {"classes": classes, "label_range": label_range}
        return Decoder(self.names, num_features or self.num_features, **self.scalar_names, **accepted, **checks)

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
    for param in _scalar_params(params, with_scalars):
        if problem := _SCALARS[param].problem(dataset, params.value(param), param):
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
    scalars = {_SCALARS[param]: params.value(param) for param in _scalar_params(params, with_scalars)}
    return Input(
        features=_feature_columns(dataset, params),
        scalars=[scalar.read(dataset, name).alias(scalar.name) for scalar, name in scalars.items()],
        names=numeric or [params.value("featuresCol")],
        num_features=_declared_dimension(params) or known,
        feature_names=feature_names,
        scalar_names={scalar.name: name for scalar, name in scalars.items()},
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
    # On the way to Python a null list costs in proportion to the rows of its Arrow batch; that a row is dense its null size tells.
    indices = F.coalesce(vector["indices"], F.array().cast("array<int>"))
    return [vector["values"].cast("array<float>").alias(VALUES), indices.alias(INDICES), vector["size"].alias(SIZE)]


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


def _scalar_params(params: DeclaredParams, with_scalars: bool) -> list[str]:
    return [
        name
        for name, scalar in _SCALARS.items()
        if (with_scalars or scalar.for_scoring)
        and name in params.declared
        and name not in params.unread_in_training
        and params.value(name)
    ]


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


def _no_column(dataset: DataFrame, name: str, param: str) -> str | None:
    return _missing(dataset, name, param) if _type(dataset, name) is None else None


def _as(type_: str) -> Callable[[DataFrame, str], Column]:
    return lambda dataset, name: column(name).cast(type_)


def _as_key(dataset: DataFrame, name: str) -> Column:
    """Integers as they are, of anything else a hash of 64 bits: two of a million keys share one with a chance of 3e-8."""
    if isinstance(_type(dataset, name), IntegralType):
        return column(name).cast("long")
    return F.when(column(name).isNotNull(), F.xxhash64(column(name)))


@dataclass(frozen=True)
class _Scalar:
    """How workers read the column of a Param: under which name, whether it will do, in which form, whether scoring reads it too."""

    name: str
    problem: Callable[[DataFrame, str, str], str | None]
    read: Callable[[DataFrame, str], Column]
    for_scoring: bool = False


_SCALARS = {
    "labelCol": _Scalar(LABEL, _not_numeric, _as("float")),
    "weightCol": _Scalar(WEIGHT, _not_numeric, _as("float")),
    "validationIndicatorCol": _Scalar(VALIDATION, _not_boolean, _as("boolean")),
    "idCol": _Scalar(ID, _not_integral, _as("long")),
    "groupCol": _Scalar(GROUP, _no_column, _as_key),
    "baseMarginCol": _Scalar(BASE_MARGIN, _not_numeric, _as("float"), for_scoring=True),
}
