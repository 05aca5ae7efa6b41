"""What the service answers for rows, made of what predictors give; and which formats it takes and gives, by the class of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.formats.content_types import CSV, IMAGES, JSON, JSON_LINES, LIBSVM, PNG, RECORDIO_PROTOBUF, X_LIBSVM, X_PROTOBUF
from sparkml_algos.serving.values import values_of

NPY = "application/x-npy"

#: Outputs of a predictor by name, an entry a row.
Outputs = Mapping[str, Any]
#: Fields of an answer by name, an entry a row: ndarray, `Ragged`, Arrow array or list.
Columns = dict[str, Any]

_VECTORS = (CSV, JSON, JSON_LINES, RECORDIO_PROTOBUF, NPY)
_RECORDS = (JSON, JSON_LINES, RECORDIO_PROTOBUF)
_OBJECTS = (JSON, JSON_LINES)
_TENSORS = (RECORDIO_PROTOBUF, X_PROTOBUF)


@dataclass(frozen=True)
class Answer:
    """What a model answers.

    Parameters
    ----------
    algorithm : str
        Name that says how the list of a JSON response is called, see `formats.json_instances`.
    made : callable
        Fields of the answer from the outputs of the predictor.
    requests : tuple of str
        Content types that it takes.
    responses : tuple of str
        Content types that it gives; the first where none is asked for.
    verbose : callable, optional
        Fields that ``verbose=true`` adds.
    detail : tuple of str
        Of these fields those that a row has only where its configuration asks for them.
    whole : tuple of str
        Content types whose answers have the fields of ``verbose`` without being asked.
    mirrors : bool
        Whether the answer has the content type of the request, whatever is asked for.
    quoted : bool
        Whether a list in a cell of CSV is in quotes.
    replaces : bool
        Whether what `verbose` gives stands in place of the other fields.
    """

    algorithm: str
    made: Callable[[Outputs], Columns]
    requests: tuple[str, ...] = _VECTORS
    responses: tuple[str, ...] = _RECORDS
    verbose: Callable[[Outputs], Columns] = field(default=lambda outputs: {})
    detail: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    mirrors: bool = False
    quoted: bool = True
    replaces: bool = False

    def columns(self, outputs: Outputs, verbose: bool) -> Columns:
        """The fields of the answer."""
        if verbose and self.replaces:
            return self.verbose(outputs)
        return {**self.made(outputs), **(self.verbose(outputs) if verbose else {})}


def answer_of(name: str, hyperparameters: Hyperparameters, keys: Sequence[str] = ()) -> Answer:
    """What a model answers.

    Parameters
    ----------
    name : str
        Of its class, such as ``sparkml_algos.KMeansModel``.
    hyperparameters : Hyperparameters
    keys : sequence of str
        What XGBoost answers in place of ``score``, see `XGBOOST_KEYS`.

    Raises
    ------
    ValueError
        If a key is none, or of another algorithm than XGBoost.
    """
    short = name.rpartition(".")[2]
    if short.startswith("XGBoost"):
        return _xgboost(hyperparameters, keys)
    if keys:
        raise ValueError(f"{name} has one answer; only XGBoost answers selectable keys, here {', '.join(keys)}")
    if short in _ANSWERS:
        return _ANSWERS[short]
    if short == "DeepARModel":
        return Answer("deepar", _forecasts(hyperparameters), _OBJECTS, _OBJECTS)
    if short == "LinearLearnerBinaryClassifierModel":
        return replace(_LINEAR, made=_binary)
    return Answer("", dict)


def _number(name: str, of: str | None = None) -> Callable[[Outputs], Columns]:
    return lambda outputs: {name: outputs[of or name].astype(np.float64)}


def _same(*names: str) -> Callable[[Outputs], Columns]:
    return lambda outputs: {name: outputs[name] for name in names}


def _binary(outputs: Outputs) -> Columns:
    """The score is a probability where the loss has such, and the label an integer."""
    scores = outputs["probability"] if "probability" in outputs else outputs["raw"]
    return {"score": scores[:, 1], "predicted_label": outputs["predicted_label"].astype(np.int64)}


def _machine(outputs: Outputs) -> Columns:
    return {"score": outputs["probability"][:, 1], "predicted_label": outputs["predicted_label"]}


def _multiclass(outputs: Outputs) -> Columns:
    return {"score": outputs["probability"], "predicted_label": outputs["predicted_label"].astype(np.int64)}


def _clusters(outputs: Outputs) -> Columns:
    return {"closest_cluster": outputs["closest_cluster"].astype(np.float64), "distance_to_cluster": outputs["distance_to_cluster"]}


def _projections(outputs: Outputs) -> Columns:
    """The service's leading component is the last."""
    return {"projection": outputs["projection"][:, ::-1]}


def _forecasts(hyperparameters: Hyperparameters) -> Callable[[Outputs], Columns]:
    """The mean and, of a model that has such, the quantiles by their texts, which are those of the model."""

    def made(outputs: Outputs) -> Columns:
        if "quantiles" not in outputs:
            return {"mean": outputs["mean"]}
        names = [str(quantile) for quantile in hyperparameters.quantiles]
        rows = [dict(zip(names, row, strict=True)) for row in values_of(outputs["quantiles"])]
        return {"mean": outputs["mean"], "quantiles": rows}

    return made


def _tensors(outputs: Outputs) -> Columns:
    found = outputs["probability"]
    return {name: found.field(name) for name in ("target", "shape")}


def _pairs(outputs: Outputs) -> Columns:
    name = "scores" if "scores" in outputs else "embeddings"
    return {name: outputs[name]}


def _probabilities(outputs: Outputs) -> Columns:
    return {"prediction": outputs["probability"]}


def _annotations(outputs: Outputs) -> Columns:
    """Detections as annotations of images are."""
    sizes = [[dict(zip(("width", "height", "depth"), row, strict=True))] for row in outputs["pixels"].tolist()]
    return {"image_size": sizes, "annotations": outputs["detections"]}


_LINEAR = Answer("linear_learner", _number("score"))
_MACHINES = Answer("factorization_machines", _number("score"), (JSON, JSON_LINES, RECORDIO_PROTOBUF, NPY))
_NEIGHBORS = Answer("knn", _same("predicted_label"), verbose=_same("distances", "labels"))
_WORDS = Answer("blazingtext", _same("vector"), _OBJECTS, _OBJECTS, mirrors=True)
_ANSWERS: Mapping[str, Answer] = {
    "BlazingTextClassifierModel": replace(_WORDS, made=_same("label", "prob")),
    "BlazingTextWord2VecModel": _WORDS,
    "FactorizationMachinesBinaryClassifierModel": replace(_MACHINES, made=_machine),
    "FactorizationMachinesRegressorModel": _MACHINES,
    "ImageClassifierModel": Answer("image_classification", _probabilities, IMAGES, _OBJECTS),
    "IPInsightsModel": Answer(
        "ip_insights", _same("dot_product"), (CSV, *_OBJECTS), _OBJECTS, verbose=_same("entity_embedding", "ip_embedding")
    ),
    "KMeansModel": Answer("kmeans", _clusters, responses=(*_RECORDS, CSV)),
    "KNNClassifierModel": _NEIGHBORS,
    "KNNRegressorModel": _NEIGHBORS,
    "LDAModel": Answer("lda", _same("topic_mixture")),
    "LinearLearnerMultiClassClassifierModel": replace(_LINEAR, made=_multiclass),
    "LinearLearnerRegressorModel": _LINEAR,
    "NeuralTopicModelModel": Answer("ntm", _same("topic_weights")),
    "ObjectDetectorModel": Answer("object_detection", _same("prediction"), IMAGES, _OBJECTS, verbose=_annotations, replaces=True),
    "Object2VecModel": Answer("object2vec", _pairs, _OBJECTS, _OBJECTS),
    "PCAModel": Answer("pca", _projections),
    "RandomCutForestModel": Answer("random_cut_forest", _same("score")),
    "SemanticSegmenterModel": Answer(
        "semantic_segmentation", _same("mask"), IMAGES, (PNG, *_TENSORS, *_OBJECTS), verbose=_tensors, whole=_TENSORS
    ),
    "Seq2SeqModel": Answer("seq2seq", _same("target"), _RECORDS, _RECORDS, verbose=_same("matrix"), detail=("matrix",), mirrors=True),
}

_TWO = ("binary:logistic", "binary:logitraw", "binary:hinge")
_PROBABLE = ("binary:logistic", "multi:softprob")


def _raw(outputs: Outputs) -> np.ndarray:
    """The raw score, of two classes that of the second."""
    return outputs["raw"][:, 1]


def _score(objective: str) -> Callable[[Outputs], Any]:
    """What the library itself predicts with an objective."""
    known: dict[str, Callable[[Outputs], Any]] = {
        "binary:logistic": lambda outputs: outputs["probability"][:, 1],
        "binary:logitraw": _raw,
        "multi:softprob": lambda outputs: outputs["probability"],
    }
    return known.get(objective, lambda outputs: outputs["prediction"])


def _labels_of(objective: str) -> Callable[[Outputs], Any]:
    classes = (lambda outputs: np.array([0, 1])) if objective in _TWO else (lambda outputs: np.arange(outputs["raw"].shape[1]))
    return lambda outputs: np.tile(classes(outputs), (len(outputs["prediction"]), 1))


def _xgboost_keys(objective: str) -> dict[str, Callable[[Outputs], Any]]:
    """The selectable keys that an objective defines."""
    if not objective.startswith(("binary:", "multi:")):
        return {"predicted_score": lambda outputs: outputs["prediction"]}
    found: dict[str, Callable[[Outputs], Any]] = {
        "predicted_label": lambda outputs: outputs["prediction"],
        "labels": _labels_of(objective),
    }
    if objective in _PROBABLE:
        found["probability"] = lambda outputs: outputs["probability"].max(axis=1)
        found["probabilities"] = lambda outputs: outputs["probability"]
    if objective == "binary:logistic":
        found["probability"] = lambda outputs: outputs["probability"][:, 1]
    if objective != "multi:softmax":
        two = objective in _TWO
        found["raw_score"] = _raw if two else lambda outputs: outputs["raw"].max(axis=1)
        found["raw_scores"] = lambda outputs: outputs["raw"]
    return found


#: What XGBoost may answer, for an endpoint as a whole, in place of ``score``.
XGBOOST_KEYS = ("predicted_label", "labels", "probability", "probabilities", "raw_score", "raw_scores", "predicted_score")


def _xgboost(hyperparameters: Hyperparameters, keys: Sequence[str]) -> Answer:
    objective = hyperparameters.objective
    requests, responses = (*_VECTORS, LIBSVM, X_LIBSVM), (CSV, *_RECORDS)
    if not keys:
        score = _score(objective)
        return Answer("xgboost", lambda outputs: {"score": score(outputs)}, requests, responses, quoted=False)
    if wrong := [key for key in keys if key not in XGBOOST_KEYS]:
        raise ValueError(f"{wrong[0]!r} is not one of the keys {', '.join(XGBOOST_KEYS)}")
    defined = _xgboost_keys(objective)

    def made(outputs: Outputs) -> Columns:
        absent = np.full(len(outputs["prediction"]), np.nan)
        return {key: defined[key](outputs) if key in defined else absent for key in keys}

    return Answer("xgboost", made, requests, responses)
