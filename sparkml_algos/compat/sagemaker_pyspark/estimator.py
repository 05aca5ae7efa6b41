"""The connector's Estimators, over those of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pyspark.ml import Estimator
from pyspark.sql import DataFrame

from sparkml_algos.compat.sagemaker_pyspark.model import SageMakerModel
from sparkml_algos.compat.sagemaker_pyspark.name_policies import NamePolicyFactory, RandomNamePolicyFactory
from sparkml_algos.compat.sagemaker_pyspark.natives import algorithm_of_image, native_class, translated
from sparkml_algos.compat.sagemaker_pyspark.notice import say_once
from sparkml_algos.compat.sagemaker_pyspark.resources import (
    EndpointCreationPolicy,
    IAMRole,
    IAMRoleFromConfig,
    S3AutoCreatePath,
    S3Resource,
    SageMakerClients,
)
from sparkml_algos.compat.sagemaker_pyspark.settings import Setting, add_accessors
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import ResponseRowDeserializer
from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers import RequestRowSerializer
from sparkml_algos.core.columns import column
from sparkml_algos.core.estimator import AlgorithmEstimator

_SECONDS_PER_DAY = 24 * 60 * 60

# What the constructors take and keep, and nothing else.
_WITHOUT_EFFECT = "roles, instance types, endpoints, S3 paths, volumes, channels, formats, codecs, time limits, keys and clients"


class SageMakerEstimatorBase(Estimator):
    """What all Estimators of the connector have in common. Everything that the constructor is given can be read again under its name.

    Attributes
    ----------
    settings : dict of str to Setting
        The hyperparameters that have Params.
    """

    settings: ClassVar[dict[str, Setting]] = {}

    trainingInstanceCount: int
    trainingInputMode: str
    trainingS3DataDistribution: str
    trainingSparkDataFormatOptions: Mapping[str, str]
    trainingProjectedColumns: Sequence[str] | None
    endpointInstanceType: str
    endpointInitialInstanceCount: int
    endpointCreationPolicy: EndpointCreationPolicy
    requestRowSerializer: RequestRowSerializer
    responseRowDeserializer: ResponseRowDeserializer
    modelImage: str
    modelEnvironmentVariables: dict[str, str]
    modelPrependInputRowsToTransformationRows: bool
    sagemakerClient: Any
    sagemakerRole: IAMRole | IAMRoleFromConfig
    namePolicyFactory: NamePolicyFactory

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for setting in cls.settings.values():
            add_accessors(cls, setting)

    def _record(self, uid: str | None, **arguments: Any) -> None:
        super().__init__()
        if uid is not None:
            self._resetUid(uid)
        self._latest_training_job: str | None = None
        for name, value in arguments.items():
            setattr(self, name, value)

    @property
    def hyperParameters(self) -> dict[str, str]:
        """Those that are set or have a default, as the service takes them."""
        given = {setting: self.getParam(setting) for setting in self.settings}
        values = {name: self.getOrDefault(param) for name, param in given.items() if self.isDefined(param)}
        return {"lambda" if name == "lambda_weights" else name: str(value) for name, value in values.items()}

    @property
    def latestTrainingJob(self) -> str | None:
        """What the name policy has called the last training; None before `fit`."""
        return self._latest_training_job

    def copy(self, extra: Mapping[Any, Any] | None = None) -> SageMakerEstimatorBase:
        """Is not supported by the connector, so not here."""
        raise NotImplementedError(f"{type(self).__name__} cannot be copied, as in the connector; make another one")

    def native_estimator(self) -> AlgorithmEstimator:
        """The Estimator of this package that `fit` trains with.

        Raises
        ------
        InvalidParams, ValueError
            If hyperparameters are unknown or out of range.
        """
        raise NotImplementedError

    def _native(self, algorithm: str, hyperparameters: Mapping[str, Any]) -> AlgorithmEstimator:
        cls = native_class(algorithm, hyperparameters)
        options = self.trainingSparkDataFormatOptions
        names = {"featuresCol": options.get("featuresColumnName"), "labelCol": options.get("labelColumnName")}
        replicated = self.trainingS3DataDistribution == "FullyReplicated"
        return cls(
            num_workers=self.trainingInstanceCount,
            input_mode=self.trainingInputMode,
            data_distribution="FullyReplicated" if replicated else "ShardedByKey",
            **{param: name for param, name in names.items() if name and param in cls.declared},
            **translated(hyperparameters),
        )

    def _fit(self, dataset: DataFrame) -> SageMakerModel:
        native = self.native_estimator()
        workers = self.trainingInstanceCount
        say_once(
            f"{type(self).__name__} trains on this Spark cluster, with num_workers={workers} (trainingInstanceCount); "
            f"without effect are {_WITHOUT_EFFECT}"
        )
        names = self.namePolicyFactory.createNamePolicy()
        self._latest_training_job = names.trainingJobName
        kept = self.trainingProjectedColumns
        fitted = native.fit(dataset.select(*map(column, kept)) if kept else dataset)
        return SageMakerModel(
            endpointInstanceType=self.endpointInstanceType,
            endpointInitialInstanceCount=self.endpointInitialInstanceCount,
            requestRowSerializer=self.requestRowSerializer,
            responseRowDeserializer=self.responseRowDeserializer,
            modelImage=self.modelImage,
            modelEnvironmentVariables=self.modelEnvironmentVariables,
            modelExecutionRoleARN=getattr(self.sagemakerRole, "role", None),
            endpointCreationPolicy=self.endpointCreationPolicy,
            sagemakerClient=self.sagemakerClient,
            prependResultRows=self.modelPrependInputRowsToTransformationRows,
            namePolicy=names,
            uid=self.uid,
            nativeModel=fitted,
        )


class SageMakerEstimator(SageMakerEstimatorBase):
    """An algorithm by the name of its image, with hyperparameters in a dictionary.

    Parameters
    ----------
    trainingImage : str
        Of which the repository's name counts: ``kmeans``, ``pca``, ``lda``, ``linear-learner``, ``factorization-machines``, ``xgboost``,
        ``knn``, ``randomcutforest``. Tasks are told apart by ``predictor_type`` or ``objective``.
    modelImage : str
        Recorded.
    hyperParameters : dict, optional
        By the service's names; values may be strings.
    trainingInstanceCount : int
        Number of workers.
    trainingSparkDataFormatOptions : dict, optional
        ``featuresColumnName`` and ``labelColumnName``.

    Raises
    ------
    ValueError
        If the image is none of these.
    """

    def __init__(
        self,
        trainingImage: str,
        modelImage: str,
        trainingInstanceType: str,
        trainingInstanceCount: int,
        endpointInstanceType: str,
        endpointInitialInstanceCount: int,
        requestRowSerializer: RequestRowSerializer,
        responseRowDeserializer: ResponseRowDeserializer,
        hyperParameters: Mapping[str, Any] | None = None,
        trainingInputS3DataPath: S3Resource | None = None,
        trainingOutputS3DataPath: S3Resource | None = None,
        trainingInstanceVolumeSizeInGB: int = 1024,
        trainingProjectedColumns: Sequence[str] | None = None,
        trainingChannelName: str = "train",
        trainingContentType: str | None = None,
        trainingS3DataDistribution: str = "ShardedByS3Key",
        trainingSparkDataFormat: str = "sagemaker",
        trainingSparkDataFormatOptions: Mapping[str, str] | None = None,
        trainingInputMode: str = "File",
        trainingCompressionCodec: str | None = None,
        trainingMaxRuntimeInSeconds: int = _SECONDS_PER_DAY,
        trainingKmsKeyId: str | None = None,
        modelEnvironmentVariables: Mapping[str, str] | None = None,
        endpointCreationPolicy: EndpointCreationPolicy = EndpointCreationPolicy.CREATE_ON_CONSTRUCT,
        sagemakerClient: Any = None,
        sagemakerRole: IAMRole | IAMRoleFromConfig | None = None,
        s3Client: Any = None,
        stsClient: Any = None,
        modelPrependInputRowsToTransformationRows: bool = True,
        deleteStagingDataAfterTraining: bool = True,
        namePolicyFactory: NamePolicyFactory | None = None,
        uid: str | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "hyperParameters", "__class__")}
        self._algorithm = algorithm_of_image(trainingImage)
        self._hyperparameters = dict(hyperParameters or {})
        self._record(**with_defaults(given))

    @property
    def hyperParameters(self) -> dict[str, str]:
        return {name: str(value) for name, value in self._hyperparameters.items()}

    def native_estimator(self) -> AlgorithmEstimator:
        return self._native(self._algorithm, self._hyperparameters)


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor, those made anew where they are None."""
    made: dict[str, Callable[[], Any]] = {
        "trainingInputS3DataPath": S3AutoCreatePath,
        "trainingOutputS3DataPath": S3AutoCreatePath,
        "trainingSparkDataFormatOptions": dict,
        "modelEnvironmentVariables": dict,
        "sagemakerClient": SageMakerClients.create_sagemaker_client,
        "sagemakerRole": IAMRoleFromConfig,
        "s3Client": SageMakerClients.create_s3_default_client,
        "stsClient": SageMakerClients.create_sts_default_client,
        "namePolicyFactory": RandomNamePolicyFactory,
    }
    return {name: made[name]() if value is None and name in made else value for name, value in given.items()}
