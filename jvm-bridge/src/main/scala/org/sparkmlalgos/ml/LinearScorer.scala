package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow

/** w·x + b, and what a kind of model makes of it. */
private abstract class LinearScorer(weights: Weights) extends RowScorer {

  override def numFeatures: Int = weights.numFeatures

  override def zerosPerOther: Double = weights.zerosPerOther(Weights.DenseCost)
}

private final class RegressionScorer(weights: Weights, bias: Double) extends LinearScorer(weights) {

  override def score(row: FeatureRow): InternalRow = new GenericInternalRow(Array[Any](weights.times(row)(0) + bias))
}

private final class BinaryScorer(weights: Weights, bias: Double, threshold: Double) extends LinearScorer(weights) {

  override def score(row: FeatureRow): InternalRow = {
    val score = weights.times(row)(0) + bias
    new GenericInternalRow(Array[Any](
      if (score >= threshold) 1.0 else 0.0,
      VectorRow.dense(Array(-score, score)),
      VectorRow.dense(Array(LinearScorer.sigmoid(-score), LinearScorer.sigmoid(score)))))
  }
}

/** @param thresholds a number for each class, by which the most probable class is the one most probable in relation to it */
private final class MultiClassScorer(weights: Weights, bias: Array[Double], thresholds: Option[Array[Double]])
    extends LinearScorer(weights) {

  override def score(row: FeatureRow): InternalRow = {
    val scores = weights.times(row)
    var highest = 0
    var i = 0
    while (i < scores.length) {
      scores(i) += bias(i)
      if (scores(i) > scores(highest)) highest = i
      i += 1
    }
    val probability = LinearScorer.softmax(scores, scores(highest))
    val label = thresholds.fold(highest)(LinearScorer.byThresholds(probability, _))
    new GenericInternalRow(Array[Any](label.toDouble, VectorRow.dense(scores), VectorRow.dense(probability)))
  }
}

private object LinearScorer {

  /** Probabilities of classes with these scores, of which one is the highest. */
  def softmax(scores: Array[Double], highest: Double): Array[Double] = {
    val shares = new Array[Double](scores.length)
    var total = 0.0
    var i = 0
    while (i < scores.length) {
      shares(i) = math.exp(scores(i) - highest)
      total += shares(i)
      i += 1
    }
    i = 0
    while (i < scores.length) { shares(i) /= total; i += 1 }
    shares
  }

  /** The first class whose probability is largest in relation to its threshold. */
  def byThresholds(probability: Array[Double], thresholds: Array[Double]): Int = {
    var chosen = 0
    var largest = Double.NegativeInfinity
    var i = 0
    while (i < probability.length) {
      val share = probability(i) / thresholds(i)
      if (share > largest) { largest = share; chosen = i }
      i += 1
    }
    chosen
  }

  def sigmoid(score: Double): Double = {
    val small = math.exp(-math.abs(score))
    (if (score >= 0) 1.0 else small) / (1.0 + small)
  }
}
