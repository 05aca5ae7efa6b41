package org.sparkmlalgos.ml

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.UTF_8

import scala.collection.mutable

/** Universal Binary JSON (draft 12), the form in which the xgboost library keeps a booster.
  *
  * Objects become `Map[String, Any]`, strings `String`, whole numbers `Long` and others `Double`. Arrays of numbers of one type become
  * `Array[Float]`, `Array[Double]`, `Array[Int]`, or `Array[Long]` of whole numbers of 64 bits; all other arrays a `Vector[Any]`.
  */
private object UbJson {

  def parse(bytes: Array[Byte]): Any = new UbJson(ByteBuffer.wrap(bytes).order(ByteOrder.BIG_ENDIAN)).value()
}

private final class UbJson(buffer: ByteBuffer) {

  def value(): Any = of(marker())

  private def of(kind: Char): Any = kind match {
    case '{' => fields()
    case '[' => elements()
    case 'S' => text()
    case 'C' => buffer.get().toChar.toString
    case 'i' | 'U' | 'I' | 'l' | 'L' => whole(kind)
    case 'd' => buffer.getFloat().toDouble
    case 'D' => buffer.getDouble()
    case 'T' => true
    case 'F' => false
    case 'Z' => null
    case other => throw new IllegalArgumentException(s"the booster is damaged: marker '$other' at byte ${buffer.position() - 1}")
  }

  private def fields(): Map[String, Any] = {
    val found = Map.newBuilder[String, Any]
    while (!skip('}')) found += text() -> value()
    found.result()
  }

  private def elements(): Any =
    if (skip('$')) {
      val kind = marker()
      require(skip('#'), s"the booster is damaged: an array without a length at byte ${buffer.position()}")
      numbers(kind, length())
    } else if (skip('#')) Vector.fill(length())(value())
    else {
      val found = mutable.ArrayBuffer.empty[Any]
      while (!skip(']')) found += value()
      found.toVector
    }

  private def numbers(kind: Char, count: Int): Any = kind match {
    case 'd' => Array.fill(count)(buffer.getFloat())
    case 'D' => Array.fill(count)(buffer.getDouble())
    case 'L' => Array.fill(count)(buffer.getLong())
    case _ => Array.fill(count)(whole(kind).toInt)
  }

  private def whole(kind: Char): Long = kind match {
    case 'i' => buffer.get().toLong
    case 'U' => buffer.get() & 0xffL
    case 'I' => buffer.getShort().toLong
    case 'l' => buffer.getInt().toLong
    case 'L' => buffer.getLong()
    case other => throw new IllegalArgumentException(s"the booster is damaged: '$other' is no whole number at byte ${buffer.position()}")
  }

  private def text(): String = {
    val characters = new Array[Byte](length())
    buffer.get(characters)
    new String(characters, UTF_8)
  }

  /** A length; what is left bounds it, so that a damaged file asks for no memory. */
  private def length(): Int = {
    val found = whole(marker())
    require(found >= 0 && found <= buffer.remaining(), s"the booster is damaged: length $found at byte ${buffer.position()}")
    found.toInt
  }

  private def marker(): Char = buffer.get().toChar

  private def skip(expected: Char): Boolean = {
    val found = buffer.get(buffer.position()).toChar == expected
    if (found) buffer.get()
    found
  }
}
