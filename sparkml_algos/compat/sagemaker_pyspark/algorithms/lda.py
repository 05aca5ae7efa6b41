"""Latent Dirichlet allocation."""

from sparkml_algos.compat.sagemaker_pyspark.algorithms._base import AlgorithmSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.settings import settings
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import LDAProtobufResponseRowDeserializer


class LDASageMakerEstimator(AlgorithmSageMakerEstimator):
    """`sparkml_algos.LDA` with the connector's interface, that of `AlgorithmSageMakerEstimator`."""

    algorithm = "lda"
    deserializer = LDAProtobufResponseRowDeserializer
    settings = settings("lda", ints="num_topics max_restarts max_iterations mini_batch_size feature_dim", floats="alpha0 tol")
