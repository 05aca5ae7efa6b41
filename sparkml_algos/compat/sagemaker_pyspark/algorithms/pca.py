"""Principal component analysis."""

from typing import ClassVar

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import PCAProtobufResponseRowDeserializer


class PCASageMakerEstimator(AlgorithmSageMakerEstimator):
    """`sparkml_algos.PCA` with the connector's interface, that of `AlgorithmSageMakerEstimator`, and the leading component last."""

    algorithm = "pca"
    deserializer = PCAProtobufResponseRowDeserializer
    defaults: ClassVar = {"subtract_mean": "True"}
    settings = settings("pca", ints="num_components extra_components mini_batch_size feature_dim", strings="algorithm_mode subtract_mean")
