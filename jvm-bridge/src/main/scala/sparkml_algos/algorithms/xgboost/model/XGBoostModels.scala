package sparkml_algos.algorithms.xgboost.model

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

// The models under Python's names; see `sparkml_algos.algorithms.kmeans.KMeansModel`.

final class XGBoostRegressionModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostRegressionModel(uid, artifact, saved)

final class XGBoostClassificationModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostClassificationModel(uid, artifact, saved)

final class XGBoostRankerModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.XGBoostRankerModel(uid, artifact, saved)

object XGBoostRegressionModel extends MLReadable[ml.XGBoostRegressionModel] {

  override def read: MLReader[ml.XGBoostRegressionModel] = ml.XGBoostRegressionModel.read
}

object XGBoostClassificationModel extends MLReadable[ml.XGBoostClassificationModel] {

  override def read: MLReader[ml.XGBoostClassificationModel] = ml.XGBoostClassificationModel.read
}

object XGBoostRankerModel extends MLReadable[ml.XGBoostRankerModel] {

  override def read: MLReader[ml.XGBoostRankerModel] = ml.XGBoostRankerModel.read
}
