"""The service's batch transform on Spark: each file of a folder is a task, and has an output of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.persistence import metadata_of
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.serving.contract import Options, Servable
from sparkml_algos.serving.files.folder import Result, check_apart, inputs_of, local_copy, names_of, transform_file
from sparkml_algos.serving.files.transform import Transform, types_of
from sparkml_algos.serving.models import restored
from sparkml_algos.serving.servable import ServedModel, load_servable

_SCHEMA = "source string, target string, error string, bytes long"


class BatchTransformError(RuntimeError):
    """Files that could not be transformed; the others were.

    Attributes
    ----------
    results : list of Result
        Of all files.
    """

    def __init__(self, results: list[Result]) -> None:
        failed = [result for result in results if result.error]
        shown = "; ".join(str(result.error) for result in failed[:3])
        super().__init__(f"{len(failed)} of {len(results)} files were not transformed: {shown}{' …' if len(failed) > 3 else ''}")
        self.results = results

    def __reduce__(self) -> tuple[type[BatchTransformError], tuple[list[Result]]]:
        return type(self), (self.results,)


class BatchTransform:
    """Scores the files of a folder into another, as the service's batch transform does it, with its names.

    Rows of a DataFrame are scored by ``model.transform``, which is quicker: this is for files that are split, filtered and joined as a job
    of the service does it, and whose outputs are to lie beside each other as its own do.

    Parameters
    ----------
    model : Model or str
        A fitted model of this package; or the path of a saved one, or of a saved ``PipelineModel``, that the executors can read: a folder
        of a shared file system, or a URI that pyarrow knows (s3, gs, hdfs, abfs).
    outputs : sequence of str
        What XGBoost answers in place of its score.
    columns : sequence of str
        Of pipelines: what the cells of a line of CSV are.
    libsvm_base : int
        Index of the first feature in libsvm.
    **settings
        Of `serving.files.Transform`: ``content_type``, ``accept``, ``split_type``, ``batch_strategy``, ``max_payload_in_mb``,
        ``assemble_with``, ``compression_type``, ``input_filter``, ``join_source``, ``output_filter``, ``generate_inference_id``.

    Examples
    --------
    >>> from sparkml_algos import BatchTransform
    >>> transform = BatchTransform(model, split_type="Line", input_filter="$[1:]", join_source="Input")  # doctest: +SKIP
    >>> transform.run("/data/customers", "/data/clusters")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: AlgorithmModel | str,
        *,
        outputs: tuple[str, ...] = (),
        columns: tuple[str, ...] = (),
        libsvm_base: int = 0,
        **settings: Any,
    ) -> None:
        if not isinstance(model, str | Path | AlgorithmModel):
            raise TypeError(f"a {type(model).__name__} must be saved, and the path given, where the executors can read it")
        self._model = model
        self._options = Options(tuple(outputs), libsvm_base, tuple(columns))
        self.transform = Transform(**settings)

    def run(self, source: str, target: str, *, num_tasks: int | None = None, spark: SparkSession | None = None) -> list[Result]:
        """Transform the files of a folder.

        Parameters
        ----------
        source, target : str
            Folders that driver and executors see under the same path, or URIs that pyarrow knows. Files of folders within have outputs in
            folders of the same names; those whose names begin with ``.`` or ``_`` are left out.
        num_tasks : int, optional
            Files that are worked on at a time, at most; by default a task for each file.
        spark : SparkSession, optional
            The active one by default.

        Returns
        -------
        list of Result
            A result a file, in the order of their names.

        Raises
        ------
        BatchTransformError
            If a file could not be transformed. Its output is not written; those of the others are.
        """
        if num_tasks is not None and num_tasks < 1:
            raise ValueError(f"num_tasks must be at least 1, got {num_tasks}")
        check_apart(source, target)
        spark = spark or SparkSession.active()
        names = inputs_of(source)
        tasks = min(len(names), num_tasks or len(names))
        ensure_importable(spark, ALWAYS)
        model = self._shipped(spark)
        transform = self.transform

        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name in batch.column("name").to_pylist():
                    yield _row(_one(source, target, name, model, transform))

        with described(spark, f"batch transform of {len(names)} files"):
            rows = _spread(spark, names, tasks).mapInArrow(work, _SCHEMA).collect()
        found = {row["source"]: Result(row["source"], row["target"], row["error"], row["bytes"]) for row in rows}
        results = [found[names_of(source, target, name)[0]] for name in names]
        if any(result.error for result in results):
            raise BatchTransformError(results)
        return results

    def _shipped(self, spark: SparkSession) -> Callable[[], Servable]:
        """What gives the model on an executor."""
        options = self._options
        if isinstance(self._model, AlgorithmModel):
            metadata = json.dumps(metadata_of(self._model, spark.version))
            artifact = self._model.artifact
            opened: Opened[Servable] = Opened(ship(artifact, spark), lambda artifact: _served(metadata, artifact, options))
            # What does not fit is found here, where it is told at once.
            types_of(_served(metadata, artifact, options), self.transform)
            return opened.get
        path = str(self._model)
        loaded: list[Servable] = []

        def from_path() -> Servable:
            if not loaded:
                with tempfile.TemporaryDirectory() as folder:
                    loaded.append(load_servable(local_copy(path, folder), options))
            return loaded[0]

        types_of(from_path(), self.transform)
        loaded.clear()
        return from_path


def _served(metadata: str, artifact: Artifact, options: Options) -> Servable:
    return ServedModel(restored(json.loads(metadata), artifact, "the model"), options)


def _spread(spark: SparkSession, names: list[str], tasks: int) -> DataFrame:
    """The names, dealt out to so many tasks."""
    rows = spark.createDataFrame([(place % tasks, name) for place, name in enumerate(names)], "task int, name string")
    return rows.repartitionByRange(tasks, "task").select("name")


def _one(source: str, target: str, name: str, model: Callable[[], Servable], transform: Transform) -> Result:
    where, to = names_of(source, target, name)
    try:
        return Result(where, to, None, transform_file(where, to, model(), transform))
    except (ValueError, OSError) as error:
        return Result(where, to, f"{where}: {error}", 0)


def _row(result: Result) -> pa.RecordBatch:
    values = {"source": result.source, "target": result.target, "error": result.error, "bytes": result.bytes}
    types = {"source": pa.string(), "target": pa.string(), "error": pa.string(), "bytes": pa.int64()}
    return pa.RecordBatch.from_arrays([pa.array([values[name]], type_) for name, type_ in types.items()], names=list(types))
