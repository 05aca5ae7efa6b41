"""Estimator and Model bases: a new algorithm adds its Params, two functions and a few lines."""

from __future__ import annotations

import contextvars
import functools
import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from pyspark.ml import Estimator, Model
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import DeclaredParam, Hyperparameter, Hyperparameters, InvalidParams
from sparkml_algos.arrays.params import JobParams, NetworkParams
from sparkml_algos.cluster.interruption import interruptible
from sparkml_algos.cluster.launcher import Launch, Outcome, run_gang
from sparkml_algos.cluster.resources import max_result_bytes
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
from sparkml_algos.core import recording
from sparkml_algos.core.bridge import (
    JvmModel,
    OnJvm,
    ScorerChoice,
    ScorerParams,
    choose_scorer,
    from_jvm,
    packed_vectors,
    scored_on_jvm,
    to_jvm,
)
from sparkml_algos.core.columns import column
from sparkml_algos.core.inputs import Inputs, input_problems, output_problems, read_inputs
from sparkml_algos.core.leftovers import remove_checkpoints
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.progress import ProgressBar
from sparkml_algos.core.saving import Persistable
from sparkml_algos.core.scoring import Output, rowwise, scored
from sparkml_algos.core.shared_artifacts import ship
from sparkml_algos.html_tables import facts_table
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import FEATURES, LABEL, Field
from sparkml_algos.rows.kinds import ClassLabel, Facts
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.run import TrainingPlan, train
from sparkml_algos.training.summary import TrainingSummary

logger = logging.getLogger(__name__)

M = TypeVar("M", bound="AlgorithmModel")

# What explains models, by name: it stands on top of this room.
EXPLAINS = "sparkml_algos.explain.models"
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


class AlgorithmModel(Model, DeclaredParams, ScorerParams, Persistable):
    """A fitted model: an artifact, and Params that name columns.

    A subclass adds its Params, `outputs`, the hook `algorithm` and, where the JVM bridge has such a model, `on_jvm`.

    Attributes
    ----------
    artifact : Artifact
        Everything that was learned.
    feature_names : list of str or None
        Names of the features in the training data, where it had any.
    training_summary : TrainingSummary or None
    """

    outputs: ClassVar[Sequence[Output]] = ()  # of all models of the class; see `own_outputs`
    on_jvm: ClassVar[OnJvm | None] = None
    artifact: Artifact | None = None
    feature_names: list[str] | None = None
    training_summary: TrainingSummary | None = None

    @staticmethod
    def algorithm() -> Algorithm:
        """The functions of the algorithm."""
        raise NotImplementedError

    @classmethod
    def _names(cls, field: Field) -> bool:
        return field.on_model

    @classmethod
    def _settable(cls, param: DeclaredParam) -> bool:
        return param.on_model

    def _fixed(self, name: str, value: Any) -> str | None:
        """A hyperparameter of the training has shaped the artifact, so it stays what it was; the same value again is no change."""
        if self.artifact is None or self.declared[name].on_model or value == self.value(name):
            return None
        return f"{name} is fixed by training at {self.value(name)!r} and cannot become {value!r}; fit again to change it"

    def __repr__(self) -> str:
        """Class, uid, the hyperparameters that it needed, and how many classes and features it knows."""
        return self._shown(self._facts_shown())

    def _repr_html_(self) -> str:
        """Tables for notebooks: what the model is, and how it was trained."""
        facts = facts_table((name, str(value)) for name, value in {"uid": self.uid, **self._facts_shown()}.items())
        summary = self.training_summary._repr_html_() if self.training_summary else ""
        return f"<div><b>{type(self).__name__}</b>{facts}{summary}</div>"

    def _facts_shown(self) -> dict[str, Any]:
        needed = [name for name, param in self.declared.items() if isinstance(param, Hyperparameter) and param.required]
        facts = {name: self.value(name) for name in needed if self.is_given(name)}
        if self.artifact is not None:
            facts |= {name: getattr(self, name, None) for name in ("numClasses", "numFeatures")}
        return {name: value for name, value in facts.items() if value is not None}

    def label_classes(self) -> int | None:
        """Number of classes that the model knows; None where labels are no classes."""
        return None

    @property
    def num_features(self) -> int | None:
        """Length of the features the model takes; None where it takes other things."""
        return self.training_summary.num_features if self.training_summary else None

    numFeatures = num_features

    def fields(self) -> list[Field]:
        """What the model reads: `transform` those for scoring, `evaluate` those for evaluating."""
        fields = [field for field in self.algorithm().fields_for(Hyperparameters(**self.hyperparameters())) if field.on_model]
        classes = self.label_classes()
        return [field.of(ClassLabel(classes)) if field.role == LABEL and classes else field for field in fields]

    def own_outputs(self) -> Sequence[Output]:
        """The output columns of this model: those of its class that have a name, unless its settings leave some out."""
        return [output for output in self.outputs if self.value(output.param)]

    def only(self, field: str, name: str) -> AlgorithmModel:
        """A copy that appends a single output, in a column of this name, whatever the output columns are called."""
        copy = self.copy()
        copy._set(**{output.param: name if output.field == field else "" for output in self.outputs})
        return copy

    def scorer_for(self, dataset: DataFrame) -> ScorerChoice:
        """Where `transform` scores the rows of a dataset, ``python`` or ``jvm``, and the reason.

        Raises
        ------
        ValueError
            If ``scorer`` is ``"jvm"`` and that is not possible in the dataset's session.
        """
        return choose_scorer(self, dataset.sparkSession)

    def to_jvm(self) -> JvmModel:
        """The same model of the JVM bridge, as a stage that scores without Python and is saved for pipelines on the JVM.

        Raises
        ------
        ValueError
            If the session is a Spark Connect client, or the bridge is not in it, or has no such model.
        """
        return to_jvm(self, SparkSession.active())

    def export(self, path: str, **options: Any) -> Any:
        """Write this model as a graph of ONNX, or as its library does; needs the extra ``onnx``.

        Parameters
        ----------
        path : str
            Of a local file, whose suffix says the format: ``.onnx``, ``.ubj`` or ``.json`` of XGBoost, ``.pt2`` of networks.
        **options
            Those of `sparkml_algos.export.export`, such as ``precision``.

        Returns
        -------
        sparkml_algos.export.Report
            How the file compares with this model.

        Raises
        ------
        sparkml_algos.export.CannotExport
            If no graph is equal to the model, with the reason.
        """
        # The room that does it stands above this one, on models that were saved.
        return importlib.import_module("sparkml_algos.export").export(self, path, **options)

    @classmethod
    def _from_java(cls, java_model: Any) -> AlgorithmModel:
        """Called by Spark when a pipeline is loaded that the JVM has saved."""
        return from_jvm(cls, java_model)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._append(dataset, self.own_outputs())

    def _append(self, dataset: DataFrame, outputs: Sequence[Output]) -> DataFrame:
        """Append output columns; every row is checked as in training."""
        fields = [field for field in self.fields() if field.scoring]
        problems = input_problems(dataset, self, fields)
        names = [self.value(output.param) for output in outputs]
        problems += output_problems(dataset, names, [output.param for output in self.outputs])
        found = read_inputs(dataset, self, fields) if not problems else None
        if found and found.num_features not in (None, self.num_features):
            name = found.sources[0].names[0]
            problems.append(f"column {name!r} has {found.num_features} features; the model takes {self.num_features}")
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        if self.scorer_for(dataset).name == "jvm":
            appended = dataset.withColumn(_SCORED, scored_on_jvm(self, dataset))
            values = [column(_SCORED)[output.field] for output in outputs]
        else:
            ensure_importable(dataset.sparkSession, [*ALWAYS, *self.algorithm().libraries])
            shipment, decoder = ship(self.artifact, dataset.sparkSession), self.decoder(found)
            found = found.packing(functools.partial(packed_vectors, dataset))
            struct = scored(self.algorithm(), shipment, self.hyperparameters(), found, decoder, outputs)
            appended = rowwise(dataset).withColumn(_SCORED, struct)
            values = [output.column(column(_SCORED)) for output in outputs]
        columns = [value.alias(name) for value, name in zip(values, names, strict=True)]
        return appended.select("*", *columns).drop(_SCORED)

    def explain(self, dataset: DataFrame, **settings: Any) -> DataFrame:
        """Say why the model answers as it does: the rows with attributions, which add up to the output, as further columns.

        Parameters
        ----------
        dataset : DataFrame
            The rows to explain, as `transform` takes them.
        **settings
            Of what is called: `sparkml_algos.explain.explain` of features, `explain_text`, `explain_series` or `explain_images` of models
            that read a text, a series or an image.

        Returns
        -------
        DataFrame
            Of features a column ``<feature>_<label>`` for each attribution, and ``expected_<label>``; of parts of a text, a series or an
            image the columns ``attributions`` and ``expected``. It is computed when it is read, each time anew unless it is cached.

        Raises
        ------
        ValueError
            If a column is missing, or a setting is not what it may be.
        """
        return importlib.import_module(EXPLAINS).explained(self, dataset, **settings)

    def decoder(self, found: Inputs) -> Decoder:
        """Checks rows as training did."""
        decoder = found.decoder(self.facts)
        decoder.where = " of its task"
        return decoder

    @property
    def facts(self) -> dict[str, Facts]:
        """By the role of a column, what training has found out about the rows, such as the number of features."""
        if self.training_summary:
            return self.training_summary.facts
        return {FEATURES: {"num_features": self.num_features}} if self.num_features else {}  # of a model that was not trained here

    def _take_what_was_found(self) -> None:
        """Called when training has ended: set the Params whose values it has found out."""

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        summary = self.training_summary.to_dict() if self.training_summary else None
        return self.artifact, {"feature_names": self.feature_names, "training_summary": summary}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self.artifact, self.feature_names = artifact, facts["feature_names"]
        summary = facts["training_summary"]
        self.training_summary = TrainingSummary.from_dict(summary) if summary else None


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


_SCORED = "_sparkml_algos_scored"
