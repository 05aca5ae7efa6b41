"""Choosing hyperparameters: many trainings on rows that are read once."""

from __future__ import annotations

from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.listeners import TuningListener, add_listener, remove_listener
from sparkml_algos.tuning.ranges import CategoricalParameter, ContinuousParameter, IntegerParameter
from sparkml_algos.tuning.rules import CompletionCriteria
from sparkml_algos.tuning.trial import Objective, Trial
from sparkml_algos.tuning.tuner import HyperparameterTuner
from sparkml_algos.tuning.validators import CrossValidator, TrainValidationSplit
from sparkml_algos.tuning.warm_start import WarmStartConfig

__all__ = [
    "CategoricalParameter",
    "CompletionCriteria",
    "ContinuousParameter",
    "CrossValidator",
    "HyperparameterTuner",
    "IntegerParameter",
    "Objective",
    "TrainValidationSplit",
    "Trial",
    "TuningJob",
    "TuningListener",
    "WarmStartConfig",
    "add_listener",
    "remove_listener",
]
