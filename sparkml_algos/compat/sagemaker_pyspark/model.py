"""The connector's model, over a model of this package."""

from __future__ import annotations

import importlib
import json
from typing import Any, cast

from pyspark.ml import Model
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from sparkml_algos.compat.sagemaker_pyspark.answers import answers
from sparkml_algos.compat.sagemaker_pyspark.cleanup import CreatedResources, SageMakerResourceCleanup
from sparkml_algos.compat.sagemaker_pyspark.name_policies import NamePolicy, RandomNamePolicy
from sparkml_algos.compat.sagemaker_pyspark.notice import say_once
from sparkml_algos.compat.sagemaker_pyspark.resources import EndpointCreationPolicy, S3DataPath
from sparkml_algos.compat.sagemaker_pyspark.transformation.deserializers import ResponseRowDeserializer
from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers import RequestRowSerializer
from sparkml_algos.core.columns import column
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.names import EXPORTS, current_name

_HIDDEN = "_sparkml_algos_{}"


class SageMakerModel(Model):
    """A fitted model with the connector's interface; it scores on the executors.

    `transform` appends the columns of `responseRowDeserializer`, or gives these alone where `prependResultRows` is False.

    Parameters
    ----------
    endpointInstanceType : str or None
        Recorded, as all that is said of endpoints.
    endpointInitialInstanceCount : int or None
        Recorded.
    requestRowSerializer : RequestRowSerializer
        Names the column of features.
    responseRowDeserializer : ResponseRowDeserializer
        Names the columns to append.
    existingEndpointName : str, optional
        Path of a model that this package has saved.
    modelImage : str, optional
        Recorded.
    modelPath : S3DataPath or str, optional
        Path of a model that this package has saved.
    modelEnvironmentVariables : dict, optional
        Recorded.
    modelExecutionRoleARN : str, optional
        Recorded.
    endpointCreationPolicy : EndpointCreationPolicy
        When a saved model is loaded: now, or by the first `transform`.
    sagemakerClient : optional
        Recorded.
    prependResultRows : bool
        Whether the result has the columns of the input too.
    namePolicy : NamePolicy, optional
        Recorded.
    uid : str, optional
    nativeModel : AlgorithmModel, optional
        Not of the connector: the model itself, in place of a path.

    Attributes
    ----------
    nativeModel : AlgorithmModel
        The model of this package: metrics, arrays, `save`.
    """

    def __init__(
        self,
        *,
        endpointInstanceType: str | None,
        endpointInitialInstanceCount: int | None,
        requestRowSerializer: RequestRowSerializer,
        responseRowDeserializer: ResponseRowDeserializer,
        existingEndpointName: str | None = None,
        modelImage: str | None = None,
        modelPath: S3DataPath | str | None = None,
        modelEnvironmentVariables: dict[str, str] | None = None,
        modelExecutionRoleARN: str | None = None,
        endpointCreationPolicy: EndpointCreationPolicy = EndpointCreationPolicy.CREATE_ON_CONSTRUCT,
        sagemakerClient: Any = None,
        prependResultRows: bool = True,
        namePolicy: NamePolicy | None = None,
        uid: str | None = None,
        nativeModel: AlgorithmModel | None = None,
    ) -> None:
        super().__init__()
        if uid is not None:
            self._resetUid(uid)
        self.endpointInstanceType, self.endpointInitialInstanceCount = endpointInstanceType, endpointInitialInstanceCount
        self.requestRowSerializer, self.responseRowDeserializer = requestRowSerializer, responseRowDeserializer
        self.existingEndpointName, self.modelImage, self.modelPath = existingEndpointName, modelImage, modelPath
        self.modelEnvironmentVariables = modelEnvironmentVariables or {}
        self.modelExecutionRoleARN, self.sagemakerClient = modelExecutionRoleARN, sagemakerClient
        self.endpointCreationPolicy, self.prependResultRows = endpointCreationPolicy, prependResultRows
        self.namePolicy = namePolicy or RandomNamePolicy()
        self._native = nativeModel
        if nativeModel is None and endpointCreationPolicy is EndpointCreationPolicy.CREATE_ON_CONSTRUCT:
            _ = self.nativeModel

    @classmethod
    def fromTrainingJob(
        cls,
        trainingJobName: str,
        modelImage: str | None,
        modelExecutionRoleARN: str | None,
        endpointInstanceType: str | None,
        endpointInitialInstanceCount: int | None,
        requestRowSerializer: RequestRowSerializer,
        responseRowDeserializer: ResponseRowDeserializer,
        modelEnvironmentVariables: dict[str, str] | None = None,
        endpointCreationPolicy: EndpointCreationPolicy = EndpointCreationPolicy.CREATE_ON_CONSTRUCT,
        sagemakerClient: Any = None,
        prependResultRows: bool = True,
        namePolicy: NamePolicy | None = None,
        uid: str = "sagemaker",
    ) -> SageMakerModel:
        """A model from where it was saved, in place of the job that trained it; the same as `fromModelS3Path`."""
        return cls.fromModelS3Path(
            trainingJobName,
            modelImage,
            modelExecutionRoleARN,
            endpointInstanceType,
            endpointInitialInstanceCount,
            requestRowSerializer,
            responseRowDeserializer,
            modelEnvironmentVariables,
            endpointCreationPolicy,
            sagemakerClient,
            prependResultRows,
            namePolicy,
            uid,
        )

    @classmethod
    def fromEndpoint(
        cls,
        endpointName: str,
        requestRowSerializer: RequestRowSerializer,
        responseRowDeserializer: ResponseRowDeserializer,
        modelEnvironmentVariables: dict[str, str] | None = None,
        sagemakerClient: Any = None,
        prependResultRows: bool = True,
        namePolicy: NamePolicy | None = None,
        uid: str = "sagemaker",
    ) -> SageMakerModel:
        """A model from where it was saved, in place of the endpoint that serves it.

        Parameters
        ----------
        endpointName : str
            The path.

        Raises
        ------
        ValueError
            If no model that this package has saved is there.
        """
        return cls(
            endpointInstanceType=None,
            endpointInitialInstanceCount=None,
            requestRowSerializer=requestRowSerializer,
            responseRowDeserializer=responseRowDeserializer,
            existingEndpointName=endpointName,
            modelEnvironmentVariables=modelEnvironmentVariables,
            sagemakerClient=sagemakerClient,
            prependResultRows=prependResultRows,
            namePolicy=namePolicy,
            uid=uid,
        )

    @classmethod
    def fromModelS3Path(
        cls,
        modelPath: S3DataPath | str,
        modelImage: str | None,
        modelExecutionRoleARN: str | None,
        endpointInstanceType: str | None,
        endpointInitialInstanceCount: int | None,
        requestRowSerializer: RequestRowSerializer,
        responseRowDeserializer: ResponseRowDeserializer,
        modelEnvironmentVariables: dict[str, str] | None = None,
        endpointCreationPolicy: EndpointCreationPolicy = EndpointCreationPolicy.CREATE_ON_CONSTRUCT,
        sagemakerClient: Any = None,
        prependResultRows: bool = True,
        namePolicy: NamePolicy | None = None,
        uid: str = "sagemaker",
    ) -> SageMakerModel:
        """A model that this package has saved, at a path of any file system that the session reads."""
        say_once("SageMakerModel scores on this Spark cluster; images, roles and instances of endpoints have no effect")
        return cls(
            endpointInstanceType=endpointInstanceType,
            endpointInitialInstanceCount=endpointInitialInstanceCount,
            requestRowSerializer=requestRowSerializer,
            responseRowDeserializer=responseRowDeserializer,
            modelImage=modelImage,
            modelPath=modelPath,
            modelEnvironmentVariables=modelEnvironmentVariables,
            modelExecutionRoleARN=modelExecutionRoleARN,
            endpointCreationPolicy=endpointCreationPolicy,
            sagemakerClient=sagemakerClient,
            prependResultRows=prependResultRows,
            namePolicy=namePolicy,
            uid=uid,
        )

    @property
    def nativeModel(self) -> AlgorithmModel:
        """The model of this package, loaded where it has not been yet.

        Raises
        ------
        ValueError
            If neither `modelPath` nor `existingEndpointName` says where it is, or no model is there.
        """
        if self._native is None:
            path = self.modelPath.toS3UriString() if isinstance(self.modelPath, S3DataPath) else self.modelPath or self.existingEndpointName
            if path is None:
                raise ValueError("SageMakerModel: modelPath or existingEndpointName must be the path of a saved model")
            self._native = _load(path)
        return self._native

    @property
    def endpointName(self) -> str | None:
        """`existingEndpointName`; no endpoint is created."""
        return self.existingEndpointName

    @property
    def resourceCleanup(self) -> SageMakerResourceCleanup:
        """What would delete the resources, of which there are none."""
        return SageMakerResourceCleanup(self.sagemakerClient)

    def getCreatedResources(self) -> CreatedResources:
        """What was created at AWS: nothing."""
        return CreatedResources()

    def transformSchema(self, schema: StructType) -> StructType:
        """The columns of `transform` for those of a dataset."""
        return StructType([*(schema.fields if self.prependResultRows else []), *self.responseRowDeserializer.schema.fields])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        wanted = self.responseRowDeserializer
        names = wanted.schema.fieldNames()
        model, known = self.nativeModel, answers(self.nativeModel)
        if missing := [key for key in wanted.protobufKeys if key not in known]:
            raise ValueError(f"{type(model).__name__} answers {', '.join(known)}; {type(wanted).__name__} wants {', '.join(missing)}")
        if self.prependResultRows and (taken := set(names) & set(dataset.columns)):
            raise ValueError(f"the dataset has columns {', '.join(sorted(taken))} already; drop them, or name others in the deserializer")
        model = cast(AlgorithmModel, model.copy())
        used = {known[key].param for key in wanted.protobufKeys}
        hidden = {output.param: _HIDDEN.format(output.param) if output.param in used else "" for output in model.outputs}
        scored = model._set(featuresCol=self.requestRowSerializer.featuresColumnName, **hidden).transform(dataset)
        made = [known[key].made(column(hidden[known[key].param])).alias(name) for key, name in zip(wanted.protobufKeys, names, strict=True)]
        return scored.select(*([column(name) for name in dataset.columns] if self.prependResultRows else []), *made)


def _load(path: str) -> AlgorithmModel:
    """The model at a path, whichever it is."""
    try:
        first = SparkSession.active().read.text(f"{path}/metadata").head(1)[0]
        name = current_name(json.loads(first["value"])["class"]).rpartition(".")[2]
    except Exception as error:  # no such place, no text, no JSON, of Spark Connect too
        raise ValueError(f"{path!r} is no path of a model that sparkml_algos has saved: model.nativeModel.save(path) does that") from error
    cls = getattr(importlib.import_module(EXPORTS[name]), name) if name in EXPORTS else None
    if not (isinstance(cls, type) and issubclass(cls, AlgorithmModel)):
        raise ValueError(f"{path!r} holds a {name}, which is no model of sparkml_algos")
    return cls.load(path)
