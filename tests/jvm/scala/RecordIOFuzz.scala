import java.io.{ByteArrayInputStream, ByteArrayOutputStream}
import java.lang.management.ManagementFactory
import java.util.Arrays

import scala.util.Random

import org.apache.spark.ml.linalg.SQLDataTypes.{MatrixType, VectorType}
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.sql.types._
import org.sparkmlalgos.recordio._

/** Feeds damaged files to the reader: `RecordIOFuzz SEED INPUTS`.
  *
  * Of every input the reader must make valid rows until it ends or refuses it with a `RecordIOException`, within bounds of time and memory.
  * Prints one line of counts; ends with exit status 1, and the input, at anything else.
  */
object RecordIOFuzz {
  private val Slots = Array(Slot("label", isLabel = true, "values"), Slot("features", isLabel = false, "values"))
  private val Columns: Array[Array[DataType]] = Array(
    Array(DoubleType, VectorType),
    Array(VectorType, VectorType),
    Array(VectorType, VectorType),
    Array(VectorType, VectorType),
    Array(DoubleType, MatrixType),
    Array(ArrayType(DoubleType), ArrayType(DoubleType)),
    Array(ArrayType(FloatType), ArrayType(FloatType)),
    Array(ArrayType(IntegerType), ArrayType(IntegerType)))

  // Besides its own size an input may cost the reader's buffers and the row pointers of a sparse matrix, both once while they grow.
  private val MaxAllocation = 80L << 20
  private val MaxNanoseconds = 5L * 1000 * 1000 * 1000
  private val threads = ManagementFactory.getThreadMXBean.asInstanceOf[com.sun.management.ThreadMXBean]

  private var rows, refused, whole = 0L
  private var mostAllocated, longest = 0L

  def main(arguments: Array[String]): Unit = {
    val random = new Random(arguments(0).toLong)
    val inputs = arguments(1).toInt
    for (number <- 0 until inputs) {
      val input = mutate(file(random), random)
      val types = Columns(random.nextInt(Columns.length))
      val known = random.nextBoolean()
      try check(input, types, known)
      catch {
        case error: Throwable =>
          println(s"input $number, columns ${types.mkString(", ")}, known length $known: ${input.map("%02x".format(_)).mkString}")
          error.printStackTrace(System.out)
          sys.exit(1)
      }
    }
    println(s"inputs=$inputs refused=$refused whole=$whole rows=$rows megabytes=${mostAllocated >> 20} milliseconds=${longest / 1000000}")
  }

  private def check(input: Array[Byte], types: Array[DataType], known: Boolean): Unit = {
    val (time, allocated) = (System.nanoTime(), threads.getThreadAllocatedBytes(Thread.currentThread().getId))
    val length = if (known) input.length.toLong else -1L
    var read = 0L
    val ended =
      try {
        val decoder = new RowDecoder(Slots, types, -1)
        val reader = new RecordReader(new ByteArrayInputStream(input), "input", 0, length)
        var row = decoder.next(reader)
        while (row != null) {
          validate(row, types)
          read += 1
          row = decoder.next(reader)
        }
        true
      } catch {
        case error: RecordIOException =>
          require(error.offset >= 0 && error.offset <= input.length, s"${error.getMessage} is outside the input of ${input.length} bytes")
          false
      }
    val spent = threads.getThreadAllocatedBytes(Thread.currentThread().getId) - allocated
    require(spent < MaxAllocation + 64L * input.length, s"$spent bytes allocated")
    require(System.nanoTime() - time < MaxNanoseconds, "it took too long")
    mostAllocated = math.max(mostAllocated, spent)
    longest = math.max(longest, System.nanoTime() - time)
    if (ended) {
      whole += 1
      require(skipped(input, length) == read, "passing over records finds another number of them")
    } else refused += 1
    rows += read
  }

  private def skipped(input: Array[Byte], length: Long): Long = {
    val reader = new RecordReader(new ByteArrayInputStream(input), "input", 0, length)
    Iterator.continually(reader.skip()).takeWhile(identity).size.toLong
  }

  /** Spark's own vectors and matrices check what they are made of. */
  private def validate(row: UnsafeRow, types: Array[DataType]): Unit = for ((dataType, column) <- types.zipWithIndex if !row.isNullAt(column))
    dataType match {
      case udt: UserDefinedType[_] => udt.deserialize(row.getStruct(column, udt.sqlType.asInstanceOf[StructType].length))
      case ArrayType(DoubleType, _) => row.getArray(column).toDoubleArray()
      case ArrayType(FloatType, _) => row.getArray(column).toFloatArray()
      case ArrayType(_, _) => row.getArray(column).toIntArray()
      case _ => row.getDouble(column)
    }

  /** Some good records: dense and sparse, vectors and matrices, of all kinds; sometimes a record in parts. */
  private def file(random: Random): Array[Byte] = {
    val output = new ByteArrayOutputStream
    val encoder = new RecordEncoder(Slots)
    for (_ <- 0 to math.max(0, random.nextInt(5) - 2)) {
      encoder.tensors.foreach(_.clear())
      if (random.nextInt(4) > 0) fill(encoder.tensors(0), 1, sparse = false, matrix = false, random)
      fill(encoder.tensors(1), random.nextInt(12), random.nextBoolean(), random.nextInt(3) == 0, random)
      val frame = new ByteArrayOutputStream
      encoder.write(frame)
      output.write(if (random.nextInt(8) == 0) inParts(frame.toByteArray) else frame.toByteArray)
    }
    output.toByteArray
  }

  private def fill(tensor: Tensor, count: Int, sparse: Boolean, matrix: Boolean, random: Random): Unit = {
    tensor.kind = Array(Tensor.Float32, Tensor.Float64, Tensor.Int32)(random.nextInt(3))
    for (index <- 0 until count) {
      tensor.addValue(random.nextInt(2000) - 1000)
      if (sparse) tensor.addKey(3L * index)
    }
    val total = if (sparse) 3 * math.max(count, 1) else count
    if (matrix && total > 0) tensor.addDimension(1)
    if (sparse || matrix) tensor.addDimension(total)
  }

  /** One frame as two with continuation flags, as if the magic number had stood between its words. */
  private def inParts(frame: Array[Byte]): Array[Byte] = {
    val payload = frame.slice(8, 8 + (frame(4) & 0xff | (frame(5) & 0xff) << 8))
    val cut = payload.length / 8 * 4
    part(1, payload.take(cut)) ++ part(3, payload.drop(cut))
  }

  private def part(flag: Int, payload: Array[Byte]): Array[Byte] =
    Array(0x0a, 0x23, 0xd7, 0xce, payload.length, payload.length >> 8, 0, flag << 5).map(_.toByte) ++ payload ++ new Array[Byte](-payload.length & 3)

  private def mutate(good: Array[Byte], random: Random): Array[Byte] = {
    var bytes = good
    for (_ <- 0 until random.nextInt(4) if bytes.nonEmpty) {
      val at = random.nextInt(bytes.length)
      bytes = random.nextInt(8) match {
        case 0 => bytes.updated(at, (bytes(at) ^ 1 << random.nextInt(8)).toByte)
        case 1 => bytes.updated(at, random.nextInt(256).toByte)
        case 2 => bytes.updated(at, Array(0, 1, 4, 8, 0x7f, 0x80, 0xff)(random.nextInt(7)).toByte)
        case 3 => bytes.take(at)
        case 4 => bytes.patch(at, Nil, 1 + random.nextInt(8))
        case 5 => bytes.patch(at, Array.fill(1 + random.nextInt(8))(random.nextInt(256).toByte), 0)
        // A number with all its bits, or about as large as memory, where a short one was.
        case 6 => bytes.patch(at, (Array.fill(random.nextInt(9))(0xff.toByte) :+ random.nextInt(128).toByte).toSeq, 1)
        case _ => bytes.patch(at, Arrays.copyOfRange(bytes, random.nextInt(bytes.length), bytes.length).take(12).toSeq, random.nextInt(12))
      }
    }
    // Most damage breaks a frame's length; mended, it is the message inside that is looked at.
    if (random.nextBoolean() && bytes.length >= 8) mended(bytes) else bytes
  }

  private def mended(bytes: Array[Byte]): Array[Byte] = {
    val length = bytes.length - 8
    val mended = bytes.clone() ++ new Array[Byte](-length & 3)
    Array(0x0a, 0x23, 0xd7, 0xce, length, length >> 8, length >> 16, 0).map(_.toByte).copyToArray(mended)
    mended
  }
}
