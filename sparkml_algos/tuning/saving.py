"""Saving: validators in Spark's own layout, under the name of our class; tuners as the service's description beside their Estimator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyspark
from pyspark.ml import evaluation
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.tuning import _ValidatorSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

from sparkml_algos.cluster.jobs import is_connect
from sparkml_algos.core.saving import clear
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import ranges_from_state, ranges_to_state
from sparkml_algos.tuning.warm_start import WarmStartConfig

# Until then readers and writers of Spark ML are handed a SparkContext, since then a session.
_WITH_SESSIONS = 4
# Arguments of a tuner that the service's description lacks.
_OPTIONS = (
    "objective_metric_name", "objective_type", "num_folds", "base_tuning_job_name", "store", "tags", "hyperparameters_to_keep_static",
    "max_retries", "engine", "progress",
)  # fmt: skip


def session_of(of: MLReader | MLWriter) -> Any:
    return of.sparkSession if int(pyspark.__version__.split(".")[0]) >= _WITH_SESSIONS else of.sc


class _Writer(MLWriter):
    """Spark's, whose way to replace what was saved is one of classic sessions alone."""

    def _handleOverwrite(self, path: str) -> None:
        if is_connect(self.sparkSession):
            clear(self.sparkSession, path)
        else:
            super()._handleOverwrite(path)


class Writer(_Writer):
    """Writes a validator as Spark does."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self._instance = instance

    def saveImpl(self, path: str) -> None:
        _ValidatorSharedReadWrite.validateParams(self._instance)
        _ValidatorSharedReadWrite.saveImpl(path, self._instance, session_of(self))


class Reader(MLReader):
    """Reads a validator that this package, or Spark, has saved."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls = cls

    def load(self, path: str) -> Any:
        session = session_of(self)
        metadata = DefaultParamsReader.loadMetadata(path, session)
        if not DefaultParamsReader.isPythonParamsInstance(metadata) and not metadata["class"].startswith("org."):
            metadata["class"] = f"pyspark.ml.tuning.{self._cls.__name__}"  # by which Spark knows its Python form
        metadata, estimator, evaluator, maps = _ValidatorSharedReadWrite.load(path, session, metadata)
        validator = self._cls(estimator=estimator, estimatorParamMaps=maps, evaluator=evaluator)._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(validator, metadata, skipParams=["estimatorParamMaps"])
        return validator


class TunerWriter(_Writer):
    """Writes a tuner, and what it tunes."""

    def __init__(self, tuner: Any) -> None:
        super().__init__()
        self._tuner = tuner

    def saveImpl(self, path: str) -> None:
        session, tuner = session_of(self), self._tuner
        DefaultParamsWriter.saveMetadata(tuner, path, session, extraMetadata={"tuner": json.dumps(_state(tuner))})
        for folder, estimator in _folders(tuner.estimator).items():
            estimator.write().save(f"{path}/{folder}")


class TunerReader(MLReader):
    """Reads a tuner."""

    def __init__(self, cls: Any) -> None:
        super().__init__()
        self._cls = cls

    def load(self, path: str) -> Any:
        session = session_of(self)
        metadata = DefaultParamsReader.loadMetadata(path, session)
        saved = json.loads(metadata["tuner"])
        names, options = saved["names"], saved["options"]
        found: dict[str, Any] = {
            name: DefaultParamsReader.loadParamsInstance(f"{path}/{folder}", session) for name, folder in _places(names).items()
        }
        ranges = {name: ranges_from_state(state) for name, state in saved["ranges"].items()}
        if saved["warm_start"] is not None:
            options["warm_start_config"] = _warm_start_from(saved["warm_start"])
        if saved["evaluator"] is not None:
            options["evaluator"] = _evaluator_from(saved["evaluator"])
        tuner = self._cls.from_config(
            found if names else found[""],
            _without_static(saved["config"]),
            hyperparameter_ranges=ranges if names else ranges[""],
            **options,
        )
        tuner._resetUid(metadata["uid"])
        return tuner


def _state(tuner: Any) -> dict[str, Any]:
    """What JSON has of a tuner; the Estimators are saved beside it."""
    several = isinstance(tuner.estimator, Mapping)
    ranges = tuner.hyperparameter_ranges if several else {"": tuner.hyperparameter_ranges}
    warm_start = tuner.warm_start_config
    return {
        "config": tuner.to_config(),
        "options": {name: getattr(tuner, name) for name in _OPTIONS},
        "names": list(tuner.estimator) if several else [],
        "ranges": {name: ranges_to_state(own) for name, own in ranges.items()},
        "warm_start": warm_start and [warm_start.warm_start_type, [parent.events() for parent in warm_start.parents]],
        "evaluator": tuner.evaluator and [type(tuner.evaluator).__name__, _given(tuner.evaluator)],
    }


def _folders(estimator: Any) -> dict[str, Any]:
    """Estimators by the folder that they are saved in."""
    if not isinstance(estimator, Mapping):
        return {"estimator": estimator}
    return {folder: estimator[name] for name, folder in _places(list(estimator)).items()}


def _places(names: Sequence[str]) -> dict[str, str]:
    """Folders by the name of an Estimator, which may be no name of a folder."""
    return {name: f"estimators/{place}" for place, name in enumerate(names)} or {"": "estimator"}


def _without_static(config: Mapping[str, Any]) -> dict[str, Any]:
    """A description without the static hyperparameters, which the Estimators have with their types."""
    definitions = [{**one, "StaticHyperParameters": {}} for one in config.get("TrainingJobDefinitions", [])]
    kept = {key: value for key, value in config.items() if key not in ("TrainingJobDefinition", "TrainingJobDefinitions")}
    return kept | ({"TrainingJobDefinitions": definitions} if definitions else {})


def _given(evaluator: Evaluator) -> dict[str, Any]:
    """What is set of an evaluator, by name."""
    return {param.name: evaluator.getOrDefault(param) for param in evaluator.params if evaluator.isSet(param)}


def _evaluator_from(saved: Sequence[Any]) -> Evaluator:
    name, given = saved
    return getattr(evaluation, name)(**given)


def _warm_start_from(saved: Sequence[Any]) -> WarmStartConfig:
    type_, parents = saved
    jobs = [TuningJob.from_events(events) for events in parents]
    return WarmStartConfig(type_, [job for job in jobs if job is not None])
