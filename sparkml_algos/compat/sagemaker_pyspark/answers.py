"""What the service answers for a row, made of the output columns of this package's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.names import name_of


@dataclass(frozen=True)
class Answer:
    """A field of the answer.

    Parameters
    ----------
    param : str
        Param that names the output column it is made of.
    made : function of Column to Column
    """

    param: str
    made: Callable[[Column], Column]


def answers(model: AlgorithmModel) -> Mapping[str, Answer]:
    """The fields that a model answers, by the service's names, with the types that the connector gives them."""
    name = name_of(type(model)).rpartition(".")[2]
    known = _ANSWERS.get(name)
    return known if known is not None else _of_classifier(model)


def _number(column: Column) -> Column:
    return column.cast("double")


def _same(column: Column) -> Column:
    return column


def _reversed(column: Column) -> Column:
    return array_to_vector(F.reverse(vector_to_array(column)))


def _of_second_class(column: Column) -> Column:
    return vector_to_array(column)[1]


_PREDICTION = {"prediction": Answer("predictionCol", _number)}
_SCORE = {"score": Answer("predictionCol", _number)}
_ANSWERS: Mapping[str, Mapping[str, Answer]] = {
    "FactorizationMachinesRegressorModel": _SCORE,
    "KMeansModel": {"distance_to_cluster": Answer("distanceCol", _number), "closest_cluster": Answer("predictionCol", _number)},
    "KNNClassifierModel": {"predicted_label": Answer("predictionCol", _number)},
    "KNNRegressorModel": {"predicted_label": Answer("predictionCol", _number)},
    "LDAModel": {"topic_mixture": Answer("topicDistributionCol", _same)},
    "LinearLearnerRegressorModel": _SCORE,
    "NeuralTopicModelModel": {"topic_weights": Answer("topicDistributionCol", _same)},
    # The service's leading component is last.
    "PCAModel": {"projection": Answer("outputCol", _reversed)},
    "RandomCutForestModel": {"score": Answer("scoreCol", _number)},
    "XGBoostRegressionModel": _PREDICTION,
}


def _of_classifier(model: AlgorithmModel) -> Mapping[str, Answer]:
    if "objective" in model.declared:
        return {"prediction": _of_objective(model.value("objective"))}
    label = Answer("predictionCol", _number)
    if model.label_classes() != 2:
        return {"score": Answer("probabilityCol", _same), "predicted_label": label}
    scored = {output.param for output in model.own_outputs()}
    score = "probabilityCol" if "probabilityCol" in scored else "rawPredictionCol"
    return {"score": Answer(score, _of_second_class), "predicted_label": label}


def _of_objective(objective: str) -> Answer:
    """What the library predicts with an objective, of which the service answers no more: a single number."""
    param = {"binary:logistic": "probabilityCol", "binary:logitraw": "rawPredictionCol"}.get(objective)
    return Answer(param, _of_second_class) if param else _PREDICTION["prediction"]
