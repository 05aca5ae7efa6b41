"""A booster as an artifact."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import xgboost as xgb

from sparkml_algos.arrays.artifact import Artifact


def booster_artifact(raw: bytes, metrics: dict[str, float]) -> Artifact:
    """A booster as an artifact.

    Parameters
    ----------
    raw : bytes
        The booster in UBJSON.
    metrics : dict of str to float
        Of the rows trained and validated on.

    Returns
    -------
    Artifact
        ``model``; and among the values ``objective``, ``booster``, ``num_class`` (0 unless there are many), ``num_features`` and
        ``digest``, by which a process knows the booster again.
    """
    learner = json.loads(xgb.Booster(model_file=bytearray(raw)).save_config())["learner"]
    values = {
        "objective": learner["objective"]["name"],
        "booster": learner["gradient_booster"]["name"],
        "num_class": int(learner["learner_model_param"]["num_class"]),
        "num_features": int(learner["learner_model_param"]["num_feature"]),
        "digest": hashlib.blake2b(raw, digest_size=16).hexdigest(),
    }
    return Artifact({"model": np.frombuffer(raw, np.uint8)}, {**values, **metrics})
