package org.sparkmlalgos.recordio

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileStatus
import org.apache.spark.ml.attribute.AttributeGroup
import org.apache.spark.ml.linalg.SQLDataTypes.{MatrixType, VectorType}
import org.apache.spark.sql.execution.datasources.CodecStreams
import org.apache.spark.sql.types.{DataType, DoubleType, Metadata, StructField, StructType}

/** Tells columns and their types from the first records of the first files that have any. */
object SchemaInference {
  // A head is read on the driver, one file after the other.
  private val MaxFiles = 8
  private val RecordsPerFile = 32

  /** What the sampled records tell of a column. */
  private final class Found {
    var present, matrix, several = false
    def add(tensor: Tensor): Unit = if (tensor.kind != Tensor.Absent) {
      present = true
      matrix |= tensor.dimensions == 2
      several |= tensor.elements != 1
    }
    def dataType(isLabel: Boolean): DataType = if (isLabel && !several) DoubleType else if (matrix) MatrixType else VectorType
  }

  /** The schema of files; None if there are no files. Files without records have all columns that the options name: vectors, and a double as
    * label.
    *
    * @throws IllegalArgumentException if the records have none of the wanted entries
    */
  def infer(files: Seq[FileStatus], options: RecordIOOptions, configuration: Configuration): Option[StructType] = if (files.isEmpty) None
  else {
    val slots = options.slots.toArray
    val found = slots.map(_ => new Found)
    val parser = new RecordParser(slots)
    val entries = collection.mutable.LinkedHashSet.empty[(Int, String)]
    val looked = files.iterator.filter(_.getLen > 0).filter { file =>
      val records = eachHead(file, configuration) { reader =>
        entries ++= parser.entries(reader)
        for ((tensor, column) <- parser.tensors.zip(found)) column.add(tensor)
      }
      records > 0
    }.take(MaxFiles).toList
    val missing = slots.zip(found).collectFirst { case (slot, column) if !slot.isLabel && !column.present => slot }
    for (slot <- missing; file <- looked.headOption if !options.namesLabelEntries)
      throw noFeatures(slot, entries.toSeq, file.getPath.toString)
    Some(StructType(for ((slot, column) <- slots.toSeq.zip(found) if column.present || looked.isEmpty)
      yield StructField(slot.column, column.dataType(slot.isLabel), nullable = true, metadata(slot, column, options))))
  }

  private def eachHead(file: FileStatus, configuration: Configuration)(look: RecordReader => Unit): Int = {
    val path = file.getPath
    val length = if (RecordIOFileFormat.codec(path, configuration).isDefined) -1 else file.getLen
    val reader = new RecordReader(CodecStreams.createInputStream(configuration, path), path.toString, 0, length)
    var records = 0
    try while (records < RecordsPerFile && reader.next()) {
      look(reader)
      records += 1
    }
    finally reader.close()
    records
  }

  private def metadata(slot: Slot, column: Found, options: RecordIOOptions): Metadata =
    if (slot.isLabel || options.numFeatures < 0 || column.dataType(slot.isLabel) != VectorType) Metadata.empty
    else new AttributeGroup(slot.column, options.numFeatures).toMetadata()

  private def noFeatures(slot: Slot, entries: Seq[(Int, String)], file: String): IllegalArgumentException = {
    def names(field: Int) = entries.collect { case (`field`, name) => s"'$name'" } match {
      case Seq() => "nothing"
      case some => some.sorted.mkString(", ")
    }
    new IllegalArgumentException(s"$file: its records have no entry '${slot.entry}' in their features; they have ${names(Layout.FeaturesField)} " +
      s"in features and ${names(Layout.LabelField)} in label. The options ${RecordIOOptions.FeatureEntries} and " +
      s"${RecordIOOptions.LabelEntries} name entries to be read as columns.")
  }
}
