package org.sparkmlalgos.ml

import org.apache.spark.ml.linalg.{Vector, Vectors}
import org.apache.spark.ml.param.Param
import org.apache.spark.ml.param.shared.HasPredictionCol
import org.apache.spark.sql.types.{DoubleType, IntegerType}

/** Clusters found by `sparkml_algos.KMeans`.
  *
  * `transform` appends the index of the nearest centre, from 0, and the Euclidean distance to it.
  */
class KMeansModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ArtifactModel[KMeansModel](uid, artifact, saved) with HasPredictionCol {

  final val distanceCol: Param[String] = new Param(this, "distanceCol", "Output column: Euclidean distance to the centre of the row's cluster.")

  def setPredictionCol(value: String): this.type = set(predictionCol, value)

  def getDistanceCol: String = $(distanceCol)

  def setDistanceCol(value: String): this.type = set(distanceCol, value)

  /** The centres, as MLlib's model gives them. */
  def clusterCenters: Array[Vector] = artifact.doubles("centers").grouped(numFeatures).map(Vectors.dense).toArray

  override def outputs: Seq[Output] =
    Seq(Output("closest_cluster", IntegerType, predictionCol), Output("distance_to_cluster", DoubleType, distanceCol))

  override protected def makeScorer: RowScorer = KMeansScorer(artifact.doubles("centers"), artifact("centers").rows)

  override protected def companion: ArtifactModelCompanion[KMeansModel] = KMeansModel
}

object KMeansModel extends ArtifactModelCompanion[KMeansModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): KMeansModel =
    new sparkml_algos.KMeansModel(uid, artifact, saved)
}
