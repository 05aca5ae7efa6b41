package org.sparkmlalgos.recordio

import java.nio.charset.StandardCharsets.UTF_8

/** A column of the DataFrame and the entry of a record's `features` or `label` map that holds it. */
final case class Slot(column: String, isLabel: Boolean, entry: String) {

  /** The field of `Record`. */
  val field: Int = if (isLabel) Layout.LabelField else Layout.FeaturesField
  val key: Array[Byte] = entry.getBytes(UTF_8)

  def mapName: String = if (isLabel) "label" else "features"
}

object Layout {
  val FeaturesField = 1
  val LabelField = 2

  /** The name under which vectors and labels stand in a record. */
  val Values = "values"
}
