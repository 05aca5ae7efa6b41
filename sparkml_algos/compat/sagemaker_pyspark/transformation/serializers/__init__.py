"""Which column a model reads."""

from sparkml_algos.compat.sagemaker_pyspark.transformation.serializers.serializers import (
    LibSVMRequestRowSerializer,
    ProtobufRequestRowSerializer,
    RequestRowSerializer,
    UnlabeledCSVRequestRowSerializer,
)

__all__ = ["LibSVMRequestRowSerializer", "ProtobufRequestRowSerializer", "RequestRowSerializer", "UnlabeledCSVRequestRowSerializer"]
