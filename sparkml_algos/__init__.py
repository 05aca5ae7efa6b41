"""Amazon SageMaker's built-in algorithms as native Spark ML Estimators and Models.

Importing the package is quick: classes are imported when they are first used, torch and xgboost only where they are needed.
"""

from __future__ import annotations

import importlib
from typing import Any

from sparkml_algos.version import __version__

_EXPORTS = {
    "FactorizationMachinesBinaryClassifier": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesBinaryClassifierModel": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesRegressor": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesRegressorModel": "sparkml_algos.algorithms.factorization_machines.estimator",
    "KMeans": "sparkml_algos.algorithms.kmeans.estimator",
    "KMeansModel": "sparkml_algos.algorithms.kmeans.estimator",
    "KNNClassifier": "sparkml_algos.algorithms.knn.estimator",
    "KNNClassifierModel": "sparkml_algos.algorithms.knn.estimator",
    "KNNRegressor": "sparkml_algos.algorithms.knn.estimator",
    "KNNRegressorModel": "sparkml_algos.algorithms.knn.estimator",
    "LDA": "sparkml_algos.algorithms.lda.estimator",
    "LDAModel": "sparkml_algos.algorithms.lda.estimator",
    "LinearLearnerBinaryClassifier": "sparkml_algos.algorithms.linear_learner.estimator",
    "LinearLearnerBinaryClassifierModel": "sparkml_algos.algorithms.linear_learner.estimator",
    "LinearLearnerMultiClassClassifier": "sparkml_algos.algorithms.linear_learner.estimator",
    "LinearLearnerMultiClassClassifierModel": "sparkml_algos.algorithms.linear_learner.estimator",
    "LinearLearnerRegressor": "sparkml_algos.algorithms.linear_learner.estimator",
    "LinearLearnerRegressorModel": "sparkml_algos.algorithms.linear_learner.estimator",
    "PCA": "sparkml_algos.algorithms.pca.estimator",
    "PCAModel": "sparkml_algos.algorithms.pca.estimator",
    "RandomCutForest": "sparkml_algos.algorithms.random_cut_forest.estimator",
    "RandomCutForestModel": "sparkml_algos.algorithms.random_cut_forest.estimator",
    "Shingle": "sparkml_algos.features.shingle",
    "XGBoostClassificationModel": "sparkml_algos.algorithms.xgboost.model",
    "XGBoostClassifier": "sparkml_algos.algorithms.xgboost.estimator",
    "XGBoostRanker": "sparkml_algos.algorithms.xgboost.estimator",
    "XGBoostRankerModel": "sparkml_algos.algorithms.xgboost.model",
    "XGBoostRegressionModel": "sparkml_algos.algorithms.xgboost.model",
    "XGBoostRegressor": "sparkml_algos.algorithms.xgboost.estimator",
    "InvalidDataError": "sparkml_algos.cluster.errors",
    "InvalidParams": "sparkml_algos.arrays.hyperparameters",
    "TrainingError": "sparkml_algos.cluster.errors",
    "TrainingSummary": "sparkml_algos.training.summary",
    "classpath_jars": "sparkml_algos.jvm.jars",
    "register_recordio": "sparkml_algos.sources.recordio",
    "warm_up": "sparkml_algos.cluster.warmup",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
