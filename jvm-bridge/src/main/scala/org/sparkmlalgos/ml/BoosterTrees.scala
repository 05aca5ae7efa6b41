package org.sparkmlalgos.ml

import scala.collection.mutable

/** The sums over the trees of a booster, with 32 bits and in the order of the trees, as the library adds them up.
  *
  * All nodes have one numbering, in which two children stand side by side, the left one first. A step down must not wait for a guess of
  * where it goes: numbers are compared as integers of the same order, whose difference has the way as its sign; a feature has two such
  * integers, which differ where its value is missing, and a node asks for the one that sends it where missing values go; a leaf is its own
  * left child; and four trees are walked down at once.
  *
  * @param features that nodes ask for
  * @param start    of each group of trees, what its sum starts from
  * @param tests    of each node: in the upper half the greatest integer that goes left, in the lower one the place of what it asks for
  * @param children of each node, the left one
  * @param values   of each leaf, what it adds
  * @param roots    of each tree; their number is a multiple of four
  * @param groups   of each tree, the group it belongs to
  */
private final class BoosterTrees(
    val numFeatures: Int,
    features: Array[Int],
    start: Array[Float],
    tests: Array[Long],
    children: Array[Int],
    values: Array[Float],
    roots: Array[Int],
    groups: Array[Int]) extends Serializable {
  import BoosterTrees._

  /** Of each feature the place of its first integer, negative if no node asks for it. */
  @transient private lazy val placeOf: Array[Int] = {
    val found = Array.fill(numFeatures)(-1)
    for (i <- features.indices) found(features(i)) = 2 * i
    found
  }

  /** The sum of a row where there is one group. */
  def sum(row: FeatureRow): Float = {
    val keys = keysOf(row)
    val leaves = new Array[Int](Lanes)
    var sum = if (row.hasBaseMargin) row.baseMargin else start(0)
    var tree = 0
    while (tree < roots.length) {
      descend(keys, tree, leaves)
      sum = sum + values(leaves(0)) + values(leaves(1)) + values(leaves(2)) + values(leaves(3))
      tree += Lanes
    }
    clear(row, keys)
    sum
  }

  /** The sum of each group. */
  def sums(row: FeatureRow): Array[Double] = {
    val keys = keysOf(row)
    val leaves = new Array[Int](Lanes)
    val sums = start.clone()
    var tree = 0
    while (tree < roots.length) {
      descend(keys, tree, leaves)
      var lane = 0
      while (lane < Lanes) {
        sums(groups(tree + lane)) += values(leaves(lane))
        lane += 1
      }
      tree += Lanes
    }
    clear(row, keys)
    val result = new Array[Double](sums.length)
    FeatureRow.widen(sums, result)
    result
  }

  /** The leaves a row comes to in four trees. */
  private def descend(keys: Array[Int], tree: Int, leaves: Array[Int]): Unit = {
    var a = roots(tree)
    var b = roots(tree + 1)
    var c = roots(tree + 2)
    var d = roots(tree + 3)
    var moved = 1
    while (moved != 0) {
      val nextA = below(a, keys)
      val nextB = below(b, keys)
      val nextC = below(c, keys)
      val nextD = below(d, keys)
      moved = (nextA ^ a) | (nextB ^ b) | (nextC ^ c) | (nextD ^ d)
      a = nextA
      b = nextB
      c = nextC
      d = nextD
    }
    leaves(0) = a
    leaves(1) = b
    leaves(2) = c
    leaves(3) = d
  }

  private def below(node: Int, keys: Array[Int]): Int = {
    val test = tests(node)
    children(node) + (((test >> 32) - keys(test.toInt)) >>> 63).toInt
  }

  /** Two integers for each feature that nodes ask for. */
  private def keysOf(row: FeatureRow): Array[Int] = {
    if (row.scratch == null) {
      row.scratch = new Array[Int](2 * features.length)
      var i = 0
      while (i < features.length) { put(row.scratch, 2 * i, Double.NaN); i += 1 }
    }
    val keys = row.scratch
    var i = 0
    if (row.isSparse) while (i < row.count) {
      val place = placeOf(row.indices(i))
      if (place >= 0) put(keys, place, row.values(i))
      i += 1
    } else while (i < features.length) {
      put(keys, 2 * i, row.values(features(i)))
      i += 1
    }
    keys
  }

  /** Leave all values missing, as the next row may be sparse; of a wide one few are there. */
  private def clear(row: FeatureRow, keys: Array[Int]): Unit = {
    var i = 0
    if (row.isSparse) while (i < row.count) {
      val place = placeOf(row.indices(i))
      if (place >= 0) put(keys, place, Double.NaN)
      i += 1
    } else while (i < features.length) {
      put(keys, 2 * i, Double.NaN)
      i += 1
    }
  }

  private def put(keys: Array[Int], place: Int, value: Double): Unit =
    if (value.isNaN) {
      keys(place) = Int.MinValue
      keys(place + 1) = Int.MaxValue
    } else {
      val found = FeatureRow.ordered(value.toFloat)
      keys(place) = found
      keys(place + 1) = found
    }
}

private object BoosterTrees {

  final val Lanes = 4

  /** Of a leaf: no integer is greater, so a walk stays there. */
  private final val Stay = Int.MaxValue.toLong << 32

  def apply(booster: Booster): BoosterTrees = {
    val numbering = new Numbering(booster.trees.map(_.left.length).sum + Lanes)
    val roots = booster.trees.map(numbering.add)
    // Leaves of value 0 make up for what is missing to a multiple of four.
    val others = Seq.fill((Lanes - roots.length % Lanes) % Lanes)(numbering.addNothing())
    new BoosterTrees(
      booster.numFeatures,
      numbering.features,
      booster.start,
      numbering.tests,
      numbering.children,
      numbering.values,
      (roots ++ others).toArray,
      (booster.trees.map(_.group) ++ others.map(_ => 0)).toArray)
  }

  /** Gives numbers to the nodes of one tree after the other, so that those of a subtree stand close together. */
  private final class Numbering(size: Int) {
    val tests: Array[Long] = Array.fill(size)(Stay)
    val children: Array[Int] = Array.tabulate(size)(identity)
    val values: Array[Float] = new Array[Float](size)
    private val places = mutable.LinkedHashMap.empty[Int, Int]
    private var next = 0

    /** A booster without a split asks for nothing, but its leaves for the first place. */
    def features: Array[Int] = if (places.isEmpty) Array(0) else places.keys.toArray

    /** The root of a tree without a split that adds 0. */
    def addNothing(): Int = {
      next += 1
      next - 1
    }

    /** The root of a tree. What training has pruned is still among its nodes, but not below the root. */
    def add(tree: BoosterTree): Int = {
      val root = addNothing()
      val waiting = mutable.ArrayBuffer((0, root))
      while (waiting.nonEmpty) {
        val (node, at) = waiting.remove(waiting.length - 1)
        if (tree.isLeaf(node)) values(at) = tree.weight * tree.threshold(node)
        else {
          val place = places.getOrElseUpdate(tree.feature(node), 2 * places.size) + (if (tree.missingLeft(node) != 0) 0 else 1)
          // What equals the threshold goes right.
          tests(at) = ((FeatureRow.ordered(tree.threshold(node)) - 1L) << 32) | place
          children(at) = next
          waiting += ((tree.right(node), next + 1)) += ((tree.left(node), next))
          next += 2
        }
      }
      root
    }
  }
}
