"""The data source ``recordio-protobuf`` in Python, for a Spark 4 without the JVM bridge."""

from __future__ import annotations

from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from sparkml_algos.sources.inference import infer_schema
from sparkml_algos.sources.options import Options
from sparkml_algos.sources.reader import RecordIOReader
from sparkml_algos.sources.writer import RecordIOWriter


class RecordIODataSource(DataSource):
    """Files of RecordIO frames with ``Record`` messages as columns of features and label.

    Differs from the JVM's: a file is one partition, columns are not pruned unless a schema leaves them out, save modes are ``append`` and
    ``overwrite``, folders are not partitioned, and a table of the catalog has no path; `pyarrow.fs` must know the file system.
    """

    @classmethod
    def name(cls) -> str:
        return "recordio-protobuf"

    def schema(self) -> StructType:
        return infer_schema(Options(self.options))

    def reader(self, schema: StructType) -> RecordIOReader:
        return RecordIOReader(schema, Options(self.options))

    def writer(self, schema: StructType, overwrite: bool) -> RecordIOWriter:
        return RecordIOWriter(schema, Options(self.options), overwrite)


class SageMakerDataSource(RecordIODataSource):
    """The same under the name that existing connectors use."""

    @classmethod
    def name(cls) -> str:
        return "sagemaker"
