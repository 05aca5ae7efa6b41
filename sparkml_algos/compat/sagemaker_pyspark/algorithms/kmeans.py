"""K-means."""

from typing import ClassVar

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import KMeansProtobufResponseRowDeserializer


class KMeansSageMakerEstimator(AlgorithmSageMakerEstimator):
    """`sparkml_algos.KMeans` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "kmeans"
    deserializer = KMeansProtobufResponseRowDeserializer
    defaults: ClassVar = {"k": 2}
    settings = settings(
        "kmeans",
        ints="k local_lloyd_max_iter half_life_time_size epochs mini_batch_size feature_dim",
        floats="local_lloyd_tol",
        strings="init_method local_lloyd_num_trials local_lloyd_init_method extra_center_factor eval_metrics",
    )
