"""The base of Models: what every fitted model can do."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

from pyspark.ml import Model
from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import DeclaredParam, Hyperparameter, Hyperparameters, InvalidParams
from sparkml_algos.cluster.shipping import ALWAYS, ensure_importable
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
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.saving import Persistable
from sparkml_algos.core.scoring import Output, rowwise, scored
from sparkml_algos.core.shared_artifacts import ship
from sparkml_algos.html_tables import facts_table
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import FEATURES, LABEL, Field
from sparkml_algos.rows.kinds import ClassLabel, Facts
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.summary import TrainingSummary

# What explains models, by name: it stands on top of this room.
EXPLAINS = "sparkml_algos.explain.models"
# What a row is scored into, on its way to the columns.
_SCORED = "_sparkml_algos_scored"


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
