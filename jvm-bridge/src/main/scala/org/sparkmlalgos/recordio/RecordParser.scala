package org.sparkmlalgos.recordio

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.UTF_8

/** Parses the protobuf message `Record` into one tensor per wanted column; all else is passed over.
  *
  * Written by hand, because no protobuf library is in every Spark's class path under its own name, and because tensors then go to their
  * arrays without a message object in between. It accepts what protobuf parsers accept: fields in any order, packed and unpacked numbers,
  * packed ones in several pieces, unknown fields, and of an entry that occurs twice the last one.
  *
  * @param slots the wanted columns
  */
final class RecordParser(slots: Array[Slot]) {
  import RecordParser._

  /** The tensors of the record last parsed, in the order of `slots`; of kind `Absent` where the record has no such entry. */
  val tensors: Array[Tensor] = slots.map(_ => new Tensor)

  private var bytes = Array.emptyByteArray
  private var numbers = ByteBuffer.wrap(bytes)
  private var position = 0
  private var reader: RecordReader = _
  private var names: List[(Int, String)] = Nil
  private var collectsNames = false

  /** Parse the current record of a reader.
    *
    * @throws RecordIOException if it is no `Record`
    */
  def parse(source: RecordReader): Unit = {
    reader = source
    if (bytes ne source.bytes) {
      bytes = source.bytes
      numbers = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    }
    position = source.from
    var index = 0
    while (index < tensors.length) {
      tensors(index).clear()
      index += 1
    }
    parseRecord(source.until)
  }

  /** Names of all entries of the current record, with the field each is in. */
  def entries(source: RecordReader): Seq[(Int, String)] = {
    names = Nil
    collectsNames = true
    try parse(source)
    finally collectsNames = false
    names.reverse
  }

  private def parseRecord(end: Int): Unit = while (position < end) {
    val tag = readTag(end)
    val field = tag >>> 3
    if (field == Layout.FeaturesField || field == Layout.LabelField) {
      expect(tag, Delimited, "Record." + (if (field == Layout.FeaturesField) "features" else "label"))
      parseEntry(field, readLength(end))
    } else skipField(tag, end)
  }

  private def parseEntry(field: Int, end: Int): Unit = {
    var keyFrom, keyUntil, valueFrom, valueUntil = position
    var values = 0
    while (position < end) {
      val tag = readTag(end)
      if (tag == KeyTag) {
        keyUntil = readLength(end)
        keyFrom = position
        position = keyUntil
      } else if (tag == ValueTag) {
        val until = readLength(end)
        values += 1
        // A message field that occurs twice is merged by protobuf's rules; no writer does that in a map.
        if (values > 1) fail("an entry of a map with two values")
        valueFrom = position
        valueUntil = until
        position = until
      } else skipField(tag, end)
    }
    if (collectsNames) names ::= ((field, new String(bytes, keyFrom, keyUntil - keyFrom, UTF_8)))
    val slot = slotOf(field, keyFrom, keyUntil)
    if (slot >= 0) {
      tensors(slot).clear()
      position = valueFrom
      parseValue(tensors(slot), valueUntil)
      position = end
    }
  }

  private def slotOf(field: Int, from: Int, until: Int): Int = {
    var index = 0
    while (index < slots.length) {
      val slot = slots(index)
      if (slot.field == field && equalsKey(slot.key, from, until)) return index
      index += 1
    }
    -1
  }

  private def equalsKey(key: Array[Byte], from: Int, until: Int): Boolean = {
    var index = 0
    if (key.length != until - from) return false
    while (index < key.length && key(index) == bytes(from + index)) index += 1
    index == key.length
  }

  private def parseValue(tensor: Tensor, end: Int): Unit = while (position < end) {
    val tag = readTag(end)
    (tag >>> 3) match {
      case kind @ (Tensor.Float32 | Tensor.Float64 | Tensor.Int32 | Tensor.Bytes) =>
        expect(tag, Delimited, "Value." + kind)
        val until = readLength(end)
        // The members of a oneof replace one another; the same member again adds to it.
        if (tensor.kind != kind) tensor.clear()
        tensor.kind = kind
        if (kind == Tensor.Bytes) position = until else parseTensor(tensor, until)
      case _ => skipField(tag, end)
    }
  }

  private def parseTensor(tensor: Tensor, end: Int): Unit = while (position < end) {
    val tag = readTag(end)
    (tag >>> 3) match {
      case ValuesField =>
        tensor.kind match {
          case Tensor.Float32 => parseFloats(tensor, tag, end)
          case Tensor.Float64 => parseDoubles(tensor, tag, end)
          case _ => parseInts(tensor, tag, end)
        }
      case KeysField =>
        val until = packedEnd(tag, Varint, "keys", end)
        while (position < until) tensor.addKey(readVarint(until))
      case ShapeField =>
        val until = packedEnd(tag, Varint, "shape", end)
        while (position < until) {
          if (tensor.dimensions == MaxDimensions) fail(s"a shape of more than $MaxDimensions dimensions")
          tensor.addDimension(readVarint(until))
        }
      case _ => skipField(tag, end)
    }
  }

  private def parseFloats(tensor: Tensor, tag: Int, end: Int): Unit = {
    val count = fixedCount(packedEnd(tag, Fixed32, "values", end), 4)
    tensor.reserveValues(count)
    val values = tensor.values
    var at = tensor.size
    val until = at + count
    while (at < until) {
      values(at) = numbers.getFloat(position).toDouble
      position += 4
      at += 1
    }
    tensor.size = until
  }

  private def parseDoubles(tensor: Tensor, tag: Int, end: Int): Unit = {
    val count = fixedCount(packedEnd(tag, Fixed64, "values", end), 8)
    tensor.reserveValues(count)
    var left = count
    while (left > 0) {
      tensor.values(tensor.size) = numbers.getDouble(position)
      tensor.size += 1
      position += 8
      left -= 1
    }
  }

  private def parseInts(tensor: Tensor, tag: Int, end: Int): Unit = {
    val until = packedEnd(tag, Varint, "values", end)
    // An int32 is on the wire the 64-bit number of the same value; protobuf keeps the low half of any other.
    while (position < until) tensor.addValue(readVarint(until).toInt.toDouble)
  }

  /** Where the numbers end that start at `position`: a packed run, or one number. */
  private def packedEnd(tag: Int, single: Int, what: String, end: Int): Int = tag & 7 match {
    case Delimited => readLength(end)
    case `single` if single == Varint => position + varintLength(end)
    case `single` =>
      val bytes = if (single == Fixed32) 4 else 8
      if (end - position < bytes) fail(s"the number goes on for $bytes bytes, but its message ends after ${end - position}")
      position + bytes
    case other => fail(s"wire type $other of a tensor's $what; expected $single or $Delimited")
  }

  private def fixedCount(until: Int, width: Int): Int = {
    if ((until - position) % width != 0) fail(s"packed numbers of $width bytes each take ${until - position} bytes")
    (until - position) / width
  }

  private def varintLength(end: Int): Int = {
    val start = position
    readVarint(end)
    val length = position - start
    position = start
    length
  }

  private def skipField(tag: Int, end: Int): Unit = tag & 7 match {
    case Varint => readVarint(end)
    case Fixed64 => advance(8, end)
    case Delimited => position = readLength(end)
    case Fixed32 => advance(4, end)
    case other => fail(s"wire type $other of field ${tag >>> 3}")
  }

  private def advance(count: Int, end: Int): Unit = {
    if (end - position < count) fail(s"the field goes on for $count bytes, but its message ends after ${end - position}")
    position += count
  }

  private def expect(tag: Int, wireType: Int, what: String): Unit =
    if ((tag & 7) != wireType) fail(s"wire type ${tag & 7} of $what; expected $wireType")

  private def readTag(end: Int): Int = {
    val tag = readVarint(end)
    if (tag >>> 3 == 0 || tag >>> 32 != 0) fail(s"no field has the tag ${java.lang.Long.toUnsignedString(tag)}")
    tag.toInt
  }

  /** Reads the length of what follows.
    *
    * @return where it ends
    */
  private def readLength(end: Int): Int = {
    val length = readVarint(end)
    if (length < 0 || length > end - position)
      fail(s"a field claims ${java.lang.Long.toUnsignedString(length)} bytes, but its message ends after ${end - position}")
    position + length.toInt
  }

  private def readVarint(end: Int): Long = {
    if (position >= end) fail("a number is cut off where its message ends")
    val first = bytes(position)
    position += 1
    if (first >= 0) first.toLong
    else {
      var value = (first & 0x7f).toLong
      var shift = 7
      while (true) {
        if (position >= end) fail("a number is cut off where its message ends")
        if (shift >= 70) fail("a number of more than ten bytes")
        val next = bytes(position)
        position += 1
        value |= (next & 0x7f).toLong << shift
        if (next >= 0) return value
        shift += 7
      }
      value
    }
  }

  private def fail(problem: String): Nothing = throw reader.error(reader.offsetOf(position), s"no Record message: $problem")
}

object RecordParser {
  // Protobuf's wire types.
  private val Varint = 0
  private val Fixed64 = 1
  private val Delimited = 2
  private val Fixed32 = 5

  // Fields of a map's entry, with their wire type, and of the tensors.
  private val KeyTag = 1 << 3 | Delimited
  private val ValueTag = 2 << 3 | Delimited
  private val ValuesField = 1
  private val KeysField = 2
  private val ShapeField = 3

  // As many as NumPy's arrays can have.
  private val MaxDimensions = 64
}
