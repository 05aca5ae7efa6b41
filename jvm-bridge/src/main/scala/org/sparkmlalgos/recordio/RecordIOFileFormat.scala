package org.sparkmlalgos.recordio

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileStatus, Path}
import org.apache.hadoop.io.compress.{CompressionCodecFactory, GzipCodec, SplittableCompressionCodec}
import org.apache.hadoop.mapreduce.{Job, TaskAttemptContext}
import org.apache.spark.TaskContext
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.execution.datasources._
import org.apache.spark.sql.sources.{DataSourceRegister, Filter}
import org.apache.spark.sql.types.{DataType, StructType}
import org.apache.spark.util.SerializableConfiguration

/** The data source `recordio-protobuf`: files of RecordIO frames with `Record` messages, read and written as columns of features and label.
  *
  * Being one of Spark's file formats it has from Spark what all of them have: partitioned output and its discovery, save modes, SQL tables,
  * options like `pathGlobFilter`.
  */
class RecordIOFileFormat extends FileFormat with DataSourceRegister with Serializable {

  override def shortName(): String = "recordio-protobuf"

  override def toString: String = "RecordIO-protobuf"

  override def equals(other: Any): Boolean = other.isInstanceOf[RecordIOFileFormat]

  override def hashCode(): Int = classOf[RecordIOFileFormat].hashCode()

  override def inferSchema(session: SparkSession, options: Map[String, String], files: Seq[FileStatus]): Option[StructType] =
    SchemaInference.infer(files, new RecordIOOptions(options), session.sessionState.newHadoopConfWithOptions(options))

  override def isSplitable(session: SparkSession, options: Map[String, String], path: Path): Boolean =
    RecordIOFileFormat.codec(path, session.sessionState.newHadoopConfWithOptions(options)).isEmpty

  override def supportDataType(dataType: DataType): Boolean =
    RowDecoder.supports(dataType) || RowEncoder.supports(dataType, isLabel = true)

  override def buildReader(
      session: SparkSession,
      dataSchema: StructType,
      partitionSchema: StructType,
      requiredSchema: StructType,
      filters: Seq[Filter],
      options: Map[String, String],
      hadoopConf: Configuration): PartitionedFile => Iterator[InternalRow] = {
    val parsed = new RecordIOOptions(options)
    val caseSensitive = session.sessionState.conf.caseSensitiveAnalysis
    for (field <- dataSchema if !RowDecoder.supports(field.dataType))
      throw new IllegalArgumentException(s"column '${field.name}' cannot be read as ${field.dataType.simpleString}; " +
        "it must be a double, a vector, a matrix, or an array of float, double or int")
    dataSchema.foreach(field => parsed.slot(field.name, caseSensitive))
    val slots = requiredSchema.map(field => parsed.slot(field.name, caseSensitive)).toArray
    val types = requiredSchema.map(_.dataType).toArray
    val configuration = session.sparkContext.broadcast(new SerializableConfiguration(hadoopConf))
    file => RecordIOFileFormat.rows(file, new RowDecoder(slots, types, parsed.numFeatures), configuration.value.value)
  }

  override def buildReaderWithPartitionValues(
      session: SparkSession,
      dataSchema: StructType,
      partitionSchema: StructType,
      requiredSchema: StructType,
      filters: Seq[Filter],
      options: Map[String, String],
      hadoopConf: Configuration): PartitionedFile => Iterator[InternalRow] =
    // Appending the values of no partition columns would copy every row.
    if (partitionSchema.isEmpty) buildReader(session, dataSchema, partitionSchema, requiredSchema, filters, options, hadoopConf)
    else super.buildReaderWithPartitionValues(session, dataSchema, partitionSchema, requiredSchema, filters, options, hadoopConf)

  override def prepareWrite(session: SparkSession, job: Job, options: Map[String, String], dataSchema: StructType): OutputWriterFactory = {
    val parsed = new RecordIOOptions(options)
    val slots = RecordIOFileFormat.slotsToWrite(dataSchema, parsed, session.sessionState.conf.caseSensitiveAnalysis)
    val configuration = job.getConfiguration
    configuration.setBoolean("mapreduce.output.fileoutputformat.compress", parsed.gzip)
    if (parsed.gzip) {
      configuration.set("mapreduce.output.fileoutputformat.compress.codec", classOf[GzipCodec].getName)
      configuration.set("mapreduce.output.fileoutputformat.compress.type", "BLOCK")
    }
    new RecordIOWriterFactory(slots, dataSchema.map(_.dataType).toArray, parsed.writesFloat64)
  }
}

/** The same under the short name that existing connectors use. */
class SageMakerFileFormat extends RecordIOFileFormat {
  override def shortName(): String = "sagemaker"
}

object RecordIOFileFormat {

  /** What the file's name says it is compressed with. */
  private[recordio] def codec(path: Path, configuration: Configuration) = Option(new CompressionCodecFactory(configuration).getCodec(path))

  private def rows(file: PartitionedFile, decoder: RowDecoder, configuration: Configuration): Iterator[InternalRow] = {
    val path = file.toPath
    val whole = codec(path, configuration).isDefined
    val end = file.start + file.length
    // Whoever plans a scan by other means than a listing may leave the size out.
    val fileSize = if (file.fileSize > 0) file.fileSize else path.getFileSystem(configuration).getFileStatus(path).getLen
    val reader =
      if (whole) new RecordReader(CodecStreams.createInputStream(configuration, path), path.toString, 0, -1)
      else RecordBoundaries.open(path, file.start, fileSize, file.modificationTime, configuration)
    Option(TaskContext.get()).foreach(_.addTaskCompletionListener[Unit](_ => reader.close()))
    new Iterator[InternalRow] {
      private var row: InternalRow = _
      private var done = false

      override def hasNext: Boolean = {
        if (row == null && !done) {
          val inside = whole || reader.offset < end
          row = if (inside) decoder.next(reader) else null
          if (row == null) {
            done = true
            if (!whole) RecordBoundaries.remember(path, reader.offset, fileSize, file.modificationTime)
            reader.close()
          }
        }
        row != null
      }

      override def next(): InternalRow = {
        if (!hasNext) throw new NoSuchElementException("no more records")
        val current = row
        row = null
        current
      }
    }
  }

  private def slotsToWrite(schema: StructType, options: RecordIOOptions, caseSensitive: Boolean): Array[Slot] = {
    val found = s"the columns are ${schema.fieldNames.mkString("'", "', '", "'")}"
    def has(slot: Slot) = schema.fieldNames.exists(name => if (caseSensitive) name == slot.column else name.equalsIgnoreCase(slot.column))
    for (slot <- options.slots if !has(slot)) {
      if (!slot.isLabel) throw new IllegalArgumentException(s"there is no features column '${slot.column}' (option " +
        s"${RecordIOOptions.FeaturesColumn}); $found")
      if (options.namesLabel || options.namesLabelEntries) throw new IllegalArgumentException(s"there is no label column '${slot.column}' (option " +
        s"${RecordIOOptions.LabelColumn}); $found")
    }
    val slots = schema.map(field => options.slot(field.name, caseSensitive)).toArray
    for ((field, slot) <- schema.fields.zip(slots) if !RowEncoder.supports(field.dataType, slot.isLabel))
      throw new IllegalArgumentException(s"column '${field.name}' of type ${field.dataType.simpleString} cannot be written; it must be " +
        (if (slot.isLabel) "a number, " else "") + "a vector, a matrix, or an array of float, double or int")
    slots
  }
}

private final class RecordIOWriterFactory(slots: Array[Slot], types: Array[DataType], asFloat64: Boolean) extends OutputWriterFactory {

  override def getFileExtension(context: TaskAttemptContext): String = ".pbr" + CodecStreams.getCompressionExtension(context)

  override def newInstance(path: String, dataSchema: StructType, context: TaskAttemptContext): OutputWriter =
    new RecordIOWriter(path, context, slots, new RowEncoder(slots, types, asFloat64))
}

private final class RecordIOWriter(override val path: String, context: TaskAttemptContext, slots: Array[Slot], rows: RowEncoder)
    extends OutputWriter {
  private val records = new RecordEncoder(slots)
  private val output = new java.io.BufferedOutputStream(CodecStreams.createOutputStream(context, new Path(path)), 1 << 16)
  private var written = 0L

  override def write(row: InternalRow): Unit = {
    try {
      rows.encode(row, records.tensors)
      records.write(output)
    } catch {
      case error: IllegalArgumentException => throw new IllegalArgumentException(s"row $written of $path: ${error.getMessage}", error)
    }
    written += 1
  }

  override def close(): Unit = output.close()
}
