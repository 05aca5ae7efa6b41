package org.apache.spark.sql.sparkmlalgos

import org.apache.spark.sql.Column
import org.apache.spark.sql.catalyst.expressions.Expression

/** Columns and the expressions behind them, as this Spark has them. */
object Columns {

  def column(expression: Expression): Column = new Column(expression)

  def expression(column: Column): Expression = column.expr
}
