package org.sparkmlalgos.recordio

import org.apache.spark.ml.linalg.SQLDataTypes.{MatrixType, VectorType}
import org.apache.spark.sql.catalyst.expressions.{UnsafeArrayData, UnsafeRow}
import org.apache.spark.sql.catalyst.expressions.codegen.{UnsafeArrayWriter, UnsafeRowWriter}
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.Platform

/** Makes rows of the wanted columns from records. Entries of other columns are passed over unparsed; where no column is wanted, records are.
  *
  * @param slots the wanted columns
  * @param types their types, of `RowDecoder.supports`
  * @param numFeatures the number of elements that features must have, or -1
  */
final class RowDecoder(slots: Array[Slot], types: Array[DataType], numFeatures: Int) {
  import RowDecoder._

  private val parser = new RecordParser(slots)
  private val writer = new UnsafeRowWriter(slots.length, InitialRow)
  private val vector = new UnsafeRowWriter(writer, VectorFields)
  private val matrix = new UnsafeRowWriter(writer, MatrixFields)
  private val doublesOfVector = new UnsafeArrayWriter(vector, 8)
  private val intsOfVector = new UnsafeArrayWriter(vector, 4)
  private val doublesOfMatrix = new UnsafeArrayWriter(matrix, 8)
  private val intsOfMatrix = new UnsafeArrayWriter(matrix, 4)
  private val doublesOfRow = new UnsafeArrayWriter(writer, 8)
  private val numbersOfRow = new UnsafeArrayWriter(writer, 4)
  private val noColumns = new UnsafeRow(0)
  private var reader: RecordReader = _

  /** The next record as a row, which is valid until the next call; null at the end. */
  def next(source: RecordReader): UnsafeRow = if (slots.isEmpty) {
    if (source.skip()) noColumns else null
  } else if (!source.next()) null
  else {
    reader = source
    parser.parse(source)
    writer.reset()
    writer.zeroOutNullBytes()
    var column = 0
    while (column < slots.length) {
      write(column, parser.tensors(column))
      column += 1
    }
    writer.getRow
  }

  private def write(column: Int, tensor: Tensor): Unit = {
    val slot = slots(column)
    if (tensor.kind == Tensor.Absent) {
      if (!slot.isLabel) fail(slot, missing(slot))
      writer.setNullAt(column)
    } else {
      if (tensor.kind == Tensor.Bytes) fail(slot, "it holds bytes, not numbers")
      val problem = tensor.settle()
      if (problem != null) fail(slot, problem)
      if (tensor.size > MaxElements) fail(slot, s"it has ${tensor.size} values; a row of Spark holds at most $MaxElements")
      if (!slot.isLabel && numFeatures >= 0 && tensor.elements != numFeatures)
        fail(slot, s"it has ${tensor.elements} elements; numFeatures is $numFeatures")
      types(column) match {
        case DoubleType => writer.write(column, scalar(slot, tensor))
        case VectorType => writeVector(column, tensor)
        case MatrixType => writeMatrix(column, tensor)
        case ArrayType(elements, _) => writeArray(column, tensor, elements)
      }
    }
  }

  private def missing(slot: Slot): String = {
    val found = parser.entries(reader).collect { case (slot.field, name) => s"'$name'" }
    s"the record has no such entry; in its ${slot.mapName} it has ${if (found.isEmpty) "nothing" else found.distinct.mkString(", ")}"
  }

  private def scalar(slot: Slot, tensor: Tensor): Double = {
    if (tensor.elements != 1)
      fail(slot, s"it has ${tensor.elements} elements, but the column is a double; give a schema in which it is a vector")
    if (tensor.size == 0) 0.0 else tensor.values(0)
  }

  private def writeVector(column: Int, tensor: Tensor): Unit = {
    val start = writer.cursor()
    vector.resetRowWriter()
    if (tensor.sparse) {
      val total = tensor.elements
      if (total > Int.MaxValue) fail(slots(column), s"its shape ${tensor.shapeText} has more elements than a vector can have")
      vector.write(0, SparseCode)
      vector.write(1, total.toInt)
      val from = vector.cursor()
      intsOfVector.initialize(tensor.numKeys)
      var index = 0
      while (index < tensor.numKeys) {
        intsOfVector.write(index, tensor.keys(index).toInt)
        index += 1
      }
      vector.setOffsetAndSizeFromPreviousCursor(2, from)
    } else {
      vector.write(0, DenseCode)
      vector.setNullAt(1)
      vector.setNullAt(2)
    }
    writeDoubles(vector, doublesOfVector, 3, tensor)
    writer.setOffsetAndSizeFromPreviousCursor(column, start)
  }

  private def writeMatrix(column: Int, tensor: Tensor): Unit = {
    val slot = slots(column)
    if (tensor.dimensions != 2) fail(slot, s"its shape ${tensor.shapeText} is not that of a matrix")
    val (rows, columns) = (tensor.shape(0), tensor.shape(1))
    if (rows > Int.MaxValue || columns > Int.MaxValue || !tensor.sparse && rows * columns > Int.MaxValue)
      fail(slot, s"its shape ${tensor.shapeText} is larger than a matrix can be")
    val start = writer.cursor()
    matrix.resetRowWriter()
    matrix.write(0, if (tensor.sparse) SparseCode else DenseCode)
    matrix.write(1, rows.toInt)
    matrix.write(2, columns.toInt)
    if (tensor.sparse) {
      if (rows > MaxSparseRows) fail(slot, s"a sparse matrix of $rows rows; at most $MaxSparseRows can be read")
      writeRowPointers(tensor, rows.toInt, columns)
    } else {
      matrix.setNullAt(3)
      matrix.setNullAt(4)
    }
    writeDoubles(matrix, doublesOfMatrix, 5, tensor)
    // Row by row, as the record has it, is to Spark a transposed matrix.
    matrix.write(6, true)
    writer.setOffsetAndSizeFromPreviousCursor(column, start)
  }

  private def writeRowPointers(tensor: Tensor, rows: Int, columns: Long): Unit = {
    var from = matrix.cursor()
    intsOfMatrix.initialize(rows + 1)
    var index, row = 0
    while (row <= rows) {
      while (index < tensor.numKeys && tensor.keys(index) < row * columns) index += 1
      intsOfMatrix.write(row, index)
      row += 1
    }
    matrix.setOffsetAndSizeFromPreviousCursor(3, from)
    from = matrix.cursor()
    intsOfMatrix.initialize(tensor.numKeys)
    index = 0
    while (index < tensor.numKeys) {
      intsOfMatrix.write(index, (tensor.keys(index) % columns).toInt)
      index += 1
    }
    matrix.setOffsetAndSizeFromPreviousCursor(4, from)
  }

  private def writeDoubles(struct: UnsafeRowWriter, array: UnsafeArrayWriter, field: Int, tensor: Tensor): Unit = {
    val from = struct.cursor()
    array.initialize(tensor.size)
    copyDoubles(array, from, tensor)
    struct.setOffsetAndSizeFromPreviousCursor(field, from)
  }

  private def copyDoubles(array: UnsafeArrayWriter, from: Int, tensor: Tensor): Unit = {
    val target = from.toLong + UnsafeArrayData.calculateHeaderPortionInBytes(tensor.size)
    Platform.copyMemory(tensor.values, Platform.DOUBLE_ARRAY_OFFSET.toLong, array.getBuffer, target, 8L * tensor.size)
  }

  private def writeArray(column: Int, tensor: Tensor, elements: DataType): Unit = {
    val slot = slots(column)
    if (tensor.sparse) fail(slot, "it is sparse, which an array column cannot tell; read it as a vector")
    val lossless = elements match {
      case DoubleType => true
      case FloatType => tensor.kind == Tensor.Float32
      case _ => tensor.kind == Tensor.Int32
    }
    if (!lossless) fail(slot, s"it is a ${Tensor.kindNames(tensor.kind)}, which does not fit an array of ${elements.simpleString} without loss")
    val from = writer.cursor()
    if (elements == DoubleType) {
      doublesOfRow.initialize(tensor.size)
      copyDoubles(doublesOfRow, from, tensor)
    } else {
      numbersOfRow.initialize(tensor.size)
      var index = 0
      while (index < tensor.size) {
        if (elements == FloatType) numbersOfRow.write(index, tensor.values(index).toFloat)
        else numbersOfRow.write(index, tensor.values(index).toInt)
        index += 1
      }
    }
    writer.setOffsetAndSizeFromPreviousCursor(column, from)
  }

  private def fail(slot: Slot, problem: String): Nothing =
    throw reader.error(reader.recordOffset, s"column '${slot.column}' (entry '${slot.entry}' of ${slot.mapName}): $problem")
}

object RowDecoder {
  private val InitialRow = 1024
  // Fields of the structs that Spark keeps vectors and matrices in, and the first of them.
  private val VectorFields = 4
  private val MatrixFields = 7
  private val SparseCode: Byte = 0
  private val DenseCode: Byte = 1

  // Spark's row buffers hold 2 GiB; keys take half as much again as values, and there is room for the rest.
  private val MaxElements = 150000000

  // Row pointers are the one thing whose size a record claims and does not have to pay for: at most 16 MiB of them.
  private val MaxSparseRows = 1 << 22

  /** Whether a column of this type can be read. */
  def supports(dataType: DataType): Boolean = dataType match {
    case DoubleType | VectorType | MatrixType => true
    case ArrayType(DoubleType | FloatType | IntegerType, _) => true
    case _ => false
  }
}
