package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow

/** Scores that are sums over the trees of a booster, and what a kind of model makes of them. */
private abstract class XGBoostScorer(trees: BoosterTrees) extends RowScorer {

  override def numFeatures: Int = trees.numFeatures

  /** A walk asks for features one by one, wherever they are; and a zero is not a missing value. */
  override def zerosPerOther: Double = Double.PositiveInfinity
}

private object XGBoostScorer {

  /** A scorer of the booster in an artifact.
    *
    * @throws ScoredInPython if Python alone can score with it
    */
  def apply(artifact: Artifact): XGBoostScorer = {
    val booster = new Booster(artifact("model").data)
    val trees = BoosterTrees(booster)
    booster.objective.takeWhile(_ != ':') match {
      case "binary" => new BinaryTreesScorer(trees, artifact.findNumber("raw_threshold").getOrElse(0.0))
      case "multi" => new MultiClassTreesScorer(trees, artifact.arrays.get("thresholds").map(_.toDoubles))
      case _ => new NumberTreesScorer(trees, Link(booster.objective))
    }
  }
}

/** Of numbers and of ranks. */
private final class NumberTreesScorer(trees: BoosterTrees, link: Link) extends XGBoostScorer(trees) {

  override def score(row: FeatureRow): InternalRow =
    new GenericInternalRow(Array[Any](link.prediction(trees.sum(row)).toDouble))
}

/** @param threshold the score above which a row is of class 1 */
private final class BinaryTreesScorer(trees: BoosterTrees, threshold: Double) extends XGBoostScorer(trees) {

  /** Each class has a probability by itself: 1 − p is 0 long before the other class is impossible. */
  override def score(row: FeatureRow): InternalRow = {
    val score = trees.sum(row).toDouble
    new GenericInternalRow(Array[Any](
      if (score > threshold) 1.0 else 0.0,
      VectorRow.dense(Array(-score, score)),
      VectorRow.dense(Array(LinearScorer.sigmoid(-score), LinearScorer.sigmoid(score)))))
  }
}

/** @param thresholds a number for each class, by which the most probable class is the one most probable in relation to it */
private final class MultiClassTreesScorer(trees: BoosterTrees, thresholds: Option[Array[Double]]) extends XGBoostScorer(trees) {

  override def score(row: FeatureRow): InternalRow = {
    val scores = trees.sums(row)
    var highest = 0
    var i = 1
    while (i < scores.length) {
      if (scores(i) > scores(highest)) highest = i
      i += 1
    }
    val probability = LinearScorer.softmax(scores, scores(highest))
    val label = thresholds.fold(highest)(LinearScorer.byThresholds(probability, _))
    new GenericInternalRow(Array[Any](label.toDouble, VectorRow.dense(scores), VectorRow.dense(probability)))
  }
}
