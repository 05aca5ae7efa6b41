package org.sparkmlalgos.recordio

import java.util

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path

/** Finds the first record at or behind an offset of a file.
  *
  * A frame cannot be recognised where it stands: a payload may hold the magic number, even whole frames that end where it ends, so that no
  * check of what follows tells them from the file's own. The one thing that is certain is that a frame starts at offset 0. So the headers of
  * the frames are walked from there, without reading long payloads, and what is found is remembered for the file, by all tasks of this JVM:
  * the reader of one split leaves the start of the next, and an executor walks a file once, however many of its splits it reads.
  */
object RecordBoundaries {
  private val MaxFiles = 1024

  private final case class FileVersion(path: Path, length: Long, modificationTime: Long)

  /** Offsets at which a record of the file is known to start. */
  private final class Known extends util.TreeSet[java.lang.Long]

  private val files = new util.LinkedHashMap[FileVersion, Known](16, 0.75f, true) {
    override def removeEldestEntry(eldest: util.Map.Entry[FileVersion, Known]): Boolean = size > MaxFiles
  }

  /** A reader that stands at the first record which starts at `offset` or behind it; at the end of the file if there is none.
    *
    * @param modificationTime of the file, with whose length it identifies what was remembered
    */
  def open(path: Path, offset: Long, length: Long, modificationTime: Long, configuration: Configuration): RecordReader = {
    val known = knownOf(path, length, modificationTime)
    // Tasks that need the same walk wait for it instead of repeating it.
    val start = known.synchronized {
      val before = known.floor(offset)
      if (before == offset) offset else walk(path, before, offset, length, known, configuration)
    }
    openAt(path, start, length, configuration)
  }

  /** Remember that a record starts here. */
  def remember(path: Path, offset: Long, length: Long, modificationTime: Long): Unit = {
    val known = knownOf(path, length, modificationTime)
    known.synchronized(known.add(offset))
  }

  private def walk(path: Path, from: Long, offset: Long, length: Long, known: Known, configuration: Configuration): Long = {
    // What was remembered before `offset` need not be the last record before it; what is behind may still be the first.
    val reader = openAt(path, from, length, configuration)
    try {
      while (reader.offset < offset && reader.skip()) {}
      known.add(reader.offset)
      reader.offset
    } finally reader.close()
  }

  private def openAt(path: Path, offset: Long, length: Long, configuration: Configuration): RecordReader = {
    val stream = path.getFileSystem(configuration).open(path)
    try stream.seek(offset)
    catch {
      case error: Throwable =>
        stream.close()
        throw error
    }
    new RecordReader(stream, path.toString, offset, length)
  }

  private def knownOf(path: Path, length: Long, modificationTime: Long): Known = files.synchronized {
    files.computeIfAbsent(FileVersion(path, length, modificationTime), _ => {
      val known = new Known
      known.add(0L)
      known
    })
  }
}
