"""The base of Estimators, and how they are fitted: a new algorithm adds its Params, two functions and a few lines."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pyspark.ml import Estimator
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters, InvalidParams
from sparkml_algos.arrays.params import JobParams, NetworkParams
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.launcher import Launch, Outcome, run_gang
from sparkml_algos.cluster.resources import max_result_bytes
from sparkml_algos.core import recording
from sparkml_algos.core.bridge import packed_vectors
from sparkml_algos.core.inputs import Inputs, input_problems, read_inputs
from sparkml_algos.core.leftovers import remove_checkpoints
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.progress import ProgressBar
from sparkml_algos.core.saving import Persistable
from sparkml_algos.rows.fields import Field
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.run import TrainingPlan, train
from sparkml_algos.training.summary import TrainingSummary

M = TypeVar("M", bound=AlgorithmModel)

# NumPy takes seeds from 0; an algorithm may take negative ones.
SEEDS = 1 << 32


class AlgorithmEstimator(Estimator[M], DeclaredParams, JobParams, Persistable):
    """An Estimator that trains on the executors.

    A subclass adds its Params and the two hooks `algorithm` and `model_class`. What it is subscripted with, the class of its model, is for
    type checkers, which thereby know what `fit` gives.
    """

    @staticmethod
    def algorithm() -> Algorithm:
        """The functions of the algorithm."""
        raise NotImplementedError

    @staticmethod
    def model_class() -> type[AlgorithmModel]:
        """The class of the fitted model."""
        raise NotImplementedError

    def shard_key(self) -> str | None:
        """The column whose equal values meet on one worker."""
        return self.value("shardKeyCol")

    def only_one_worker(self) -> str | None:
        """Why this training cannot be spread over workers; None if it can."""
        return None

    def fitMultiple(self, dataset: DataFrame, paramMaps: Sequence[dict[Any, Any]]) -> Iterator[tuple[int, M]]:
        """Fit a model per param map; maps that differ in hyperparameters only share one ingest, one gang and, where the algorithm has
        a mergeable state, one pass over the rows.

        Parameters
        ----------
        dataset : DataFrame
        paramMaps : sequence of dict of Param to value

        Returns
        -------
        iterator of (int, Model)
            Thread-safe, as `CrossValidator` needs it; training happens when the first model is asked for.
        """
        estimators = [self.copy(paramMap) for paramMap in paramMaps]
        asked_in = contextvars.copy_context()  # the thread that draws the first model may be another
        return Models(lambda: asked_in.run(fit_all, estimators, dataset), len(estimators))

    def _fit(self, dataset: DataFrame) -> M:
        return fit_all([self], dataset)[0]

    def fields(self) -> list[Field]:
        """What `fit` reads, with all that the hyperparameters say of it."""
        fields = self.algorithm().fields_for(Hyperparameters(**self.hyperparameters()))
        return [field for field in fields if field.training]

    def training_hyperparameters(self, session: SparkSession) -> dict[str, Any]:
        """What the workers know of the settings: the hyperparameters and, of some algorithms, more that is sent to them."""
        return self.hyperparameters()

    def inputs(self, dataset: DataFrame) -> Inputs:
        """The columns that `fit` reads of a dataset, which must have them."""
        return read_inputs(dataset, self, self.fields(), self.shard_key())

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = self.problems()
        if problems:
            return problems
        if self.value("shardKeyCol") and self.value("data_distribution") == "FullyReplicated":
            problems.append("shardKeyCol has no meaning with data_distribution='FullyReplicated'; unset one of them")
        if self.value("use_gpu") and not self.algorithm().on_gpu:
            problems.append(f"use_gpu=True is of no use: {type(self).__name__} trains on CPUs; leave it out")
        if isinstance(self, NetworkParams) and self.value("mixed_precision") and not self.value("use_gpu"):
            problems.append("mixed_precision=True needs use_gpu=True: on CPUs it would only cost precision")
        if self.value("communicator") == "nccl" and not self.value("use_gpu"):
            problems.append("communicator='nccl' needs use_gpu=True")
        if self.value("communicator") in ("tcp", "gloo", "horovod") and self.value("use_gpu"):
            problems.append(f"communicator={self.value('communicator')!r} cannot exchange arrays between GPUs; leave it 'auto'")
        if (reason := self.only_one_worker()) and self.value("num_workers") not in (1, "auto"):
            problems.append(f"num_workers must be 1: {reason}")
        return problems + input_problems(dataset, self, self.fields(), self.shard_key())

    def _job_key(self) -> str:
        """Equal for estimators that can share a gang: all but the hyperparameters."""
        return repr(
            [
                (name, self.value(name))
                for name, param in self.declared.items()
                if not isinstance(param, Hyperparameter) or name == "feature_dim"
            ]
            + [self.fields(), self.only_one_worker()]
        )


class Models:
    """Iterator over the models of several settings; several threads may draw from it."""

    def __init__(self, fit: Callable[[], list[AlgorithmModel]], count: int) -> None:
        self._fit, self._models = fit, None
        self._error: BaseException | None = None
        self._indices = iter(range(count))
        self._lock = threading.Lock()

    def __iter__(self) -> Models:
        return self

    def __next__(self) -> tuple[int, AlgorithmModel]:
        with self._lock:
            index = next(self._indices)
            if self._error is not None:
                raise self._error
            if self._models is None:
                try:
                    self._models = self._fit()
                except BaseException as error:
                    self._error = error  # what failed for all is not tried again for each
                    raise
            return index, self._models[index]


@interruptible()
def fit_all(estimators: Sequence[AlgorithmEstimator], dataset: DataFrame) -> list[AlgorithmModel]:
    """Fit all, a gang for each group that agrees in how the job runs."""
    problems = [problem for estimator in estimators for problem in estimator._problems(dataset)]
    if problems:
        raise InvalidParams(type(estimators[0]).__name__, list(dict.fromkeys(problems)))
    if (recorder := recording.recorder) is None:
        return _fit_all(estimators, dataset)
    with recorder.fitting(estimators, dataset) as take:
        models = _fit_all(estimators, dataset)
        take(models)
    return models


def _fit_all(estimators: Sequence[AlgorithmEstimator], dataset: DataFrame) -> list[AlgorithmModel]:
    groups: dict[str, list[int]] = {}
    for index, estimator in enumerate(estimators):
        groups.setdefault(estimator._job_key(), []).append(index)
    models: dict[int, AlgorithmModel] = {}
    for indices in groups.values():
        fitted = _fit_group([estimators[index] for index in indices], dataset)
        models.update(zip(indices, fitted, strict=True))
    return [models[index] for index in range(len(estimators))]


def _fit_group(estimators: Sequence[AlgorithmEstimator], dataset: DataFrame) -> list[AlgorithmModel]:
    first, began = estimators[0], time.perf_counter()
    found = first.inputs(dataset)
    dealt, read, key = found.dealt(functools.partial(packed_vectors, dataset))
    plan = training_plan(estimators, dataset, found)
    bar = ProgressBar(type(first).__name__, first.value("progress"), plan.algorithm.unit)
    options = launch_of(
        first,
        found,
        key,
        on_progress=bar.update if bar.enabled else None,
        title=first.title() if len(estimators) == 1 else f"{type(first).__name__}, {len(estimators)} models",
        began=began,
    )
    try:
        outcome = run_gang(dataset.select(*dealt), read, functools.partial(train, plan), options)
    finally:
        bar.close()
    _remove_checkpoints(dataset, plan.checkpoint_dir, outcome)
    reports = [outcome.artifacts[f"report/{rank}"].values for rank in range(outcome.num_workers)]
    models = [outcome.artifacts[f"model/{index}"] for index in range(len(estimators))]
    return [model_of(estimator, model, reports, found, outcome) for estimator, model in zip(estimators, models, strict=True)]


def training_plan(estimators: Sequence[AlgorithmEstimator], dataset: DataFrame, found: Inputs) -> TrainingPlan:
    """What workers must know to train what the estimators are for, which agree in how the job runs."""
    first = estimators[0]
    max_shard_bytes = first.value("max_shard_bytes")
    return TrainingPlan(
        algorithm=first.algorithm(),
        settings=[estimator.training_hyperparameters(dataset.sparkSession) for estimator in estimators],
        decoder=found.decoder(),
        seed=first.value("seed") % SEEDS,
        input_mode=first.value("input_mode"),
        max_shard_bytes=None if max_shard_bytes == "auto" else max_shard_bytes,
        checkpoint_dir=first.value("checkpoint_dir"),
        replicated=first.value("data_distribution") == "FullyReplicated",
        max_model_bytes=max_result_bytes(dataset.sparkSession),
        **{name: first.value(name) for name in NetworkParams.declared if name in first.declared},
    )


def launch_of(estimator: AlgorithmEstimator, found: Inputs, shard_key: str | None, **options: Any) -> Launch:
    """How the job of an estimator runs."""
    same = ("launch", "data_distribution", "max_retries", "start_timeout", "collective_timeout", "communicator", "use_gpu")
    return Launch(
        num_workers=1 if estimator.only_one_worker() else estimator.value("num_workers"),
        shard_key=shard_key,
        rows_per_record_batch=found.rows_per_record_batch,
        libraries=estimator.algorithm().libraries,
        **{**{name: estimator.value(name) for name in same}, **options},
    )


def _remove_checkpoints(dataset: DataFrame, directory: str | None, outcome: Outcome) -> None:
    """They have served once the models are here."""
    remove_checkpoints(dataset.sparkSession, directory, outcome.artifacts["report/0"].values["checkpoints"])


def model_of(
    estimator: AlgorithmEstimator, artifact: Artifact, reports: Sequence[dict[str, Any]], found: Inputs, outcome: Outcome
) -> AlgorithmModel:
    """The fitted model, of what a worker has yielded, and each of those that trained it has reported."""
    model = estimator.model_class()()
    model._resetUid(estimator.uid)
    estimator._copyValues(model)
    model.feature_names = found.feature_names
    history, compiled = artifact.values.pop("history"), artifact.values.pop("compile", None)
    kernels = artifact.values.pop("kernels", None)
    model.training_summary = TrainingSummary(
        num_workers=len(reports),
        rows=sum(report["rows"] for report in reports),
        rows_per_worker=[report["rows"] for report in reports],
        facts=reports[0]["facts"],
        launch=outcome.launch,
        retries=outcome.retries,
        seconds=outcome.seconds,
        validation_rows=sum(report["validation_rows"] for report in reports),
        metrics={name: value for name, value in artifact.values.items() if name.startswith(("train:", "validation:"))},
        history=history,
        compile=compiled,
        kernels=kernels,
        input_wait=reports[0].get("input_wait"),
    )
    model.artifact = artifact
    model._take_what_was_found()
    return model
