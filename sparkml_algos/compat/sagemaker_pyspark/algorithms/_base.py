"""The constructor that all algorithms of the connector have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from sparkml_algos.compat.sagemaker_pyspark.estimator import SageMakerEstimatorBase, with_defaults
from sparkml_algos.compat.sagemaker_pyspark.name_policies import NamePolicyFactory
from sparkml_algos.compat.sagemaker_pyspark.natives import native_class, translated
from sparkml_algos.compat.sagemaker_pyspark.notice import say_once
from sparkml_algos.compat.sagemaker_pyspark.resources import EndpointCreationPolicy, IAMRole, IAMRoleFromConfig, S3Resource
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import ResponseRowDeserializer
from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer, RequestRowSerializer
from sparkml_algos.core.estimator import AlgorithmEstimator


class AlgorithmSageMakerEstimator(SageMakerEstimatorBase):
    """An algorithm of the connector; what is not said of a parameter here is recorded and has no effect.

    Parameters
    ----------
    trainingInstanceCount : int
        Number of workers.
    requestRowSerializer : RequestRowSerializer, optional
        Names the column of features that the model reads.
    responseRowDeserializer : ResponseRowDeserializer, optional
        Names the columns that the model appends.
    trainingProjectedColumns : sequence of str, optional
        Columns to keep before training.
    trainingS3DataDistribution : str
        ``FullyReplicated``: every worker trains on all rows; anything else: each row goes to one worker.
    trainingSparkDataFormatOptions : dict, optional
        ``featuresColumnName`` and ``labelColumnName`` of the training.
    trainingInputMode : str
        ``File`` or ``Pipe``.
    modelPrependInputRowsToTransformationRows : bool
        Whether the model's result has the columns of the input too.
    namePolicyFactory : NamePolicyFactory, optional
        What `latestTrainingJob` is called.
    """

    algorithm: ClassVar[str]
    deserializer: ClassVar[Callable[[], ResponseRowDeserializer]]
    serializer: ClassVar[Callable[[], RequestRowSerializer]] = ProtobufRequestRowSerializer
    data_format: ClassVar[str] = "sagemaker"
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        trainingInstanceType: str,
        trainingInstanceCount: int,
        endpointInstanceType: str,
        endpointInitialInstanceCount: int,
        sagemakerRole: IAMRole | IAMRoleFromConfig | None = None,
        requestRowSerializer: RequestRowSerializer | None = None,
        responseRowDeserializer: ResponseRowDeserializer | None = None,
        trainingInputS3DataPath: S3Resource | None = None,
        trainingOutputS3DataPath: S3Resource | None = None,
        trainingInstanceVolumeSizeInGB: int = 1024,
        trainingProjectedColumns: Sequence[str] | None = None,
        trainingChannelName: str = "train",
        trainingContentType: str | None = None,
        trainingS3DataDistribution: str = "ShardedByS3Key",
        trainingSparkDataFormat: str | None = None,
        trainingSparkDataFormatOptions: Mapping[str, str] | None = None,
        trainingInputMode: str = "File",
        trainingCompressionCodec: str | None = None,
        trainingMaxRuntimeInSeconds: int = 24 * 60 * 60,
        trainingKmsKeyId: str | None = None,
        modelEnvironmentVariables: Mapping[str, str] | None = None,
        endpointCreationPolicy: EndpointCreationPolicy = EndpointCreationPolicy.CREATE_ON_CONSTRUCT,
        sagemakerClient: Any = None,
        region: str | None = None,
        s3Client: Any = None,
        stsClient: Any = None,
        modelPrependInputRowsToTransformationRows: bool = True,
        deleteStagingDataAfterTraining: bool = True,
        namePolicyFactory: NamePolicyFactory | None = None,
        uid: str | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        given["requestRowSerializer"] = requestRowSerializer or type(self).serializer()
        given["responseRowDeserializer"] = responseRowDeserializer or type(self).deserializer()
        given["trainingSparkDataFormat"] = trainingSparkDataFormat or self.data_format
        self._record(**with_defaults(given))
        self._setDefault(**self.defaults)

    @property
    def trainingImage(self) -> str:
        """The name of the algorithm; there is no image."""
        return self.algorithm

    modelImage = trainingImage

    def native_estimator(self) -> AlgorithmEstimator:
        values = {name: self.getOrDefault(name) for name in self.settings if self.isDefined(self.getParam(name))}
        cls = native_class(self.algorithm, values)
        unused = [name for name, value in values.items() if not set(translated({name: value})) <= set(cls.declared)]
        if unused:
            say_once(f"{type(self).__name__}: {', '.join(unused)} have no effect; {cls.__name__} has no such hyperparameters")
        return self._native(self.algorithm, {name: value for name, value in values.items() if name not in unused})
