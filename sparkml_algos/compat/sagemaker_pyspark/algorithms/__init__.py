"""The connector's Estimators, an algorithm each."""

from sparkml_algos.compat.sagemaker_pyspark.algorithms.factorization_machines import (
    FactorizationMachinesBinaryClassifier,
    FactorizationMachinesRegressor,
)
from sparkml_algos.compat.sagemaker_pyspark.algorithms.kmeans import KMeansSageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.algorithms.lda import LDASageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.algorithms.linear_learner import (
    LinearLearnerBinaryClassifier,
    LinearLearnerMultiClassClassifier,
    LinearLearnerRegressor,
)
from sparkml_algos.compat.sagemaker_pyspark.algorithms.pca import PCASageMakerEstimator
from sparkml_algos.compat.sagemaker_pyspark.algorithms.xgboost import XGBoostSageMakerEstimator

__all__ = [
    "FactorizationMachinesBinaryClassifier",
    "FactorizationMachinesRegressor",
    "KMeansSageMakerEstimator",
    "LDASageMakerEstimator",
    "LinearLearnerBinaryClassifier",
    "LinearLearnerMultiClassClassifier",
    "LinearLearnerRegressor",
    "PCASageMakerEstimator",
    "XGBoostSageMakerEstimator",
]
