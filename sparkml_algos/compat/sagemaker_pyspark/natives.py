"""Which Estimator of this package stands for an algorithm of the service, and its hyperparameters for the connector's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import sparkml_algos
from sparkml_algos.core.estimator import AlgorithmEstimator

#: By the name of the algorithm's image: its Estimators, the one for a task where nothing says otherwise first.
_CLASSES: dict[str, tuple[str, ...]] = {
    "factorization-machines": ("FactorizationMachinesRegressor", "FactorizationMachinesBinaryClassifier"),
    "kmeans": ("KMeans",),
    "knn": ("KNNClassifier", "KNNRegressor"),
    "lda": ("LDA",),
    "linear-learner": ("LinearLearnerRegressor", "LinearLearnerBinaryClassifier", "LinearLearnerMultiClassClassifier"),
    "ntm": ("NeuralTopicModel",),
    "pca": ("PCA",),
    "randomcutforest": ("RandomCutForest",),
    "xgboost": ("XGBoostRegressor", "XGBoostClassifier"),
}
_ALSO_CALLED = {"sagemaker-xgboost": "xgboost"}
# Hyperparameters whose value says which of an algorithm's Estimators it is: each takes its own values only.
_DECIDING = ("predictor_type", "objective")

_VERBOSITY = {"0": 1, "1": 0}
_CRITERIA: dict[str, dict[str, Any]] = {
    "f1": {"binary_classifier_model_selection_criteria": "f_beta", "f_beta": 1.0},
    "cross_entropy_loss": {"binary_classifier_model_selection_criteria": "loss_function"},
}


def algorithm_of_image(image: str) -> str:
    """The algorithm in a training image of the service.

    Parameters
    ----------
    image : str
        Such as ``382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1``.

    Returns
    -------
    str
        Such as ``kmeans``.

    Raises
    ------
    ValueError
        If it is none of this package's: images of one's own run in containers, of which there are none here.
    """
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    name = _ALSO_CALLED.get(repository, repository)
    if name not in _CLASSES:
        raise ValueError(f"trainingImage {image!r} is none of those whose algorithms train on this cluster: {', '.join(_CLASSES)}")
    return name


def classes_of(algorithm: str) -> Sequence[type[AlgorithmEstimator]]:
    """The Estimators of an algorithm."""
    return [getattr(sparkml_algos, name) for name in _CLASSES[algorithm]]


def native_class(algorithm: str, hyperparameters: Mapping[str, Any]) -> type[AlgorithmEstimator]:
    """The Estimator of the task that the hyperparameters name.

    Raises
    ------
    ValueError
        If no Estimator of the algorithm takes what they name.
    """
    known = classes_of(algorithm)
    for name in _DECIDING:
        if name in hyperparameters and any(name in one.declared for one in known):
            taking = [one for one in known if _takes(one, name, hyperparameters[name])]
            return taking[0] if taking else _refuse(name, hyperparameters[name])
    return known[0]


def translated(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters by this package's names and values.

    Raises
    ------
    ValueError
        If ``silent`` is neither 0 nor 1.
    """
    found: dict[str, Any] = {}
    for name, value in hyperparameters.items():
        if name == "lambda_weights":
            found["lambda"] = value
        elif name == "silent":
            if str(value) not in _VERBOSITY:
                raise ValueError(f"silent must be 0 or 1, got {value!r}")
            found["verbosity"] = _VERBOSITY[str(value)]
        elif name == "binary_classifier_model_selection_criteria" and value in _CRITERIA:
            found |= _CRITERIA[value]
        elif name == "eval_metrics" and isinstance(value, str) and '"' not in value:
            found[name] = value.strip("[]")
        else:
            found[name] = value
    return found


def _takes(cls: type[AlgorithmEstimator], name: str, value: Any) -> bool:
    try:
        cls.declared[name].convert(value)
    except ValueError:
        return False
    return True


def _refuse(name: str, value: Any) -> NoReturn:
    if str(value).startswith("rank:"):
        raise ValueError(f"{name}={value!r} needs to know which rows are ranked together: sparkml_algos.XGBoostRanker(groupCol=…)")
    raise ValueError(f"there is no algorithm for {name}={value!r}")
