"""Gradient boosted trees."""

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import XGBoostCSVRowDeserializer
from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers import LibSVMRequestRowSerializer


class XGBoostSageMakerEstimator(AlgorithmSageMakerEstimator):
    """`sparkml_algos.XGBoostRegressor` or `XGBoostClassifier`, by the objective, with the connector's interface, that of
    `AlgorithmSageMakerEstimator`.

    ``prediction`` is the single number that the objective predicts: with ``binary:logistic`` the probability of class 1. With
    ``multi:softprob``, whose answers the connector cannot read, it is the most probable class.
    """

    algorithm = "xgboost"
    deserializer = XGBoostCSVRowDeserializer
    serializer = LibSVMRequestRowSerializer
    data_format = "libsvm"
    settings = settings(
        "xgboost",
        ints="silent nthread max_depth refresh_leaf max_leaves max_bin one_drop num_class seed num_round",
        floats="eta gamma min_child_weight max_delta_step subsample colsample_bytree colsample_bylevel lambda_weights alpha sketch_eps "
        "scale_pos_weight rate_drop skip_drop lambda_bias tweedie_variance_power base_score",
        strings="booster tree_method updater process_type grow_policy sample_type normalize_type objective eval_metric",
    )
