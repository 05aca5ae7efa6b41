package org.sparkmlalgos.ml

import org.apache.spark.sql.catalyst.InternalRow

/** Scores one row: the arithmetic of a model, and all of it that travels to the executors.
  *
  * One instance serves all tasks of an executor at once: keep nothing that changes in it.
  */
trait RowScorer extends Serializable {

  /** Length of the rows it takes. */
  def numFeatures: Int

  /** What is subtracted from dense rows before they come to `score`. */
  def origin: Option[Array[Double]] = None

  /** From how many zeros for each other value of a dense row on it is quicker to pick out the others first. */
  def zerosPerOther: Double

  /** The values of the model's outputs, in their order. `row` may be changed; it is overwritten by the next one. */
  def score(row: FeatureRow): InternalRow
}
