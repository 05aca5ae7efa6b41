package org.sparkmlalgos.recordio

import java.io.IOException

/** Bytes of a file that are not what the format says.
  *
  * @param file name of the file
  * @param offset where in the file (in what a compressed file unpacks to) the fault is
  * @param problem what was found there, and what was expected
  */
class RecordIOException(val file: String, val offset: Long, val problem: String)
    extends IOException(s"$file: at byte $offset: $problem")
