"""What type checkers see of the package, whose names are imported when they are first used; `names.EXPORTS` in the form of imports."""

from sparkml_algos.algorithms.blazingtext.classifier.estimator import BlazingTextClassifier as BlazingTextClassifier
from sparkml_algos.algorithms.blazingtext.classifier.estimator import BlazingTextClassifierModel as BlazingTextClassifierModel
from sparkml_algos.algorithms.blazingtext.word2vec.estimator import BlazingTextWord2Vec as BlazingTextWord2Vec
from sparkml_algos.algorithms.blazingtext.word2vec.estimator import BlazingTextWord2VecModel as BlazingTextWord2VecModel
from sparkml_algos.algorithms.deepar.estimator import DeepAR as DeepAR
from sparkml_algos.algorithms.deepar.estimator import DeepARModel as DeepARModel
from sparkml_algos.algorithms.factorization_machines.estimator import (
    FactorizationMachinesBinaryClassifier as FactorizationMachinesBinaryClassifier,
)
from sparkml_algos.algorithms.factorization_machines.estimator import (
    FactorizationMachinesBinaryClassifierModel as FactorizationMachinesBinaryClassifierModel,
)
from sparkml_algos.algorithms.factorization_machines.estimator import FactorizationMachinesRegressor as FactorizationMachinesRegressor
from sparkml_algos.algorithms.factorization_machines.estimator import (
    FactorizationMachinesRegressorModel as FactorizationMachinesRegressorModel,
)
from sparkml_algos.algorithms.image_classification.estimator import ImageClassifier as ImageClassifier
from sparkml_algos.algorithms.image_classification.estimator import ImageClassifierModel as ImageClassifierModel
from sparkml_algos.algorithms.ip_insights.estimator import IPInsights as IPInsights
from sparkml_algos.algorithms.ip_insights.estimator import IPInsightsModel as IPInsightsModel
from sparkml_algos.algorithms.kmeans.estimator import KMeans as KMeans
from sparkml_algos.algorithms.kmeans.estimator import KMeansModel as KMeansModel
from sparkml_algos.algorithms.knn.estimator import KNNClassifier as KNNClassifier
from sparkml_algos.algorithms.knn.estimator import KNNClassifierModel as KNNClassifierModel
from sparkml_algos.algorithms.knn.estimator import KNNRegressor as KNNRegressor
from sparkml_algos.algorithms.knn.estimator import KNNRegressorModel as KNNRegressorModel
from sparkml_algos.algorithms.lda.estimator import LDA as LDA
from sparkml_algos.algorithms.lda.estimator import LDAModel as LDAModel
from sparkml_algos.algorithms.linear_learner.estimator import LinearLearnerBinaryClassifier as LinearLearnerBinaryClassifier
from sparkml_algos.algorithms.linear_learner.estimator import LinearLearnerBinaryClassifierModel as LinearLearnerBinaryClassifierModel
from sparkml_algos.algorithms.linear_learner.estimator import LinearLearnerMultiClassClassifier as LinearLearnerMultiClassClassifier
from sparkml_algos.algorithms.linear_learner.estimator import (
    LinearLearnerMultiClassClassifierModel as LinearLearnerMultiClassClassifierModel,
)
from sparkml_algos.algorithms.linear_learner.estimator import LinearLearnerRegressor as LinearLearnerRegressor
from sparkml_algos.algorithms.linear_learner.estimator import LinearLearnerRegressorModel as LinearLearnerRegressorModel
from sparkml_algos.algorithms.ntm.estimator import NeuralTopicModel as NeuralTopicModel
from sparkml_algos.algorithms.ntm.estimator import NeuralTopicModelModel as NeuralTopicModelModel
from sparkml_algos.algorithms.object2vec.estimator import Object2Vec as Object2Vec
from sparkml_algos.algorithms.object2vec.estimator import Object2VecModel as Object2VecModel
from sparkml_algos.algorithms.object_detection.estimator import ObjectDetector as ObjectDetector
from sparkml_algos.algorithms.object_detection.estimator import ObjectDetectorModel as ObjectDetectorModel
from sparkml_algos.algorithms.pca.estimator import PCA as PCA
from sparkml_algos.algorithms.pca.estimator import PCAModel as PCAModel
from sparkml_algos.algorithms.random_cut_forest.estimator import RandomCutForest as RandomCutForest
from sparkml_algos.algorithms.random_cut_forest.estimator import RandomCutForestModel as RandomCutForestModel
from sparkml_algos.algorithms.semantic_segmentation.estimator import SemanticSegmenter as SemanticSegmenter
from sparkml_algos.algorithms.semantic_segmentation.estimator import SemanticSegmenterModel as SemanticSegmenterModel
from sparkml_algos.algorithms.seq2seq.estimator import Seq2Seq as Seq2Seq
from sparkml_algos.algorithms.seq2seq.estimator import Seq2SeqModel as Seq2SeqModel
from sparkml_algos.algorithms.xgboost.estimator import XGBoostClassifier as XGBoostClassifier
from sparkml_algos.algorithms.xgboost.estimator import XGBoostRanker as XGBoostRanker
from sparkml_algos.algorithms.xgboost.estimator import XGBoostRegressor as XGBoostRegressor
from sparkml_algos.algorithms.xgboost.model import XGBoostClassificationModel as XGBoostClassificationModel
from sparkml_algos.algorithms.xgboost.model import XGBoostRankerModel as XGBoostRankerModel
from sparkml_algos.algorithms.xgboost.model import XGBoostRegressionModel as XGBoostRegressionModel
from sparkml_algos.arrays.hyperparameters import InvalidParams as InvalidParams
from sparkml_algos.batch.transform import BatchTransform as BatchTransform
from sparkml_algos.checking.session import check as check
from sparkml_algos.cluster.errors import InvalidDataError as InvalidDataError
from sparkml_algos.cluster.errors import TrainingError as TrainingError
from sparkml_algos.cluster.warmup import warm_up as warm_up
from sparkml_algos.features.shingle import Shingle as Shingle
from sparkml_algos.features.vocabulary import Vocabulary as Vocabulary
from sparkml_algos.features.vocabulary import VocabularyModel as VocabularyModel
from sparkml_algos.jvm.jars import classpath_jars as classpath_jars
from sparkml_algos.sources.register import register_recordio as register_recordio
from sparkml_algos.training.summary import TrainingSummary as TrainingSummary
from sparkml_algos.version import __version__ as __version__
