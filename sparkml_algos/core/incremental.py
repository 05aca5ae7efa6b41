"""Trainings that go on from a model that was trained before."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from pyspark.sql import SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.shared_artifacts import ShippedArtifact
from sparkml_algos.rows.fields import Field

E = TypeVar("E", bound="StartsFromModel")


class StartsFromModel(AlgorithmEstimator):
    """An Estimator whose training may start from a model of its own kind.

    Attributes
    ----------
    must_match : tuple of str
        Hyperparameters in which model and training must be equal; a class variable.
    """

    must_match: ClassVar[tuple[str, ...]] = ()
    _initial: Artifact | None = None

    def setInitialModel(self: E, model: AlgorithmModel | None) -> E:
        """Let training start from a model, `fit` after `fit`, as the service's channel ``model`` does; it is saved with the Estimator.

        Parameters
        ----------
        model : AlgorithmModel or None
            What such an Estimator has fitted, or was loaded; None: start anew.

        Returns
        -------
        AlgorithmEstimator
            This Estimator.

        Raises
        ------
        TypeError
            If it is no such model.
        ValueError
            If it has not been fitted.
        """
        if model is not None and not isinstance(model, self.model_class()):
            raise TypeError(f"{type(self).__name__} starts from a {self.model_class().__name__}, got {type(model).__name__}")
        if model is not None and model.artifact is None:
            raise ValueError("the model has not been fitted: there is nothing to go on from")
        self._initial = None
        if model is not None:
            self._initial = Artifact(dict(model.artifact.arrays), {name: model.value(name) for name in self.must_match})
        return self

    @property
    def starts_from_model(self) -> bool:
        """Whether a model is set."""
        return self._initial is not None

    def fields(self) -> list[Field]:
        """What `fit` reads. Of hyperparameters that are not set, such as the number of classes, those of the model hold."""
        known = {} if self._initial is None else self._initial.values
        of = {name: known.get(name) if value is None else value for name, value in self.hyperparameters().items()}
        return [field for field in self.algorithm().fields_for(Hyperparameters(**of)) if field.training]

    def mismatches(self) -> list[str]:
        """What of the settings is not that of the model; what is not set is taken from the model."""
        known = {} if self._initial is None else self._initial.values
        return [
            f"{name}={self.value(name)!r} differs from the initial model's {known[name]!r}"
            for name in self.must_match
            if name in known and self.value(name) not in (known[name], None)
        ]

    def initial_model(self, session: SparkSession) -> dict[str, Any]:
        """What workers know of the model, where there is one, to be added to `training_hyperparameters`: the hyperparameters in
        `must_match`, which need not be set, and ``model_state``, which they open."""
        return {} if self._initial is None else {**self._initial.values, "model_state": ShippedArtifact(self._initial, session)}

    def _state(self) -> tuple[Artifact | None, dict[str, Any]]:
        return self._initial, {}

    def _restore(self, artifact: Artifact | None, facts: dict[str, Any]) -> None:
        self._initial = artifact
