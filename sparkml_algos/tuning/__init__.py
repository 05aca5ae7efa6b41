"""Choosing hyperparameters: many trainings on rows that are read once."""

from __future__ import annotations

from sparkml_algos.tuning.validators import CrossValidator, TrainValidationSplit

__all__ = ["CrossValidator", "TrainValidationSplit"]
