"""Factorization machines."""

from typing import ClassVar

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import (
    FactorizationMachinesBinaryClassifierDeserializer,
    FactorizationMachinesRegressorDeserializer,
)

_GROUPS = ("bias", "linear", "factors")
_SETTINGS = settings(
    "factorization-machines",
    ints="feature_dim num_factors mini_batch_size epochs",
    floats="clip_gradient eps rescale_grad "
    + " ".join(f"{group}_{what}" for group in _GROUPS for what in ("lr", "wd", "init_scale", "init_sigma", "init_value")),
    strings="predictor_type " + " ".join(f"{group}_init_method" for group in _GROUPS),
    hidden=["predictor_type"],
)


class FactorizationMachinesRegressor(AlgorithmSageMakerEstimator):
    """`sparkml_algos.FactorizationMachinesRegressor` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "factorization-machines"
    deserializer = FactorizationMachinesRegressorDeserializer
    defaults: ClassVar = {"predictor_type": "regressor"}
    settings = _SETTINGS


class FactorizationMachinesBinaryClassifier(AlgorithmSageMakerEstimator):
    """`sparkml_algos.FactorizationMachinesBinaryClassifier` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "factorization-machines"
    deserializer = FactorizationMachinesBinaryClassifierDeserializer
    defaults: ClassVar = {"predictor_type": "binary_classifier"}
    settings = _SETTINGS
