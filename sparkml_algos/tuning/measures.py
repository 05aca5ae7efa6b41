"""Spark's evaluators as measures that workers take of the rows they hold."""

from __future__ import annotations

from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    Evaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)

from sparkml_algos.arrays.evaluation import AreaUnderCurve, ClassesError, LogLoss, Measure, NumbersError
from sparkml_algos.core.estimator import AlgorithmEstimator


def measure_of(evaluator: Evaluator, estimator: AlgorithmEstimator) -> Measure | None:
    """What an evaluator computes of the models of an estimator, where workers can compute it of the columns that training reads.

    That is so for Spark's own evaluators of classes and numbers, if label and weight are the estimator's and what is evaluated is an output
    of the model.
    """
    if not isinstance(evaluator, (BinaryClassificationEvaluator, MulticlassClassificationEvaluator, RegressionEvaluator)):
        return None
    if type(evaluator) not in (BinaryClassificationEvaluator, MulticlassClassificationEvaluator, RegressionEvaluator):
        return None  # what somebody has derived may compute anything
    weight = evaluator.getWeightCol() if evaluator.isDefined(evaluator.weightCol) else None
    own = [estimator.value(name) if name in estimator.declared else None for name in ("labelCol", "weightCol")]
    if [evaluator.getLabelCol(), weight or None] != [own[0], own[1] or None]:
        return None
    return _measure(evaluator, estimator)


def _measure(
    evaluator: BinaryClassificationEvaluator | MulticlassClassificationEvaluator | RegressionEvaluator, estimator: AlgorithmEstimator
) -> Measure | None:
    metric = evaluator.getMetricName()
    if isinstance(evaluator, BinaryClassificationEvaluator):
        output = _output(estimator, evaluator.getRawPredictionCol())
        return AreaUnderCurve(output, metric, evaluator.getNumBins()) if output else None
    if isinstance(evaluator, RegressionEvaluator):
        output = _output(estimator, evaluator.getPredictionCol())
        return NumbersError(output, metric, evaluator.getThroughOrigin()) if output else None
    if metric == "logLoss":
        output = _output(estimator, evaluator.getProbabilityCol())
        return LogLoss(output, evaluator.getEps()) if output else None
    output = _output(estimator, evaluator.getPredictionCol())
    return ClassesError(output, metric, evaluator.getMetricLabel(), evaluator.getBeta()) if output else None


def _output(estimator: AlgorithmEstimator, name: str) -> str | None:
    """The output of the estimator's models that is in a column of this name."""
    outputs = estimator.model_class().outputs
    return next((output.field for output in outputs if estimator.value(output.param) == name), None)
