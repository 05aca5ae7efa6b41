"""Saving: validators in Spark's own layout, under the name of our class; tuners as the service's description beside their Estimator."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyspark
from pyspark.ml.tuning import _ValidatorSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

# Until then readers and writers of Spark ML are handed a SparkContext, since then a session.
_WITH_SESSIONS = 4
# Arguments of a tuner that the service's description lacks.
_OPTIONS = ("num_folds", "base_tuning_job_name", "store", "tags", "hyperparameters_to_keep_static", "max_retries", "engine", "progress")


def session_of(of: MLReader | MLWriter) -> Any:
    return of.sparkSession if int(pyspark.__version__.split(".")[0]) >= _WITH_SESSIONS else of.sc


class Writer(MLWriter):
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


class TunerWriter(MLWriter):
    """Writes a tuner, and what it tunes."""

    def __init__(self, tuner: Any) -> None:
        super().__init__()
        self._tuner = tuner

    def saveImpl(self, path: str) -> None:
        session, tuner = session_of(self), self._tuner
        DefaultParamsWriter.saveMetadata(tuner, path, session, extraMetadata={"tuner": json.dumps(_state(tuner))})
        tuner.estimator.write().save(f"{path}/estimator")


class TunerReader(MLReader):
    """Reads a tuner."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls = cls

    def load(self, path: str) -> Any:
        session = session_of(self)
        metadata = DefaultParamsReader.loadMetadata(path, session)
        estimator = DefaultParamsReader.loadParamsInstance(f"{path}/estimator", session)
        saved = json.loads(metadata["tuner"])
        # The Estimator has them, with their types.
        config = {key: value for key, value in saved["config"].items() if key != "TrainingJobDefinition"}
        tuner = self._cls.from_config(estimator, config, **saved["options"])
        for name, values in saved["values"].items():
            tuner.hyperparameter_ranges[name] = replace(tuner.hyperparameter_ranges[name], values=values)
        for name, when in saved["when"].items():
            tuner.hyperparameter_ranges[name] = replace(tuner.hyperparameter_ranges[name], when=when)
        tuner._resetUid(metadata["uid"])
        return tuner


def _state(tuner: Any) -> dict[str, Any]:
    """What JSON has of a tuner."""
    if tuner.warm_start_config is not None or tuner.evaluator is not None:
        raise ValueError("a tuner with a warm_start_config or an evaluator cannot be saved: they are no JSON; take them off, save the rest")
    ranges = tuner.hyperparameter_ranges
    return {
        "config": tuner.to_config(),
        "options": {name: getattr(tuner, name) for name in _OPTIONS},
        "when": {name: {key: list(values) for key, values in one.when.items()} for name, one in ranges.items() if one.when},
        "values": {name: list(one.values) for name, one in ranges.items() if one.kind == "Categorical"},
    }
