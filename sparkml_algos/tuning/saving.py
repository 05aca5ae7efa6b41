"""Saving of validators: Spark's own layout, under the name of our class."""

from __future__ import annotations

from typing import Any

import pyspark
from pyspark.ml.tuning import _ValidatorSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, MLReader, MLWriter

# Until then readers and writers of Spark ML are handed a SparkContext, since then a session.
_WITH_SESSIONS = 4


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
