package org.sparkmlalgos.ml

import org.apache.spark.ml.param.{DoubleParam, Param}
import org.apache.spark.sql.{DataFrame, Dataset}
import org.apache.spark.sql.types.{DoubleType, StructField, StructType}

/** A forest grown by `sparkml_algos.RandomCutForest`.
  *
  * `transform` appends the anomaly score and, where `predictionCol` is set, 1.0 where it is above `threshold`, else 0.0. Attributions are
  * computed in Python only.
  */
class RandomCutForestModel protected[ml] (uid: String, artifact: Artifact, saved: SavedMetadata)
    extends ArtifactModel[RandomCutForestModel](uid, artifact, saved) {

  final val scoreCol: Param[String] = new Param(this, "scoreCol", "Output column: the anomaly score.")
  final val predictionCol: Param[String] =
    new Param(this, "predictionCol", "Output column, if named: 1.0 where the score is above the threshold, else 0.0.")
  final val attributionCol: Param[String] = new Param(this, "attributionCol", "Output column of the model in Python; must not be set here.")
  final val thresholdMethod: Param[String] = new Param(this, "thresholdMethod", "standard_deviations or quantile.")
  final val thresholdDeviations: DoubleParam =
    new DoubleParam(this, "thresholdDeviations", "Deviations above the mean at which the threshold lies.")
  final val thresholdQuantile: DoubleParam =
    new DoubleParam(this, "thresholdQuantile", "Share of the scores that are not above the threshold.")

  def getScoreCol: String = $(scoreCol)

  def setScoreCol(value: String): this.type = set(scoreCol, value)

  def getPredictionCol: String = $(predictionCol)

  def setPredictionCol(value: String): this.type = set(predictionCol, value)

  /** The score above which a row is called anomalous. */
  def threshold: Double =
    if ($(thresholdMethod) == "quantile") {
      val quantiles = artifact.doubles("quantiles")
      val place = $(thresholdQuantile) * (quantiles.length - 1)
      val below = math.min(place.toInt, quantiles.length - 2)
      quantiles(below) + (place - below) * (quantiles(below + 1) - quantiles(below))
    } else artifact.number("mean") + $(thresholdDeviations) * artifact.number("deviation")

  override def outputs: Seq[Output] = Seq(Output("score", DoubleType, scoreCol))

  override protected def onlyInPython: Seq[Param[String]] = Seq(attributionCol)

  override def transformSchema(schema: StructType): StructType = {
    val scored = super.transformSchema(schema)
    if (!isNamed(predictionCol)) scored
    else {
      require(!scored.fieldNames.contains($(predictionCol)), s"output column '${$(predictionCol)}' exists already; drop it or rename the output")
      scored.add(StructField($(predictionCol), DoubleType))
    }
  }

  override def transform(dataset: Dataset[_]): DataFrame = {
    val scored = super.transform(dataset)
    if (isNamed(predictionCol)) scored.withColumn($(predictionCol), (scored(s"`${$(scoreCol)}`") > threshold).cast(DoubleType)) else scored
  }

  override protected def makeScorer: RowScorer = RandomCutForestScorer(artifact)

  override protected def companion: ArtifactModelCompanion[RandomCutForestModel] = RandomCutForestModel
}

object RandomCutForestModel extends ArtifactModelCompanion[RandomCutForestModel] {

  override private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): RandomCutForestModel =
    new sparkml_algos.RandomCutForestModel(uid, artifact, saved)
}
