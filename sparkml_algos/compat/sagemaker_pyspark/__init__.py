"""The interface of the public connector ``sagemaker_pyspark`` over this package's algorithms.

Code written for it runs when its imports name this package instead:

    from sparkml_algos.compat.sagemaker_pyspark import IAMRole
    from sparkml_algos.compat.sagemaker_pyspark.algorithms import KMeansSageMakerEstimator

`fit` then trains on the executors of the session's own cluster, `transform` scores there. What names something of AWS (roles, instance
types, S3 paths, endpoints, keys) is accepted and can be read again, and has no effect, which one line of the log says. The rest keeps its
meaning: `trainingInstanceCount` is the number of workers, the format options name the columns, ``ShardedByS3Key``, ``FullyReplicated``,
``File`` and ``Pipe`` are `data_distribution` and `input_mode`, and the columns of the result have the connector's names, types and order.
"""

from sparkml_algos.compat.sagemaker_pyspark.cleanup import CreatedResources, SageMakerResourceCleanup
from sparkml_algos.compat.sagemaker_pyspark.estimator import SageMakerEstimator, SageMakerEstimatorBase
from sparkml_algos.compat.sagemaker_pyspark.model import SageMakerModel
from sparkml_algos.compat.sagemaker_pyspark.name_policies import (
    CustomNamePolicy,
    CustomNamePolicyFactory,
    CustomNamePolicyWithTimeStampSuffix,
    CustomNamePolicyWithTimeStampSuffixFactory,
    RandomNamePolicy,
    RandomNamePolicyFactory,
)
from sparkml_algos.compat.sagemaker_pyspark.resources import (
    EndpointCreationPolicy,
    IAMRole,
    IAMRoleFromConfig,
    S3AutoCreatePath,
    S3DataPath,
    S3Resource,
    SageMakerClients,
)

__all__ = [
    "CreatedResources",
    "CustomNamePolicy",
    "CustomNamePolicyFactory",
    "CustomNamePolicyWithTimeStampSuffix",
    "CustomNamePolicyWithTimeStampSuffixFactory",
    "EndpointCreationPolicy",
    "IAMRole",
    "IAMRoleFromConfig",
    "RandomNamePolicy",
    "RandomNamePolicyFactory",
    "S3AutoCreatePath",
    "S3DataPath",
    "S3Resource",
    "SageMakerClients",
    "SageMakerEstimator",
    "SageMakerEstimatorBase",
    "SageMakerModel",
    "SageMakerResourceCleanup",
    "classpath_jars",
]


def classpath_jars() -> list[str]:
    """Jars that a session must be started with: none, for what is needed joins the running session.

    Returns
    -------
    list of str
        Empty, and so a harmless value of ``spark.driver.extraClassPath`` when joined.
    """
    return []
