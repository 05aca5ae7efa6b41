// Spark 4 lets only its own packages make a column of an expression.
package org.apache.spark.sql.sparkmlalgos

import org.apache.spark.sql.Column
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.classic.{ColumnConversions, ExpressionUtils}

/** Columns and the expressions behind them, as this Spark has them. */
object Columns {

  def column(expression: Expression): Column = ExpressionUtils.column(expression)

  def expression(column: Column): Expression = ColumnConversions.expression(column)
}
