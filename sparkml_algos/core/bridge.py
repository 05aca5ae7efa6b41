"""Models of the JVM bridge, made from ours and made into ours again.

The bridge is in a classic session whose ``spark.jars`` named its jar when it was started. `transform` then scores on the JVM where that
is faster, and a model can be handed to a pipeline that runs without Python.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py4j.java_gateway import JavaClass, JavaObject, JVMView
from pyspark.ml.util import JavaMLWritable
from pyspark.ml.wrapper import JavaModel
from pyspark.sql import Column, DataFrame, SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Declarations, DeclaredParam
from sparkml_algos.cluster.resources import is_connect
from sparkml_algos.core.persistence import metadata_of, restored
from sparkml_algos.version import __version__

if TYPE_CHECKING:
    from sparkml_algos.core.estimator import AlgorithmModel

# Outputs of a model of products, such as components or classes, up to which the JVM is known to score faster. Of rows of 784 features
# Python spends 50 µs and more on handing a row over and back; the JVM takes 10 µs with 10 and with 50 outputs, and products with 300
# outputs take 29 µs.
JVM_OUTPUTS = 300

HOW_TO = "start the session with .config('spark.jars', ','.join(sparkml_algos.classpath_jars()))"


class ScorerParams(Declarations):
    """Where rows are scored."""

    scorer = DeclaredParam(
        str,
        "Where transform computes: python, jvm (needs the JVM bridge in the session), or auto: the faster of those there are.",
        default="auto",
        choices=["auto", "python", "jvm"],
    )


@dataclass(frozen=True)
class OnJvm:
    """An algorithm's model in the JVM bridge.

    Parameters
    ----------
    name : str
        Its class.
    faster : callable
        Of the artifact: whether it scores faster than Python, as far as was measured.
    """

    name: str
    faster: Callable[[Artifact], bool]


@dataclass(frozen=True)
class ScorerChoice:
    """Where rows are scored, and why there.

    Attributes
    ----------
    name : str
        ``python`` or ``jvm``.
    reason : str
    """

    name: str
    reason: str


class JvmModel(JavaModel, JavaMLWritable):
    """A model of the JVM bridge in a Python pipeline: it scores without Python, and a pipeline of such stages is saved for the JVM.

    `AlgorithmModel.to_jvm` makes it. A pipeline that was saved with it loads on the JVM and in Python, there as the Python Model again.
    """


def choose_scorer(model: AlgorithmModel, spark: SparkSession) -> ScorerChoice:
    """What the Param ``scorer`` comes to in a session.

    Raises
    ------
    ValueError
        If the Param is ``jvm`` and that is not possible here.
    """
    wanted = model.value("scorer")
    if wanted == "python":
        return ScorerChoice("python", "scorer='python'")
    missing = _missing(model, spark)
    if wanted == "auto" and not missing and not model.on_jvm.faster(model.artifact):
        return ScorerChoice("python", "a model of this size is scored faster in Python")
    missing = missing or _refusal(model, spark)
    if wanted == "jvm":
        if missing:
            raise ValueError(f"scorer='jvm' is not possible: {missing}")
        return ScorerChoice("jvm", "scorer='jvm'")
    return ScorerChoice("python", missing) if missing else ScorerChoice("jvm", "the JVM bridge is in the session")


def scored_on_jvm(model: AlgorithmModel, dataset: DataFrame) -> Column:
    """All outputs of the model for the rows of a dataset, as one struct column."""
    return Column(_jvm_model(model, dataset.sparkSession).scoredColumn(dataset._jdf))


def packed_vectors(dataset: DataFrame, name: str) -> Column | None:
    """A Vector column in the form that `rows.packed` reads; None where the bridge is not in the session."""
    spark = dataset.sparkSession
    return None if _no_bridge(spark) else Column(spark.sparkContext._jvm.org.sparkmlalgos.ml.PackVector.column(dataset._jdf, name))


def to_jvm(model: AlgorithmModel, spark: SparkSession) -> JvmModel:
    """The model of the JVM bridge, with the same uid and Params.

    Raises
    ------
    ValueError
        If the session is a Spark Connect client, or has no bridge of this version, or the bridge has no such model, or not with all that
        this one computes.
    """
    missing = _missing(model, spark) or _refusal(model, spark)
    if missing:
        raise ValueError(f"to_jvm is not possible: {missing}")
    moved = JvmModel(_jvm_model(model, spark))
    moved._transfer_params_from_java()
    return moved


def from_jvm(cls: type[AlgorithmModel], java_model: JavaObject) -> AlgorithmModel:
    """Our model from one of the bridge, as when a pipeline is loaded that the JVM has saved."""
    spark = SparkSession.active()
    bridge = spark.sparkContext._jvm.org.sparkmlalgos.Bridge
    rows = [
        {"name": name, "part": part, "dtype": dtype, "shape": json.loads(shape), "data": data}
        for name, part, dtype, shape, data in map(tuple, bridge.rows(java_model.artifact()))
    ]
    return restored(cls, json.loads(bridge.metadata(java_model, spark.version)), Artifact.from_rows(rows), java_model.uid())


def _missing(model: AlgorithmModel, spark: SparkSession) -> str | None:
    """Why a model cannot be one of the JVM bridge in a session; None if it can."""
    if model.on_jvm is None:
        return f"the JVM bridge has no model for {type(model).__name__}"
    only_here = [output.param for output in model.own_outputs() if not output.on_jvm]
    return f"{only_here[0]} is computed in Python only" if only_here else _no_bridge(spark)


def _refusal(model: AlgorithmModel, spark: SparkSession) -> str | None:
    """Why the model of the JVM bridge cannot score with what this one has learned; None if it can."""
    jvm = spark.sparkContext._jvm
    return _companion(model, jvm).refusal(_jvm_artifact(model.artifact, jvm))


def _no_bridge(spark: SparkSession) -> str | None:
    """Why there is no bridge of this version in a session; None if there is."""
    if is_connect(spark):
        return "a Spark Connect client does not reach the JVM"
    bridge = spark.sparkContext._jvm.org.sparkmlalgos.Bridge
    if not isinstance(bridge, JavaClass):
        return f"the JVM bridge is not in this session; {HOW_TO}"
    if bridge.version() != __version__:
        return f"the JVM bridge in this session is of version {bridge.version()}, the package is {__version__}; {HOW_TO}"
    return None


def _jvm_model(model: AlgorithmModel, spark: SparkSession) -> JavaObject:
    jvm = spark.sparkContext._jvm
    metadata = json.dumps(metadata_of(model, spark))
    return _companion(model, jvm).restored(jvm.org.sparkmlalgos.ml.SavedMetadata(metadata), _jvm_artifact(model.artifact, jvm))


def _companion(model: AlgorithmModel, jvm: JVMView) -> Any:
    """The companion object of the model's class in the JVM bridge."""
    companion: Any = jvm
    for part in model.on_jvm.name.split("."):
        companion = getattr(companion, part)
    return companion


def _jvm_artifact(artifact: Artifact, jvm: JVMView) -> JavaObject:
    """The arrays on the JVM; they go there once."""
    key = id(artifact)
    known = _SENT.get(key)
    if known and known[0]() is artifact and known[1] is jvm:
        return known[2]
    builder = jvm.org.sparkmlalgos.ml.Artifact.Builder()
    for row in artifact.rows():
        builder.add(row["name"], row["part"], row["dtype"], json.dumps(row["shape"]), bytearray(row["data"]))
    sent = builder.result()
    _SENT[key] = (weakref.ref(artifact, lambda _: _SENT.pop(key, None)), jvm, sent)
    return sent


_SENT: dict[int, tuple[weakref.ref[Artifact], JVMView, JavaObject]] = {}
