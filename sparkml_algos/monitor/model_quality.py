"""How good predictions are once the truth is known: the service's metrics, their deviations, constraints and violations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.cluster.jobs import described
from sparkml_algos.core.columns import Found, is_number, needed
from sparkml_algos.html_pages import Bar, bars, number
from sparkml_algos.monitor.violations import MonitorReport, Violation

ProblemType = Literal["BinaryClassification", "MulticlassClassification", "Regression"]
_BLOCKS: dict[str, str] = {
    "BinaryClassification": "binary_classification",
    "MulticlassClassification": "multiclass_classification",
    "Regression": "regression",
}
# Of the service: rows from which on deviations are given; how often, and of which share of the rows, metrics are computed for them.
ROWS_FOR_DEVIATION, _SAMPLES, _SHARE = 200, 5, 0.8
# Scores are counted by this part of 1, so that what comes to the driver is bounded.
_BINS = 1 << 16
# Whole numbers below it are exact in 64 bits.
_LONG = 2.0**63
_BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}
_BAD_WHEN_LARGE = ("mae", "mse", "rmse", "false_positive_rate", "false_negative_rate")
_LESS, _GREATER = "LessThanThreshold", "GreaterThanThreshold"
Operator = Literal["LessThanThreshold", "GreaterThanThreshold"]
Metrics = dict[str, float]


@dataclass(frozen=True)
class ModelQuality:
    """Metrics of a model.

    Attributes
    ----------
    problem_type : {"BinaryClassification", "MulticlassClassification", "Regression"}
    item_count : int
        Rows with truth and prediction.
    metrics : dict of str to float
        By the service's names.
    deviations : dict of str to float
        Standard deviation of each metric over samples of the rows; NaN with fewer than 200.
    confusion_matrix : dict of str to dict of str to float
        Rows by truth and prediction, of classes.
    curves : dict of str to dict of str to list of float
        Of scores: ``receiver_operating_characteristic_curve`` and ``precision_recall_curve``.
    """

    problem_type: ProblemType
    item_count: int
    metrics: Metrics
    deviations: Metrics
    confusion_matrix: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The service's statistics of model quality."""
        block: dict[str, Any] = (
            {"confusion_matrix": {key: dict(row) for key, row in self.confusion_matrix.items()}} if self.confusion_matrix else {}
        )
        for name, value in self.metrics.items():
            block[name] = {"value": _written(value), "standard_deviation": _written(self.deviations.get(name, math.nan))}
        block |= {name: dict(curve) for name, curve in self.curves.items()}
        return {"version": 0.0, "dataset": {"item_count": self.item_count}, f"{_BLOCKS[self.problem_type]}_metrics": block}

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> ModelQuality:
        """What statistics of model quality say, ours or the service's.

        Raises
        ------
        ValueError
            If they have no block of metrics.
        """
        for problem_type, name in _BLOCKS.items():
            if f"{name}_metrics" not in read:
                continue
            block = read[f"{name}_metrics"]
            scalars = {key: one for key, one in block.items() if isinstance(one, Mapping) and "value" in one}
            metrics = {key: float(one["value"]) for key, one in scalars.items()}
            deviations = {key: float(one.get("standard_deviation", math.nan)) for key, one in scalars.items()}
            curves = {key: one for key, one in block.items() if key.endswith("_curve")}
            count = int(read.get("dataset", {}).get("item_count", 0))
            return cls(problem_type, count, metrics, deviations, block.get("confusion_matrix", {}), curves)  # type: ignore[arg-type]
        raise ValueError(f"none of {', '.join(f'{name}_metrics' for name in _BLOCKS.values())} is there")

    def suggest_constraints(self, deviations: float = 0.0) -> dict[str, Any]:
        """What metrics must stay: the service's constraints of model quality.

        Parameters
        ----------
        deviations : float
            Standard deviations that a metric may be worse; the service has none. Where a deviation is not known, none is taken.

        Returns
        -------
        dict
            Of metrics that are better when large, such as accuracy, the least; of errors and false rates the greatest; of the best constant
            classifiers the greatest too, for their rise means that the trivial answer is catching up. None of metrics that are undefined.
        """
        found = {}
        for name, value in self.metrics.items():
            if math.isnan(value):
                continue
            operator = _operator(name)
            spread = deviations * self.deviations.get(name, math.nan)
            slack = 0.0 if math.isnan(spread) else spread
            found[name] = {"threshold": value - slack if operator == _LESS else value + slack, "comparison_operator": operator}
        return {"version": 0.0, f"{_BLOCKS[self.problem_type]}_constraints": found}


def model_quality(
    dataset: DataFrame,
    problem_type: ProblemType,
    *,
    ground_truth: str,
    inference: str | None = None,
    probability: str | None = None,
    probability_threshold: float = 0.5,
    positive: Any = 1,
    seed: int = 0,
) -> ModelQuality:
    """Measure predictions against the truth, in one pass.

    Parameters
    ----------
    dataset : DataFrame
        Rows without truth or prediction are left out.
    problem_type : {"BinaryClassification", "MulticlassClassification", "Regression"}
    ground_truth : str
        Column of what is true.
    inference : str, optional
        Column of what was predicted. Of two classes it may be left out where there is a `probability`.
    probability : str, optional
        Of two classes, a column of scores between 0 and 1, for the curves and the area under the first. Scores are told apart to 1/65,536.
    probability_threshold : float
        Without `inference`, a prediction is positive where the score is greater.
    positive : value
        The positive one of two classes; compared as a number where both are numbers, else as a string.
    seed : int
        Of the samples for deviations.

    Returns
    -------
    ModelQuality

    Raises
    ------
    ValueError
        If columns are missing or of a wrong type, no row has both truth and prediction, or a score is not between 0 and 1.
    """
    if problem_type not in _BLOCKS:
        raise ValueError(f"problem_type is one of {', '.join(_BLOCKS)}, not {problem_type!r}")
    if problem_type != "BinaryClassification" and probability is not None:
        raise ValueError(f"probability is for BinaryClassification; {problem_type} does not read it")
    if inference is None and probability is None:
        raise ValueError("inference names the column of predictions; only two classes do without, where there is a probability")
    numeric = problem_type == "Regression"
    truth = needed(dataset, ground_truth, "ground_truth", numeric=numeric)
    guess = None if inference is None else needed(dataset, inference, "inference", numeric=numeric)
    score = None if probability is None else needed(dataset, probability, "probability", numeric=True)
    with described(dataset.sparkSession, "monitor: model quality"):
        if numeric:
            return _regression(dataset, truth.column.cast("double"), guess.column.cast("double"), seed)  # type: ignore[union-attr]
        if problem_type == "MulticlassClassification":
            return _multiclass(dataset, _class(truth), _class(guess), seed)  # type: ignore[arg-type]
        scores = None if score is None else score.column.cast("double")
        name_of_positive = _name(positive)
        actual = _class(truth) == F.lit(name_of_positive)
        called = _above(scores, probability_threshold) if guess is None else _class(guess) == F.lit(name_of_positive)
        return _binary(dataset, actual, called, scores, seed)


def check_model_quality(current: ModelQuality, constraints: Mapping[str, Any]) -> MonitorReport:
    """Compare metrics with constraints.

    Parameters
    ----------
    current : ModelQuality
    constraints : mapping
        As `ModelQuality.suggest_constraints` gives them, or the service's ``constraints.json`` of model quality.

    Returns
    -------
    MonitorReport

    Raises
    ------
    ValueError
        If there are none of the problem type, one of a metric that was not measured, or an operator is unknown.
    """
    block = f"{_BLOCKS[current.problem_type]}_constraints"
    if block not in constraints:
        raise ValueError(f"the constraints have no {block}; they have {', '.join(constraints)}")
    if missing := [name for name in constraints[block] if name not in current.metrics]:
        raise ValueError(f"the constraints are of {', '.join(missing)}, too, which was not measured; auc needs a probability")
    violations = []
    for name, one in constraints[block].items():
        value, limit, operator = current.metrics[name], float(one["threshold"]), one["comparison_operator"]
        if operator not in (_LESS, _GREATER):
            raise ValueError(f"{name}: comparison_operator is {_LESS} or {_GREATER}, not {operator!r}")
        if math.isnan(value):
            continue
        if value < limit if operator == _LESS else value > limit:
            spread = current.deviations.get(name, math.nan)
            text = f"Metric {name} with {number(value)} +/- {number(spread)} was {operator} '{number(limit)}'"
            violations.append(Violation(name, operator, text, value, limit, limit, {"metric_name": name}))
    wrong = {violation.subject for violation in violations}
    drawn = bars([Bar(name, value, 0.0, name in wrong) for name, value in current.metrics.items() if not math.isnan(value)])
    return MonitorReport("ModelQuality", tuple(violations), current.metrics, plots={"Metrics": drawn})


def _above(score: Column | None, threshold: float) -> Column:
    if score is None:
        raise ValueError("probability names the column of scores")
    return score > F.lit(float(threshold))


def _written(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def _operator(name: str) -> str:
    return _GREATER if name in _BAD_WHEN_LARGE or name.endswith("_best_constant_classifier") else _LESS


def _name(value: Any) -> str:
    """The name of a class; a number that is whole has no point in it."""
    if isinstance(value, bool):
        value = int(value)
    return str(int(value)) if isinstance(value, (int, float)) and float(value).is_integer() else str(value)


def _class(found: Found) -> Column:
    """Names of the classes in a column, as `_name` has them: Spark itself writes 10,000,000 of type double as 1.0E7."""
    text = F.regexp_replace(found.column.cast("string"), r"^(-?[0-9]+)\.0$", "$1")
    if not is_number(found.type):
        return text
    number = found.column.cast("double")
    return F.when((F.abs(number) < _LONG) & (number == F.floor(number)), found.column.cast("long").cast("string")).otherwise(text)


# ---------------------------------------------------------------------------------------------------------------- metrics


def _deviations(metrics: Callable[[np.ndarray], Metrics], counts: np.ndarray, seed: int) -> Metrics:
    """Of metrics of counted rows, over samples of four fifths of them: drawing rows without putting them back is drawing counts so."""
    rows = int(counts.sum())
    random = np.random.default_rng(seed)
    flat = counts.astype(np.int64).ravel()
    found = []
    for _ in range(_SAMPLES if rows >= ROWS_FOR_DEVIATION else 0):
        sample = np.zeros_like(flat)
        left, wanted = rows, round(_SHARE * rows)
        for cell in np.flatnonzero(flat):
            taken = int(random.hypergeometric(flat[cell], left - flat[cell], wanted)) if wanted else 0
            sample[cell], left, wanted = taken, left - flat[cell], wanted - taken
        found.append(metrics(sample.reshape(counts.shape)))
    names = found[0] if found else metrics(counts)
    return {name: float(np.std([one[name] for one in found])) if found else math.nan for name in names}


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else 0.0


def _f(beta: float, precision: float, recall: float) -> float:
    return _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)


def _binary(dataset: DataFrame, actual: Column, called: Column, score: Column | None, seed: int) -> ModelQuality:
    bins = F.lit(0) if score is None else F.least(F.lit(_BINS), F.greatest(F.lit(0), F.floor(score * _BINS))).cast("int")
    refused = F.lit(False) if score is None else F.isnan(score) | (score < 0) | (score > 1)
    rows = dataset.select(actual.cast("int").alias("t"), called.cast("int").alias("p"), bins.alias("b"), refused.alias("r")).dropna()
    found = rows.groupBy("t", "p", "b").agg(F.count(F.lit(1)).alias("n"), F.max("r").alias("r")).collect()
    if not found:
        raise ValueError("no row has both truth and prediction")
    if any(row["r"] for row in found):
        raise ValueError("probability: scores are between 0 and 1; some are not")
    places = {b: i for i, b in enumerate(sorted({row["b"] for row in found}))}
    counts = np.zeros((2, 2, len(places)))
    for row in found:
        counts[row["t"], row["p"], places[row["b"]]] += row["n"]
    scored = score is not None
    curves = _curves(counts) if scored else {}
    matrix = counts.sum(axis=2)
    named = {str(t): {str(p): float(matrix[t, p]) for p in (0, 1)} for t in (0, 1)}
    deviations = _deviations(lambda sample: _binary_metrics(sample, scored), counts, seed)
    return ModelQuality("BinaryClassification", int(counts.sum()), _binary_metrics(counts, scored), deviations, named, curves)


def _binary_metrics(counts: np.ndarray, scored: bool) -> Metrics:
    (tn, fp), (fn, tp) = counts.sum(axis=2)
    share = _ratio(tp + fn, counts.sum())
    recall, precision = _ratio(tp, tp + fn), _ratio(tp, tp + fp)
    metrics = {
        "recall": recall,
        "precision": precision,
        "accuracy": _ratio(tp + tn, counts.sum()),
        "recall_best_constant_classifier": float(share > 0),
        "precision_best_constant_classifier": share,
        "accuracy_best_constant_classifier": max(share, 1 - share),
        "true_positive_rate": recall,
        "true_negative_rate": _ratio(tn, tn + fp),
        "false_positive_rate": _ratio(fp, tn + fp),
        "false_negative_rate": _ratio(fn, tp + fn),
    }
    if scored:
        metrics["auc"] = _area(counts)
    for name, beta in _BETAS.items():
        metrics[name] = _f(beta, precision, recall)
        metrics[f"{name}_best_constant_classifier"] = _f(beta, share, float(share > 0))
    return metrics


def _thresholds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Negative and positive rows of at least each score, from the highest score on."""
    by_score = counts.sum(axis=1)[:, ::-1]
    negative, positive = np.cumsum(by_score, axis=1)
    return negative, positive


def _area(counts: np.ndarray) -> float:
    negative, positive = _thresholds(counts)
    if not negative[-1] or not positive[-1]:
        return math.nan
    x, y = np.append(0, negative / negative[-1]), np.append(0, positive / positive[-1])
    return float(np.diff(x) @ (y[1:] + y[:-1])) / 2


def _curves(counts: np.ndarray, most: int = 200) -> dict[str, dict[str, list[float]]]:
    """Both curves, at no more than so many thresholds."""
    negative, positive = _thresholds(counts)
    chosen = np.unique(np.linspace(0, len(negative) - 1, min(most, len(negative))).astype(int))
    negative, positive = negative[chosen], positive[chosen]
    rates = [np.append(0, one / max(1, one[-1])).tolist() for one in (negative, positive)]
    precisions = np.append(1, positive / (positive + negative)).tolist()
    return {
        "receiver_operating_characteristic_curve": {"false_positive_rates": rates[0], "true_positive_rates": rates[1]},
        "precision_recall_curve": {"precisions": precisions, "recalls": rates[1]},
    }


def _multiclass(dataset: DataFrame, truth: Column, guess: Column, seed: int) -> ModelQuality:
    found = dataset.select(truth.alias("t"), guess.alias("p")).dropna().groupBy("t", "p").agg(F.count(F.lit(1)).alias("n")).collect()
    if not found:
        raise ValueError("no row has both truth and prediction")
    names = sorted({row[key] for row in found for key in ("t", "p")})
    counts = np.zeros((len(names), len(names)))
    for row in found:
        counts[names.index(row["t"]), names.index(row["p"])] += row["n"]
    matrix = {name: {other: float(counts[i, j]) for j, other in enumerate(names)} for i, name in enumerate(names)}
    deviations = _deviations(_multiclass_metrics, counts, seed)
    return ModelQuality("MulticlassClassification", int(counts.sum()), _multiclass_metrics(counts), deviations, matrix)


def _multiclass_metrics(counts: np.ndarray) -> Metrics:
    right, true, called = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    share = true / counts.sum()
    recall = np.array([_ratio(r, t) for r, t in zip(right, true, strict=True)])
    precision = np.array([_ratio(r, c) for r, c in zip(right, called, strict=True)])
    best = float(share.max())
    metrics = {
        "accuracy": float(right.sum() / counts.sum()),
        "weighted_recall": float(share @ recall),
        "weighted_precision": float(share @ precision),
        "accuracy_best_constant_classifier": best,
        "weighted_recall_best_constant_classifier": best,
        "weighted_precision_best_constant_classifier": best**2,
    }
    for name, beta in _BETAS.items():
        metrics[f"weighted_{name}"] = float(share @ [_f(beta, p, r) for p, r in zip(precision, recall, strict=True)])
        metrics[f"weighted_{name}_best_constant_classifier"] = best * _f(beta, best, 1.0)
    return metrics


def _regression(dataset: DataFrame, truth: Column, guess: Column, seed: int) -> ModelQuality:
    rows = dataset.select(truth.alias("t"), guess.alias("p")).dropna().where(~F.isnan("t") & ~F.isnan("p"))
    for i in range(_SAMPLES):
        rows = rows.withColumn(f"in{i}", F.rand(seed * _SAMPLES + i) < _SHARE)
    asked = []
    for name, chosen in (("all", F.lit(True)), *((str(i), F.col(f"in{i}")) for i in range(_SAMPLES))):
        error, t = F.when(chosen, F.col("p") - F.col("t")), F.when(chosen, F.col("t"))
        asked += [F.count(t).alias(f"n{name}"), F.avg(F.abs(error)).alias(f"a{name}"), F.avg(error * error).alias(f"s{name}")]
        asked.append(F.var_pop(t).alias(f"v{name}"))
    row = rows.agg(*asked).collect()[0].asDict()
    if not row["nall"]:
        raise ValueError("no row has both truth and prediction")

    def metrics(name: str) -> Metrics:
        mse, variance = row[f"s{name}"], row[f"v{name}"]
        return {"mae": row[f"a{name}"], "mse": mse, "rmse": math.sqrt(mse), "r2": 1 - mse / variance if variance else math.nan}

    found = metrics("all")
    samples = [metrics(str(i)) for i in range(_SAMPLES)] if row["nall"] >= ROWS_FOR_DEVIATION else []
    deviations = {name: float(np.std([one[name] for one in samples])) if samples else math.nan for name in found}
    return ModelQuality("Regression", row["nall"], found, deviations)
