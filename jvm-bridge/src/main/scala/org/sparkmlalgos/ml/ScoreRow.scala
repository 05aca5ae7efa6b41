package org.sparkmlalgos.ml

import org.apache.spark.broadcast.Broadcast
import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.{Expression, UnaryExpression}
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode, FalseLiteral}
import org.apache.spark.sql.catalyst.expressions.codegen.Block._
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._

/** The outputs of a model for the features in `child`, as one struct: a row is scored once, however many outputs are used.
  *
  * A column function hands Scala or Java code a vector object per row; an expression reads Spark's own row where it lies.
  *
  * @param child  features: a Vector, or an array of double or float
  * @param scorer the arithmetic
  * @param fields the outputs
  * @param names  the columns the features come from, for messages
  */
case class ScoreRow(child: Expression, scorer: Broadcast[RowScorer], fields: StructType, names: Seq[String]) extends UnaryExpression {

  override def dataType: DataType = fields

  override def nullable: Boolean = true

  override def prettyName: String = "sparkml_algos_score"

  override def toString: String = s"$prettyName($child)"

  override def checkInputDataTypes(): TypeCheckResult = child.dataType match {
    case VectorType | ArrayType(DoubleType | FloatType, _) => TypeCheckResult.TypeCheckSuccess
    case other => TypeCheckResult.TypeCheckFailure(s"features are ${other.simpleString}; they must be a Vector or an array of numbers")
  }

  override def eval(input: InternalRow): Any = score(child.eval(input))

  override protected def doGenCode(context: CodegenContext, result: ExprCode): ExprCode = {
    val features = child.genCode(context)
    val self = context.addReferenceObj("score", this, classOf[ScoreRow].getName)
    val row = classOf[InternalRow].getName
    val code =
      code"""
        ${features.code}
        $row ${result.value} = $self.score(${features.isNull} ? null : (Object) ${features.value});
      """
    result.copy(code = code, isNull = FalseLiteral)
  }

  /** What the generated code calls. */
  def score(features: Any): InternalRow = {
    val row = buffer.get()
    kind match {
      case ScoreRow.Vector => row.readVector(features.asInstanceOf[InternalRow])
      case ScoreRow.Doubles => row.readArray(features.asInstanceOf[ArrayData], isDouble = true, mayHaveNulls)
      case ScoreRow.Floats => row.readArray(features.asInstanceOf[ArrayData], isDouble = false, mayHaveNulls)
    }
    arithmetic.score(row)
  }

  @transient private lazy val arithmetic: RowScorer = scorer.value

  // Not one per expression: operators of a plan may share an expression and run in threads of their own.
  @transient private lazy val buffer: ThreadLocal[FeatureRow] =
    ThreadLocal.withInitial(() => new FeatureRow(arithmetic, names))

  @transient private lazy val kind: Int = child.dataType match {
    case ArrayType(DoubleType, _) => ScoreRow.Doubles
    case ArrayType(FloatType, _) => ScoreRow.Floats
    case _ => ScoreRow.Vector
  }

  @transient private lazy val mayHaveNulls: Boolean = child.dataType match {
    case ArrayType(_, containsNull) => containsNull
    case _ => false
  }

  override protected def withNewChildInternal(newChild: Expression): ScoreRow = copy(child = newChild)
}

private object ScoreRow {
  final val Vector = 0
  final val Doubles = 1
  final val Floats = 2
}
