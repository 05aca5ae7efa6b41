"""Fitted models as MLflow models: kept with a run, and loaded as what they were, as a Python function, or as one of Spark's."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model, PipelineModel
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.saved import read_local, read_metadata, write_local
from sparkml_algos.cluster.interpreters import is_here
from sparkml_algos.cluster.jobs import is_connect
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.persistence import metadata_of, restored
from sparkml_algos.core.saving import Persistable
from sparkml_algos.names import EXPORTS, current_name
from sparkml_algos.serving.pipelines.saved import PIPELINES, CannotServe
from sparkml_algos.serving.pyfunc import PythonFunction
from sparkml_algos.tracking import limits, store
from sparkml_algos.tracking.lineage import MODEL, PRODUCED, Lineage
from sparkml_algos.tracking.registry import FOLDER, of_run, registered
from sparkml_algos.version import __version__

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

logger = logging.getLogger(__name__)

FLAVOR, LOADER = "sparkml_algos", "sparkml_algos.serving.pyfunc"
DATA = "data"
_DFS_VARIABLE = "MLFLOW_DFS_TMP"  # which is MLflow's own


def save_model(model: Model, path: str | Path, dataset: DataFrame | None = None, dfs_tmpdir: str | None = None) -> None:
    """Save a fitted model as an MLflow model into a local directory.

    Parameters
    ----------
    model : Model
        One of this package, or a ``PipelineModel``.
    path : str or Path
        Of a folder that is not there yet.
    dataset : DataFrame, optional
        What it reads, of which the types of its answers are told.
    dfs_tmpdir : str, optional
        A folder that driver and executors see, where they are on different machines: a Pipeline is saved there by Spark, and fetched. By
        default what the variable ``MLFLOW_DFS_TMP`` names.

    Raises
    ------
    ImportError
        If MLflow is not installed.
    FileExistsError
        If there is something at the path.
    TypeError
        If it is another model.
    ValueError
        If `dfs_tmpdir` is needed.
    """
    store.import_mlflow()
    import mlflow.pyfunc
    from mlflow.models import Model as MlflowModel

    path = Path(path)
    if path.exists() and any(path.iterdir()):
        raise FileExistsError(f"{path} is not empty")
    path.mkdir(parents=True, exist_ok=True)
    spark = SparkSession.active()
    _write(model, path / DATA, spark, dfs_tmpdir)
    saved = read_metadata(path / DATA)
    described = MlflowModel()
    facts = {"class": current_name(saved["class"]), "data": DATA, "version": __version__, "spark_version": spark.version}
    try:
        function = PythonFunction(path / DATA)
    except (CannotServe, ImportError) as error:
        logger.warning("the MLflow model has no python_function: %s", error)
        facts["no_python_function"] = str(error)
    else:
        described.signature = _signature(model, function.answers, dataset)
        mlflow.pyfunc.add_to_model(described, loader_module=LOADER, data=DATA, python_env="python_env.yaml")
    described.add_flavor(FLAVOR, **facts)
    _write_requirements(path)
    described.save(str(path / "MLmodel"))


def log_model(uri: str, run_id: str, model: Model, name: str, dataset: DataFrame | None, dfs_tmpdir: str | None = None) -> str:
    """Keep a model among the artifacts of a run, and what led to it; its address."""
    limits.check_name(name, "name")
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "model", dataset, dfs_tmpdir)
        store.client_of(uri).log_artifacts(run_id, str(Path(folder) / "model"), name)
    address = f"runs:/{run_id}/{name}"
    lineage = Lineage(uri)
    lineage.associate(lineage.run(run_id), lineage.artifact(address, MODEL, f"{type(model).__name__} of {run_id}"), PRODUCED)
    return address


def load_model(model_uri: str, tracking_uri: str | None = None, dfs_tmpdir: str | None = None) -> Any:
    """A model as it was when it was saved: one of this package, or a ``PipelineModel``.

    Parameters
    ----------
    model_uri : str
        ``runs:/run id/name``, ``models:/name/version``, ``models:/name@alias``, or a local directory.
    tracking_uri : str, optional
        See `get_tracking_uri`.
    dfs_tmpdir : str, optional
        As for `save_model`; of Pipelines only.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If it is no model that this package has saved.
    """
    with _fetched(model_uri, tracking_uri) as folder:
        flavor = _flavor(folder, model_uri)
        data = folder / flavor["data"]
        metadata = read_metadata(data)
        name = current_name(metadata["class"])
        if metadata["class"] in PIPELINES:
            return _load_pipeline(data, SparkSession.active(), dfs_tmpdir)
        cls = getattr(importlib.import_module(EXPORTS[name.rpartition(".")[2]]), name.rpartition(".")[2])
        return restored(cls, *read_local(data), model_uri)


def load_pyfunc(model_uri: str, tracking_uri: str | None = None) -> Any:
    """A model as MLflow's ``PyFuncModel``, whose ``predict`` takes and gives pandas frames, without Spark.

    Parameters
    ----------
    model_uri : str
        See `load_model`.
    tracking_uri : str, optional

    Raises
    ------
    ValueError
        If it has a stage that cannot be served without Spark, which is named.
    """
    store.import_mlflow()
    import mlflow.pyfunc

    with _fetched(model_uri, tracking_uri) as folder:
        if reason := _flavor(folder, model_uri).get("no_python_function"):
            raise ValueError(reason)
        return mlflow.pyfunc.load_model(str(folder))


def spark_udf(spark: SparkSession, model_uri: str, result_type: str | DataType | None = None, tracking_uri: str | None = None) -> Any:
    """A model as a function of Spark SQL, as MLflow makes it; executors must have MLflow.

    Parameters
    ----------
    spark : SparkSession
    model_uri : str
        See `load_model`.
    result_type : str or DataType, optional
        By default all answers, as a struct. A type takes the first of them that is of it.
    tracking_uri : str, optional

    Returns
    -------
    callable
        Takes the columns that the model reads, in their order, or a struct of them.

    Examples
    --------
    >>> score = spark_udf(spark, "models:/churn@approved")  # doctest: +SKIP
    >>> rows.withColumn("answer", score("features")).select("answer.prediction")  # doctest: +SKIP
    """
    store.import_mlflow()
    import mlflow.pyfunc

    ensure_importable(spark, [*ALWAYS, "pandas", "mlflow"])
    folder = Path(tempfile.mkdtemp(prefix="sparkml_algos-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _fetched(model_uri, tracking_uri) as fetched:
        if reason := _flavor(fetched, model_uri).get("no_python_function"):
            raise ValueError(reason)
        shutil.copytree(fetched, folder / "model")
    options = {} if result_type is None else {"result_type": result_type}
    return mlflow.pyfunc.spark_udf(spark, str(folder / "model"), env_manager="local", **options)


# -- files


def _write(model: Model, path: Path, spark: SparkSession, dfs_tmpdir: str | None) -> None:
    if isinstance(model, AlgorithmModel) or isinstance(model, Persistable) and not isinstance(model, PipelineModel):
        artifact, _ = model._state()
        write_local(path, metadata_of(model, spark.version), artifact)
    elif isinstance(model, PipelineModel):
        with _shared_folder(spark, dfs_tmpdir) as folder:
            model.write().overwrite().save(f"{folder}/model")
            _fetch(spark, f"{folder}/model", path)
    else:
        raise TypeError(f"an MLflow model of this package is one of its own, or a PipelineModel, got {type(model).__name__}")


@contextmanager
def _shared_folder(spark: SparkSession, dfs_tmpdir: str | None) -> Iterator[str]:
    """A folder that driver and executors see."""
    dfs_tmpdir = dfs_tmpdir or os.environ.get(_DFS_VARIABLE)
    if dfs_tmpdir is not None:
        yield f"{dfs_tmpdir.rstrip('/')}/{uuid.uuid4().hex}"
        return
    if not is_here(spark):
        raise ValueError(
            f"executors are not on this machine: name a folder that they and the driver see, as dfs_tmpdir or as {_DFS_VARIABLE}"
        )
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).as_uri()


def _fetch(spark: SparkSession, address: str, path: Path) -> None:
    """Copy a folder, whatever file system of the session it is on, to this machine."""
    if address.startswith("file:"):
        shutil.copytree(address.removeprefix("file://"), path)
        return
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(address)
    for row in files.select("path", "content").toLocalIterator():
        relative = row["path"].partition(address.partition("://")[2] or address)[2].lstrip("/")
        (path / relative).parent.mkdir(parents=True, exist_ok=True)
        (path / relative).write_bytes(bytes(row["content"]))


def _load_pipeline(path: Path, spark: SparkSession, dfs_tmpdir: str | None) -> PipelineModel:
    with _shared_folder(spark, dfs_tmpdir) as folder:
        if folder.startswith("file:"):
            shutil.copytree(path, Path(folder.removeprefix("file://")) / "model")
        elif is_connect(spark):
            for file in (one for one in path.rglob("*") if one.is_file()):
                spark.copyFromLocalToFs(str(file), f"{folder}/model/{file.relative_to(path).as_posix()}")
        else:
            jvm: Any = spark._jvm
            context: Any = spark.sparkContext
            target = jvm.org.apache.hadoop.fs.Path(f"{folder}/model")
            target.getFileSystem(context._jsc.hadoopConfiguration()).copyFromLocalFile(jvm.org.apache.hadoop.fs.Path(path.as_uri()), target)
        return PipelineModel.load(f"{folder}/model")


@contextmanager
def _fetched(model_uri: str, tracking_uri: str | None) -> Iterator[Path]:
    """The folder of an MLflow model, on this machine."""
    if "://" not in model_uri and not model_uri.startswith(("runs:/", "models:/")):
        yield Path(model_uri)
        return
    store.import_mlflow()
    uri = store.get_tracking_uri(tracking_uri)
    client, source = store.client_of(uri), model_uri
    if model_uri.startswith("models:/"):
        version = registered(client, model_uri)
        source = f"runs:/{version.run_id}/{version.tags[FOLDER]}" if FOLDER in version.tags else version.source
    with tempfile.TemporaryDirectory() as folder:
        if source.startswith("runs:/"):
            yield Path(client.download_artifacts(*of_run(source), folder))
        else:
            import mlflow.artifacts

            yield Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=uri))


def _flavor(folder: Path, model_uri: str) -> dict[str, Any]:
    store.import_mlflow()
    from mlflow.models import Model as MlflowModel

    flavors = MlflowModel.load(str(folder)).flavors
    if FLAVOR not in flavors:
        raise ValueError(f"{model_uri} was not saved by this package: it has the flavours {', '.join(flavors)}")
    return dict(flavors[FLAVOR])


def _write_requirements(path: Path) -> None:
    import numpy
    import pandas
    import pyarrow
    import scipy

    libraries = [f"{library.__name__}=={library.__version__}" for library in (numpy, pandas, pyarrow, scipy)]
    (path / "requirements.txt").write_text("\n".join([f"sparkml-algos=={__version__}", *libraries]) + "\n")
    (path / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\nbuild_dependencies: []\ndependencies:\n- -r requirements.txt\n"
    )


def _signature(model: Model, answers: list[str], dataset: DataFrame | None) -> Any:
    """What the answers are, as MLflow describes it; None where that is not known of all of them."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = _types(model, dataset)
    specs: list[Any] = []
    for name in answers:
        of_type = _mlflow_type(types.get(name, ""))
        if of_type is None:
            return None
        specs.append(ColSpec(of_type, name))
    return ModelSignature(outputs=Schema(specs)) if specs else None


def _types(model: Model, dataset: DataFrame | None) -> dict[str, str]:
    """Spark's types of the columns that a model appends."""
    if dataset is not None:
        return {field.name: field.dataType.simpleString() for field in model.transform(dataset).schema.fields}
    stages = model.stages if isinstance(model, PipelineModel) else [model]
    own = [stage for stage in stages if isinstance(stage, AlgorithmModel)]
    return {stage.value(output.param): output.type for stage in own for output in stage.own_outputs()}


def _mlflow_type(of_type: str) -> Any:
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    if of_type == "vector":
        return Array(DataType.double)
    if of_type.startswith("array<") and of_type.endswith(">"):
        inner = _mlflow_type(of_type.removeprefix("array<").removesuffix(">"))
        return None if inner is None else Array(inner)
    kinds = {"string": DataType.string, "boolean": DataType.boolean}
    numbers = ("double", "float", "int", "long", "bigint", "short", "tinyint", "smallint")
    return kinds.get(of_type, DataType.double if of_type in numbers else None)
