"""Which column a model reads. Rows go to the model as they are, in no request's format, so all three do the same here."""

from __future__ import annotations

from pyspark.sql.types import StructType


class RequestRowSerializer:
    """Names the column of features.

    Parameters
    ----------
    schema : StructType, optional
        Recorded.
    featuresColumnName : str
    """

    def __init__(self, schema: StructType | None = None, featuresColumnName: str = "features") -> None:
        self.schema, self.featuresColumnName = schema, featuresColumnName

    def setSchema(self, schema: StructType) -> None:
        """Record a schema."""
        self.schema = schema


class UnlabeledCSVRequestRowSerializer(RequestRowSerializer):
    """Of endpoints that take CSV."""


class ProtobufRequestRowSerializer(RequestRowSerializer):
    """Of endpoints that take RecordIO-protobuf."""


class LibSVMRequestRowSerializer(RequestRowSerializer):
    """Of endpoints that take libsvm.

    Parameters
    ----------
    schema : StructType, optional
        Recorded.
    labelColumnName : str
        Recorded; a model does not read labels.
    featuresColumnName : str
    """

    def __init__(self, schema: StructType | None = None, labelColumnName: str = "label", featuresColumnName: str = "features") -> None:
        super().__init__(schema, featuresColumnName)
        self.labelColumnName = labelColumnName
