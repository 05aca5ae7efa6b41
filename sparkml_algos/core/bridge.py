"""Models of the JVM bridge, made from ours and made into ours again.

Where a session has the bridge (see `joining`) `fit` sends vectors that the JVM has packed, and `transform` scores on the JVM where that is
faster. In a classic session a model can be handed to a pipeline that runs without Python, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from py4j.java_gateway import JavaObject, JVMView
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.util import JavaMLWritable
from pyspark.ml.wrapper import JavaModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Declarations, DeclaredParam
from sparkml_algos.cluster.errors import with_check
from sparkml_algos.cluster.resources import is_connect
from sparkml_algos.core.columns import Found, find
from sparkml_algos.core.joining import ask, do_without, why_no_bridge
from sparkml_algos.core.persistence import metadata_of, params_of, restored
from sparkml_algos.core.saving import Persistable
from sparkml_algos.core.shared_artifacts import OncePerArtifact, uploaded
from sparkml_algos.rows.fields import Field

# Outputs of a model of products, such as components or classes, up to which the JVM is known to score faster. Of rows of 784 features
# Python spends 50 µs and more on handing a row over and back; the JVM takes 10 µs with 10 and with 50 outputs, and products with 300
# outputs take 29 µs.
JVM_OUTPUTS = 300


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


class Bridged(Protocol):
    """What is asked here of a fitted model."""

    artifact: Artifact
    uid: str
    on_jvm: ClassVar[OnJvm | None]

    def value(self, name: str) -> Any:
        """The value of a Param."""

    def own_outputs(self) -> Sequence[Any]:
        """Its output columns."""

    def fields(self) -> list[Field]:
        """The columns it reads."""


M = TypeVar("M", bound=Persistable)


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


def choose_scorer(model: Bridged, spark: SparkSession) -> ScorerChoice:
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
            raise _impossible(f"scorer='jvm' is not possible: {missing}", spark)
        return ScorerChoice("jvm", "scorer='jvm'")
    return ScorerChoice("python", missing) if missing else ScorerChoice("jvm", "the JVM bridge is in the session")


def _impossible(message: str, spark: SparkSession) -> ValueError:
    return ValueError(with_check(message) if why_no_bridge(spark) else message)


def scored_on_jvm(model: Bridged, dataset: DataFrame) -> Column:
    """All outputs of the model for the rows of a dataset, as one struct column; where `choose_scorer` has chosen the JVM."""
    spark = dataset.sparkSession
    features, start = _features(model, dataset), _base_margin(model, dataset)
    if not is_connect(spark):
        return Column(_jvm_model(model, spark).scoredColumn(features._jc, None if start is None else start._jc))
    described = {"uid": model.uid, **params_of(model)}
    given = (model.on_jvm.name, json.dumps(described), uploaded(model.artifact, spark))
    return F.call_function("sparkml_algos_score", *map(F.lit, given), features, *([] if start is None else [start]))


def _features(model: Bridged, dataset: DataFrame) -> Column:
    """As the bridge takes them: a Vector, or an array of double or float."""
    if listed := model.value("featuresCols"):
        return F.array(*(find(dataset, name).column.cast("float") for name in listed))
    found = find(dataset, model.value("featuresCol"))
    taken = isinstance(found.type, VectorUDT) or isinstance(found.type.elementType, (DoubleType, FloatType))
    return found.column if taken else found.column.cast("array<float>")


def _base_margin(model: Bridged, dataset: DataFrame) -> Column | None:
    name = "baseMarginCol" in model.declared and model.value("baseMarginCol")
    return find(dataset, name).column.cast("float") if name else None


def packed_vectors(dataset: DataFrame, found: Found) -> Column | None:
    """A column of a dataset in the form that `rows.packed` reads; None where it is no Vector, or the bridge is not in the session."""
    spark = dataset.sparkSession
    if not isinstance(found.type, VectorUDT) or why_no_bridge(spark):
        return None
    if is_connect(spark):
        return F.call_function("sparkml_algos_pack", found.column)
    return Column(spark.sparkContext._jvm.org.sparkmlalgos.ml.PackVector.column(found.column._jc))


def to_jvm(model: Bridged, spark: SparkSession) -> JvmModel:
    """The model of the JVM bridge, with the same uid and Params.

    Raises
    ------
    ValueError
        If the session is a Spark Connect client, or has no bridge of this version, or the bridge has no such model, or not with all that
        this one computes.
    """
    missing = "a Spark Connect client does not reach the JVM" if is_connect(spark) else _missing(model, spark) or _refusal(model, spark)
    if missing:
        raise _impossible(f"to_jvm is not possible: {missing}", spark)
    moved = JvmModel(_jvm_model(model, spark))
    moved._transfer_params_from_java()
    return moved


def from_jvm(cls: type[M], java_model: JavaObject) -> M:
    """Our model from one of the bridge, as when a pipeline is loaded that the JVM has saved."""
    spark = SparkSession.active()
    bridge = spark.sparkContext._jvm.org.sparkmlalgos.Bridge
    rows = [
        {"name": name, "part": part, "dtype": dtype, "shape": json.loads(shape), "data": data}
        for name, part, dtype, shape, data in map(tuple, bridge.rows(java_model.artifact()))
    ]
    return restored(cls, json.loads(bridge.metadata(java_model, spark.version)), Artifact.from_rows(rows), java_model.uid())


def _missing(model: Bridged, spark: SparkSession) -> str | None:
    """Why a model cannot be one of the JVM bridge in a session; None if it can."""
    if model.on_jvm is None:
        return f"the JVM bridge has no model for {type(model).__name__}"
    only_here = [output.param for output in model.own_outputs() if not output.on_jvm]
    return f"{only_here[0]} is computed in Python only" if only_here else why_no_bridge(spark)


def _refusal(model: Bridged, spark: SparkSession) -> str | None:
    """Why the model of the JVM bridge cannot score with what this one has learned; None if it can."""
    if is_connect(spark):
        return _SENT(model.artifact, (spark.session_id, model.on_jvm.name), lambda: _refusal_of_server(model, spark))
    jvm = spark.sparkContext._jvm
    return _companion(model, jvm).refusal(_jvm_artifact(model.artifact, jvm))


def _refusal_of_server(model: Bridged, spark: SparkSession) -> str | None:
    try:
        return ask(spark, "sparkml_algos_refusal", model.on_jvm.name, uploaded(model.artifact, spark))
    except Exception as error:
        reason = f"the JVM bridge of the server could not read a {type(model).__name__}: {str(error).strip().splitlines()[0]}"
        do_without(spark, reason)
        return reason


def _jvm_model(model: Bridged, spark: SparkSession) -> JavaObject:
    jvm = spark.sparkContext._jvm
    metadata = json.dumps(metadata_of(model, spark.version))
    return _companion(model, jvm).restored(jvm.org.sparkmlalgos.ml.SavedMetadata(metadata), _jvm_artifact(model.artifact, jvm))


def _companion(model: Bridged, jvm: JVMView) -> Any:
    """The companion object of the model's class in the JVM bridge."""
    companion: Any = jvm
    for part in model.on_jvm.name.split("."):
        companion = getattr(companion, part)
    return companion


def _jvm_artifact(artifact: Artifact, jvm: JVMView) -> JavaObject:
    """The arrays on the JVM; they go there once."""

    def send() -> JavaObject:
        builder = jvm.org.sparkmlalgos.ml.Artifact.Builder()
        for row in artifact.rows():
            builder.add(row["name"], row["part"], row["dtype"], json.dumps(row["shape"]), bytearray(row["data"]))
        return builder.result()

    return _SENT(artifact, jvm, send)


_SENT = OncePerArtifact()
