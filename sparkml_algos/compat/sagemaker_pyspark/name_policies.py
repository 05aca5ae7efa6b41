"""What trainings, models and endpoints are called."""

from __future__ import annotations

import time
from uuid import uuid4


class NamePolicy:
    """Names of what belongs to one `fit`.

    Attributes
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str) -> None:
        self.trainingJobName, self.modelName = trainingJobName, modelName
        self.endpointConfigName, self.endpointName = endpointConfigName, endpointName


class RandomNamePolicy(NamePolicy):
    """Names that nothing else has, which begin with a prefix.

    Attributes
    ----------
    prefix : str
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        ending = f"{uuid4().hex[:12]}-{_timestamp()}"
        super().__init__(*(f"{prefix}{kind}-{ending}" for kind in ("trainingJob", "model", "endpointConfig", "endpoint")))


class CustomNamePolicy(NamePolicy):
    """The names as they are given."""


class CustomNamePolicyWithTimeStampSuffix(NamePolicy):
    """The names as they are given, each with the time at the end."""

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str) -> None:
        ending = _timestamp()
        super().__init__(*(f"{name}-{ending}" for name in (trainingJobName, modelName, endpointConfigName, endpointName)))


class NamePolicyFactory:
    """Makes the names for each `fit`."""

    def createNamePolicy(self) -> NamePolicy:
        """The names for one."""
        raise NotImplementedError


class RandomNamePolicyFactory(NamePolicyFactory):
    """Makes a `RandomNamePolicy` each time.

    Attributes
    ----------
    prefix : str
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def createNamePolicy(self) -> RandomNamePolicy:
        return RandomNamePolicy(self.prefix)


class CustomNamePolicyFactory(NamePolicyFactory):
    """Makes a `CustomNamePolicy` of the same names each time."""

    _policy: type[NamePolicy] = CustomNamePolicy

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str) -> None:
        self.trainingJobName, self.modelName = trainingJobName, modelName
        self.endpointConfigName, self.endpointName = endpointConfigName, endpointName

    def createNamePolicy(self) -> NamePolicy:
        return self._policy(self.trainingJobName, self.modelName, self.endpointConfigName, self.endpointName)


class CustomNamePolicyWithTimeStampSuffixFactory(CustomNamePolicyFactory):
    """Makes a `CustomNamePolicyWithTimeStampSuffix` of the same names each time."""

    _policy = CustomNamePolicyWithTimeStampSuffix


def _timestamp() -> str:
    """Milliseconds, in letters that SageMaker takes in names."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now)) + f"-{int(now * 1000) % 1000:03d}"
