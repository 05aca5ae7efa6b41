package org.sparkmlalgos.ml

import org.apache.spark.TaskContext
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.unsafe.Platform

/** Where the features of a row come from.
  *
  * @param names      the features column, or the columns the features were assembled from; for messages
  * @param missing    where values may be missing, what stands for a missing one beside NaN, null and what a sparse row does not store
  * @param baseMargin the column with what the scores start from, where there is one
  */
final case class InputColumns(names: Seq[String], missing: Option[Float] = None, baseMargin: Option[String] = None)

/** The features of one row, rounded to 32 bits as in training and checked: finite, unless they may be missing, and as many as the model
  * takes. Made once, read into for every row.
  *
  * @param scorer what it is read for
  */
final class FeatureRow(scorer: RowScorer, columns: InputColumns) {
  import FeatureRow._

  val numFeatures: Int = scorer.numFeatures

  /** Whether `values` are only those at `indices`: so for sparse vectors, and for dense rows of which most is zero. */
  var isSparse: Boolean = false

  /** How many values there are. */
  var count: Int = 0

  /** All values, less the origin; of a sparse row the first `count` are those at `indices`, as they are. Where values may be missing, NaN
    * stands for them.
    */
  var values: Array[Double] = _
  var indices: Array[Int] = _

  /** Sum of the squares of the values; 0 where values may be missing. */
  var square: Double = 0.0

  /** Whether a column has what the score starts from, and what that is. */
  val hasBaseMargin: Boolean = columns.baseMargin.isDefined
  var baseMargin: Float = 0f

  /** What the scorer keeps from row to row, null at first. */
  var scratch: Array[Int] = _

  private val all = new Array[Double](numFeatures)
  private val some = new Array[Double](numFeatures)
  private val places = new Array[Int](numFeatures)
  private val subtracted = scorer.origin.getOrElse(new Array[Double](0))
  private lazy val floats = new Array[Float](numFeatures)
  private val names = columns.names
  private val mayMiss = columns.missing.isDefined
  private val missing = columns.missing.getOrElse(Float.NaN)

  /** The row with its zeros; `values` itself if it is dense. */
  def dense: Array[Double] = if (!isSparse) values else {
    val result = new Array[Double](numFeatures)
    var i = 0
    while (i < count) { result(indices(i)) = values(i); i += 1 }
    result
  }

  /** The values of a dense row with 32 bits. */
  def toFloats: Array[Float] = {
    narrow(values, floats)
    floats
  }

  /** Sum of the products of the values with those of `other` in their places. */
  def dot(other: Array[Double]): Double = {
    var s0, s1, s2, s3 = 0.0
    var i = 0
    if (isSparse) {
      while (i < count - 3) {
        s0 += values(i) * other(indices(i)); s1 += values(i + 1) * other(indices(i + 1))
        s2 += values(i + 2) * other(indices(i + 2)); s3 += values(i + 3) * other(indices(i + 3))
        i += 4
      }
      while (i < count) { s0 += values(i) * other(indices(i)); i += 1 }
    } else {
      while (i < count - 3) {
        s0 += values(i) * other(i); s1 += values(i + 1) * other(i + 1)
        s2 += values(i + 2) * other(i + 2); s3 += values(i + 3) * other(i + 3)
        i += 4
      }
      while (i < count) { s0 += values(i) * other(i); i += 1 }
    }
    s0 + s1 + s2 + s3
  }

  /** Read a value of Spark's Vector type. */
  def readVector(vector: InternalRow): Unit = {
    if (vector == null) refuse(s"${column()} is null")
    val stored = vector.getArray(VectorValues)
    if (vector.getByte(VectorType) == DenseType) readArray(stored, isDouble = true, mayHaveNulls = false)
    else {
      checkLength(vector.getInt(VectorSize))
      isSparse = true
      count = stored.numElements()
      indices = vector.getArray(VectorIndices).toIntArray()
      values = stored.toDoubleArray()
      if (mayMiss) readMissing()
      else {
        round(values, count)
        square = sumOfSquares(values, count)
        checkFinite(stored, isDouble = true)
      }
    }
  }

  /** Read an array of doubles or floats. */
  def readArray(array: ArrayData, isDouble: Boolean, mayHaveNulls: Boolean): Unit = {
    if (array == null) refuse(s"${column()} is null")
    checkLength(array.numElements())
    if (mayHaveNulls && !mayMiss) checkNulls(array)
    if (isDouble) readDoubles(array) else readFloats(array)
    if (mayMiss) {
      isSparse = false
      values = all
      count = numFeatures
      if (mayHaveNulls) nullsToMissing(array)
      readMissing()
    } else readAll(array, isDouble)
  }

  /** Read what the scores start from. */
  def readBaseMargin(isNull: Boolean, value: Float): Unit = {
    if (isNull) refuse(s"column '${columns.baseMargin.get}' is null")
    if (value.isNaN || value.isInfinite) refuse(s"column '${columns.baseMargin.get}' is ${shown(value)} as a 32-bit float")
    baseMargin = value
  }

  private def readAll(array: ArrayData, isDouble: Boolean): Unit = {
    if (mostlyZero(all, scorer.zerosPerOther)) {
      isSparse = true
      values = some
      indices = places
      count = compress(all, some, places)
    } else {
      isSparse = false
      values = all
      count = numFeatures
    }
    if (isDouble) round(values, count)
    if (!isSparse) subtract(values, subtracted)
    square = sumOfSquares(values, count)
    checkFinite(array, isDouble)
  }

  /** Round values of which some may be missing. Unlike `FeatureRow.round`, which makes NaN of what is too large. */
  private def readMissing(): Unit = {
    var i = 0
    while (i < count) {
      val value = values(i).toFloat
      if (value.isInfinite) refuse(s"${column(if (isSparse) indices(i) else i)} is ${shown(value)} as a 32-bit float")
      values(i) = if (value == missing) Double.NaN else value.toDouble
      i += 1
    }
  }

  private def nullsToMissing(array: ArrayData): Unit = {
    var i = 0
    while (i < numFeatures) {
      if (array.isNullAt(i)) values(i) = Double.NaN
      i += 1
    }
  }

  private def readDoubles(array: ArrayData): Unit = array match {
    case unsafe: UnsafeArrayData => copy(unsafe, all, Platform.DOUBLE_ARRAY_OFFSET, 8)
    case _ => System.arraycopy(array.toDoubleArray(), 0, all, 0, numFeatures)
  }

  private def readFloats(array: ArrayData): Unit = {
    array match {
      case unsafe: UnsafeArrayData => copy(unsafe, floats, Platform.FLOAT_ARRAY_OFFSET, 4)
      case _ => System.arraycopy(array.toFloatArray(), 0, floats, 0, numFeatures)
    }
    widen(floats, all)
  }

  private def copy(array: UnsafeArrayData, target: AnyRef, offset: Int, width: Int): Unit = {
    val start = array.getBaseOffset + UnsafeArrayData.calculateHeaderPortionInBytes(numFeatures)
    Platform.copyMemory(array.getBaseObject, start, target, offset, numFeatures.toLong * width)
  }

  private def checkFinite(source: ArrayData, isDouble: Boolean): Unit = if (!(square < BeyondDoubt)) {
    val found = if (isDouble) source.toDoubleArray().map(_.toFloat) else source.toFloatArray()
    val position = found.indexWhere(value => value.isNaN || value.isInfinite)
    if (position >= 0) {
      val element = if (found.length < numFeatures) indices(position) else position
      refuse(s"${column(element)} is ${shown(found(position))} as a 32-bit float")
    }
  }

  private def shown(value: Float): String = if (value.isNaN) "nan" else if (value > 0) "inf" else "-inf"

  private def checkLength(found: Int): Unit =
    if (found != numFeatures) refuse(s"${column()} has $found values, expected $numFeatures")

  private def checkNulls(array: ArrayData): Unit = {
    var i = 0
    while (i < numFeatures) {
      if (array.isNullAt(i)) refuse(s"${column(i)} is null")
      i += 1
    }
  }

  private def column(element: Int = -1): String =
    if (names.size > 1) if (element < 0) "features columns" else s"features column '${names(element)}'"
    else s"features column '${names.head}'" + (if (element < 0) "" else s", element $element,")

  private def refuse(what: String): Nothing =
    throw new IllegalArgumentException(s"$what in a row of partition ${TaskContext.getPartitionId()}")
}

/** The loops over the values: small, so that the JIT compiler makes the most of each. */
private object FeatureRow {

  // Fields of a vector as Spark stores it, and the type of a dense one.
  final val VectorType = 0
  final val VectorSize = 1
  final val VectorIndices = 2
  final val VectorValues = 3
  final val DenseType = 1

  /** Of so many values one is looked at to see whether most are zero; not a power of two, which the width of an image often is. */
  final val Stride = 13

  /** A row with a smaller sum of squares has no value that 32 bits cannot hold: those begin at 3.4e38. */
  final val BeyondDoubt = 1e70

  /** 2²⁹ + 1: T. J. Dekker's splitter (Numer. Math. 18, 1971), which leaves the 24 leading bits of a double's 53. */
  final val Splitter = 536870913.0

  /** A 32-bit number as an integer of the same order; 0 and −0 are the same. */
  def ordered(value: Float): Int = {
    val bits = java.lang.Float.floatToRawIntBits(value + 0.0f)
    bits ^ ((bits >> 31) & Int.MaxValue)
  }

  def mostlyZero(x: Array[Double], zerosPerOther: Double): Boolean = {
    var zeros, others = 0
    var i = 0
    while (i < x.length) {
      if (x(i) == 0) zeros += 1 else others += 1
      i += Stride
    }
    zeros >= zerosPerOther * others
  }

  /** Pick out the values that are not zero and their places; how many there are. Without a branch, which would often be guessed wrongly:
    * the leading bit of `bits | -bits` says whether there is any.
    */
  def compress(x: Array[Double], values: Array[Double], places: Array[Int]): Int = {
    var count = 0
    var i = 0
    while (i < x.length) {
      values(count) = x(i)
      places(count) = i
      val bits = java.lang.Double.doubleToRawLongBits(x(i))
      count += ((bits | -bits) >>> 63).toInt
      i += 1
    }
    count
  }

  /** Round to the precision of 32 bits; unlike two conversions, in a form of which the JIT compiler makes vector instructions. */
  def round(x: Array[Double], count: Int): Unit = {
    var i = 0
    while (i < count) {
      val split = x(i) * Splitter
      x(i) = split - (split - x(i))
      i += 1
    }
  }

  def widen(x: Array[Float], y: Array[Double]): Unit = {
    var i = 0
    while (i < x.length) { y(i) = x(i).toDouble; i += 1 }
  }

  def narrow(x: Array[Double], y: Array[Float]): Unit = {
    var i = 0
    while (i < x.length) { y(i) = x(i).toFloat; i += 1 }
  }

  def subtract(x: Array[Double], y: Array[Double]): Unit = {
    var i = 0
    while (i < y.length) { x(i) = x(i) - y(i); i += 1 }
  }

  /** In eight sums, for a single one would wait for each addition before. */
  def sumOfSquares(x: Array[Double], count: Int): Double = {
    var s0, s1, s2, s3, s4, s5, s6, s7 = 0.0
    var i = 0
    while (i < count - 7) {
      s0 += x(i) * x(i); s1 += x(i + 1) * x(i + 1); s2 += x(i + 2) * x(i + 2); s3 += x(i + 3) * x(i + 3)
      s4 += x(i + 4) * x(i + 4); s5 += x(i + 5) * x(i + 5); s6 += x(i + 6) * x(i + 6); s7 += x(i + 7) * x(i + 7)
      i += 8
    }
    while (i < count) { s0 += x(i) * x(i); i += 1 }
    s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7
  }
}
