package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow

/** The nearest centre: the largest x·c − |c|²/2, which orders centres as the distance does. Centres, and x where it is dense, are taken
  * relative to the middle m of the centres, for rounded distances from the origin would drown those between rows far off; for a sparse x
  * the constant m·(c − m) does the same.
  *
  * Four centres at a time stand side by side, feature by feature, and two features are worked on at once: eight sums, as many as it takes
  * that none waits for its last addition.
  *
  * @param blocks        centre c, feature j at `position(c, j)`
  * @param offsets       |c − m|²/2, infinite for what only fills up the last block
  * @param sparseOffsets the same plus m·(c − m)
  * @param middle        m
  */
private final class KMeansScorer(
    blocks: Array[Double], offsets: Array[Double], sparseOffsets: Array[Double], middle: Array[Double]) extends RowScorer {
  import KMeansScorer._

  private val middleSquare = FeatureRow.sumOfSquares(middle, middle.length)

  override def numFeatures: Int = middle.length

  override def origin: Option[Array[Double]] = Some(middle)

  override def score(row: FeatureRow): InternalRow = {
    val products = new Array[Double](Lanes)
    val subtracted = if (row.isSparse) sparseOffsets else offsets
    var nearest = 0
    var highest = Double.NegativeInfinity
    var first = 0
    while (first < subtracted.length) {
      if (row.isSparse) multiplySparse(row, first * numFeatures, products) else multiplyDense(row.values, first * numFeatures, products)
      var lane = 0
      while (lane < Lanes) {
        val score = products(lane) - subtracted(first + lane)
        if (score > highest) { highest = score; nearest = first + lane }
        lane += 1
      }
      first += Lanes
    }
    new GenericInternalRow(Array[Any](nearest, math.sqrt(squaredDistance(row, nearest, highest))))
  }

  /** |x − m|² − 2·score, or where that has lost digits the sum of the squared differences. */
  private def squaredDistance(row: FeatureRow, nearest: Int, score: Double): Double = {
    val square = if (row.isSparse) row.square - 2 * row.dot(middle) + middleSquare else row.square
    val distance = square - 2 * score
    if (distance >= Trusted * (row.square + middleSquare)) distance
    else {
      val x = row.dense
      var sum = 0.0
      var j = 0
      while (j < numFeatures) {
        val difference = x(j) - (if (row.isSparse) middle(j) else 0.0) - blocks(position(nearest, j, numFeatures))
        sum += difference * difference
        j += 1
      }
      sum
    }
  }

  /** Products of x with the four centres whose block begins at `start`. */
  private def multiplyDense(x: Array[Double], start: Int, products: Array[Double]): Unit = {
    var a0, a1, a2, a3, b0, b1, b2, b3 = 0.0
    var at = start
    var j = 0
    while (j < x.length - 1) {
      val a = x(j)
      val b = x(j + 1)
      a0 += a * blocks(at); a1 += a * blocks(at + 1); a2 += a * blocks(at + 2); a3 += a * blocks(at + 3)
      b0 += b * blocks(at + 4); b1 += b * blocks(at + 5); b2 += b * blocks(at + 6); b3 += b * blocks(at + 7)
      at += 2 * Lanes
      j += 2
    }
    if (j < x.length) {
      val a = x(j)
      a0 += a * blocks(at); a1 += a * blocks(at + 1); a2 += a * blocks(at + 2); a3 += a * blocks(at + 3)
    }
    products(0) = a0 + b0; products(1) = a1 + b1; products(2) = a2 + b2; products(3) = a3 + b3
  }

  /** The same over the values that are not zero. */
  private def multiplySparse(row: FeatureRow, start: Int, products: Array[Double]): Unit = {
    val x = row.values
    val indices = row.indices
    var a0, a1, a2, a3, b0, b1, b2, b3 = 0.0
    var i = 0
    while (i < row.count - 1) {
      val a = x(i)
      val b = x(i + 1)
      val atA = start + indices(i) * Lanes
      val atB = start + indices(i + 1) * Lanes
      a0 += a * blocks(atA); a1 += a * blocks(atA + 1); a2 += a * blocks(atA + 2); a3 += a * blocks(atA + 3)
      b0 += b * blocks(atB); b1 += b * blocks(atB + 1); b2 += b * blocks(atB + 2); b3 += b * blocks(atB + 3)
      i += 2
    }
    if (i < row.count) {
      val a = x(i)
      val at = start + indices(i) * Lanes
      a0 += a * blocks(at); a1 += a * blocks(at + 1); a2 += a * blocks(at + 2); a3 += a * blocks(at + 3)
    }
    products(0) = a0 + b0; products(1) = a1 + b1; products(2) = a2 + b2; products(3) = a3 + b3
  }
}

private object KMeansScorer {

  final val Lanes = 4

  /** Smallest share of two squares that their difference may be, to be precise to 32 bits. */
  final val Trusted = 1e-6

  def apply(centers: Array[Double], k: Int): KMeansScorer = {
    val numFeatures = centers.length / k
    val places = (k + Lanes - 1) / Lanes * Lanes
    require(places.toLong * numFeatures <= Int.MaxValue, s"$k centres of $numFeatures features are too many for one array")
    val middle = Array.tabulate(numFeatures)(j => (0 until k).map(center => centers(center * numFeatures + j)).sum / k)
    val blocks = new Array[Double](places * numFeatures)
    val offsets, sparseOffsets = Array.fill(places)(Double.PositiveInfinity)
    for (center <- 0 until k) {
      var square, product = 0.0
      for (j <- 0 until numFeatures) {
        val value = centers(center * numFeatures + j) - middle(j)
        blocks(position(center, j, numFeatures)) = value
        square += value * value
        product += value * middle(j)
      }
      offsets(center) = square / 2
      sparseOffsets(center) = square / 2 + product
    }
    new KMeansScorer(blocks, offsets, sparseOffsets, middle)
  }

  def position(center: Int, feature: Int, numFeatures: Int): Int =
    (center / Lanes * numFeatures + feature) * Lanes + center % Lanes
}
