"""Linear learner."""

from typing import ClassVar

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import Setting, settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import (
    LinearLearnerBinaryClassifierProtobufResponseRowDeserializer,
    LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer,
    LinearLearnerRegressorProtobufResponseRowDeserializer,
)


def _settings(ints: str = "", floats: str = "", strings: str = "") -> dict[str, Setting]:
    """Those that the connector has for all three, and some."""
    return settings(
        "linear-learner",
        ints="feature_dim mini_batch_size epochs num_calibration_samples lr_scheduler_step num_point_for_scaler early_stopping_patience "
        + ints,
        floats="init_scale init_sigma init_bias wd l1 momentum beta_1 beta_2 bias_lr_mult bias_wd_mult lr_scheduler_factor "
        "lr_scheduler_minimum_lr early_stopping_tolerance margin quantile loss_insensitivity huber_delta f_beta " + floats,
        strings="predictor_type use_bias num_models init_method optimizer loss learning_rate use_lr_scheduler normalize_data "
        "normalize_label unbias_data unbias_label " + strings,
        hidden=["predictor_type"],
    )


class LinearLearnerRegressor(AlgorithmSageMakerEstimator):
    """`sparkml_algos.LinearLearnerRegressor` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "linear-learner"
    deserializer = LinearLearnerRegressorProtobufResponseRowDeserializer
    defaults: ClassVar = {"predictor_type": "regressor"}
    settings = _settings()


class LinearLearnerBinaryClassifier(AlgorithmSageMakerEstimator):
    """`sparkml_algos.LinearLearnerBinaryClassifier` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "linear-learner"
    deserializer = LinearLearnerBinaryClassifierProtobufResponseRowDeserializer
    defaults: ClassVar = {"predictor_type": "binary_classifier"}
    settings = _settings(
        floats="target_recall target_precision", strings="binary_classifier_model_selection_criteria positive_example_weight_mult"
    )


class LinearLearnerMultiClassClassifier(AlgorithmSageMakerEstimator):
    """`sparkml_algos.LinearLearnerMultiClassClassifier` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "linear-learner"
    deserializer = LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer
    defaults: ClassVar = {"predictor_type": "multiclass_classifier"}
    settings = _settings(ints="num_classes accuracy_top_k", strings="balance_multiclass_weights")
