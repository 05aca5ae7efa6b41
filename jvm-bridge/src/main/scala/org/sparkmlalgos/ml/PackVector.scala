package org.sparkmlalgos.ml

import java.nio.{ByteBuffer, ByteOrder}
import java.util.function.{Function => JFunction}

import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.sql.Column
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.{Expression, UnaryExpression, UnsafeArrayData}
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode}
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.sparkmlalgos.Columns
import org.apache.spark.sql.types.{BinaryType, DataType}
import org.apache.spark.unsafe.Platform

/** A vector as bytes: half as many to shuffle as its doubles, and one copy instead of a call per element on the way to Python.
  *
  * Little-endian: the size (int), the number of indices or -1 if the vector is dense (int), the indices (int), the values (float).
  */
case class PackVector(child: Expression) extends UnaryExpression {

  override def dataType: DataType = BinaryType

  override def prettyName: String = "sparkml_algos_pack"

  override def checkInputDataTypes(): TypeCheckResult =
    if (child.dataType == VectorType) TypeCheckResult.TypeCheckSuccess
    else TypeCheckResult.TypeCheckFailure(s"only a Vector can be packed, not ${child.dataType.simpleString}")

  override protected def nullSafeEval(vector: Any): Any = PackVector.pack(vector.asInstanceOf[InternalRow])

  override protected def doGenCode(context: CodegenContext, result: ExprCode): ExprCode = {
    // Not the name of this class; see ScoreRow.
    val function = context.addReferenceObj("pack", new Packing, classOf[JFunction[_, _]].getName)
    defineCodeGen(context, result, vector => s"(byte[]) $function.apply($vector)")
  }

  override protected def withNewChildInternal(newChild: Expression): PackVector = copy(child = newChild)
}

/** What the generated code calls. */
private final class Packing extends JFunction[InternalRow, Array[Byte]] with Serializable {
  override def apply(vector: InternalRow): Array[Byte] = PackVector.pack(vector)
}

object PackVector {
  private final val Header = 8

  /** The packed form of a Vector column. */
  def column(vector: Column): Column = Columns.column(PackVector(Columns.expression(vector)))

  /** The packed form of a value of Spark's Vector type. */
  def pack(vector: InternalRow): Array[Byte] = {
    val values = vector.getArray(FeatureRow.VectorValues)
    val count = values.numElements()
    if (vector.getByte(FeatureRow.VectorType) == FeatureRow.DenseType) {
      val packed = new Array[Byte](Header + 4 * count)
      ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN).putInt(count).putInt(-1)
      putFloats(values, count, packed, Header)
      packed
    } else {
      val packed = new Array[Byte](Header + 8 * count)
      val buffer = ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN).putInt(vector.getInt(FeatureRow.VectorSize)).putInt(count)
      buffer.asIntBuffer().put(vector.getArray(FeatureRow.VectorIndices).toIntArray())
      putFloats(values, count, packed, Header + 4 * count)
      packed
    }
  }

  private def putFloats(values: ArrayData, count: Int, packed: Array[Byte], start: Int): Unit = values match {
    case unsafe: UnsafeArrayData if LittleEndian =>
      val from = unsafe.getBaseObject
      val source = unsafe.getBaseOffset + UnsafeArrayData.calculateHeaderPortionInBytes(count)
      val target = Platform.BYTE_ARRAY_OFFSET + start.toLong
      var i = 0
      while (i < count) {
        Platform.putFloat(packed, target + 4L * i, Platform.getDouble(from, source + 8L * i).toFloat)
        i += 1
      }
    case _ =>
      val buffer = ByteBuffer.wrap(packed, start, 4 * count).order(ByteOrder.LITTLE_ENDIAN)
      var i = 0
      while (i < count) { buffer.putFloat(values.getDouble(i).toFloat); i += 1 }
  }

  private final val LittleEndian = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
}
