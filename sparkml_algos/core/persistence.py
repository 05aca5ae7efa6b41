"""What is saved of Estimators and Models: Spark ML's directory layout, JSON and Parquet, no pickle.

    path/metadata/part-…   one line of JSON, as Spark ML writes it, with what is ours under ``sparkml_algos``
    path/data/part-….parquet   the arrays of a model, as rows of `arrays.artifact.ARROW_SCHEMA`

Nothing here needs Spark: a directory opens without it by `serving.load`, which predicts, or as it is by `read_local`. With Spark,
`core.saving` writes and reads it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.names import current_name, name_of
from sparkml_algos.version import __version__

if TYPE_CHECKING:
    from sparkml_algos.core.params import DeclaredParams

__all__ = ["FORMAT_VERSION", "OURS", "metadata_of", "params_of", "read_local", "restored"]

FORMAT_VERSION = 1
#: What metadata has of this package's own.
OURS = "sparkml_algos"

T = TypeVar("T")


def metadata_of(instance: Any, spark_version: str) -> dict[str, Any]:
    """What is saved of an instance beside its arrays; with the version of the Spark that saves it."""
    artifact, facts = instance._state()
    return {
        "class": name_of(type(instance)),
        "timestamp": int(time.time() * 1000),
        "sparkVersion": spark_version,
        "uid": instance.uid,
        **params_of(instance),
        OURS: {
            "version": __version__,
            "format": FORMAT_VERSION,
            "has_data": artifact is not None,
            "facts": facts,
        },
    }


def params_of(instance: Any) -> dict[str, dict[str, Any]]:
    """The Params of an instance, those that are set and those with a default."""
    return {
        "paramMap": {param.name: value for param, value in instance._paramMap.items()},
        "defaultParamMap": {param.name: value for param, value in instance._defaultParamMap.items()},
    }


def restored(cls: type[T], metadata: dict[str, Any], artifact: Artifact | None, path: str) -> T:
    """An instance from what was saved of it; `path` is for messages.

    Raises
    ------
    ValueError
        If it is of another class, or of a newer format.
    """
    expected = name_of(cls)
    if current_name(metadata["class"]) != expected:
        raise ValueError(f"{path} holds a {metadata['class']}, not a {expected}")
    ours = metadata[OURS]
    if ours["format"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} was saved by sparkml_algos {ours['version']} in format {ours['format']}; this is {__version__}, which reads "
            f"formats up to {FORMAT_VERSION}: upgrade"
        )
    instance: DeclaredParams = cls()
    instance._resetUid(metadata["uid"])
    # What an instance no longer has named a column that it never read: models of the first version had all columns of their Estimator.
    instance._set(**{name: value for name, value in metadata["paramMap"].items() if name in cls.declared})
    instance._setDefault(**{name: value for name, value in metadata["defaultParamMap"].items() if name in cls.declared})
    instance._restore(artifact, ours["facts"])
    return instance
