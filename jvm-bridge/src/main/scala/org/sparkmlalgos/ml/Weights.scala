package org.sparkmlalgos.ml

import dev.ludovic.netlib.blas.JavaBLAS

/** Several arrays of weights, one for each product that a row is to give: the components of a PCA, the classes of a linear model.
  *
  * Dense rows are multiplied by Spark's BLAS in Java, which uses the CPU's vectors where the JVM has their module. Of sparse rows each value
  * multiplies the weights of its feature, which lie side by side in a copy made when the first such row comes; that takes longer for a value.
  *
  * @param values the arrays one after the other
  * @param count  how many there are
  */
private final class Weights(values: Array[Double], val count: Int) extends Serializable {

  val numFeatures: Int = values.length / count

  @transient private lazy val floats: Array[Float] = values.map(_.toFloat)

  @transient private lazy val byFeature: Array[Double] = {
    val turned = new Array[Double](values.length)
    for (product <- 0 until count; feature <- 0 until numFeatures) turned(feature * count + product) = apply(product, feature)
    turned
  }

  /** From how many zeros for each other value of a dense row on it is quicker to pick the others out, where a product of a dense row costs
    * so much of one of a sparse row.
    */
  def zerosPerOther(denseCost: Double): Double = {
    val share = denseCost - Weights.PickingOut / count
    if (share > 0) 1 / share - 1 else Double.PositiveInfinity
  }

  def apply(product: Int, feature: Int): Double = values(product * numFeatures + feature)

  /** Sum of the squared differences between an array and all values of a row. */
  def squaredDistance(product: Int, x: Array[Double]): Double = {
    val start = product * numFeatures
    var sum = 0.0
    var j = 0
    while (j < numFeatures) {
      val difference = x(j) - values(start + j)
      sum += difference * difference
      j += 1
    }
    sum
  }

  /** The product of a row with each array. */
  def times(row: FeatureRow): Array[Double] =
    if (count == 1) Array(row.dot(values))
    else if (row.isSparse) addUp(row.values, row.indices, row.count)
    else times(row.values)

  /** The same of all values of a row. */
  def times(x: Array[Double]): Array[Double] = {
    val products = new Array[Double](count)
    Weights.Blas.dgemv("T", numFeatures, count, 1.0, values, numFeatures, x, 1, 0.0, products, 1)
    products
  }

  /** The same with 32 bits. */
  def times(x: Array[Float]): Array[Double] = {
    val products = new Array[Float](count)
    Weights.Blas.sgemv("T", numFeatures, count, 1.0f, floats, numFeatures, x, 1, 0.0f, products, 1)
    val result = new Array[Double](count)
    FeatureRow.widen(products, result)
    result
  }

  /** Four values at a time, so that sums are loaded and stored a quarter as often. */
  private def addUp(x: Array[Double], indices: Array[Int], length: Int): Array[Double] = {
    val products = new Array[Double](count)
    var i = 0
    while (i < length - 3) {
      Weights.add(
        x(i), indices(i) * count, x(i + 1), indices(i + 1) * count,
        x(i + 2), indices(i + 2) * count, x(i + 3), indices(i + 3) * count, byFeature, products)
      i += 4
    }
    while (i < length) {
      Weights.add(x(i), indices(i) * count, byFeature, products)
      i += 1
    }
    products
  }
}

private object Weights {

  lazy val Blas: JavaBLAS = JavaBLAS.getInstance

  // Measured with 784 features on a CPU with AVX2: 0.39 ns for a product of a sparse row, 0.11 ns for one of a dense row or 0.05 ns with
  // 32 bits, 1.6 ns a value for picking out.
  final val DenseCost = 0.3
  final val DenseCostOfFloats = 0.12

  /** What picking out costs for a value of a row, in products of a sparse row. */
  final val PickingOut = 4.0

  /** Add to the sums four values times the weights that begin at four places. */
  def add(
      a: Double, atA: Int, b: Double, atB: Int, c: Double, atC: Int, d: Double, atD: Int,
      weights: Array[Double], sums: Array[Double]): Unit = {
    var k = 0
    while (k < sums.length) {
      sums(k) += a * weights(atA + k) + b * weights(atB + k) + c * weights(atC + k) + d * weights(atD + k)
      k += 1
    }
  }

  def add(a: Double, atA: Int, weights: Array[Double], sums: Array[Double]): Unit = {
    var k = 0
    while (k < sums.length) { sums(k) += a * weights(atA + k); k += 1 }
  }
}
