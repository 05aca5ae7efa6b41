"""The JVM bridge in a session that was started without it: it joins when it is first wanted.

In a classic session Spark's class loader takes the jar, and the context sends it to the executors. On a server of Spark Connect the jar
becomes an artifact of the session, seen by this session alone, and the bridge's expressions come among the session's functions.
"""

from __future__ import annotations

import logging
import threading
import weakref
from pathlib import Path

from py4j.java_gateway import JavaClass, JavaObject, is_instance_of
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.cluster.resources import is_connect
from sparkml_algos.jvm.jars import JvmBridgeError, NoJarError, SparkHome, find_jar
from sparkml_algos.version import __version__

logger = logging.getLogger(__name__)

#: The setting of a session: ``auto``, or ``off`` where no use is to be made of the bridge.
SETTING = "spark.sparkml_algos.bridge"
AUTO, OFF = "auto", "off"

BRIDGE = "org.sparkmlalgos.Bridge"
# What Spark Connect makes on the server, and the name that it must have among the functions.
FUNCTIONS, FUNCTIONS_NAME = "org.sparkmlalgos.connect.Functions", "sparkml_algos_version"
# Spark 4, which Connect needs here, comes with no other Scala.
SCALA_OF_CONNECT = "2.13"

_CLASS_LOADER = "org.apache.spark.util.MutableURLClassLoader"

# For each SparkContext or Connect session why the bridge is not in it, None where it is.
_outcomes: weakref.WeakKeyDictionary[SparkContext | SparkSession, str | None] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def why_no_bridge(spark: SparkSession) -> str | None:
    """Why there is no bridge of this version in a session; None if there is.

    When it is first asked for it joins the session, if it is not there and there is a jar for the session's Spark. What hinders that is
    logged once, and not tried again.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.

    Raises
    ------
    ValueError
        If the setting ``spark.sparkml_algos.bridge`` is neither ``auto`` nor ``off``.
    """
    setting = spark.conf.get(SETTING, AUTO)
    if setting not in (AUTO, OFF):
        raise ValueError(f"the setting {SETTING} must be {AUTO} or {OFF}, got {setting!r}")
    if setting == OFF:
        return f"the JVM bridge is turned off: {SETTING} is {OFF}"
    key = _key(spark)
    with _lock:
        if key not in _outcomes:
            _outcomes[key] = _join(spark)
        return _outcomes[key]


def do_without(spark: SparkSession, reason: str) -> None:
    """Make no use of the bridge in a session from now on, and log why, unless that is so anyway."""
    with _lock:
        if _outcomes.get(_key(spark)) is None:
            _outcomes[_key(spark)] = _lack(reason)


def ask(spark: SparkSession, function: str, *arguments: str) -> str | None:
    """What a function of the bridge on a server of Spark Connect answers. The answer is part of its type, so that the server need not run
    anything."""
    answer = F.call_function(function, *map(F.lit, arguments))
    return spark.range(1).select(answer).schema[0].dataType[0].metadata["answer"]


def _key(spark: SparkSession) -> SparkContext | SparkSession:
    return spark if is_connect(spark) else spark.sparkContext


def _join(spark: SparkSession) -> str | None:
    """Why the bridge is not in a session now; None if it is."""
    try:
        version = _join_connect(spark) if is_connect(spark) else _join_classic(spark)
    except NoJarError as error:
        logger.info("%s", error)
        return str(error)
    except JvmBridgeError as error:
        return _lack(str(error))
    except Exception as error:
        # Whatever a server forbids or another class loader cannot do: nothing depends on the bridge.
        return _lack(f"the JVM bridge could not join this session: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
    if version == __version__:
        return None
    return _lack(f"the JVM bridge in this session is of version {version}, the package is {__version__}: leave that jar out of spark.jars")


def _lack(reason: str) -> str:
    logger.warning("vectors are packed and models score in Python: %s", reason)
    return reason


# -------------------------------------------------------------------------------------------------------------------- classic


def _join_classic(spark: SparkSession) -> str:
    """The version of the bridge that is in the session now."""
    context, jvm = spark.sparkContext, spark.sparkContext._jvm
    if not _is_there(context):
        scala = jvm.scala.util.Properties.versionNumberString().rsplit(".", 1)[0]
        jar = find_jar(SparkHome(Path(), spark.version, scala))
        _class_loader(context).addURL(jvm.java.io.File(str(jar)).toURI().toURL())
        if not _is_there(context):
            raise RuntimeError(f"{BRIDGE} is not found where {jar} was added")
        logger.info("the JVM bridge has joined the session: %s", jar)
    # Tasks of a local session are threads of this JVM.
    if not context._jsc.sc().isLocal():
        _send_to_executors(context)
    return jvm.org.sparkmlalgos.Bridge.version()


def _is_there(context: SparkContext) -> bool:
    return isinstance(context._jvm.org.sparkmlalgos.Bridge, JavaClass)


def _class_loader(context: SparkContext) -> JavaObject:
    """The class loader that Spark has made for users' jars. Those of single threads, of a shell or of ADD JAR, are below it."""
    found, loader = None, _context_loader(context)
    while loader is not None:
        if is_instance_of(context._gateway, loader, _CLASS_LOADER):
            found = loader
        loader = loader.getParent()
    if found is None:
        raise RuntimeError("Spark's class loader is not among those of this JVM")
    return found


def _context_loader(context: SparkContext) -> JavaObject:
    return context._jvm.java.lang.Thread.currentThread().getContextClassLoader()


def _send_to_executors(context: SparkContext) -> None:
    """Executors fetch the jar with their next task, unless they have it from the start. A jar that has joined the JVM stays there when its
    session stops; executors of the next session have to be sent it as well."""
    bridge = _context_loader(context).loadClass(BRIDGE)
    if not is_instance_of(context._gateway, bridge.getClassLoader(), _CLASS_LOADER):
        return  # among Spark's own jars, or on a class path that whoever set it has set for the executors too
    jar = Path(context._jvm.java.io.File(bridge.getProtectionDomain().getCodeSource().getLocation().toURI()).getPath())
    sent = context._jsc.sc().listJars().mkString("\n").splitlines()
    if not any(url.endswith(f"/{jar.name}") for url in sent):
        context._jsc.addJar(str(jar))


# -------------------------------------------------------------------------------------------------------------------- Connect


def _join_connect(spark: SparkSession) -> str:
    """The version of the bridge that is in the session now."""
    jar = find_jar(SparkHome(Path(), spark.version, SCALA_OF_CONNECT))
    spark.addArtifacts(str(jar))
    spark.udf.registerJavaFunction(FUNCTIONS_NAME, FUNCTIONS)
    version = ask(spark, "sparkml_algos_bridge")
    logger.info("the JVM bridge has joined the session: %s", jar)
    return version
