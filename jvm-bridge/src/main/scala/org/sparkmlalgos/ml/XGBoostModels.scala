package org.sparkmlalgos.ml

import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.ml.param.Param
import org.apache.spark.ml.param.shared.{HasPredictionCol, HasProbabilityCol, HasRawPredictionCol}
import org.apache.spark.sql.types.{DoubleType, StructType}
import org.json4s.JsonAST.{JDouble, JInt}

/** Boosted trees. A linear booster, trees that split by categories and explanations of a score are left to Python. */
abstract class XGBoostModel[M <: XGBoostModel[M]] private[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ArtifactModel[M](uid, artifact, saved) with HasPredictionCol { self: M =>

  final val baseMarginCol: Param[String] =
    new Param(this, "baseMarginCol", "Column, where named: what the score of each row starts from, instead of the base score.")
  final val contributionsCol: Param[String] =
    new Param(this, "contributionsCol", "Output column of the model in Python; must not be named here.")
  final val leafCol: Param[String] = new Param(this, "leafCol", "Output column of the model in Python; must not be named here.")

  def setPredictionCol(value: String): this.type = set(predictionCol, value)

  def setBaseMarginCol(value: String): this.type = set(baseMarginCol, value)

  /** The loss, by the library's name. */
  def objective: String = artifact.text("objective")

  override def numFeatures: Int = artifact.number("num_features").toInt

  override def outputs: Seq[Output] = Seq(Output("prediction", DoubleType, predictionCol))

  override protected def onlyInPython: Seq[Param[String]] = Seq(contributionsCol, leafCol)

  override protected def baseMargin: Option[String] = Some(baseMarginCol).filter(isNamed).map($(_))

  override protected def missing: Option[Float] = saved.setting("missing") match {
    case Some(JDouble(value)) => Some(value.toFloat)
    case Some(JInt(value)) => Some(value.toFloat)
    case _ => Some(Float.NaN)
  }

  override protected def makeScorer: RowScorer = XGBoostScorer(artifact)
}

/** Trees of `sparkml_algos.XGBoostRegressor`. */
class XGBoostRegressionModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends XGBoostModel[XGBoostRegressionModel](uid, artifact, saved) {

  override protected def companion: ArtifactModelCompanion[XGBoostRegressionModel] = XGBoostRegressionModel
}

/** Trees of `sparkml_algos.XGBoostRanker`. A larger prediction comes first in its group. */
class XGBoostRankerModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends XGBoostModel[XGBoostRankerModel](uid, artifact, saved) {

  override protected def companion: ArtifactModelCompanion[XGBoostRankerModel] = XGBoostRankerModel
}

/** Trees of `sparkml_algos.XGBoostClassifier`; those with hinge loss know no probabilities. */
class XGBoostClassificationModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends XGBoostModel[XGBoostClassificationModel](uid, artifact, saved) with HasRawPredictionCol with HasProbabilityCol {

  def setRawPredictionCol(value: String): this.type = set(rawPredictionCol, value)

  def setProbabilityCol(value: String): this.type = set(probabilityCol, value)

  def numClasses: Int = math.max(2, artifact.number("num_class").toInt)

  /** Of two classes, the raw score above which a row is of class 1. */
  def rawThreshold: Double = artifact.findNumber("raw_threshold").getOrElse(0.0)

  /** Of many classes, a number for each, where they were set: the class is the one whose probability is largest in relation to it. */
  def thresholds: Option[Array[Double]] = artifact.arrays.get("thresholds").map(_.toDoubles)

  override def outputs: Seq[Output] = super.outputs ++ Seq(
    Output("raw", VectorType, rawPredictionCol),
    Output("probability", VectorType, probabilityCol))

  override def ownOutputs: Seq[Output] = outputs.filterNot(_.column == probabilityCol && objective == "binary:hinge")

  override def transformSchema(schema: StructType): StructType = {
    require(baseMargin.isEmpty || !objective.startsWith("multi:"), "baseMarginCol has one number a row, many classes need more; clear it")
    super.transformSchema(schema)
  }

  override protected def companion: ArtifactModelCompanion[XGBoostClassificationModel] = XGBoostClassificationModel
}

/** What the companions have in common. */
abstract class XGBoostModelCompanion[M <: XGBoostModel[M]] private[ml] extends ArtifactModelCompanion[M] {

  override def refusal(artifact: Artifact): String =
    try {
      artifact.scorer(XGBoostScorer(artifact))
      null
    } catch { case reason: ScoredInPython => reason.getMessage }
}

object XGBoostRegressionModel extends XGBoostModelCompanion[XGBoostRegressionModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): XGBoostRegressionModel =
    new sparkml_algos.XGBoostRegressionModel(uid, artifact, saved)
}

object XGBoostRankerModel extends XGBoostModelCompanion[XGBoostRankerModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): XGBoostRankerModel =
    new sparkml_algos.XGBoostRankerModel(uid, artifact, saved)
}

object XGBoostClassificationModel extends XGBoostModelCompanion[XGBoostClassificationModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): XGBoostClassificationModel =
    new sparkml_algos.XGBoostClassificationModel(uid, artifact, saved)
}
