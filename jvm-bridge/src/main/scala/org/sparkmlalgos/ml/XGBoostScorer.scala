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
      case "binary" => new BinaryTreesScorer(trees)
      case "multi" => new MultiClassTreesScorer(trees)
      case _ => new NumberTreesScorer(trees, Link(booster.objective))
    }
  }
}

/** Of numbers and of ranks. */
private final class NumberTreesScorer(trees: BoosterTrees, link: Link) extends XGBoostScorer(trees) {

  override def score(row: FeatureRow): InternalRow =
    new GenericInternalRow(Array[Any](link.prediction(trees.sum(row)).toDouble))
}

private final class BinaryTreesScorer(trees: BoosterTrees) extends XGBoostScorer(trees) {

  override def score(row: FeatureRow): InternalRow = {
    val score = trees.sum(row).toDouble
    val positive = 1.0 / (1.0 + math.exp(-score))
    new GenericInternalRow(Array[Any](
      if (score > 0) 1.0 else 0.0,
      VectorRow.dense(Array(-score, score)),
      VectorRow.dense(Array(1.0 - positive, positive))))
  }
}

private final class MultiClassTreesScorer(trees: BoosterTrees) extends XGBoostScorer(trees) {

  override def score(row: FeatureRow): InternalRow = {
    val scores = trees.sums(row)
    var highest = 0
    var i = 1
    while (i < scores.length) {
      if (scores(i) > scores(highest)) highest = i
      i += 1
    }
    val probability = LinearScorer.softmax(scores, scores(highest))
    new GenericInternalRow(Array[Any](highest.toDouble, VectorRow.dense(scores), VectorRow.dense(probability)))
  }
}
