package org.sparkmlalgos.recordio

import java.io.{Closeable, InputStream}

/** The records of a stream of RecordIO frames, one after the other.
  *
  * A record lies in one piece in `bytes` from `from` to `until`, valid until the next call. Memory grows with the bytes that have arrived,
  * never with what a length field claims.
  *
  * @param input the stream, at a frame; closed with the reader
  * @param file its name, for errors
  * @param start the offset of the stream's first byte in the file
  * @param fileLength the length of the file, or -1 where it is not known, as behind a decompressor
  */
final class RecordReader(input: InputStream, file: String, start: Long, fileLength: Long) extends Closeable {
  import RecordReader._

  private var buffer = new Array[Byte](InitialBuffer)
  private var position, limit = 0
  private var bufferOffset = start
  private var payload = 0
  private var joined = Array.emptyByteArray
  private var inOnePart = true

  /** The array that holds the record. */
  var bytes: Array[Byte] = buffer

  /** Where the record starts in `bytes`. */
  var from: Int = 0

  /** Where the record ends in `bytes`. */
  var until: Int = 0

  /** The offset in the file of the record's first frame. */
  var recordOffset: Long = start

  /** The offset in the file of the next frame. */
  def offset: Long = bufferOffset + position

  /** Go on to the next record; false at the end of the stream.
    *
    * @throws RecordIOException if there are no frames, or half of one
    */
  def next(): Boolean = startsRecord() && {
    val flag = header()
    if (flag == Whole) {
      require(payload + padding(payload))
      bytes = buffer
      from = position
      until = position + payload
      inOnePart = true
      position += payload + padding(payload)
    } else joinParts(flag)
    true
  }

  /** Pass over the next record without looking at its content; false at the end of the stream. */
  def skip(): Boolean = startsRecord() && {
    var flag = header()
    if (flag != Whole) checkFirst(flag)
    pass(payload + padding(payload))
    while (flag != Whole && flag != Last) {
      flag = laterPart()
      pass(payload + padding(payload))
    }
    true
  }

  /** The offset in the file of `bytes(index)`; of a record in several parts only where the record starts. */
  def offsetOf(index: Int): Long = if (inOnePart) bufferOffset + index else recordOffset

  /** An error at an offset of this file. */
  def error(at: Long, problem: String): RecordIOException = new RecordIOException(file, at, problem)

  override def close(): Unit = input.close()

  private def startsRecord(): Boolean = {
    recordOffset = offset
    fill(1)
  }

  /** Reads the header of a frame: the continuation flag, and `payload`, the length. */
  private def header(): Int = {
    val at = offset
    if (!fill(HeaderBytes)) throw error(at, s"truncated: a frame's header has $HeaderBytes bytes, but only ${limit - position} are left")
    val magic = int(position)
    if (magic != Magic) {
      val hint = if ((magic & 0xffff) == GzipMagic) "; these are gzip data, whose file must be named .gz" else ""
      throw error(at, f"no RecordIO frame: it starts with 0x${Magic}%08x, found 0x$magic%08x$hint")
    }
    val word = int(position + 4)
    payload = word & MaxPayload
    position += HeaderBytes
    val left = fileLength - offset
    if (fileLength >= 0 && payload + padding(payload) > left)
      throw error(at, s"truncated: the frame claims $payload bytes${padded(payload)}, but only $left are left in the file")
    word >>> LengthBits
  }

  private def joinParts(first: Int): Unit = {
    checkFirst(first)
    var size = 0
    var flag = first
    require(payload + padding(payload))
    size = append(size, payload)
    while (flag != Last) {
      flag = laterPart()
      require(payload + padding(payload))
      size = appendMagic(size)
      size = append(size, payload)
    }
    bytes = joined
    from = 0
    until = size
    inOnePart = false
  }

  private def checkFirst(flag: Int): Unit =
    if (flag != First) throw error(recordOffset, s"a record starts with a frame of continuation flag $flag; expected $Whole or $First")

  private def laterPart(): Int = {
    val at = offset
    if (!fill(1)) throw error(at, s"truncated: the last part of the record at byte $recordOffset is missing")
    val flag = header()
    if (flag != Middle && flag != Last)
      throw error(at, s"a frame of continuation flag $flag within the record at byte $recordOffset; expected $Middle or $Last")
    flag
  }

  private def append(size: Int, count: Int): Int = {
    reserve(size, count)
    System.arraycopy(buffer, position, joined, size, count)
    position += count + padding(count)
    size + count
  }

  private def appendMagic(size: Int): Int = {
    reserve(size, 4)
    for (index <- 0 until 4) joined(size + index) = (Magic >>> 8 * index).toByte
    size + 4
  }

  private def reserve(size: Int, count: Int): Unit = {
    val needed = size.toLong + count
    if (needed > MaxArray) throw error(recordOffset, s"a record of more than $MaxArray bytes")
    if (needed > joined.length)
      joined = java.util.Arrays.copyOf(joined, math.min(MaxArray, math.max(needed, 2L * joined.length)).toInt)
  }

  private def require(count: Int): Unit =
    if (!fill(count)) throw error(offset, s"truncated: the frame goes on for $count bytes, but only ${limit - position} are left")

  /** Whether `count` bytes from `position` on are in the buffer, or could be brought there. */
  private def fill(count: Int): Boolean = {
    while (limit - position < count) {
      if (limit == buffer.length) makeRoom()
      val got = input.read(buffer, limit, buffer.length - limit)
      if (got < 0) return false
      limit += got
    }
    true
  }

  private def makeRoom(): Unit = {
    val unread = limit - position
    // Growing only when it is full of unread bytes keeps the buffer within twice what has arrived.
    val target = if (unread > buffer.length / 2) new Array[Byte](math.min(MaxArray, 2L * buffer.length).toInt) else buffer
    System.arraycopy(buffer, position, target, 0, unread)
    buffer = target
    bufferOffset += position
    position = 0
    limit = unread
  }

  private def pass(count: Int): Unit =
    if (count <= buffer.length) {
      require(count)
      position += count
    } else {
      // More than the buffer is jumped over, where the stream can.
      var left = count.toLong - (limit - position)
      bufferOffset += limit
      position = 0
      limit = 0
      while (left > 0) {
        // Jumping behind the end goes unnoticed; of a file whose length is known the header's check has ruled it out.
        var gone = if (fileLength >= 0) input.skip(left) else 0L
        if (gone <= 0) gone = input.read(buffer, 0, math.min(left, buffer.length).toInt).toLong
        if (gone < 0) throw error(offset, s"truncated: the frame goes on for $left bytes, but the file ends here")
        bufferOffset += gone
        left -= gone
      }
    }

  private def int(at: Int): Int =
    buffer(at) & 0xff | (buffer(at + 1) & 0xff) << 8 | (buffer(at + 2) & 0xff) << 16 | (buffer(at + 3) & 0xff) << 24
}

object RecordReader {
  val Magic = 0xced7230a
  val HeaderBytes = 8
  val LengthBits = 29

  /** The longest payload that a frame's header can express. */
  val MaxPayload: Int = (1 << LengthBits) - 1

  private val Whole = 0
  private val First = 1
  private val Middle = 2
  private val Last = 3
  private val InitialBuffer = 128 << 10
  private val GzipMagic = 0x8b1f
  // The largest array that every JVM can make.
  private val MaxArray = Int.MaxValue - 8

  /** Zero bytes behind a payload of this length. */
  def padding(length: Int): Int = -length & 3

  private def padded(length: Int): String = if (padding(length) == 0) "" else s" and ${padding(length)} of padding"
}
