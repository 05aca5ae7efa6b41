"""Deleting what the connector creates at AWS; here nothing is created there."""

from __future__ import annotations

from typing import Any

from sparkml_algos.compat.sagemaker_pyspark.notice import say_once


class CreatedResources:
    """What was created at AWS: nothing, unless the caller says otherwise.

    Attributes
    ----------
    model_name, endpoint_config_name, endpoint_name : str or None
    """

    def __init__(self, model_name: str | None = None, endpoint_config_name: str | None = None, endpoint_name: str | None = None) -> None:
        self.model_name, self.endpoint_config_name, self.endpoint_name = model_name, endpoint_config_name, endpoint_name


class SageMakerResourceCleanup:
    """Takes the connector's calls that delete things at AWS, and deletes nothing.

    Parameters
    ----------
    sagemakerClient : optional
        Of no use.
    """

    def __init__(self, sagemakerClient: Any = None) -> None:
        self.sagemakerClient = sagemakerClient

    def deleteResources(self, created_resources: CreatedResources) -> None:
        """Has nothing to delete."""
        _nothing_to_delete()

    def deleteEndpoint(self, name: str | None) -> None:
        """Has nothing to delete."""
        _nothing_to_delete()

    def deleteEndpointConfig(self, name: str | None) -> None:
        """Has nothing to delete."""
        _nothing_to_delete()

    def deleteModel(self, name: str | None) -> None:
        """Has nothing to delete."""
        _nothing_to_delete()


def _nothing_to_delete() -> None:
    say_once("SageMakerResourceCleanup: nothing is deleted; no endpoint, configuration or model was created at AWS")
