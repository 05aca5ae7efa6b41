package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow

/** The nearest centre: the largest x·c − |c|²/2, which orders centres as the distance does. Centres, and x where it is dense, are taken
  * relative to the middle m of the centres, for rounded distances from the origin would drown those between rows far off; for a sparse x
  * the constant m·(c − m) does the same.
  *
  * @param centers       c − m
  * @param offsets       |c − m|²/2
  * @param sparseOffsets the same plus m·(c − m)
  * @param middle        m
  */
private final class KMeansScorer(
    centers: Weights, offsets: Array[Double], sparseOffsets: Array[Double], middle: Array[Double]) extends RowScorer {
  import KMeansScorer._

  private val middleSquare = FeatureRow.sumOfSquares(middle, middle.length)

  override def numFeatures: Int = middle.length

  override def origin: Option[Array[Double]] = Some(middle)

  override def zerosPerOther: Double = centers.zerosPerOther(Weights.DenseCost)

  override def score(row: FeatureRow): InternalRow = {
    val products = centers.times(row)
    val subtracted = if (row.isSparse) sparseOffsets else offsets
    var nearest = 0
    var highest = Double.NegativeInfinity
    var center = 0
    while (center < products.length) {
      val score = products(center) - subtracted(center)
      if (score > highest) { highest = score; nearest = center }
      center += 1
    }
    val square = if (row.isSparse) row.square - 2 * row.dot(middle) + middleSquare else row.square
    val distance = square - 2 * highest
    if (distance >= Trusted * (row.square + middleSquare)) result(nearest, distance) else scoreFar(row)
  }

  /** The same where the expansion has lost digits, and with them perhaps the order of the centres: by sums of squared differences. */
  private def scoreFar(row: FeatureRow): InternalRow = {
    val x = row.dense
    if (row.isSparse) FeatureRow.subtract(x, middle)
    var nearest = 0
    var lowest = Double.PositiveInfinity
    var center = 0
    while (center < offsets.length) {
      val distance = centers.squaredDistance(center, x)
      if (distance < lowest) { lowest = distance; nearest = center }
      center += 1
    }
    result(nearest, lowest)
  }
}

private object KMeansScorer {

  /** Smallest share of two squares that their difference may be, to be precise to 32 bits. */
  final val Trusted = 1e-6

  private def result(nearest: Int, square: Double): InternalRow = new GenericInternalRow(Array[Any](nearest, math.sqrt(square)))

  def apply(centers: Array[Double], k: Int): KMeansScorer = {
    val numFeatures = centers.length / k
    val middle = Array.tabulate(numFeatures)(j => (0 until k).map(center => centers(center * numFeatures + j)).sum / k)
    val relative = Array.tabulate(centers.length)(i => centers(i) - middle(i % numFeatures)).grouped(numFeatures).toArray
    val weights = new Weights(relative.flatten, k)
    val offsets = relative.map(FeatureRow.sumOfSquares(_, numFeatures) / 2)
    val ofMiddle = weights.times(middle)
    new KMeansScorer(weights, offsets, Array.tabulate(k)(center => offsets(center) + ofMiddle(center)), middle)
  }
}
