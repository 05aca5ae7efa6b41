package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{GenericInternalRow, UnsafeArrayData}

/** Values of Spark's Vector type as a scorer gives them. */
private object VectorRow {

  /** A dense vector. */
  def dense(values: Array[Double]): InternalRow =
    new GenericInternalRow(Array[Any](FeatureRow.DenseType.toByte, null, null, UnsafeArrayData.fromPrimitiveArray(values)))

  /** A row with nothing but this vector. */
  def only(values: Array[Double]): InternalRow = new GenericInternalRow(Array[Any](dense(values)))
}
