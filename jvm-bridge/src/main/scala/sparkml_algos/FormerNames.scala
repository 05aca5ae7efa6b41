package sparkml_algos.algorithms

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml

// What version 0.1.0 called the models of pipelines that it saved: the modules in which their Python classes stood. Of such a name Spark asks
// the reader and nothing else; the models that it gives have today's names. A model that is new needs no such name.

package kmeans {

  object KMeansModel extends MLReadable[ml.KMeansModel] {

    override def read: MLReader[ml.KMeansModel] = ml.KMeansModel.read
  }
}

package pca {

  object PCAModel extends MLReadable[ml.PCAModel] {

    override def read: MLReader[ml.PCAModel] = ml.PCAModel.read
  }
}

package random_cut_forest.estimator {

  object RandomCutForestModel extends MLReadable[ml.RandomCutForestModel] {

    override def read: MLReader[ml.RandomCutForestModel] = ml.RandomCutForestModel.read
  }
}

package linear_learner.estimator {

  object LinearLearnerRegressorModel extends MLReadable[ml.LinearLearnerRegressorModel] {

    override def read: MLReader[ml.LinearLearnerRegressorModel] = ml.LinearLearnerRegressorModel.read
  }

  object LinearLearnerBinaryClassifierModel extends MLReadable[ml.LinearLearnerBinaryClassifierModel] {

    override def read: MLReader[ml.LinearLearnerBinaryClassifierModel] = ml.LinearLearnerBinaryClassifierModel.read
  }

  object LinearLearnerMultiClassClassifierModel extends MLReadable[ml.LinearLearnerMultiClassClassifierModel] {

    override def read: MLReader[ml.LinearLearnerMultiClassClassifierModel] = ml.LinearLearnerMultiClassClassifierModel.read
  }
}

package xgboost.model {

  object XGBoostRegressionModel extends MLReadable[ml.XGBoostRegressionModel] {

    override def read: MLReader[ml.XGBoostRegressionModel] = ml.XGBoostRegressionModel.read
  }

  object XGBoostClassificationModel extends MLReadable[ml.XGBoostClassificationModel] {

    override def read: MLReader[ml.XGBoostClassificationModel] = ml.XGBoostClassificationModel.read
  }

  object XGBoostRankerModel extends MLReadable[ml.XGBoostRankerModel] {

    override def read: MLReader[ml.XGBoostRankerModel] = ml.XGBoostRankerModel.read
  }
}
