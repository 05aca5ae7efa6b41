"""Attributions of the rows of a DataFrame: which features have moved a model's answer from where it stands for the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FractionalType, StructField, StructType

from sparkml_algos.cluster.jobs import described
from sparkml_algos.core.columns import column, is_number, is_vector
from sparkml_algos.core.scoring import Output, rowwise
from sparkml_algos.explain.baselines import as_array, clustered
from sparkml_algos.explain.kernel import Coalitions, coalitions
from sparkml_algos.explain.predictors import LEAST_PROBABILITY, attributions_in_tasks, output_of

Engine = Literal["auto", "kernel", "linear", "tree"]
Aggregation = Literal["mean_abs", "mean_sq", "median"]
AGGREGATIONS: tuple[Aggregation, ...] = ("mean_abs", "mean_sq", "median")
# Columns of our own on the way.
_ROW, _ID, _LEFT_IN, _WEIGHTS, _BASE, _FOUND = (f"_sparkml_algos_{name}" for name in ("row", "id", "in", "weights", "base", "found"))


@dataclass(frozen=True)
class Explanation:
    """Attributions of rows.

    Attributes
    ----------
    dataframe : DataFrame
        The rows with a column ``<feature>_<label>`` for each attribution, and ``expected_<label>``, from which attributions add up to the
        output. It is computed when it is read, each time anew unless it is cached.
    features : tuple of str
    labels : tuple of str
        ``label0``, ``label1``, …: the outputs that are explained, of classes one for each.
    engine : {"kernel", "linear", "tree"}
        What computed them.
    vector : str or None
        Column of the features, where they are entries of one.
    baseline : list of list, or None
        Rows that stood for what was left out, if they were found by clustering.
    """

    dataframe: DataFrame
    features: tuple[str, ...]
    labels: tuple[str, ...]
    engine: str
    vector: str | None = None
    baseline: list[list[float]] | None = None

    def global_values(self, agg_method: Aggregation = "mean_abs") -> dict[str, dict[str, float]]:
        """How much each feature counts over all rows.

        Parameters
        ----------
        agg_method : {"mean_abs", "mean_sq", "median"}

        Returns
        -------
        dict of str to dict of str to float
            By label and feature.

        Raises
        ------
        ValueError
            If the method is unknown, or there are no rows.
        """
        if agg_method not in AGGREGATIONS:
            raise ValueError(f"agg_method is one of {', '.join(AGGREGATIONS)}, not {agg_method!r}")
        summed = {"mean_abs": lambda c: F.avg(F.abs(c)), "mean_sq": lambda c: F.avg(c * c), "median": lambda c: F.percentile(c, 0.5)}[
            agg_method
        ]
        pairs = [(label, name) for label in self.labels for name in self.features]
        asked = [summed(column(f"{name}_{label}")).alias(f"v{i}") for i, (label, name) in enumerate(pairs)]
        row = self._told(asked)
        return {label: {name: float(row[f"v{i}"]) for i, (one, name) in enumerate(pairs) if one == label} for label in self.labels}

    def feature_values(self) -> DataFrame:
        """The features beside their attributions.

        Returns
        -------
        DataFrame
            Columns ``value_0``, ``value_1``, … in the order of the features, in front of all others.
        """
        if self.vector is None:
            values = [column(name) for name in self.features]
        else:
            vector = as_array_of(self.dataframe, self.vector)
            values = [vector[i] for i in range(len(self.features))]
        return self.dataframe.select(*(value.alias(f"value_{i}") for i, value in enumerate(values)), "*")

    def to_dict(self, agg_method: Aggregation = "mean_abs") -> dict[str, Any]:
        """As the ``explanations`` of the service's ``analysis.json``."""
        row = self._told([F.avg(column(f"expected_{label}")).alias(label) for label in self.labels])
        values = self.global_values(agg_method)
        found = {label: {"global_shap_values": values[label], "expected_value": float(row[label])} for label in self.labels}
        return {"explanations": {"kernel_shap": found}}

    def _told(self, asked: Sequence[Column]) -> Row:
        (row,) = self.dataframe.agg(*asked).collect()
        if any(value is None for value in row):  # a Row looks for names, not for values
            raise ValueError("there are no rows to explain")
        return row


def explain(
    model: Any,
    dataset: DataFrame,
    *,
    features: Sequence[str] | None = None,
    output: str | None = None,
    baseline: DataFrame | Sequence[Sequence[Any]] | Literal["zero", "kmeans"] | None = None,
    num_clusters: int | None = None,
    num_samples: int | None = None,
    use_logit: bool = False,
    engine: Engine = "auto",
    seed: int = 0,
) -> Explanation:
    """Say how much each feature has moved a model's output.

    Parameters
    ----------
    model : Model or PipelineModel
        Whatever has `transform`.
    dataset : DataFrame
        The rows to explain.
    features : sequence of str, optional
        Columns to explain, of any type; of a pipeline those that it begins with. By default the entries of the Vector in the model's
        `featuresCol`.
    output : str, optional
        Column of `transform` that is explained, a number or a Vector; by default ``probability``, or ``prediction`` where there is none. Of
        the engines ``linear`` and ``tree`` it is the raw score.
    baseline : DataFrame, sequence of rows, "zero", or "kmeans"
        What stands for a feature that is left out: rows with these features, a few. ``kmeans``, which is the default, looks for centres of
        clusters of the rows that are explained, of numbers alone. ``tree`` takes none: it goes both ways of a split by the rows that did in
        training.
    num_clusters : int, optional
        Of ``kmeans``; by default the best of 1 to 12, the knee of the distances. Not beside another baseline.
    num_samples : int, optional
        Mixtures for each row and row of the baseline: 2 · features + 2,048, at most 2^features − 2. Of the engine ``kernel``.
    use_logit : bool
        Explain ln(p / (1 − p)) of a probability p. Of the engine ``kernel``.
    engine : {"auto", "kernel", "linear", "tree"}
        ``kernel`` explains anything: mixtures of a row and the baseline are scored by the model, on the executors. ``linear`` is exact for
        models with coefficients, ``tree`` for those of XGBoost (its ``pred_contribs``). ``auto`` takes one of these two where nothing is
        given that it has no use for: no setting of ``kernel``, and of trees no baseline.
    seed : int
        Of the mixtures and the clusters; the same seed, the same values. The exact engines draw nothing else.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        If columns are missing, a baseline is needed and cannot be found, the engine does not explain the model, or has no use for something
        that is given.

    Notes
    -----
    Attributions of a row add up to its output less the expected one, which is the mean output of the baseline's rows.
    """
    if engine not in ("auto", "kernel", "linear", "tree"):
        raise ValueError(f"engine is 'auto', 'kernel', 'linear' or 'tree', not {engine!r}")
    if num_clusters is not None:
        if not (baseline is None or isinstance(baseline, str) and baseline == "kmeans"):
            raise ValueError("num_clusters is of the baseline 'kmeans', and not beside another")
        baseline = "kmeans"
    settings = {"features": features, "output": output, "num_samples": num_samples, "use_logit": use_logit or None}
    given = [name for name, value in settings.items() if value is not None]
    if engine == "auto":
        exact: Engine = "tree" if _is_tree(model) and baseline is None else "linear" if _is_linear(model) else "kernel"
        engine = "kernel" if given else exact
    elif engine != "kernel":
        useless = [*given, *(["baseline"] if engine == "tree" and baseline is not None else [])]
        if useless:
            raise ValueError(
                f"the engine {engine!r} has no use for {', '.join(useless)}: leave out what it has no use for, or take 'kernel'"
            )
    if features is not None and (not features or len(set(features)) < len(features)):
        raise ValueError(f"features names one column or more, each once; got {list(features)}")
    with described(dataset.sparkSession, "explain"):
        if engine == "tree":
            return _by_trees(model, dataset)
        found = None
        if features is None and engine == "kernel":
            features = _several_columns(model)
        if baseline is None or isinstance(baseline, str) and baseline == "kmeans":
            found = _found(model, dataset, features, num_clusters, seed)
            baseline = found.frame if found.frame is not None else found.rows
        if engine == "linear":
            explanation = _linear(model, dataset, baseline)
        else:
            explanation = _by_kernel(model, dataset, features, output, baseline, num_samples, use_logit, seed)
        return explanation if found is None else replace(explanation, baseline=found.rows)


@dataclass(frozen=True)
class _Clusters:
    """Centres, and those of columns as a DataFrame too."""

    rows: list[list[float]]
    frame: DataFrame | None = None


def _found(model: Any, dataset: DataFrame, features: Sequence[str] | None, num_clusters: int | None, seed: int) -> _Clusters:
    """A baseline of centres of clusters."""
    if features is None:
        return _Clusters(clustered(dataset, _input(model, dataset), num_clusters, seed).tolist())
    _check_columns(dataset, features)
    types = [dataset.schema[name].dataType for name in features]
    if texts := [name for name, type_ in zip(features, types, strict=True) if not is_number(type_)]:
        said = f"for {', '.join(texts)} are no numbers, of which clusters could be found"
        raise ValueError(f"baseline: rows that stand for features left out are needed, {said}")
    centers = clustered(dataset, as_array(list(features)), num_clusters, seed)
    whole = [not isinstance(type_, FractionalType) for type_ in types]
    rows = np.where(whole, np.round(centers), centers).tolist()
    schema = StructType([StructField(name, DoubleType()) for name in features])
    return _Clusters(rows, dataset.sparkSession.createDataFrame([tuple(row) for row in rows], schema))


def features_of(model: Any, dataset: DataFrame) -> tuple[str | None, Sequence[str]]:
    """The column of the model's Vector, if it reads one that is there, and the names of the features."""
    if several := _several_columns(model):
        return None, several
    if not hasattr(model, "getFeaturesCol") or model.getFeaturesCol() not in dataset.columns:
        return None, []
    name = model.getFeaturesCol()
    first = dataset.select(F.size(as_array_of(dataset, name)).alias("n")).first()
    if first is None:
        raise ValueError("there are no rows to explain")
    return name, _names(model, first["n"])


def _is_tree(model: Any) -> bool:
    return hasattr(model, "contributionsCol") and hasattr(model, "get_booster")


def _is_linear(model: Any) -> bool:
    return hasattr(model, "coefficientMatrix") or hasattr(model, "coefficients")


def _names(model: Any, count: int) -> tuple[str, ...]:
    names = getattr(model, "feature_names", None)
    return tuple(map(str, names)) if names and len(names) == count else tuple(f"f{i}" for i in range(count))


def _features_column(model: Any) -> str:
    if not hasattr(model, "getFeaturesCol"):
        raise ValueError(f"{type(model).__name__} has no featuresCol; features names the columns to explain")
    return model.getFeaturesCol()


def _several_columns(model: Any) -> list[str] | None:
    """The columns of the features, where they are not in one."""
    known = getattr(model, "declared", {})
    return list(model.value("featuresCols") or []) or None if "featuresCols" in known else None


def _input(model: Any, dataset: DataFrame) -> Column:
    """The features as an array."""
    if several := _several_columns(model):
        _check_columns(dataset, several)
        return as_array(several)
    return as_array_of(dataset, _features_column(model))


def _check_columns(dataset: DataFrame, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in dataset.columns]:
        raise ValueError(f"features: there is no column {', '.join(map(repr, missing))}; the columns are {', '.join(dataset.columns)}")


def _appended(rows: DataFrame, attributions: Sequence[Sequence[Column]], expected: Sequence[Column], names: Sequence[str]) -> DataFrame:
    """Columns by label and feature."""
    parts = [value.alias(f"{name}_label{i}") for i, one in enumerate(attributions) for name, value in zip(names, one, strict=True)]
    return rows.select("*", *parts, *(value.alias(f"expected_label{i}") for i, value in enumerate(expected)))


def _explanation(rows: DataFrame, names: Sequence[str], labels: int, engine: str, vector: str | None) -> Explanation:
    return Explanation(rows, tuple(names), tuple(f"label{i}" for i in range(labels)), engine, vector)


def _vector_column(model: Any) -> str | None:
    return None if _several_columns(model) else _features_column(model)


def _by_trees(model: Any, dataset: DataFrame) -> Explanation:
    if not _is_tree(model):
        raise ValueError(f"{type(model).__name__} is no model of XGBoost's trees; engine='kernel' explains any")
    width = model.num_features + 1
    scored = model.copy({model.contributionsCol: _FOUND}).transform(dataset)
    added = [name for name in scored.columns if name not in dataset.columns and name != _FOUND]
    found = vector_to_array(column(_FOUND))
    classes = model.artifact.values.get("num_class") or 1
    labels = range(max(1, classes))
    names = _names(model, model.num_features)
    attributions = [[found[label * width + j] for j in range(width - 1)] for label in labels]
    appended = _appended(scored.drop(*added), attributions, [found[label * width + width - 1] for label in labels], names)
    return _explanation(appended.drop(_FOUND), names, len(labels), "tree", _vector_column(model))


def _linear(model: Any, dataset: DataFrame, baseline: Any) -> Explanation:
    if not _is_linear(model):
        raise ValueError(f"{type(model).__name__} has no coefficients; engine='kernel' explains any")
    if hasattr(model, "coefficientMatrix"):
        weights, bias = np.atleast_2d(model.coefficientMatrix.toArray()), np.atleast_1d(model.interceptVector.toArray())
    else:
        weights, bias = np.atleast_2d(model.coefficients.toArray()), np.atleast_1d(model.intercept)
    count = weights.shape[1]
    x, names = _input(model, dataset), _names(model, count)
    mean = np.mean(_vectors(dataset, x, lambda rows: _input(model, rows), baseline, count), axis=0)
    attributions = [[(x[j] - F.lit(float(mean[j]))) * F.lit(float(one[j])) for j in range(count)] for one in weights]
    expected = [F.lit(float(one @ mean + b)) for one, b in zip(weights, bias, strict=True)]
    return _explanation(_appended(dataset, attributions, expected, names), names, len(weights), "linear", _vector_column(model))


def _by_kernel(
    model: Any, dataset: DataFrame, features: Sequence[str] | None, output: str | None, baseline: Any,
    samples: int | None, logit: bool, seed: int,
) -> Explanation:  # fmt: skip
    spark = dataset.sparkSession
    if features is None:
        name = _features_column(model)
        rows = _vectors(dataset, as_array_of(dataset, name), lambda rows: as_array_of(rows, name), baseline, None)
        names: Sequence[str] = _names(model, len(rows[0]))
        if (known := output_of(model, output)) is not None:
            chosen = coalitions(len(names), samples, seed)
            return _in_tasks(model, dataset, name, names, known, rows, chosen, logit)
        base = spark.createDataFrame([(row.tolist(),) for row in rows], f"{_BASE} array<double>")
        count, left_in, x, b = len(rows), column(_LEFT_IN), as_array_of(dataset, name), column(_BASE)
        places = F.sequence(F.lit(1), F.lit(len(names)))
        mixed = F.transform(places, lambda j: F.when(F.element_at(left_in, j), F.element_at(x, j)).otherwise(F.element_at(b, j)))
        replaced = {name: array_to_vector(mixed) if is_vector(dataset.schema[name].dataType) else mixed}
    else:
        names = list(features)
        _check_columns(dataset, names)
        base = _baseline_frame(dataset, names, baseline)
        count = base.count()
        if not count:
            raise ValueError("the baseline has no rows")
        replaced = {
            name: F.when(column(_LEFT_IN)[j], column(name)).otherwise(column(_BASE)[f"b{j}"]).cast(dataset.schema[name].dataType)
            for j, name in enumerate(names)
        }
    chosen = coalitions(len(names), samples, seed)
    mixtures = spark.createDataFrame(_mixtures(chosen), f"{_LEFT_IN} array<boolean>, {_WEIGHTS} array<double>, {_FOUND} int")
    rows_of = dataset.select(F.monotonically_increasing_id().alias(_ID), F.struct(*map(column, dataset.columns)).alias(_ROW), "*")
    crossed = rows_of.crossJoin(F.broadcast(mixtures)).crossJoin(F.broadcast(base))
    kept = [replaced[name].alias(name) if name in replaced else column(name) for name in dataset.columns]
    scored = model.transform(crossed.select(_ID, _ROW, _WEIGHTS, _FOUND, *kept))
    outputs = outputs_of(scored, dataset, output, model)
    if logit:
        inside = [F.greatest(F.least(one, F.lit(1 - LEAST_PROBABILITY)), F.lit(LEAST_PROBABILITY)) for one in outputs]
        outputs = [F.log(one / (1 - one)) for one in inside]
    # None is left in for the mixture 0: its output is the expected one.
    asked = [F.first(_ROW).alias(_ROW)]
    for i, one in enumerate(outputs):
        asked += [(F.sum(column(_WEIGHTS)[j] * one) / count).alias(f"a{i}_{j}") for j in range(len(names))]
        asked.append(F.avg(F.when(column(_FOUND) == 0, one)).alias(f"e{i}"))
    solved = scored.groupBy(_ID).agg(*asked)
    attributions = [[column(f"a{i}_{j}") for j in range(len(names))] for i in range(len(outputs))]
    named = [value.alias(f"{name}_label{i}") for i, one in enumerate(attributions) for name, value in zip(names, one, strict=True)]
    expected = [column(f"e{i}").alias(f"expected_label{i}") for i in range(len(outputs))]
    return _explanation(
        solved.select(f"{_ROW}.*", *named, *expected),
        names,
        len(outputs),
        "kernel",
        None if features is not None else _vector_column(model),
    )


def _in_tasks(
    model: Any, dataset: DataFrame, name: str, names: Sequence[str], output: Output, base: np.ndarray, chosen: Coalitions, logit: bool
) -> Explanation:
    """Of a model whose predictor takes arrays."""
    found, labels = attributions_in_tasks(model, dataset, as_array_of(dataset, name), output, base, chosen, logit)
    width = len(names) + 1
    rows = rowwise(dataset).withColumn(_FOUND, found)
    attributions = [[column(_FOUND)[label * width + j] for j in range(len(names))] for label in range(labels)]
    appended = _appended(rows, attributions, [column(_FOUND)[label * width + width - 1] for label in range(labels)], names)
    return _explanation(appended.drop(_FOUND), names, labels, "kernel", name)


def _mixtures(chosen: Coalitions) -> list[tuple[list[bool], list[float], int]]:
    """What is left in, and what an output counts for each attribution: of nothing, of the row as it is, and of all mixtures."""
    features = len(chosen.of_row)
    ends = [([False] * features, chosen.of_base.tolist(), 0), ([True] * features, chosen.of_row.tolist(), 1)]
    return [*ends, *((mask.tolist(), weights.tolist(), 2) for mask, weights in zip(chosen.left_in, chosen.solver.T, strict=True))]


def outputs_of(scored: DataFrame, dataset: DataFrame, output: str | None, model: Any) -> list[Column]:
    """The numbers of the column that is explained."""
    new = [name for name in scored.columns if name not in dataset.columns]
    name = output or next((name for name in ("probability", "prediction") if name in new), None)
    if name is None or name not in new:
        raise ValueError(
            f"output: {type(model).__name__} gives no column {name or 'probability or prediction'!r}; it gives {', '.join(new)}"
        )
    type_ = scored.schema[name].dataType
    if is_number(type_):
        return [column(name).cast("double")]
    if not is_vector(type_):
        raise ValueError(f"output: column {name!r} is {type_.simpleString()}; a number or a Vector is needed")
    first = scored.select(F.size(vector_to_array(column(name))).alias("n")).first()
    if first is None:
        raise ValueError("there are no rows to explain")
    return [vector_to_array(column(name))[i] for i in range(first["n"])]


def as_array_of(dataset: DataFrame, name: str) -> Column:
    """A column of vectors or arrays as arrays of numbers."""
    if name not in dataset.columns:
        raise ValueError(f"there is no column {name!r}; the columns are {', '.join(dataset.columns)}")
    found = column(name)
    return vector_to_array(found) if is_vector(dataset.schema[name].dataType) else found.cast("array<double>")


def _vectors(dataset: DataFrame, x: Column, of: Callable[[DataFrame], Column], baseline: Any, count: int | None) -> np.ndarray:
    """The baseline's rows of a Vector column, shape (rows, features)."""
    if isinstance(baseline, str):
        if baseline != "zero":
            raise ValueError(f"baseline is a DataFrame, rows, 'zero' or 'kmeans', not {baseline!r}")
        if count is None:
            first = dataset.select(F.size(x).alias("n")).first()
            if first is None:
                raise ValueError("there are no rows to explain")
            count = first["n"]
        return np.zeros((1, count))
    given = [row["x"] for row in baseline.select(of(baseline).alias("x")).collect()] if hasattr(baseline, "select") else baseline
    rows = [np.asarray(row, np.float64) for row in given]
    lengths = sorted({row.size for row in rows if row.ndim == 1})
    if not rows or any(row.ndim != 1 for row in rows) or lengths != [count or lengths[0]]:
        told = f"{len(rows)} rows of {', '.join(map(str, lengths)) or 'no'} numbers"
        raise ValueError(f"the baseline has {told}; one row or more of {count or 'as many'} numbers {'' if count else 'each '}is needed")
    return np.array(rows)


def _baseline_frame(dataset: DataFrame, names: Sequence[str], baseline: Any) -> DataFrame:
    """The baseline's rows as a struct of the features, in their order."""
    schema = dataset.select(*map(column, names)).schema
    if isinstance(baseline, str):
        if baseline != "zero":
            raise ValueError(f"baseline is a DataFrame, rows, 'zero' or 'kmeans', not {baseline!r}")
        if texts := [field.name for field in schema if not is_number(field.dataType)]:
            raise ValueError(f"baseline 'zero' is for numbers; {', '.join(texts)} are none")
        frame = dataset.sparkSession.range(1).select(*(F.lit(0).cast(field.dataType).alias(field.name) for field in schema))
    elif hasattr(baseline, "select"):
        if missing := [name for name in names if name not in baseline.columns]:
            raise ValueError(f"the baseline has no column {', '.join(map(repr, missing))}")
        frame = baseline
    else:
        frame = dataset.sparkSession.createDataFrame([tuple(row) for row in baseline], schema)
    return frame.select(F.struct(*(column(name).alias(f"b{j}") for j, name in enumerate(names))).alias(_BASE))
