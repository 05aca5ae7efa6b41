package sparkml_algos.algorithms.linear_learner.estimator

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

// The models under Python's names; see `sparkml_algos.algorithms.kmeans.KMeansModel`.

final class LinearLearnerRegressorModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerRegressorModel(uid, artifact, saved)

final class LinearLearnerBinaryClassifierModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerBinaryClassifierModel(uid, artifact, saved)

final class LinearLearnerMultiClassClassifierModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerMultiClassClassifierModel(uid, artifact, saved)

object LinearLearnerRegressorModel extends MLReadable[ml.LinearLearnerRegressorModel] {

  override def read: MLReader[ml.LinearLearnerRegressorModel] = ml.LinearLearnerRegressorModel.read
}

object LinearLearnerBinaryClassifierModel extends MLReadable[ml.LinearLearnerBinaryClassifierModel] {

  override def read: MLReader[ml.LinearLearnerBinaryClassifierModel] = ml.LinearLearnerBinaryClassifierModel.read
}

object LinearLearnerMultiClassClassifierModel extends MLReadable[ml.LinearLearnerMultiClassClassifierModel] {

  override def read: MLReader[ml.LinearLearnerMultiClassClassifierModel] = ml.LinearLearnerMultiClassClassifierModel.read
}
