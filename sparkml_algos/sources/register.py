"""The data source in Python made known to a session."""

from __future__ import annotations

from importlib.util import find_spec

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession


def register_recordio(spark: SparkSession) -> bool:
    """Make the formats ``recordio-protobuf`` and ``sagemaker`` known to a session, unless the JVM bridge has them already.

    Parameters
    ----------
    spark : SparkSession
        Of Spark 4.0 or later; classic or Connect.

    Returns
    -------
    bool
        Whether the Python data source is what the session uses now.

    Raises
    ------
    NotImplementedError
        Before Spark 4, which has no Python data sources.
    """
    if find_spec("pyspark.sql.datasource") is None:
        raise NotImplementedError(
            "this Spark has no Python data sources, Spark 4 has; the JVM bridge reads and writes this format: "
            "python -m sparkml_algos.jvm build"
        )
    from sparkml_algos.sources.recordio import RecordIODataSource, SageMakerDataSource

    try:
        for source in (RecordIODataSource, SageMakerDataSource):
            spark.dataSource.register(source)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise
        return False
    return True
