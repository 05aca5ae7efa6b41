package sparkml_algos.algorithms.kmeans

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

/** The model under the name that the saved directory gives it, Python's: pipelines on the JVM and in Python find their stage by it. */
final class KMeansModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.KMeansModel(uid, artifact, saved)

object KMeansModel extends MLReadable[ml.KMeansModel] {

  override def read: MLReader[ml.KMeansModel] = ml.KMeansModel.read
}
