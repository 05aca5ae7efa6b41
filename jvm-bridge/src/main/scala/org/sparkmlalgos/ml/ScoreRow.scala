package org.sparkmlalgos.ml

import org.apache.spark.broadcast.Broadcast
import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode, FalseLiteral, JavaCode}
import org.apache.spark.sql.catalyst.expressions.codegen.Block._
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._

/** The outputs of a model for the features of a row, as one struct: a row is scored once, however many outputs are used.
  *
  * A column function hands Scala or Java code a vector object per row; an expression reads Spark's own row where it lies.
  *
  * @param features   a Vector, or an array of double or float
  * @param baseMargin what the scores start from, a float, where a column has it
  * @param scorer     the arithmetic
  * @param fields     the outputs
  * @param columns    where the features come from
  */
case class ScoreRow(
    features: Expression,
    baseMargin: Option[Expression],
    scorer: Broadcast[RowScorer],
    fields: StructType,
    columns: InputColumns) extends Expression {

  override def children: Seq[Expression] = features +: baseMargin.toSeq

  override def dataType: DataType = fields

  override def nullable: Boolean = true

  override def prettyName: String = "sparkml_algos_score"

  override def toString: String = s"$prettyName(${children.mkString(", ")})"

  override def checkInputDataTypes(): TypeCheckResult = features.dataType match {
    case VectorType | ArrayType(DoubleType | FloatType, _) => TypeCheckResult.TypeCheckSuccess
    case other => TypeCheckResult.TypeCheckFailure(s"features are ${other.simpleString}; they must be a Vector or an array of numbers")
  }

  override def eval(input: InternalRow): Any = {
    val start = baseMargin.map(_.eval(input))
    score(features.eval(input), start.contains(null), start.fold(0f)(value => if (value == null) 0f else value.asInstanceOf[Float]))
  }

  override protected def doGenCode(context: CodegenContext, result: ExprCode): ExprCode = {
    val row = features.genCode(context)
    val start = baseMargin.map(_.genCode(context)).getOrElse(ExprCode(FalseLiteral, JavaCode.literal("0.0f", FloatType)))
    val self = context.addReferenceObj("score", this, classOf[ScoreRow].getName)
    val code =
      code"""
        ${row.code}
        ${start.code}
        ${classOf[InternalRow].getName} ${result.value} =
          $self.score(${row.isNull} ? null : (Object) ${row.value}, ${start.isNull}, ${start.value});
      """
    result.copy(code = code, isNull = FalseLiteral)
  }

  /** What the generated code calls. */
  def score(found: Any, hasNoStart: Boolean, start: Float): InternalRow = {
    val row = buffer.get()
    kind match {
      case ScoreRow.Vector => row.readVector(found.asInstanceOf[InternalRow])
      case ScoreRow.Doubles => row.readArray(found.asInstanceOf[ArrayData], isDouble = true, mayHaveNulls)
      case ScoreRow.Floats => row.readArray(found.asInstanceOf[ArrayData], isDouble = false, mayHaveNulls)
    }
    if (baseMargin.isDefined) row.readBaseMargin(hasNoStart, start)
    arithmetic.score(row)
  }

  @transient private lazy val arithmetic: RowScorer = scorer.value

  // Not one per expression: operators of a plan may share an expression and run in threads of their own.
  @transient private lazy val buffer: ThreadLocal[FeatureRow] =
    ThreadLocal.withInitial(() => new FeatureRow(arithmetic, columns))

  @transient private lazy val kind: Int = features.dataType match {
    case ArrayType(DoubleType, _) => ScoreRow.Doubles
    case ArrayType(FloatType, _) => ScoreRow.Floats
    case _ => ScoreRow.Vector
  }

  @transient private lazy val mayHaveNulls: Boolean = features.dataType match {
    case ArrayType(_, containsNull) => containsNull
    case _ => false
  }

  override protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): ScoreRow =
    copy(features = newChildren.head, baseMargin = newChildren.tail.headOption)
}

private object ScoreRow {
  final val Vector = 0
  final val Doubles = 1
  final val Floats = 2
}
