"""What Spark's own classes ask of an instance by its type: which columns it has, whether it classifies or regresses.

Spark's mix-ins bring Params, documentation and defaults of their own. Here they are only registered: `isinstance` says yes, and Params stay
as they are declared.
"""

from __future__ import annotations

from pyspark.ml.base import Estimator, Model, PredictionModel, Predictor
from pyspark.ml.classification import (
    ClassificationModel,
    Classifier,
    ProbabilisticClassificationModel,
    ProbabilisticClassifier,
)
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasInputCols,
    HasLabelCol,
    HasOutputCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)
from pyspark.ml.regression import RegressionModel, Regressor

from sparkml_algos.arrays.params import ClassificationParams, RegressionParams

_BY_PARAM = {
    "featuresCol": HasFeaturesCol,
    "inputCols": HasInputCols,
    "labelCol": HasLabelCol,
    "outputCol": HasOutputCol,
    "predictionCol": HasPredictionCol,
    "probabilityCol": HasProbabilityCol,
    "rawPredictionCol": HasRawPredictionCol,
    "seed": HasSeed,
    "validationIndicatorCol": HasValidationIndicatorCol,
    "weightCol": HasWeightCol,
}


def register(cls: type) -> None:
    """Let Spark know a class of declared Params by its mix-ins and types."""
    for param, mixin in _BY_PARAM.items():
        if param in cls.declared:
            mixin.register(cls)
    for kind in _kinds(cls):
        kind.register(cls)


def _kinds(cls: type) -> list[type]:
    is_estimator, is_model = issubclass(cls, Estimator), issubclass(cls, Model)
    if not (is_estimator or is_model) or not {"featuresCol", "labelCol", "predictionCol"} <= set(cls.declared):
        return []
    if issubclass(cls, ClassificationParams):
        return [ProbabilisticClassifier, Classifier] if is_estimator else [ProbabilisticClassificationModel, ClassificationModel]
    if issubclass(cls, RegressionParams):
        return [Regressor, Predictor] if is_estimator else [RegressionModel, PredictionModel]
    return []
