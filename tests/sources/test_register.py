"""What a Spark without Python data sources makes of the function that registers one."""

from __future__ import annotations

import inspect
import pydoc

import pyspark
import pytest
from pyspark.sql import SparkSession

import sparkml_algos
from sparkml_algos.core.joining import SETTING

pytestmark = pytest.mark.generic


def test_every_name_of_the_package_is_there_in_every_spark() -> None:
    names: dict[str, object] = {}
    exec("from sparkml_algos import *", names)
    assert set(sparkml_algos.__all__) <= names.keys()
    assert set(sparkml_algos.__all__) <= {name for name, _ in inspect.getmembers(sparkml_algos)}
    assert "register_recordio(spark" in pydoc.render_doc(sparkml_algos, renderer=pydoc.plaintext)


@pytest.mark.skipif(not pyspark.__version__.startswith("3"), reason="Spark 4 has Python data sources")
def test_a_spark_without_python_data_sources_says_so_when_one_is_registered(spark: SparkSession) -> None:
    spark.conf.set(SETTING, "off")
    try:
        with pytest.raises(NotImplementedError, match="this Spark has no Python data sources, Spark 4 has; the JVM bridge reads"):
            sparkml_algos.register_recordio(spark)
    finally:
        spark.conf.unset(SETTING)


def test_every_spark_has_the_data_source_of_the_bridge(bridge: SparkSession) -> None:
    assert sparkml_algos.register_recordio(bridge) is False
