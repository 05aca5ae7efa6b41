package org.sparkmlalgos.ml

import org.apache.spark.ml.linalg.{DenseMatrix, Vector, Vectors}
import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.ml.param.shared.HasOutputCol
import org.apache.spark.sql.catalyst.InternalRow

/** Components found by `sparkml_algos.PCA`.
  *
  * `transform` appends the vector of the row's coordinates along the components, of the row less the mean of the training rows.
  */
class PCAModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ArtifactModel[PCAModel](uid, artifact, saved) with HasOutputCol {

  def setOutputCol(value: String): this.type = set(outputCol, value)

  /** The components as columns, as MLlib's model gives them. */
  def pc: DenseMatrix = new DenseMatrix(numFeatures, artifact("components").rows, artifact.doubles("components"))

  /** Share of the total variance along each component. */
  def explainedVariance: Vector = Vectors.dense(artifact.doubles("explained_variance_ratio"))

  /** What is subtracted from a row. */
  def mean: Vector = Vectors.dense(artifact.doubles("mean"))

  override def outputs: Seq[Output] = Seq(Output("projection", VectorType, outputCol))

  override protected def makeScorer: RowScorer =
    ProjectionScorer(new Weights(artifact.doubles("components"), artifact("components").rows), artifact.doubles("mean"),
      artifact.doubles("explained_variance"))

  override protected def companion: ArtifactModelCompanion[PCAModel] = PCAModel
}

object PCAModel extends ArtifactModelCompanion[PCAModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): PCAModel =
    new sparkml_algos.PCAModel(uid, artifact, saved)
}

/** (x − m)·c for every component c. Of a dense row m is subtracted first, and what is left is multiplied with 32 bits where these are
  * precise enough, as in Python; of a sparse one, which must keep its zeros, m·c afterwards.
  *
  * @param trustedSquare up to which |x − m|² 32 bits do
  */
private final class ProjectionScorer(components: Weights, mean: Array[Double], trustedSquare: Double) extends RowScorer {

  private val ofMean = components.times(mean)

  override def numFeatures: Int = components.numFeatures

  override def origin: Option[Array[Double]] = Some(mean)

  override def zerosPerOther: Double = components.zerosPerOther(Weights.DenseCostOfFloats)

  override def score(row: FeatureRow): InternalRow = VectorRow.only(
    if (row.isSparse) shifted(components.times(row))
    else if (row.square <= trustedSquare) components.times(row.toFloats)
    else components.times(row.values))

  private def shifted(products: Array[Double]): Array[Double] = {
    FeatureRow.subtract(products, ofMean)
    products
  }
}

private object ProjectionScorer {

  /** Of the component of least variance: how far from the mean a row may be, to be multiplied with 32 bits, whose error is about 1e-7 of
    * that distance.
    */
  final val TrustedDeviations = 100.0

  def apply(components: Weights, mean: Array[Double], variances: Array[Double]): ProjectionScorer =
    new ProjectionScorer(components, mean, TrustedDeviations * TrustedDeviations * variances.min)
}
