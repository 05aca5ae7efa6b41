package sparkml_algos

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

// The models under the names that saved directories give them, those that the Python package exports: pipelines on the JVM and in Python
// find their stages by them.

final class KMeansModel(uid: String, artifact: Artifact, saved: SavedMetadata) extends ml.KMeansModel(uid, artifact, saved)

object KMeansModel extends MLReadable[ml.KMeansModel] {

  override def read: MLReader[ml.KMeansModel] = ml.KMeansModel.read
}

final class PCAModel(uid: String, artifact: Artifact, saved: SavedMetadata) extends ml.PCAModel(uid, artifact, saved)

object PCAModel extends MLReadable[ml.PCAModel] {

  override def read: MLReader[ml.PCAModel] = ml.PCAModel.read
}

final class RandomCutForestModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.RandomCutForestModel(uid, artifact, saved)

object RandomCutForestModel extends MLReadable[ml.RandomCutForestModel] {

  override def read: MLReader[ml.RandomCutForestModel] = ml.RandomCutForestModel.read
}

final class LinearLearnerRegressorModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerRegressorModel(uid, artifact, saved)

object LinearLearnerRegressorModel extends MLReadable[ml.LinearLearnerRegressorModel] {

  override def read: MLReader[ml.LinearLearnerRegressorModel] = ml.LinearLearnerRegressorModel.read
}

final class LinearLearnerBinaryClassifierModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerBinaryClassifierModel(uid, artifact, saved)

object LinearLearnerBinaryClassifierModel extends MLReadable[ml.LinearLearnerBinaryClassifierModel] {

  override def read: MLReader[ml.LinearLearnerBinaryClassifierModel] = ml.LinearLearnerBinaryClassifierModel.read
}

final class LinearLearnerMultiClassClassifierModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.LinearLearnerMultiClassClassifierModel(uid, artifact, saved)

object LinearLearnerMultiClassClassifierModel extends MLReadable[ml.LinearLearnerMultiClassClassifierModel] {

  override def read: MLReader[ml.LinearLearnerMultiClassClassifierModel] = ml.LinearLearnerMultiClassClassifierModel.read
}

final class XGBoostRegressionModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostRegressionModel(uid, artifact, saved)

object XGBoostRegressionModel extends MLReadable[ml.XGBoostRegressionModel] {

  override def read: MLReader[ml.XGBoostRegressionModel] = ml.XGBoostRegressionModel.read
}

final class XGBoostClassificationModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostClassificationModel(uid, artifact, saved)

object XGBoostClassificationModel extends MLReadable[ml.XGBoostClassificationModel] {

  override def read: MLReader[ml.XGBoostClassificationModel] = ml.XGBoostClassificationModel.read
}

final class XGBoostRankerModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostRankerModel(uid, artifact, saved)

object XGBoostRankerModel extends MLReadable[ml.XGBoostRankerModel] {

  override def read: MLReader[ml.XGBoostRankerModel] = ml.XGBoostRankerModel.read
}
