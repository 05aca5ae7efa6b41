package org.sparkmlalgos.recordio

import java.io.OutputStream
import java.nio.{ByteBuffer, ByteOrder}

/** Writes records as RecordIO frames.
  *
  * @param slots the columns, in the order of `tensors`
  */
final class RecordEncoder(slots: Array[Slot]) {
  import RecordEncoder._

  /** To be filled before each `write`; of kind `Absent` where the record is to have no such entry. */
  val tensors: Array[Tensor] = slots.map(_ => new Tensor)

  // Features come before labels, as other writers have it.
  private val order: Array[Int] = slots.indices.sortBy(slots(_).field).toArray
  private val valueBytes, keyBytes, shapeBytes, tensorBytes = new Array[Long](slots.length)
  private var buffer = Array.emptyByteArray
  private var numbers = ByteBuffer.wrap(buffer)
  private var position = 0

  /** Write what is in `tensors` as one record.
    *
    * @throws IllegalArgumentException if it is longer than a frame can be
    */
  def write(output: OutputStream): Unit = {
    var payload = 0L
    var next = 0
    while (next < order.length) {
      if (tensors(order(next)).kind != Tensor.Absent) payload += measured(entryBytes(order(next)))
      next += 1
    }
    if (payload > RecordReader.MaxPayload)
      throw new IllegalArgumentException(s"a record of $payload bytes; a frame holds at most ${RecordReader.MaxPayload}")
    val total = RecordReader.HeaderBytes + payload.toInt + RecordReader.padding(payload.toInt)
    if (buffer.length < total) {
      buffer = new Array[Byte](math.max(total.toLong, math.min(2L * buffer.length, Int.MaxValue - 8)).toInt)
      numbers = ByteBuffer.wrap(buffer).order(ByteOrder.LITTLE_ENDIAN)
    }
    position = 0
    putInt(RecordReader.Magic)
    putInt(payload.toInt)
    next = 0
    while (next < order.length) {
      if (tensors(order(next)).kind != Tensor.Absent) putEntry(order(next))
      next += 1
    }
    while (position < total) putByte(0)
    output.write(buffer, 0, total)
  }

  /** Measures all parts of an entry; the length of its message. */
  private def entryBytes(index: Int): Long = {
    val tensor = tensors(index)
    valueBytes(index) = tensor.kind match {
      case Tensor.Float32 => 4L * tensor.size
      case Tensor.Float64 => 8L * tensor.size
      case _ => varintsOfValues(tensor)
    }
    keyBytes(index) = varints(tensor.keys, tensor.numKeys)
    shapeBytes(index) = varints(tensor.shape, tensor.dimensions)
    tensorBytes(index) = field(valueBytes(index)) + field(keyBytes(index)) + field(shapeBytes(index))
    measured(slots(index).key.length.toLong) + measured(measured(tensorBytes(index)))
  }

  private def putEntry(index: Int): Unit = {
    val (slot, tensor) = (slots(index), tensors(index))
    val value = measured(tensorBytes(index))
    putHead(slot.field, measured(slot.key.length.toLong) + measured(value))
    putHead(1, slot.key.length.toLong)
    System.arraycopy(slot.key, 0, buffer, position, slot.key.length)
    position += slot.key.length
    putHead(2, value)
    putHead(tensor.kind, tensorBytes(index))
    if (tensor.size > 0) {
      putHead(1, valueBytes(index))
      putValues(tensor)
    }
    if (tensor.numKeys > 0) {
      putHead(2, keyBytes(index))
      putVarints(tensor.keys, tensor.numKeys)
    }
    if (tensor.dimensions > 0) {
      putHead(3, shapeBytes(index))
      putVarints(tensor.shape, tensor.dimensions)
    }
  }

  private def putValues(tensor: Tensor): Unit = {
    var index = 0
    tensor.kind match {
      case Tensor.Float32 =>
        while (index < tensor.size) {
          numbers.putFloat(position, tensor.values(index).toFloat)
          position += 4
          index += 1
        }
      case Tensor.Float64 =>
        while (index < tensor.size) {
          numbers.putDouble(position, tensor.values(index))
          position += 8
          index += 1
        }
      case _ =>
        while (index < tensor.size) {
          putVarint(tensor.values(index).toLong)
          index += 1
        }
    }
  }

  private def putHead(field: Int, length: Long): Unit = {
    putByte(field << 3 | Delimited)
    putVarint(length)
  }

  private def putVarints(numbers: Array[Long], count: Int): Unit = {
    var index = 0
    while (index < count) {
      putVarint(numbers(index))
      index += 1
    }
  }

  private def putVarint(number: Long): Unit = {
    var rest = number
    while ((rest & ~0x7fL) != 0) {
      putByte(rest.toInt & 0x7f | 0x80)
      rest >>>= 7
    }
    putByte(rest.toInt)
  }

  private def putInt(number: Int): Unit = {
    numbers.putInt(position, number)
    position += 4
  }

  private def putByte(number: Int): Unit = {
    buffer(position) = number.toByte
    position += 1
  }
}

object RecordEncoder {
  private val Delimited = 2

  private def varintBytes(number: Long): Int = (70 - java.lang.Long.numberOfLeadingZeros(number | 1)) / 7

  /** Bytes of a field of at most number 15 whose content has this length. */
  private def measured(length: Long): Long = 1 + varintBytes(length) + length

  /** The same of a field that is left out when it is empty. */
  private def field(length: Long): Long = if (length == 0) 0 else measured(length)

  private def varints(numbers: Array[Long], count: Int): Long = {
    var total = 0L
    var index = 0
    while (index < count) {
      total += varintBytes(numbers(index))
      index += 1
    }
    total
  }

  private def varintsOfValues(tensor: Tensor): Long = {
    var total = 0L
    var index = 0
    while (index < tensor.size) {
      total += varintBytes(tensor.values(index).toLong)
      index += 1
    }
    total
  }
}
