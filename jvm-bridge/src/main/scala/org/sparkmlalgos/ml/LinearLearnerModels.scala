package org.sparkmlalgos.ml

import org.apache.spark.ml.linalg.{DenseMatrix, Matrix, Vector, Vectors}
import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.ml.param.shared.{HasPredictionCol, HasProbabilityCol, HasRawPredictionCol}
import org.apache.spark.sql.types.DoubleType
import org.json4s.JsonAST.JString

/** w·x + b, of one or several outputs. */
abstract class LinearLearnerModel[M <: LinearLearnerModel[M]] private[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ArtifactModel[M](uid, artifact, saved) with HasPredictionCol { self: M =>

  def setPredictionCol(value: String): this.type = set(predictionCol, value)

  private[ml] def bias: Array[Double] = artifact.doubles("bias")

  private[ml] def weights: Weights = new Weights(artifact.doubles("weights"), artifact("weights").rows)
}

/** A linear model with a raw score and a probability of each class. */
abstract class LinearLearnerClassifierModel[M <: LinearLearnerClassifierModel[M]] private[ml] (
    uid: String, artifact: Artifact, saved: SavedMetadata)
    extends LinearLearnerModel[M](uid, artifact, saved) with HasRawPredictionCol with HasProbabilityCol { self: M =>

  def setRawPredictionCol(value: String): this.type = set(rawPredictionCol, value)

  def setProbabilityCol(value: String): this.type = set(probabilityCol, value)

  override def outputs: Seq[Output] = Seq(
    Output("predicted_label", DoubleType, predictionCol),
    Output("raw", VectorType, rawPredictionCol),
    Output("probability", VectorType, probabilityCol))
}

/** A linear regression of `sparkml_algos.LinearLearnerRegressor`. */
class LinearLearnerRegressorModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends LinearLearnerModel[LinearLearnerRegressorModel](uid, artifact, saved) {

  def coefficients: Vector = Vectors.dense(artifact.doubles("weights"))

  def intercept: Double = bias.head

  override def outputs: Seq[Output] = Seq(Output("score", DoubleType, predictionCol))

  override protected def makeScorer: RowScorer = new RegressionScorer(weights, intercept)

  override protected def companion: ArtifactModelCompanion[LinearLearnerRegressorModel] = LinearLearnerRegressorModel
}

/** A classifier of `sparkml_algos.LinearLearnerBinaryClassifier`; one with hinge loss knows no probabilities. */
class LinearLearnerBinaryClassifierModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends LinearLearnerClassifierModel[LinearLearnerBinaryClassifierModel](uid, artifact, saved) {

  def coefficients: Vector = Vectors.dense(artifact.doubles("weights"))

  def intercept: Double = bias.head

  /** The score from which on a row is of class 1: a probability, or the raw score with hinge loss. */
  def threshold: Double = if (isHinge) rawThreshold else LinearScorer.sigmoid(rawThreshold)

  override def ownOutputs: Seq[Output] = outputs.filterNot(_.column == probabilityCol && isHinge)

  override protected def makeScorer: RowScorer = new BinaryScorer(weights, intercept, rawThreshold)

  override protected def companion: ArtifactModelCompanion[LinearLearnerBinaryClassifierModel] = LinearLearnerBinaryClassifierModel

  private def rawThreshold: Double = artifact.number("raw_threshold")

  private def isHinge: Boolean = saved.setting("loss").contains(JString("hinge_loss"))
}

/** A classifier of `sparkml_algos.LinearLearnerMultiClassClassifier`. */
class LinearLearnerMultiClassClassifierModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends LinearLearnerClassifierModel[LinearLearnerMultiClassClassifierModel](uid, artifact, saved) {

  def numClasses: Int = artifact("bias").rows

  /** Weights, a row for each class. */
  def coefficientMatrix: Matrix = new DenseMatrix(numClasses, numFeatures, artifact.doubles("weights"), isTransposed = true)

  def interceptVector: Vector = Vectors.dense(bias)

  /** A number for each class, where they were set: the class is the one whose probability is largest in relation to it. */
  def thresholds: Option[Array[Double]] = artifact.arrays.get("thresholds").map(_.toDoubles)

  override protected def makeScorer: RowScorer = new MultiClassScorer(weights, bias, thresholds)

  override protected def companion: ArtifactModelCompanion[LinearLearnerMultiClassClassifierModel] =
    LinearLearnerMultiClassClassifierModel
}

object LinearLearnerRegressorModel extends ArtifactModelCompanion[LinearLearnerRegressorModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): LinearLearnerRegressorModel =
    new sparkml_algos.LinearLearnerRegressorModel(uid, artifact, saved)
}

object LinearLearnerBinaryClassifierModel extends ArtifactModelCompanion[LinearLearnerBinaryClassifierModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): LinearLearnerBinaryClassifierModel =
    new sparkml_algos.LinearLearnerBinaryClassifierModel(uid, artifact, saved)
}

object LinearLearnerMultiClassClassifierModel extends ArtifactModelCompanion[LinearLearnerMultiClassClassifierModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): LinearLearnerMultiClassClassifierModel =
    new sparkml_algos.LinearLearnerMultiClassClassifierModel(uid, artifact, saved)
}
