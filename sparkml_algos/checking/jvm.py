"""What runs Spark: its version, Java, the JVM bridge."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyspark
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.checking.report import ADVICE, RIGHT, WRONG, Finding
from sparkml_algos.cluster.jobs import described, is_connect
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.columns import find
from sparkml_algos.core.joining import OFF, SCALA_OF_CONNECT, SETTING, why_no_bridge
from sparkml_algos.jvm.jars import BUILD_COMMAND, NoJarError, SparkHome, find_jar

OLDEST_SPARK, OLDEST_SPARK_OF_CONNECT, NEWEST_SPARK = (3, 5), (4, 0), (4,)
OLDEST_JAVA = 17
SECONDS_TO_ANSWER = 30.0
_GET_JAVA = f"install a Java runtime of version {OLDEST_JAVA} or later, and set JAVA_HOME to it"


def spark_version(spark: SparkSession) -> Finding:
    """Whether this Spark is supported, and the Python side is of the same one."""
    version, here = spark.version, pyspark.__version__
    oldest = OLDEST_SPARK_OF_CONNECT if is_connect(spark) else OLDEST_SPARK
    kind = "Spark Connect" if is_connect(spark) else "Spark"
    if _numbers(version)[:2] < oldest or _numbers(version)[:1] > NEWEST_SPARK:
        supported = f"{'.'.join(map(str, oldest))} to {NEWEST_SPARK[0]}"
        return Finding("Spark", WRONG, f"{kind} {version} is not supported: {supported} is", "use one of these")
    if _numbers(version)[:2] != _numbers(here)[:2]:
        return Finding("Spark", ADVICE, f"{kind} {version}, pyspark {here}", f"install pyspark {version}, as on the other side")
    return Finding("Spark", RIGHT, f"{kind} {version}")


def java_here() -> Finding:
    """The Java that a session of this machine starts with, before there is one."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        missing = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on PATH, and no JAVA_HOME"
        return Finding("Java", WRONG, missing, _GET_JAVA)
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("Java", WRONG, f"{java} does not run: {error}", _GET_JAVA)
    version = re.search(r'version "([^"]+)"', said.stderr + said.stdout)
    if said.returncode or not version:
        lines = (said.stderr + said.stdout).strip().splitlines()
        return Finding("Java", WRONG, f"{java} does not say its version: {lines[0] if lines else 'nothing'}", _GET_JAVA)
    return _java([version[1]], f", {java}")


def java_of(spark: SparkSession) -> Finding:
    """The Java of the executors, which is the driver's in a local session."""
    asked = F.expr("java_method('java.lang.System', 'getProperty', 'java.version')")
    with described(spark, "sparkml_algos: see what Java the executors have"):
        versions = {row[0] for row in spark.range(0, 8, 1, 8).select(asked).collect()}  # no shuffle: executors may not reach each other
    if not is_connect(spark):
        versions.add(spark.sparkContext._jvm.java.lang.System.getProperty("java.version"))
    return _java(sorted(versions), "")


def _java(versions: list[str], where: str) -> Finding:
    if any(_java_major(version) < OLDEST_JAVA for version in versions):
        return Finding("Java", WRONG, f"{', '.join(versions)}{where}: Java {OLDEST_JAVA} is the oldest that serves", _GET_JAVA)
    return Finding("Java", RIGHT, f"{', '.join(versions)}{where}")


def bridge(spark: SparkSession) -> Iterator[Finding]:
    """Whether the JVM bridge is in the session, which it joins now if it can, and works on the executors."""
    item = "JVM bridge"
    if spark.conf.get(SETTING, "auto") == OFF:
        yield Finding(item, ADVICE, f"turned off, {SETTING} is {OFF}: Python does the work", f"set {SETTING} to auto")
        return
    if (reason := why_no_bridge(spark)) is None:
        vectors = spark.range(0, 8, 1, 8).select(array_to_vector(F.array(F.lit(1.0), F.lit(2.0))).alias("features"))
        with described(spark, "sparkml_algos: see whether executors have the JVM bridge"):
            vectors.select(packed_vectors(vectors, find(vectors, "features")).alias("packed")).collect()
        yield Finding(item, RIGHT, "in the session, and on its executors")
    elif _has_no_jar(spark):
        yield Finding(item, ADVICE, f"no jar for this Spark, Python does the work: {reason}", BUILD_COMMAND)
    else:
        remedy = f"build it anew, {BUILD_COMMAND}, or set {SETTING} to {OFF}"
        yield Finding(item, WRONG, f"kept out, Python does the work: {reason}", remedy)


def _has_no_jar(spark: SparkSession) -> bool:
    """Whether there is none at all, not even one that does not fit."""
    connect = is_connect(spark)
    scala = SCALA_OF_CONNECT if connect else spark.sparkContext._jvm.scala.util.Properties.versionNumberString().rpartition(".")[0]
    try:
        find_jar(SparkHome(Path(), spark.version, scala))
    except NoJarError:
        return True
    except Exception:
        return False
    return False


def _java_major(version: str) -> int:
    """Of ``1.8.0_402`` and of ``17.0.15``."""
    first, second = (*_numbers(version), 0)[:2]
    return second if first == 1 else first


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
