package org.sparkmlalgos.recordio

import java.util.Locale

import scala.util.Try

import org.apache.spark.sql.catalyst.util.CaseInsensitiveMap

/** The options of the data source, checked.
  *
  * @param parameters as `option(...)` and `OPTIONS (...)` gave them; names in any case
  */
final class RecordIOOptions(parameters: Map[String, String]) extends Serializable {
  import RecordIOOptions._

  private val values: Map[String, String] = CaseInsensitiveMap(parameters)

  val featuresColumn: String = values.getOrElse(FeaturesColumn, "features")
  val labelColumn: String = values.getOrElse(LabelColumn, "label")

  /** Whether the label column was named, so that it must be there. */
  val namesLabel: Boolean = values.contains(LabelColumn)

  /** The number of elements of the features, or -1. */
  val numFeatures: Int = values.get(NumFeatures).fold(-1) { text =>
    Try(text.trim.toInt).toOption.filter(_ > 0).getOrElse(refuse(NumFeatures, text, "an integer of at least 1"))
  }

  /** Whether doubles are written as Float64Tensor. */
  val writesFloat64: Boolean = values.getOrElse(ValueType, "float32").toLowerCase(Locale.ROOT) match {
    case "float32" => false
    case "float64" => true
    case other => refuse(ValueType, other, "float32 or float64")
  }

  /** Whether files are written with gzip. */
  val gzip: Boolean = values.getOrElse(Compression, "none").toLowerCase(Locale.ROOT) match {
    case "none" | "uncompressed" => false
    case "gzip" => true
    case other => refuse(Compression, other, "none, uncompressed or gzip")
  }

  /** Whether records may lack the features: a file of responses has labels only. */
  val namesLabelEntries: Boolean = values.contains(LabelEntries)

  /** The columns that records may hold, the label first as in Spark's other sources. */
  val slots: Seq[Slot] = {
    val both = slotsOf(LabelEntries, labelColumn, isLabel = true) ++ slotsOf(FeatureEntries, featuresColumn, isLabel = false)
    for (twice <- both.groupBy(_.column.toLowerCase(Locale.ROOT)).values.find(_.size > 1))
      throw new IllegalArgumentException(s"two entries of a record for the column '${twice.head.column}'; " +
        s"the options $FeaturesColumn, $LabelColumn, $FeatureEntries and $LabelEntries must name different ones")
    both
  }

  /** The slot of a column; an error where the options give it none. */
  def slot(column: String, caseSensitive: Boolean): Slot = slots
    .find(slot => if (caseSensitive) slot.column == column else slot.column.equalsIgnoreCase(column))
    .getOrElse(throw new IllegalArgumentException(
      s"column '$column' has no place in a record; the columns are ${slots.map(s => s"'${s.column}'").mkString(", ")}: " +
        s"select those, or name others with the options $FeaturesColumn and $LabelColumn"))

  private def slotsOf(option: String, column: String, isLabel: Boolean): Seq[Slot] = values.get(option) match {
    case None => Seq(Slot(column, isLabel, Layout.Values))
    case Some(text) =>
      val names = text.split(",").map(_.trim).filter(_.nonEmpty).toSeq
      if (names.isEmpty) refuse(option, text, "names separated by commas")
      names.map(name => Slot(name, isLabel, name))
  }
}

object RecordIOOptions {
  val FeaturesColumn = "featuresColumnName"
  val LabelColumn = "labelColumnName"
  val FeatureEntries = "featureEntries"
  val LabelEntries = "labelEntries"
  val NumFeatures = "numFeatures"
  val ValueType = "valueType"
  val Compression = "compression"

  private def refuse(option: String, found: String, expected: String): Nothing =
    throw new IllegalArgumentException(s"option $option must be $expected, got '$found'")
}
