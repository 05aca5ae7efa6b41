"""The names that the package exports, and that what is saved calls its class by, wherever the code stands."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

PACKAGE = "sparkml_algos"

#: Module of every name. Modules may move, names stay: saved models hold them. What was saved by a module's path loads as long as the last
#: part of that path is a name here, in pipelines as long as the path can be imported, or a package of that path has a `__getattr__`.
EXPORTS = {
    "BatchTransform": "sparkml_algos.batch.transform",
    "BlazingTextClassifier": "sparkml_algos.algorithms.blazingtext.classifier.estimator",
    "BlazingTextClassifierModel": "sparkml_algos.algorithms.blazingtext.classifier.estimator",
    "BlazingTextWord2Vec": "sparkml_algos.algorithms.blazingtext.word2vec.estimator",
    "BlazingTextWord2VecModel": "sparkml_algos.algorithms.blazingtext.word2vec.estimator",
    "DeepAR": "sparkml_algos.algorithms.deepar.estimator",
    "DeepARModel": "sparkml_algos.algorithms.deepar.estimator",
    "FactorizationMachinesBinaryClassifier": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesBinaryClassifierModel": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesRegressor": "sparkml_algos.algorithms.factorization_machines.estimator",
    "FactorizationMachinesRegressorModel": "sparkml_algos.algorithms.factorization_machines.estimator",
    "IPInsights": "sparkml_algos.algorithms.ip_insights.estimator",
    "IPInsightsModel": "sparkml_algos.algorithms.ip_insights.estimator",
    "ImageClassifier": "sparkml_algos.algorithms.image_classification.estimator",
    "ImageClassifierModel": "sparkml_algos.algorithms.image_classification.estimator",
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
    "NeuralTopicModel": "sparkml_algos.algorithms.ntm.estimator",
    "NeuralTopicModelModel": "sparkml_algos.algorithms.ntm.estimator",
    "Object2Vec": "sparkml_algos.algorithms.object2vec.estimator",
    "Object2VecModel": "sparkml_algos.algorithms.object2vec.estimator",
    "ObjectDetector": "sparkml_algos.algorithms.object_detection.estimator",
    "ObjectDetectorModel": "sparkml_algos.algorithms.object_detection.estimator",
    "PCA": "sparkml_algos.algorithms.pca.estimator",
    "PCAModel": "sparkml_algos.algorithms.pca.estimator",
    "RandomCutForest": "sparkml_algos.algorithms.random_cut_forest.estimator",
    "RandomCutForestModel": "sparkml_algos.algorithms.random_cut_forest.estimator",
    "SemanticSegmenter": "sparkml_algos.algorithms.semantic_segmentation.estimator",
    "SemanticSegmenterModel": "sparkml_algos.algorithms.semantic_segmentation.estimator",
    "Seq2Seq": "sparkml_algos.algorithms.seq2seq.estimator",
    "Seq2SeqModel": "sparkml_algos.algorithms.seq2seq.estimator",
    "Shingle": "sparkml_algos.features.shingle",
    "Vocabulary": "sparkml_algos.features.vocabulary",
    "VocabularyModel": "sparkml_algos.features.vocabulary",
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
    "check": "sparkml_algos.checking.session",
    "classpath_jars": "sparkml_algos.jvm.jars",
    "register_recordio": "sparkml_algos.sources.register",
    "warm_up": "sparkml_algos.cluster.warmup",
}

#: Packages of this one that cannot be imported without a library, which an extra brings.
NEEDS = {"sparkml_algos.algorithms.xgboost": "xgboost"}


def usable() -> list[str]:
    """The names that can be imported here. One of an extra that is missing is left out, so that ``import *``, `dir` and `help` do without;
    whoever asks for it is told which extra that is."""
    missing = tuple(f"{package}." for package, library in NEEDS.items() if find_spec(library) is None)
    return [name for name, module in EXPORTS.items() if not f"{module}.".startswith(missing)]


def name_of(cls: type) -> str:
    """What a class is saved as: ``sparkml_algos.KMeansModel``; of one that the package does not export, module and name.

    Parameters
    ----------
    cls : type

    Returns
    -------
    str
    """
    module = EXPORTS.get(cls.__name__) if cls.__module__.partition(".")[0] == PACKAGE else None
    if module and getattr(importlib.import_module(module), cls.__name__) is cls:
        return f"{PACKAGE}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__name__}"


def current_name(saved: str) -> str:
    """Today's name of the class that something was saved as, by today's name or by the path of the module where the class then stood.

    Parameters
    ----------
    saved : str
        ``class`` of saved metadata, such as ``sparkml_algos.algorithms.kmeans.KMeansModel``.

    Returns
    -------
    str
        As `name_of` gives it; what is not one of ours is left as it is.
    """
    package, name = saved.partition(".")[0], saved.rpartition(".")[2]
    return f"{PACKAGE}.{name}" if package == PACKAGE and name in EXPORTS else saved
