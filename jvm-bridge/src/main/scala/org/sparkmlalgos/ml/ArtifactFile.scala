package org.sparkmlalgos.ml

import java.io.RandomAccessFile
import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.Path

import org.json4s.JsonAST.{JArray, JInt, JString}
import org.json4s.jackson.JsonMethods.{compact, render}

/** The file of an artifact that `sparkml_algos.core.shared_artifacts` sends to a session; the layout is described there. */
private object ArtifactFile {
  private final val LengthOfHeader = 11
  private final val Header = 19
  private final val Alignment = 64

  def read(path: Path): Artifact = {
    val file = new RandomAccessFile(path.toFile, "r")
    try {
      val length = ByteBuffer.wrap(bytes(file, LengthOfHeader, 8)).order(ByteOrder.LITTLE_ENDIAN).getLong
      val described = PythonJson.parse(new String(bytes(file, Header, length), UTF_8))
      val first = (Header + length + Alignment - 1) / Alignment * Alignment
      val JArray(places) = described \ "arrays"
      val arrays = places.collect { case JArray(List(JString(name), JString(dtype), JArray(lengths), JInt(place))) =>
        val shape = lengths.collect { case JInt(length) => length.toLong }
        name -> NamedArray(dtype, shape, bytes(file, first + place.toLong, shape.product * itemSize(dtype)))
      }
      new Artifact(arrays.toMap, compact(render(described \ "values")))
    } finally file.close()
  }

  private def bytes(file: RandomAccessFile, start: Long, count: Long): Array[Byte] = {
    val content = new Array[Byte](Math.toIntExact(count))
    file.seek(start)
    file.readFully(content)
    content
  }

  /** Of `<f8` it is 8. */
  private def itemSize(dtype: String): Int = dtype.drop(2).toInt
}
