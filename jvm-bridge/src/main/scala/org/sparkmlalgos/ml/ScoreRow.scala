package org.sparkmlalgos.ml

import java.util.function.BiFunction

import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode, FalseLiteral, JavaCode, TrueLiteral}
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
    scorer: ScorerSource,
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

  override def eval(input: InternalRow): Any = scoring(features.eval(input), baseMargin.map(_.eval(input)).orNull)

  override protected def doGenCode(context: CodegenContext, result: ExprCode): ExprCode = {
    val row = features.genCode(context)
    val start = baseMargin.map(_.genCode(context)).getOrElse(ExprCode(TrueLiteral, JavaCode.literal("0.0f", FloatType)))
    // Generated classes are kept by their text for all sessions of a JVM, and those of Spark Connect load classes of the bridge each of its
    // own: the text may only name what they share.
    val function = context.addReferenceObj("score", scoring, classOf[BiFunction[_, _, _]].getName)
    val code =
      code"""
        ${row.code}
        ${start.code}
        ${classOf[InternalRow].getName} ${result.value} = (${classOf[InternalRow].getName})
          $function.apply(${row.isNull} ? null : (Object) ${row.value}, ${start.isNull} ? null : (Object) ${start.value});
      """
    result.copy(code = code, isNull = FalseLiteral)
  }

  @transient private lazy val scoring: Scoring = new Scoring(features.dataType, scorer, columns)

  override protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): ScoreRow =
    copy(features = newChildren.head, baseMargin = newChildren.tail.headOption)
}

/** Scores rows of one kind: features, and what the score starts from where a column has it, to the struct of outputs.
  *
  * @param kind what the features are
  */
private final class Scoring(kind: DataType, scorer: ScorerSource, columns: InputColumns)
    extends BiFunction[Any, Any, InternalRow] with Serializable {

  override def apply(features: Any, start: Any): InternalRow = {
    val row = buffer.get()
    if (isVector) row.readVector(features.asInstanceOf[InternalRow])
    else row.readArray(features.asInstanceOf[ArrayData], isDouble, mayHaveNulls)
    if (hasStart) row.readBaseMargin(start == null, if (start == null) 0f else start.asInstanceOf[Float])
    arithmetic.score(row)
  }

  private val isVector: Boolean = kind == VectorType

  private val (isDouble, mayHaveNulls) = kind match {
    case ArrayType(element, containsNull) => (element == DoubleType, containsNull)
    case _ => (true, false)
  }

  private val hasStart: Boolean = columns.baseMargin.isDefined

  @transient private lazy val arithmetic: RowScorer = scorer.scorer

  // Not one for all: operators of a plan may share an expression and run in threads of their own.
  @transient private lazy val buffer: ThreadLocal[FeatureRow] = ThreadLocal.withInitial(() => new FeatureRow(arithmetic, columns))
}
