package org.sparkmlalgos.recordio

import java.util

/** A tensor on its way between a record and a row: values as doubles, which hold every float32, float64 and int32 exactly.
  *
  * One object serves a column for all rows; its arrays only grow.
  */
final class Tensor {
  import Tensor._

  /** The field of `Value` it stands in: one of the kinds, or `Absent`. */
  var kind: Int = Absent
  var values: Array[Double] = new Array[Double](16)
  var size: Int = 0
  var keys: Array[Long] = new Array[Long](16)
  var numKeys: Int = 0
  var shape: Array[Long] = new Array[Long](4)
  var dimensions: Int = 0

  /** Whether it is to be read or written with keys, even if there are none. */
  var sparse: Boolean = false

  def clear(): Unit = {
    kind = Absent
    size = 0
    numKeys = 0
    dimensions = 0
    sparse = false
  }

  def addValue(value: Double): Unit = {
    reserveValues(1)
    values(size) = value
    size += 1
  }

  def addKey(key: Long): Unit = {
    reserveKeys(1)
    keys(numKeys) = key
    numKeys += 1
  }

  def addDimension(length: Long): Unit = {
    if (dimensions == shape.length) shape = util.Arrays.copyOf(shape, 2 * dimensions)
    shape(dimensions) = length
    dimensions += 1
  }

  def reserveValues(more: Int): Unit = if (size + more > values.length) values = util.Arrays.copyOf(values, grown(size, more))

  def reserveKeys(more: Int): Unit = if (numKeys + more > keys.length) keys = util.Arrays.copyOf(keys, grown(numKeys, more))

  /** Decides between dense and sparse and checks that values, keys and shape fit together.
    *
    * @return what is wrong, or null
    */
  def settle(): String = {
    val total = elements
    if (total < 0) s"the shape $shapeText is too large"
    else if (numKeys > 0) {
      sparse = true
      if (dimensions == 0) "it has keys but no shape"
      else if (numKeys != size) s"it has $size values but $numKeys keys"
      else sortKeys(total)
    } else if (dimensions > 0 && size == 0 && total > 0) {
      sparse = true
      null
    } else if (dimensions > 0 && total != size) s"it has $size values, which do not fit the shape $shapeText"
    else null
  }

  /** The number of elements, zeros included; -1 if a long cannot hold it. */
  def elements: Long = if (dimensions == 0) size.toLong
  else {
    var product = 1L
    var index = 0
    while (index < dimensions) {
      val length = shape(index)
      if (length < 0 || length > 0 && product > Long.MaxValue / length) return -1
      product *= length
      index += 1
    }
    product
  }

  def shapeText: String = shape.take(dimensions).map(java.lang.Long.toUnsignedString).mkString("[", ", ", "]")

  /** Puts keys into ascending order, and values with them.
    *
    * @return what is wrong with the keys, or null
    */
  def sortKeys(total: Long): String = {
    var ascending = true
    var index = 0
    var before = -1L
    while (index < numKeys) {
      val key = keys(index)
      if (key < 0 || key >= total) return s"the key ${java.lang.Long.toUnsignedString(key)} is outside the shape $shapeText"
      ascending &= key > before
      before = key
      index += 1
    }
    if (ascending) null
    else {
      sort()
      index = 1
      while (index < numKeys) {
        if (keys(index) == keys(index - 1)) return s"the key ${keys(index)} occurs twice"
        index += 1
      }
      null
    }
  }

  private def sort(): Unit = {
    val order: Array[Integer] = Array.tabulate(numKeys)(Integer.valueOf)
    val (oldKeys, oldValues) = (keys.take(numKeys), values.take(numKeys))
    util.Arrays.sort(order, (a: Integer, b: Integer) => java.lang.Long.compare(oldKeys(a), oldKeys(b)))
    var index = 0
    while (index < numKeys) {
      keys(index) = oldKeys(order(index))
      values(index) = oldValues(order(index))
      index += 1
    }
  }
}

object Tensor {
  // Fields of the message Value.
  val Absent = 0
  val Float32 = 2
  val Float64 = 3
  val Int32 = 7
  val Bytes = 9

  val kindNames: Map[Int, String] = Map(Float32 -> "Float32Tensor", Float64 -> "Float64Tensor", Int32 -> "Int32Tensor", Bytes -> "Bytes")

  // Every element takes at least a byte of a record, so there are never more than an array can hold.
  private def grown(size: Int, more: Int): Int = math.min(Int.MaxValue - 8, math.max(size.toLong + more, 2L * size)).toInt
}
