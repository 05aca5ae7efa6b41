package org.sparkmlalgos.ml

import scala.collection.mutable

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow

/** Anomaly scores, as `sparkml_algos.algorithms.random_cut_forest.prediction` defines them: down each tree by its cuts to a leaf, then up to
  * the first box that contains the row.
  *
  * Nodes and leaves of a tree have one numbering, in which two children stand side by side. A step down must not wait for a guess of where
  * it goes: the numbers are compared as integers of the same order, whose difference has the way as its sign; a leaf is its own left child;
  * and four trees are walked down at once.
  *
  * @param steps   of each node: the cut in the upper half, below it the feature and, in the lowest 16 bits, the left child's number in its
  *                tree
  * @param bases   of each tree, the place of its root
  * @param parents of each node, its parent's place, -1 of a root
  * @param corners of each node, least and largest value in turn, by feature
  * @param ranges  of each node, the sum of the sides of its box
  * @param alone   of each node, 1 / (depth + 1)
  * @param seen    of each leaf, the score of a row that equals it
  * @param scale   log₂(points of a tree + 1) / trees
  */
private final class RandomCutForestScorer(
    override val numFeatures: Int,
    steps: Array[Long],
    bases: Array[Int],
    parents: Array[Int],
    corners: Array[Array[Float]],
    ranges: Array[Double],
    alone: Array[Double],
    seen: Array[Double],
    scale: Double) extends RowScorer {
  import RandomCutForestScorer._

  /** A walk asks for features one by one, wherever they are. */
  override def zerosPerOther: Double = Double.PositiveInfinity

  override def score(row: FeatureRow): InternalRow = {
    val x = row.dense
    val keys = new Array[Long](numFeatures)
    var j = 0
    while (j < numFeatures) { keys(j) = FeatureRow.ordered(x(j).toFloat); j += 1 }
    val places = new Array[Int](Lanes)
    var sum = 0.0
    var tree = 0
    while (tree < bases.length) {
      descend(keys, tree, places)
      var lane = 0
      while (lane < Lanes && tree + lane < bases.length) {
        sum += climb(x, places(lane), corners(tree + lane), bases(tree + lane))
        lane += 1
      }
      tree += Lanes
    }
    new GenericInternalRow(Array[Any](sum * scale))
  }

  /** The places of the leaves the row comes to in four trees. */
  private def descend(keys: Array[Long], tree: Int, places: Array[Int]): Unit = {
    val last = bases.length - 1
    val baseA = bases(tree)
    val baseB = bases(math.min(tree + 1, last))
    val baseC = bases(math.min(tree + 2, last))
    val baseD = bases(math.min(tree + 3, last))
    var a = baseA
    var b = baseB
    var c = baseC
    var d = baseD
    var moved = 1
    while (moved != 0) {
      val nextA = baseA + below(steps(a), keys)
      val nextB = baseB + below(steps(b), keys)
      val nextC = baseC + below(steps(c), keys)
      val nextD = baseD + below(steps(d), keys)
      moved = (nextA ^ a) | (nextB ^ b) | (nextC ^ c) | (nextD ^ d)
      a = nextA
      b = nextB
      c = nextC
      d = nextD
    }
    places(0) = a
    places(1) = b
    places(2) = c
    places(3) = d
  }

  /** The number of the child a row goes to. */
  private def below(step: Long, keys: Array[Long]): Int =
    (step & 0xffff).toInt + (((step >> 32) - keys((step >>> 16).toInt & 0xffff)) >>> 63).toInt

  /** The score of one tree, from the leaf at a place upwards. */
  private def climb(x: Array[Double], leaf: Int, corners: Array[Float], base: Int): Double = {
    var growth = outside(x, corners, leaf - base)
    if (!(growth > 0)) seen(leaf)
    else {
      var value = alone(leaf)
      var place = parents(leaf)
      while (place >= 0) {
        growth = outside(x, corners, place - base) - ranges(place)
        if (growth > Rounding * ranges(place)) {
          // Twice the growth of the box.
          value += growth / (growth + 2 * ranges(place)) * (alone(place) - value)
          place = parents(place)
        } else place = -1
      }
      value
    }
  }

  /** Σ |x − low| + |x − high|: the sides of a box, and twice what the row is outside of it. In four sums, of which none waits for another. */
  private def outside(x: Array[Double], corners: Array[Float], number: Int): Double = {
    var s0, s1, s2, s3 = 0.0
    var at = number * 2 * x.length
    var j = 0
    while (j < x.length - 1) {
      val a = x(j)
      val b = x(j + 1)
      s0 += math.abs(a - corners(at))
      s1 += math.abs(a - corners(at + 1))
      s2 += math.abs(b - corners(at + 2))
      s3 += math.abs(b - corners(at + 3))
      at += 4
      j += 2
    }
    if (j < x.length) {
      s0 += math.abs(x(j) - corners(at))
      s1 += math.abs(x(j) - corners(at + 1))
    }
    (s0 + s1) + (s2 + s3)
  }
}

private object RandomCutForestScorer {

  final val Lanes = 4

  /** Growth that is less than this share of a box is rounding, or matters as little: boxes further up are larger and outgrown by less. */
  final val Rounding = 1e-12

  /** A scorer of the forest in an artifact. */
  def apply(artifact: Artifact): RandomCutForestScorer = {
    val forest = new Source(artifact)
    val bases = new Array[Int](forest.roots.length)
    val numbered = forest.roots.indices.map { tree =>
      val part = new NumberedTree(forest, forest.roots(tree))
      if (tree + 1 < bases.length) bases(tree + 1) = bases(tree) + part.size
      part
    }
    val parents = numbered.indices.flatMap { tree =>
      numbered(tree).parents.map(parent => if (parent < 0) -1 else bases(tree) + parent)
    }
    new RandomCutForestScorer(
      forest.numFeatures,
      numbered.flatMap(_.steps).toArray,
      bases,
      parents.toArray,
      numbered.map(_.corners).toArray,
      numbered.flatMap(_.ranges).toArray,
      numbered.flatMap(_.alone).toArray,
      numbered.flatMap(_.seen).toArray,
      math.log(forest.pointsPerTree + 1.0) / math.log(2) / bases.length)
  }

  /** The arrays of a forest as Python has them. */
  private final class Source(artifact: Artifact) {
    val roots: Array[Int] = artifact.doubles("roots").map(_.toInt)
    val children: Array[Int] = artifact.doubles("children").map(_.toInt)
    val dimension: Array[Int] = artifact.doubles("dimension").map(_.toInt)
    val cut: Array[Float] = artifact.doubles("cut").map(_.toFloat)
    val points: Array[Float] = artifact.doubles("points").map(_.toFloat)
    val counts: Array[Int] = artifact.doubles("counts").map(_.toInt)
    val numFeatures: Int = artifact("points").shape(1).toInt
    val pointsPerTree: Int = artifact.number("points_per_tree").toInt
  }

  /** One tree, numbered so that the nodes of a subtree stand close together. */
  private final class NumberedTree(forest: Source, root: Int) {
    private val references = mutable.ArrayBuffer(root)
    private val above = mutable.ArrayBuffer(-1)
    private val depths = mutable.ArrayBuffer(0)
    private val left = mutable.ArrayBuffer(0)
    private var waiting = List(0)
    while (waiting.nonEmpty) {
      val number = waiting.head
      waiting = waiting.tail
      val reference = references(number)
      if (reference >= 0) {
        left(number) = references.length
        waiting = references.length :: (references.length + 1) :: waiting
        for (side <- 0 to 1) {
          left += references.length
          references += forest.children(2 * reference + side)
          above += number
          depths += depths(number) + 1
        }
      }
    }

    def size: Int = references.length

    def parents: Array[Int] = above.toArray

    def alone: Array[Double] = depths.map(depth => 1.0 / (depth + 1)).toArray

    def steps: Array[Long] = Array.tabulate(size) { number =>
      val reference = references(number)
      val (cut, dimension) = if (reference < 0) (Int.MaxValue.toLong, 0) else (FeatureRow.ordered(forest.cut(reference)).toLong, forest.dimension(reference))
      (cut << 32) | (dimension.toLong << 16) | left(number)
    }

    def seen: Array[Double] = Array.tabulate(size) { number =>
      if (references(number) >= 0) 0.0
      else {
        val count = forest.counts(~references(number)).toDouble
        (1 - count / (2 * forest.pointsPerTree)) / (depths(number) + math.log(count + 1) / math.log(2))
      }
    }

    /** Children come after their parents, so from the last to the first every box is complete before it is put into another. */
    val corners: Array[Float] = {
      val width = 2 * forest.numFeatures
      require(size.toLong * width <= Int.MaxValue, s"a tree of $size nodes and ${forest.numFeatures} features is too large for one array")
      val found = Array.tabulate(size * width)(at => if (at % 2 == 0) Float.PositiveInfinity else Float.NegativeInfinity)
      for (number <- size - 1 to 0 by -1) {
        val start = number * width
        if (references(number) < 0) for (j <- 0 until forest.numFeatures) {
          val value = forest.points(~references(number) * forest.numFeatures + j)
          found(start + 2 * j) = value
          found(start + 2 * j + 1) = value
        }
        if (above(number) >= 0) for (j <- 0 until forest.numFeatures) {
          val at = above(number) * width + 2 * j
          found(at) = math.min(found(at), found(start + 2 * j))
          found(at + 1) = math.max(found(at + 1), found(start + 2 * j + 1))
        }
      }
      found
    }

    def ranges: Array[Double] = Array.tabulate(size) { number =>
      (0 until forest.numFeatures).map { j =>
        val at = (number * forest.numFeatures + j) * 2
        corners(at + 1).toDouble - corners(at)
      }.sum
    }
  }
}
