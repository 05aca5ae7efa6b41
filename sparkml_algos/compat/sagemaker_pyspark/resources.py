"""Names of things at AWS. They can be written down and read again; nothing is looked up, created or changed there."""

from __future__ import annotations

from enum import Enum
from typing import Any


class IAMRole:
    """A role by name or ARN.

    Attributes
    ----------
    role : str
    """

    def __init__(self, role: str) -> None:
        self.role = role

    def __repr__(self) -> str:
        return f"IAMRole({self.role!r})"


class IAMRoleFromConfig:
    """A role that a setting of Spark names.

    Attributes
    ----------
    configKey : str
    """

    def __init__(self, configKey: str = "com.amazonaws.services.sagemaker.sparksdk.sagemakerrole") -> None:
        self.configKey = configKey

    def __repr__(self) -> str:
        return f"IAMRoleFromConfig({self.configKey!r})"


class S3Resource:
    """A place in S3."""


class S3AutoCreatePath(S3Resource):
    """A place that the connector would make up."""

    def __repr__(self) -> str:
        return "S3AutoCreatePath()"


class S3DataPath(S3Resource):
    """A key, or what keys begin with, in a bucket.

    Attributes
    ----------
    bucket : str
    objectPath : str
    """

    def __init__(self, bucket: str, objectPath: str) -> None:
        self.bucket, self.objectPath = bucket, objectPath

    def toS3UriString(self) -> str:
        """The place as ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.objectPath}"

    def __repr__(self) -> str:
        return f"S3DataPath({self.bucket!r}, {self.objectPath!r})"


class EndpointCreationPolicy(Enum):
    """When the connector would start an endpoint. Here it says when a `SageMakerModel` that names a saved model loads it: when it is made,
    or when it first transforms, also with ``DO_NOT_CREATE``."""

    CREATE_ON_CONSTRUCT = "CREATE_ON_CONSTRUCT"
    CREATE_ON_TRANSFORM = "CREATE_ON_TRANSFORM"
    DO_NOT_CREATE = "DO_NOT_CREATE"


class UnusedClient:
    """Stands where the connector wants a client of AWS; no call goes through it."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"UnusedClient({self._service!r})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no client of {self._service} here, and so no {name!r}: training and scoring do not call AWS")


class SageMakerClients:
    """What makes the clients that the connector's constructors take."""

    @classmethod
    def create_s3_default_client(cls) -> UnusedClient:
        """Of S3."""
        return UnusedClient("S3")

    @classmethod
    def create_sts_default_client(cls) -> UnusedClient:
        """Of the security token service."""
        return UnusedClient("STS")

    @classmethod
    def create_sagemaker_client(cls) -> UnusedClient:
        """Of SageMaker."""
        return UnusedClient("SageMaker")
