package sparkml_algos.algorithms.random_cut_forest.estimator

import org.apache.spark.ml.util.{MLReadable, MLReader}
import org.sparkmlalgos.ml
import org.sparkmlalgos.ml.{Artifact, SavedMetadata}

/** The model under the name that the saved directory gives it, Python's: pipelines on the JVM and in Python find their stage by it. */
final class RandomCutForestModel(uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ml.RandomCutForestModel(uid, artifact, saved)

object RandomCutForestModel extends MLReadable[ml.RandomCutForestModel] {

  override def read: MLReader[ml.RandomCutForestModel] = ml.RandomCutForestModel.read
}
