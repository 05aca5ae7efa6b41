package org.sparkmlalgos.ml

import org.json4s.JsonAST.{JArray, JDouble, JInt, JValue}
import org.json4s.jackson.JsonMethods

/** What only the model in Python can score; the message is the reason. */
private final class ScoredInPython(reason: String) extends IllegalArgumentException(reason)

/** A tree of a booster. A row goes to the left child of a node if its value of the feature is less than the threshold, or missing where the
  * node says so; of a leaf, which has the child -1, the threshold is the value.
  *
  * @param group  the class to whose score it adds
  * @param weight by which it counts: not 1 where training drops trees out
  */
private final case class BoosterTree(
    group: Int,
    weight: Float,
    left: Array[Int],
    right: Array[Int],
    feature: Array[Int],
    threshold: Array[Float],
    missingLeft: Array[Int]) {

  def isLeaf(node: Int): Boolean = left(node) < 0
}

/** What the xgboost library has learned, read from the file it writes (UBJSON).
  *
  * @throws ScoredInPython if it is no sum of trees with a threshold in each node
  */
private final class Booster(bytes: Array[Byte]) {
  import Booster._

  private val learner = objectOf(UbJson.parse(bytes))("learner")
  private val settings = objectOf(objectOf(learner)("learner_model_param"))

  /** The loss. */
  val objective: String = text(objectOf(objectOf(learner)("objective"))("name"))

  val numFeatures: Int = text(settings("num_feature")).toInt

  /** Scores of a row: one, or one of each class. */
  val groups: Int = math.max(1, text(settings("num_class")).toInt)

  /** What the scores start from; the file has it as a prediction. */
  val start: Array[Float] = {
    val predicted = JsonMethods.parse(text(settings("base_score"))) match {
      case JArray(values) => values.map(number)
      case value => List.fill(groups)(number(value))
    }
    (if (predicted.length == 1) List.fill(groups)(predicted.head) else predicted).map(Link(objective).score).toArray
  }

  val trees: Seq[BoosterTree] = {
    val booster = objectOf(objectOf(learner)("gradient_booster"))
    if (text(booster("name")) == "gblinear") throw new ScoredInPython("linear boosters are scored in Python only")
    val model = objectOf(objectOf(booster.getOrElse("gbtree", booster))("model"))
    val groupOfTree = ints(model("tree_info"))
    val weights = booster.get("weight_drop").map(floats)
    sequence(model("trees")).zipWithIndex.map { case (tree, number) =>
      treeOf(objectOf(tree), groupOfTree(number), weights.fold(1f)(_(number)))
    }
  }
}

private object Booster {

  private def treeOf(fields: Map[String, Any], group: Int, weight: Float): BoosterTree = {
    if (fields.get("split_type").exists(kinds => ints(kinds).exists(_ != Numerical)))
      throw new ScoredInPython("trees that split by categories are scored in Python only")
    if (text(objectOf(fields("tree_param"))("size_leaf_vector")).toInt > 1)
      throw new ScoredInPython("trees with several scores in a leaf are scored in Python only")
    BoosterTree(
      group, weight, ints(fields("left_children")), ints(fields("right_children")), ints(fields("split_indices")),
      floats(fields("split_conditions")), ints(fields("default_left")))
  }

  /** Kind of a split: by a threshold. */
  private val Numerical = 0

  private def objectOf(value: Any): Map[String, Any] = value match {
    case fields: Map[_, _] => fields.asInstanceOf[Map[String, Any]]
    case _ => damaged("an object", value)
  }

  private def text(value: Any): String = value match {
    case found: String => found
    case _ => damaged("a text", value)
  }

  private def sequence(value: Any): Vector[Any] = value match {
    case found: Vector[_] => found
    case _ => damaged("a list", value)
  }

  /** Whole numbers of any width. */
  private def ints(value: Any): Array[Int] = value match {
    case found: Array[Int] => found
    case found: Array[Long] => found.map(_.toInt)
    case found: Vector[_] => found.map { case one: Long => one.toInt; case other => damaged("a whole number", other) }.toArray
    case _ => damaged("whole numbers", value)
  }

  private def floats(value: Any): Array[Float] = value match {
    case found: Array[Float] => found
    case found: Array[Double] => found.map(_.toFloat)
    case found: Vector[_] => found.map { case one: Double => one.toFloat; case other => damaged("a number", other) }.toArray
    case _ => damaged("numbers", value)
  }

  private def number(value: JValue): Float = value match {
    case JDouble(found) => found.toFloat
    case JInt(found) => found.toFloat
    case _ => damaged("a number", value)
  }

  private def damaged(expected: String, found: Any): Nothing =
    throw new IllegalArgumentException(s"the booster is damaged: expected $expected, found ${String.valueOf(found).take(80)}")
}

/** Between the score of a row, the sum over the trees, and what is predicted. */
private sealed trait Link extends Serializable {

  def score(prediction: Float): Float

  def prediction(score: Float): Float
}

private object Link {

  def apply(objective: String): Link = objective match {
    case "binary:logistic" | "reg:logistic" => Logit
    case "reg:gamma" | "reg:tweedie" | "count:poisson" | "survival:cox" | "survival:aft" => Log
    case _ => Identity
  }

  private case object Identity extends Link {
    override def score(prediction: Float): Float = prediction
    override def prediction(score: Float): Float = score
  }

  private case object Log extends Link {
    override def score(prediction: Float): Float = math.log(prediction.toDouble).toFloat
    override def prediction(score: Float): Float = math.exp(score.toDouble).toFloat
  }

  private case object Logit extends Link {
    override def score(prediction: Float): Float = -math.log((1f / prediction - 1f).toDouble).toFloat
    override def prediction(score: Float): Float = (1.0 / (1.0 + math.exp(-score.toDouble))).toFloat
  }
}
