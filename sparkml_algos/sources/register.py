"""The data source in Python made known to a session."""

from __future__ import annotations

from importlib.util import find_spec

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sparkml_algos.cluster.errors import with_check
from sparkml_algos.core.joining import do_without, why_no_bridge


def register_recordio(spark: SparkSession) -> bool:
    """Make the formats ``recordio-protobuf`` and ``sagemaker`` known to a session: those of the JVM bridge, which joins the session if it
    can, or else those in Python.

    A session cannot have both. With those in Python it does without the bridge to its end.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.

    Returns
    -------
    bool
        Whether the Python data source is what the session uses now.

    Raises
    ------
    NotImplementedError
        Before Spark 4, which has no Python data sources, where there is no bridge.
    """
    if why_no_bridge(spark) is None:
        return False
    if find_spec("pyspark.sql.datasource") is None:
        message = (
            "this Spark has no Python data sources, Spark 4 has; the JVM bridge reads and writes this format: "
            "python -m sparkml_algos.jvm build"
        )
        raise NotImplementedError(with_check(message))
    from sparkml_algos.sources.recordio import RecordIODataSource, SageMakerDataSource

    try:
        for source in (RecordIODataSource, SageMakerDataSource):
            spark.dataSource.register(source)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise
        return False
    do_without(spark, f"the data source {RecordIODataSource.name()} in Python is in place of the JVM bridge's")
    return True
