package sparkml_algos.algorithms.pca

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

/** The model under Python's name; see `sparkml_algos.algorithms.kmeans.KMeansModel`. */
final class PCAModel(uid: String, artifact: Artifact, saved: SavedMetadata) extends ml.PCAModel(uid, artifact, saved)

object PCAModel extends MLReadable[ml.PCAModel] {

  override def read: MLReader[ml.PCAModel] = ml.PCAModel.read
}
