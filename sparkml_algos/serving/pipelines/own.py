"""Models of this package as stages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.arrays.saved import read_local
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import InvalidRows, Number, Text
from sparkml_algos.rows.vectors import Vector
from sparkml_algos.serving.answers import Answer, Columns, answer_of
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.models import load
from sparkml_algos.serving.pipelines.columns import ANY, NUMBER, TEXT, VECTOR, Frame, numbers, vectors
from sparkml_algos.serving.pipelines.saved import SavedStage
from sparkml_algos.serving.pipelines.stage import Stage
from sparkml_algos.serving.values import values_of

_CLASSIFIER = {"predictionCol": "predicted_label", "rawPredictionCol": "raw", "probabilityCol": "probability"}
_NEIGHBORS = {"predictionCol": "predicted_label", "distancesCol": "distances", "neighborLabelsCol": "labels"}
_TREES = {"predictionCol": "prediction", "contributionsCol": "contributions", "leafCol": "leaf"}

#: By class, for each Param that names an output column the predictor's output that it is.
OUTPUTS = {
    "BlazingTextClassifierModel": {
        "predictionCol": "prediction",
        "predictedLabelCol": "predicted_label",
        "probabilityCol": "probability",
        "bestLabelsCol": "label",
        "bestProbabilitiesCol": "prob",
    },
    "BlazingTextWord2VecModel": {"vectorCol": "vector"},
    "DeepARModel": {
        "meanCol": "mean",
        "quantilesCol": "quantiles",
        "samplesCol": "samples",
        "forecastStartCol": "forecast_start",
    },
    "FactorizationMachinesBinaryClassifierModel": _CLASSIFIER,
    "FactorizationMachinesRegressorModel": {"predictionCol": "score"},
    "ImageClassifierModel": {"predictionCol": "predicted_label", "probabilityCol": "probability"},
    "IPInsightsModel": {
        "dotProductCol": "dot_product",
        "entityEmbeddingCol": "entity_embedding",
        "ipEmbeddingCol": "ip_embedding",
    },
    "KMeansModel": {"predictionCol": "closest_cluster", "distanceCol": "distance_to_cluster"},
    "KNNClassifierModel": {**_NEIGHBORS, "rawPredictionCol": "votes", "probabilityCol": "probability"},
    "KNNRegressorModel": _NEIGHBORS,
    "LDAModel": {"topicDistributionCol": "topic_mixture"},
    "LinearLearnerBinaryClassifierModel": _CLASSIFIER,
    "LinearLearnerMultiClassClassifierModel": _CLASSIFIER,
    "LinearLearnerRegressorModel": {"predictionCol": "score"},
    "NeuralTopicModelModel": {"topicDistributionCol": "topic_weights"},
    "Object2VecModel": {"predictionCol": "predicted_label", "probabilityCol": "scores"},
    "ObjectDetectorModel": {"detectionsCol": "detections"},
    "PCAModel": {"outputCol": "projection"},
    "RandomCutForestModel": {"scoreCol": "score", "attributionCol": "attribution"},
    "SemanticSegmenterModel": {"predictedMaskCol": "mask", "probabilityCol": "probability"},
    "Seq2SeqModel": {"predictionCol": "target", "attentionCol": "matrix"},
    "XGBoostClassificationModel": {**_TREES, "rawPredictionCol": "raw", "probabilityCol": "probability"},
    "XGBoostRankerModel": _TREES,
    "XGBoostRegressionModel": _TREES,
}
#: What is otherwise where a hyperparameter of the model is set, by class and hyperparameter.
OTHERWISE = {"ImageClassifierModel": {"multi_label": {"predictionCol": "predicted_labels"}}}
#: Output columns that only Spark makes, by class; a pipeline in which a later stage reads one is refused.
ON_SPARK_ALONE = {"RandomCutForestModel": ["predictionCol"]}


def outputs_of(name: str, hyperparameters: Hyperparameters) -> dict[str, str]:
    """Of each Param that names an output column of a model, the predictor's output that it is.

    Parameters
    ----------
    name : str
        Of the model's class, without its package.
    hyperparameters : Hyperparameters
    """
    found = dict(OUTPUTS[name])
    for setting, changed in OTHERWISE.get(name, {}).items():
        if getattr(hyperparameters, setting):
            found |= changed
    return found


class Model(Stage):
    """A model of this package."""

    def __init__(self, saved: SavedStage, options: Options) -> None:
        self._model = load(saved.path, device=options.device)
        name = self._model.name.rpartition(".")[2]
        if name not in OUTPUTS:
            raise saved.cannot("its outputs are not known")
        settings = vars(self._model.hyperparameters)
        self._sources: list[tuple[Field, list[str], bool]] = []
        reads: dict[str, str] = {}
        for field in self._model.fields:
            several = settings.get(field.list_param) if field.list_param else None
            names: list[str] = list(several) if several else [settings[field.param]] if settings.get(field.param) else []
            if not names:
                continue
            self._sources.append((field, names, bool(several)))
            kind = NUMBER if several else _kind(field)
            reads |= dict.fromkeys(names, kind)
        outputs = outputs_of(name, self._model.hyperparameters)
        self._made = {settings[param]: output for param, output in outputs.items() if settings.get(param)}
        self.lacks = [settings[param] for param in ON_SPARK_ALONE.get(name, ()) if settings.get(param)]
        self.answer: Answer = answer_of(self._model.name, self._model.hyperparameters, options.outputs)
        super().__init__(saved, reads, list(self._made))

    def __call__(self, frame: Frame) -> None:
        outputs = self._model(**{field.role: _given(frame, field, names, several) for field, names, several in self._sources})
        for column, output in self._made.items():
            if output in outputs:
                frame[column] = _Later(outputs, output)
        frame[OUTPUTS_OF_LAST] = outputs

    def answered(self, frame: Frame, verbose: bool) -> Columns:
        """The fields of its answer to the rows of a frame in which it is the last model."""
        return self.answer.columns(frame[OUTPUTS_OF_LAST], verbose)


#: Under which a frame has the outputs of the last model; no column of Spark's has this name.
OUTPUTS_OF_LAST = "\0outputs"


class _Later:
    """A column that is made when a stage reads it."""

    def __init__(self, outputs: Any, name: str) -> None:
        self._outputs, self._name = outputs, name

    def made(self) -> Any:
        found = self._outputs[self._name]
        if isinstance(found, np.ndarray):
            return found.astype(np.float64)
        return values_of(found) if isinstance(found, Ragged | pa.Array) else found


def settle(frame: Frame, name: str) -> None:
    """Make a column that a stage is about to read."""
    column = frame.get(name)
    if isinstance(column, _Later):
        frame[name] = column.made()


def _kind(field: Field) -> str:
    if isinstance(field.kind, Vector):
        return VECTOR
    if isinstance(field.kind, Number):
        return NUMBER
    return TEXT if isinstance(field.kind, Text) else ANY


def _given(frame: Frame, field: Field, names: list[str], several: bool) -> Any:
    if several:
        return np.stack([numbers(frame, name) for name in names], axis=1).astype(np.float32)
    if isinstance(field.kind, Vector):
        found = vectors(frame, names[0])
        with np.errstate(over="ignore"):  # what 32 bits do not hold is refused by the model
            return found.astype(np.float32) if isinstance(found, np.ndarray) else found
    if isinstance(field.kind, Number):
        return numbers(frame, names[0])
    column = frame[names[0]]
    try:
        return field.kind.from_json(column.tolist() if isinstance(column, np.ndarray) else column)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise InvalidRows(f"column {names[0]!r} cannot be read: {error}") from error


def vocabulary(saved: SavedStage) -> dict[str, int]:
    """Ids by word of this package's vocabulary."""
    _, artifact = read_local(saved.path)
    if artifact is None:
        raise saved.cannot("it holds no words")
    text, ends = artifact.arrays["text"].tobytes(), artifact.arrays["ends"].tolist()
    return {text[start:end].decode(): place for place, (start, end) in enumerate(itertools.pairwise(ends))}
