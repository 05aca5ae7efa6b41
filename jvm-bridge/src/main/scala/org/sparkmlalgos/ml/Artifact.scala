package org.sparkmlalgos.ml

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.UTF_8

import scala.collection.mutable

import com.fasterxml.jackson.core.json.JsonReadFeature
import org.apache.spark.SparkContext
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.Row
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema
import org.apache.spark.sql.types._
import org.json4s.JsonAST.{JDouble, JInt, JString}
import org.json4s.jackson.JsonMethods

/** An array of a trained model: `dtype` as NumPy writes it (`<f8`), `data` in little-endian order, the last index running fastest. */
final case class NamedArray(dtype: String, shape: Seq[Long], data: Array[Byte]) {

  def rows: Int = shape.head.toInt

  /** Its numbers as doubles, whatever real type they have. */
  def toDoubles: Array[Double] = {
    val buffer = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
    dtype match {
      case "<f8" => Array.fill(data.length / 8)(buffer.getDouble)
      case "<f4" => Array.fill(data.length / 4)(buffer.getFloat.toDouble)
      case "<i8" => Array.fill(data.length / 8)(buffer.getLong.toDouble)
      case "<i4" => Array.fill(data.length / 4)(buffer.getInt.toDouble)
      case other => throw new IllegalArgumentException(s"arrays of type $other cannot be read as doubles")
    }
  }
}

/** What training produced: named arrays and JSON values, as `sparkml_algos.arrays.artifact` defines them. */
final class Artifact(val arrays: Map[String, NamedArray], val values: String) {

  def doubles(name: String): Array[Double] = apply(name).toDoubles

  /** A number among the JSON values. */
  def number(name: String): Double =
    findNumber(name).getOrElse(throw new IllegalArgumentException(s"the model has no number '$name'"))

  /** A number among the JSON values, if it is there. */
  def findNumber(name: String): Option[Double] = (PythonJson.parse(values) \ name) match {
    case JDouble(value) => Some(value)
    case JInt(value) => Some(value.toDouble)
    case _ => None
  }

  /** A text among the JSON values. */
  def text(name: String): String = (PythonJson.parse(values) \ name) match {
    case JString(value) => value
    case _ => throw new IllegalArgumentException(s"the model has no text '$name'")
  }

  def apply(name: String): NamedArray =
    arrays.getOrElse(name, throw new IllegalArgumentException(s"the model has no array '$name', only ${arrays.keys.mkString(", ")}"))

  /** The arithmetic of a model with this artifact, made when it is first asked for; copies of the model share it. */
  private[ml] def scorer(make: => RowScorer): RowScorer = synchronized {
    if (made.isEmpty) made = Some(make)
    made.get
  }

  /** The same, sent to the executors once. */
  private[ml] def broadcast(context: SparkContext, make: => RowScorer): Broadcast[RowScorer] = synchronized {
    if (!sent.exists(_._1 eq context)) sent = Some((context, context.broadcast(scorer(make))))
    sent.get._2
  }

  private var made: Option[RowScorer] = None
  private var sent: Option[(SparkContext, Broadcast[RowScorer])] = None

  /** The artifact as rows of `Artifact.schema`, each at most `Artifact.ChunkBytes` of data. */
  def toRows: Seq[Row] = {
    val all = (Artifact.ValuesName, NamedArray(Artifact.ValuesType, Nil, values.getBytes(UTF_8))) +: arrays.toSeq
    for {
      (name, array) <- all
      part <- 0 until math.max(1, (array.data.length + Artifact.ChunkBytes - 1) / Artifact.ChunkBytes)
    } yield {
      val start = part * Artifact.ChunkBytes
      val chunk = array.data.slice(start, start + Artifact.ChunkBytes)
      Row(name, part.toLong, array.dtype, array.shape, chunk)
    }
  }
}

object Artifact {

  val ChunkBytes: Int = 1 << 20
  private val ValuesName = ""
  private val ValuesType = "json"

  /** `SPARK_SCHEMA` of the Python module. */
  val schema: StructType = StructType.fromDDL("name string, part long, dtype string, shape array<long>, data binary")

  /** Put the rows of one artifact together again, in whatever order they come. */
  def fromRows(rows: Seq[Row]): Artifact = {
    val arrays = rows.groupBy(_.getAs[String]("name")).map { case (name, chunks) =>
      val sorted = chunks.sortBy(_.getAs[Long]("part"))
      val parts = sorted.map(_.getAs[Long]("part"))
      require(parts == parts.indices.map(_.toLong), s"array '$name' is incomplete: parts ${parts.mkString(", ")}")
      val first = sorted.head
      val data = Array.concat(sorted.map(_.getAs[Array[Byte]]("data")): _*)
      name -> NamedArray(first.getAs[String]("dtype"), first.getAs[scala.collection.Seq[Long]]("shape").toSeq, data)
    }
    val values = arrays.get(ValuesName).map(array => new String(array.data, UTF_8)).getOrElse("{}")
    new Artifact(arrays - ValuesName, values)
  }

  /** Collects the rows of an artifact that come one at a time, from Python. */
  final class Builder {
    private val rows = mutable.ArrayBuffer.empty[Row]

    /** `shape` is a JSON array. */
    def add(name: String, part: Long, dtype: String, shape: String, data: Array[Byte]): Unit = {
      val lengths = JsonMethods.parse(shape).children.collect { case JInt(length) => length.toLong }
      rows += new GenericRowWithSchema(Array(name, part, dtype, lengths, data), schema)
    }

    def result(): Artifact = fromRows(rows.toSeq)
  }
}

/** JSON as Python writes it: with `NaN` and `Infinity`, which the loss of a candidate may be. */
private object PythonJson extends JsonMethods {
  mapper.configure(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature, true)
}
