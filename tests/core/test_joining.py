"""The JVM bridge joins a session by itself, or Python does its work and one line of the log says why."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos import KMeans, __version__
from sparkml_algos.core import bridge as bridge_module
from sparkml_algos.core import joining
from sparkml_algos.core.bridge import ScorerChoice, packed_vectors
from sparkml_algos.core.columns import find
from sparkml_algos.core.joining import SETTING, why_no_bridge
from sparkml_algos.jvm.jars import JvmBridgeError, NoJarError
from tests.datasets import blobs, grid, in_order

pytestmark = pytest.mark.generic

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(bridge: SparkSession) -> DataFrame:
    rows, _ = blobs(60, grid(3, features=2), seed=1)
    return bridge.createDataFrame([(Vectors.dense(row),) for row in rows], ["features"]).repartition(2)


@pytest.fixture
def as_new(bridge: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a session that nobody has asked for the bridge yet."""
    monkeypatch.setattr(joining, "_outcomes", type(joining._outcomes)())
    monkeypatch.setattr(bridge_module, "_SENT", type(bridge_module._SENT)())
    caplog.set_level(logging.INFO, joining.logger.name)
    return caplog


def without_jar(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[object]:
    """A session without the bridge, where looking for the jar ends with an error; and the list of the times that it was looked for."""
    looked = []

    def find_jar(spark: object) -> Path:
        looked.append(spark)
        raise error

    monkeypatch.setattr(joining, "find_jar", find_jar)
    monkeypatch.setattr(joining, "_is_there", lambda context: False)
    return looked


def test_a_session_that_was_started_without_the_jar_fits_and_transforms_with_it(data: DataFrame) -> None:
    assert "sparkml-algos" not in data.sparkSession.conf.get("spark.jars", "")
    model = KMeans(k=3, num_workers=2).fit(data)
    assert model.scorer_for(data) == ScorerChoice("jvm", "the JVM bridge is in the session")
    assert model.transform(data).select("prediction").distinct().count() == 3


def test_turned_off_it_is_not_used_and_can_be_turned_on_again(data: DataFrame) -> None:
    spark = data.sparkSession
    on_jvm = KMeans(k=3, num_workers=2).fit(data)
    spark.conf.set(SETTING, "off")
    try:
        model = KMeans(k=3, num_workers=2).fit(data)
        assert model.scorer_for(data) == ScorerChoice("python", f"the JVM bridge is turned off: {SETTING} is off")
        assert model.transform(data).select("prediction").distinct().count() == 3
        assert packed_vectors(data, find(data, "features")) is None
        with pytest.raises(ValueError, match="scorer='jvm' is not possible: the JVM bridge is turned off"):
            model.copy().setScorer("jvm").transform(data)
    finally:
        spark.conf.unset(SETTING)
    assert model.scorer_for(data).name == "jvm"
    np.testing.assert_allclose(in_order(model.cluster_centers), in_order(on_jvm.cluster_centers), rtol=1e-6)


def test_a_setting_that_is_neither_is_refused(data: DataFrame) -> None:
    data.sparkSession.conf.set(SETTING, "of")
    try:
        with pytest.raises(ValueError, match=rf"{SETTING} must be auto or off, got 'of'"):
            KMeans(k=3).fit(data)
    finally:
        data.sparkSession.conf.unset(SETTING)


LACKS = {
    "no jar": (NoJarError("the JVM bridge is not built"), logging.INFO, "the JVM bridge is not built"),
    "a jar of other sources": (JvmBridgeError("it was built from other sources"), logging.WARNING, "it was built from other sources"),
    "a failure": (OSError("no room\nat all"), logging.WARNING, "the JVM bridge could not join this session: OSError: no room"),
}


@pytest.mark.parametrize("what", LACKS)
def test_what_hinders_it_is_one_line_and_not_tried_twice(
    data: DataFrame, what: str, as_new: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, level, reason = LACKS[what]
    looked = without_jar(monkeypatch, error)
    model = KMeans(k=3, num_workers=2).fit(data)
    assert model.scorer_for(data) == ScorerChoice("python", reason)
    assert model.transform(data).select("prediction").distinct().count() == 3
    ((_, found_level, text),) = [line for line in as_new.record_tuples if line[0] == joining.logger.name]
    assert found_level == level and text.endswith(reason) and len(looked) == 1


def test_a_bridge_of_another_version_is_left_alone(
    data: DataFrame, as_new: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "__version__", "9.9.9")
    for _ in range(2):
        assert f"in this session is of version {__version__}, the package is 9.9.9" in (why_no_bridge(data.sparkSession) or "")
    assert [record.levelname for record in as_new.records if "9.9.9" in record.getMessage()] == ["WARNING"]


@pytest.mark.parametrize("sessions", ["one session", "sessions of their own"])
def test_two_threads_at_once_wait_for_one_joining(
    data: DataFrame, sessions: str, as_new: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    join, joined = joining._join, []

    def slow(spark: SparkSession) -> str | None:
        time.sleep(0.2)
        joined.append(spark)
        return join(spark)

    monkeypatch.setattr(joining, "_join", slow)
    spark = data.sparkSession
    asked = [spark, spark] if sessions == "one session" else [spark, spark.newSession()]
    answers: list[str | None] = ["no answer", "no answer"]

    def ask(place: int) -> None:
        answers[place] = why_no_bridge(asked[place])

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A session of Spark Connect has classes of its own; classic ones share them.
    assert answers == [None, None] and len(joined) == len({joining._key(session) for session in asked})


def test_a_server_that_cannot_read_models_is_left_alone_after_one_line(
    data: DataFrame, as_new: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not joining.is_connect(data.sparkSession):
        pytest.skip("needs a Connect session")
    model = KMeans(k=3, num_workers=2).fit(data)
    monkeypatch.setattr(bridge_module, "uploaded", lambda artifact, spark: "nothing of this name")
    for _ in range(2):
        choice = model.scorer_for(data)
        assert choice.name == "python" and "the JVM bridge of the server could not read a KMeansModel" in choice.reason
    assert len([record for record in as_new.records if "could not read" in record.getMessage()]) == 1


# ------------------------------------------------------------------------------------------- sessions in processes of their own

START = """
import logging, sys
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sparkml_algos import KMeans, classpath_jars
from sparkml_algos.core.joining import why_no_bridge

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="LOG %(message)s")

def builder():
    made = SparkSession.builder.master("local-cluster[1,1,700]").config("spark.executor.memory", "600m")
    return made.config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")

def sent(spark):
    return [url for url in spark.sparkContext._jsc.sc().listJars().mkString(" ").split() if "sparkml-algos" in url]

def use(spark):
    data = spark.createDataFrame([(Vectors.dense([float(i % 3 * 10), 1.0]),) for i in range(30)], ["features"]).repartition(2)
    model = KMeans(k=3, num_workers=1).fit(data)
    assert model.scorer_for(data).name == "jvm", model.scorer_for(data)
    scored = model.transform(data)
    assert "EvalPython" not in scored._jdf.queryExecution().toString()
    assert scored.where("distance_to_cluster < 1e-3").count() == 30
    assert len(sent(spark)) == 1, sent(spark)
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.classic
def test_executors_have_it_in_every_session_of_a_process(bridge: SparkSession) -> None:
    said = run("""
spark = builder().getOrCreate()
use(spark)
use(spark.newSession())
spark.stop()
# The jar is in the JVM already, but not on the executors.
spark = builder().getOrCreate()
use(spark)
spark.stop()
# Here it is on its way to the executors from the start.
spark = builder().config("spark.jars", classpath_jars()[0]).getOrCreate()
use(spark)
spark.stop()
""")
    assert said.count("LOG the JVM bridge has joined the session") == 1
