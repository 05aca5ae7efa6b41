package org.sparkmlalgos.recordio

import org.apache.spark.ml.linalg.SQLDataTypes.{MatrixType, VectorType}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._

/** Takes the values of rows into tensors, to be written.
  *
  * @param slots the columns, in the order of the rows
  * @param types their types, of `RowEncoder.supports`
  * @param asFloat64 whether doubles are kept as they are; else they are rounded to float32
  */
final class RowEncoder(slots: Array[Slot], types: Array[DataType], asFloat64: Boolean) {
  import RowEncoder._

  private val doubleKind = if (asFloat64) Tensor.Float64 else Tensor.Float32

  /** Fill `tensors` from a row.
    *
    * @throws IllegalArgumentException if it has values that a record cannot hold
    */
  def encode(row: InternalRow, tensors: Array[Tensor]): Unit = {
    var column = 0
    while (column < slots.length) {
      val tensor = tensors(column)
      tensor.clear()
      if (!row.isNullAt(column)) load(row, column, tensor)
      else if (!slots(column).isLabel) fail(column, "it is null")
      column += 1
    }
  }

  private def load(row: InternalRow, column: Int, tensor: Tensor): Unit = {
    tensor.kind = doubleKind
    types(column) match {
      case DoubleType => tensor.addValue(row.getDouble(column))
      case FloatType => tensor.addValue(row.getFloat(column).toDouble)
      case IntegerType => tensor.addValue(row.getInt(column).toDouble)
      case LongType => tensor.addValue(row.getLong(column).toDouble)
      case ShortType => tensor.addValue(row.getShort(column).toDouble)
      case ByteType => tensor.addValue(row.getByte(column).toDouble)
      case BooleanType => tensor.addValue(if (row.getBoolean(column)) 1.0 else 0.0)
      case VectorType => loadVector(row.getStruct(column, 4), tensor)
      case MatrixType => loadMatrix(row.getStruct(column, 7), tensor)
      case ArrayType(elements, containsNull) => loadArray(column, row.getArray(column), elements, containsNull, tensor)
    }
    if (tensor.kind == Tensor.Float32) checkRange(column, tensor)
  }

  private def loadVector(vector: InternalRow, tensor: Tensor): Unit = {
    if (vector.getByte(0) == SparseCode) {
      addKeys(vector.getArray(2), tensor)
      tensor.addDimension(vector.getInt(1))
    }
    addDoubles(vector.getArray(3), tensor)
  }

  private def loadMatrix(matrix: InternalRow, tensor: Tensor): Unit = {
    val (rows, columns, transposed) = (matrix.getInt(1), matrix.getInt(2), matrix.getBoolean(6))
    tensor.addDimension(rows)
    tensor.addDimension(columns)
    val values = matrix.getArray(5)
    if (matrix.getByte(0) == SparseCode) {
      addSparse(matrix.getArray(3), matrix.getArray(4), if (transposed) rows else columns, columns, transposed, tensor)
      addDoubles(values, tensor)
      tensor.sortKeys(rows.toLong * columns)
    } else if (transposed) addDoubles(values, tensor)
    else {
      tensor.reserveValues(values.numElements())
      for (row <- 0 until rows; column <- 0 until columns) tensor.addValue(values.getDouble(column * rows + row))
    }
  }

  /** The keys of a sparse matrix whose lines, rows or columns, start where `pointers` says. */
  private def addSparse(pointers: ArrayData, indices: ArrayData, lines: Int, columns: Int, transposed: Boolean, tensor: Tensor): Unit =
    for (line <- 0 until lines) {
      var index = pointers.getInt(line)
      val until = pointers.getInt(line + 1)
      while (index < until) {
        val (row, column) = if (transposed) (line, indices.getInt(index)) else (indices.getInt(index), line)
        tensor.addKey(row.toLong * columns + column)
        index += 1
      }
    }

  private def loadArray(column: Int, array: ArrayData, elements: DataType, containsNull: Boolean, tensor: Tensor): Unit = {
    val count = array.numElements()
    if (containsNull) for (index <- 0 until count if array.isNullAt(index)) fail(column, s"its element $index is null")
    elements match {
      case DoubleType => addDoubles(array, tensor)
      case FloatType =>
        tensor.reserveValues(count)
        for (index <- 0 until count) tensor.addValue(array.getFloat(index).toDouble)
      case _ =>
        tensor.kind = Tensor.Int32
        tensor.reserveValues(count)
        for (index <- 0 until count) tensor.addValue(array.getInt(index).toDouble)
    }
  }

  private def addDoubles(array: ArrayData, tensor: Tensor): Unit = {
    val count = array.numElements()
    tensor.reserveValues(count)
    val values = tensor.values
    var index = 0
    while (index < count) {
      values(tensor.size + index) = array.getDouble(index)
      index += 1
    }
    tensor.size += count
  }

  private def addKeys(array: ArrayData, tensor: Tensor): Unit = {
    val count = array.numElements()
    tensor.reserveKeys(count)
    var index = 0
    while (index < count) {
      tensor.keys(tensor.numKeys + index) = array.getInt(index)
      index += 1
    }
    tensor.numKeys += count
  }

  private def checkRange(column: Int, tensor: Tensor): Unit = {
    var index = 0
    while (index < tensor.size) {
      val value = tensor.values(index)
      if (java.lang.Float.isInfinite(value.toFloat) && !java.lang.Double.isInfinite(value))
        fail(column, s"its value $value is too large for float32; write it with the option ${RecordIOOptions.ValueType}=float64")
      index += 1
    }
  }

  private def fail(column: Int, problem: String): Nothing =
    throw new IllegalArgumentException(s"column '${slots(column).column}': $problem")
}

object RowEncoder {
  private val SparseCode: Byte = 0

  /** Whether a column of this type can be written. */
  def supports(dataType: DataType, isLabel: Boolean): Boolean = dataType match {
    case VectorType | MatrixType => true
    case ArrayType(DoubleType | FloatType | IntegerType, _) => true
    case DoubleType | FloatType | IntegerType | LongType | ShortType | ByteType | BooleanType => isLabel
    case _ => false
  }
}
