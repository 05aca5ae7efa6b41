"""How the models of each algorithm become graphs, by the name of their class."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from sparkml_algos.export.graph import CannotExport
from sparkml_algos.export.translation import Trained, Translation

#: Module and class. They are imported one by one: that of trees needs xgboost.
TRANSLATIONS: Mapping[str, str] = {
    "BlazingTextClassifierModel": "texts.TextClassifier",
    "BlazingTextWord2VecModel": "texts.WordVectors",
    "FactorizationMachinesBinaryClassifierModel": "linear.MachineBinaryClassifier",
    "FactorizationMachinesRegressorModel": "linear.MachineRegressor",
    "IPInsightsModel": "pairs.Addresses",
    "ImageClassifierModel": "images.ImageClassifier",
    "KMeansModel": "centers.NearestCenter",
    "KNNClassifierModel": "centers.NeighborsClassifier",
    "KNNRegressorModel": "centers.NeighborsRegressor",
    "LDAModel": "topics.Mixtures",
    "LinearLearnerBinaryClassifierModel": "linear.LinearBinaryClassifier",
    "LinearLearnerMultiClassClassifierModel": "linear.LinearMultiClassClassifier",
    "LinearLearnerRegressorModel": "linear.LinearRegressor",
    "NeuralTopicModelModel": "topics.TopicEncoder",
    "Object2VecModel": "pairs.Pairs",
    "ObjectDetectorModel": "detection.ObjectDetector",
    "PCAModel": "linear.Components",
    "RandomCutForestModel": "forest.RandomCutForest",
    "SemanticSegmenterModel": "segmentation.SemanticSegmenter",
    "XGBoostClassificationModel": "trees.Booster",
    "XGBoostRankerModel": "trees.Booster",
    "XGBoostRegressionModel": "trees.Booster",
}
#: Models that no graph is equal to, and why.
REFUSED: Mapping[str, str] = {
    "DeepARModel": "its forecasts are drawn at random, path by path, from generators that ONNX does not have",
    "Seq2SeqModel": "a search finds its translations, whose beams end and are ordered by rules that a graph does not keep",
}


def translation_of(trained: Trained) -> Translation:
    """How a model becomes a graph.

    Raises
    ------
    CannotExport
        With the reason, of a model that no graph is equal to.
    """
    if trained.name not in TRANSLATIONS:
        raise CannotExport(f"{trained.name} cannot be exported: {REFUSED.get(trained.name, 'nothing says how')}")
    module, _, name = TRANSLATIONS[trained.name].partition(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)(trained)
