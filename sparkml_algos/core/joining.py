"""The JVM bridge in a session that was started without it: its jar joins the running JVM when it is first wanted.

In a classic session Spark's own class loader takes the jar, and the context sends it to the executors. On a server of Spark Connect it becomes
an artifact of the session, which only this session sees; the bridge's expressions then come among the functions of the session.
"""

from __future__ import annotations

import logging
import threading
import weakref
from pathlib import Path
from typing import Any

from py4j.java_gateway import JavaClass, JavaObject, JVMView, is_instance_of
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.cluster.resources import is_connect
from sparkml_algos.jvm.jars import JvmBridgeError, SparkHome, find_jar
from sparkml_algos.version import __version__

logger = logging.getLogger(__name__)

#: The setting of a session: ``auto``, or ``off`` for a session that makes no use of the bridge.
SETTING = "spark.sparkml_algos.bridge"
CHOICES = ("auto", "off")

# Spark Connect needs Spark 4, and all of Spark 4 is built with this Scala.
SCALA_OF_CONNECT = "2.13"
FUNCTIONS = "org.sparkmlalgos.connect.Functions"

# Of each SparkContext or Connect session why it has no bridge, None if it has one.
_outcomes: weakref.WeakKeyDictionary[SparkContext | SparkSession, str | None] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def why_no_bridge(spark: SparkSession) -> str | None:
    """Why there is no bridge of this version in a session, None if there is. The first time it joins the session, if it is not there yet and
    there is a jar for the session's Spark; what hinders that is logged, once.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.

    Raises
    ------
    ValueError
        If the setting ``spark.sparkml_algos.bridge`` is neither ``auto`` nor ``off``.
    """
    setting = spark.conf.get(SETTING, CHOICES[0])
    if setting.lower() not in CHOICES:
        raise ValueError(f"{SETTING} must be {' or '.join(CHOICES)}, got {setting!r}")
    if setting.lower() == "off":
        return f"{SETTING} is off"
    key = spark if is_connect(spark) else spark.sparkContext
    with _lock:
        if key not in _outcomes:
            _outcomes[key] = _join(spark)
        return _outcomes[key]


def _join(spark: SparkSession) -> str | None:
    try:
        obstacle = _join_connect(spark) if is_connect(spark) else _join_classic(spark)
    except JvmBridgeError as error:
        # Nobody has to have a jar; one from other sources is a mistake.
        logger.log(logging.WARNING if error.found else logging.INFO, "scoring in Python: %s", error)
        return str(error)
    except Exception as error:
        # Whatever a server forbids or a vendor's class loader lacks, Python can do all of it.
        logger.warning("the JVM bridge could not join the session, Python does its work: %s", _first_line(error))
        return f"the JVM bridge could not join this session: {_first_line(error)}"
    if obstacle:
        logger.warning("Python does the work of the JVM bridge: %s", obstacle)
    return obstacle
