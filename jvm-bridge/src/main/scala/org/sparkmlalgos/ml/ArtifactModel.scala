package org.sparkmlalgos.ml

import org.apache.spark.SparkContext
import org.apache.spark.ml.Model
import org.apache.spark.ml.attribute.AttributeGroup
import org.apache.spark.ml.linalg.SQLDataTypes.VectorType
import org.apache.spark.ml.param.{Param, ParamMap, StringArrayParam}
import org.apache.spark.ml.util.{MLWritable, MLWriter}
import org.apache.spark.sql.{Column, DataFrame, Dataset}
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.functions.{array, col}
import org.apache.spark.sql.sparkmlalgos.Columns
import org.apache.spark.sql.types._

/** An output column of a model: its name among the values that are scored, its type, and the Param that names the column; a column named
  * "" is left out.
  */
final case class Output(field: String, dataType: DataType, column: Param[String])

/** A model trained by `sparkml_algos`, scoring without Python.
  *
  * A subclass adds Params for its output columns, `outputs`, a scorer made from the artifact, and a companion
  * `ArtifactModelCompanion`. Everything Python saved that has no meaning here, the hyperparameters for one, is kept and saved again.
  *
  * @param uid      identifier
  * @param artifact what was learned
  * @param saved    the metadata Python wrote
  */
abstract class ArtifactModel[M <: ArtifactModel[M]](override val uid: String, val artifact: Artifact, val saved: SavedMetadata)
    extends Model[M]
    with MLWritable { self: M =>

  final val featuresCol: Param[String] = new Param(this, "featuresCol", "Features: a Vector column or an array of numbers.")
  final val featuresCols: StringArrayParam =
    new StringArrayParam(this, "featuresCols", "Features as a list of numeric columns, instead of featuresCol.")

  def getFeaturesCol: String = $(featuresCol)

  def setFeaturesCol(value: String): M = set(featuresCol, value)

  def getFeaturesCols: Array[String] = $(featuresCols)

  def setFeaturesCols(value: Array[String]): M = set(featuresCols, value)

  /** All outputs of such models, in the order in which `transform` appends them and the scorer gives their values. */
  def outputs: Seq[Output]

  /** Those of this model, unless its settings leave some out. */
  def ownOutputs: Seq[Output] = outputs

  /** Params of output columns that only the model in Python has. */
  protected def onlyInPython: Seq[Param[String]] = Nil

  /** Where values may be missing, what stands for a missing one beside NaN. */
  protected def missing: Option[Float] = None

  /** The column with what the scores start from, where there is one. */
  protected def baseMargin: Option[String] = None

  /** The arithmetic, made anew. */
  protected def makeScorer: RowScorer

  protected def companion: ArtifactModelCompanion[M]

  /** The class in Python. */
  private[ml] def pythonClass: String = companion.pythonClass

  /** Length of the features the model takes. */
  def numFeatures: Int = arithmetic.numFeatures

  /** Names of the features in the training data, where it had any. */
  def featureNames: Option[Seq[String]] = saved.featureNames

  override def transformSchema(schema: StructType): StructType = {
    checkFeatures(schema)
    baseMargin.foreach(checkNumber(schema, _, "baseMarginCol"))
    onlyInPython.filter(isNamed).foreach { column =>
      throw new IllegalArgumentException(s"${column.name} is '${$(column)}', which is computed in Python only; clear it")
    }
    val appended = named.map(output => StructField($(output.column), output.dataType))
    require(appended.nonEmpty, s"no output has a column; name one of ${ownOutputs.map(_.column.name).mkString(", ")}")
    val taken = appended.map(_.name).filter(schema.fieldNames.contains)
    require(taken.isEmpty, s"output column '${taken.head}' exists already; drop it or rename the output")
    val twice = appended.map(_.name).diff(appended.map(_.name).distinct)
    require(twice.isEmpty, s"output column '${twice.head}' is named twice; rename one of the outputs")
    StructType(schema.fields ++ appended)
  }

  /** Append the output columns; every row is checked as in training. */
  override def transform(dataset: Dataset[_]): DataFrame = {
    transformSchema(dataset.schema, logging = true)
    val picked = named.map(output => col(ArtifactModel.Scored).getField(output.field).as($(output.column)))
    dataset
      .select(col("*"), scoredColumn(dataset).as(ArtifactModel.Scored))
      .select(col("*") +: picked: _*)
      .drop(ArtifactModel.Scored)
  }

  /** All outputs as one struct column; call `transformSchema` first. */
  def scoredColumn(dataset: Dataset[_]): Column = {
    val features = if (hasList) array(names.map(name => quoted(name).cast(FloatType)): _*) else dataset.schema(names.head).dataType match {
      case VectorType | ArrayType(DoubleType | FloatType, _) => quoted(names.head)
      case _ => quoted(names.head).cast(ArrayType(FloatType))
    }
    scoredColumn(features, baseMargin.map(quoted(_).cast(FloatType)).orNull)
  }

  /** The same for features, a Vector or an array of double or float, and where there is a base margin, a float, for that. */
  def scoredColumn(features: Column, start: Column): Column = {
    val scorer = BroadcastScorer(artifact.broadcast(SparkContext.getOrCreate(), makeScorer))
    Columns.column(scored(Columns.expression(features), Option(start).map(Columns.expression), scorer))
  }

  private[sparkmlalgos] def scored(features: Expression, start: Option[Expression], scorer: ScorerSource): Expression = {
    val fields = StructType(outputs.map(output => StructField(output.field, output.dataType)))
    ScoreRow(features, start, scorer, fields, InputColumns(names, missing, baseMargin))
  }

  /** The arithmetic; copies of the model share it. */
  private[ml] def arithmetic: RowScorer = artifact.scorer(makeScorer)

  override def copy(extra: ParamMap): M = copyValues(companion.construct(uid, artifact, saved), extra).setParent(parent)

  override def write: MLWriter = new ArtifactModelWriter(this)

  private[ml] def restore(name: String, json: String, isDefault: Boolean): Unit = restore(getParam(name), json, isDefault)

  private def restore[T](param: Param[T], json: String, isDefault: Boolean): Unit = {
    val value = param.jsonDecode(json)
    if (isDefault) setDefault(param -> value) else set(param, value)
  }

  protected def isNamed(column: Param[String]): Boolean = isDefined(column) && $(column).nonEmpty

  private def named: Seq[Output] = ownOutputs.filter(output => $(output.column).nonEmpty)

  private def hasList: Boolean = isDefined(featuresCols) && $(featuresCols).nonEmpty

  private def names: Seq[String] = if (hasList) $(featuresCols).toSeq else Seq($(featuresCol))

  private def quoted(name: String): Column = col("`" + name.replace("`", "``") + "`")

  private def checkFeatures(schema: StructType): Unit = {
    val found = if (hasList) {
      names.foreach(checkNumber(schema, _, "featuresCols"))
      names.size
    } else column(schema, names.head, "featuresCol").dataType match {
      case VectorType => AttributeGroup.fromStructField(schema(names.head)).size
      case ArrayType(element, _) if isNumber(element) => -1
      case other =>
        throw new IllegalArgumentException(
          s"features column '${names.head}' is ${other.simpleString}; it must be a Vector or an array of numbers")
    }
    require(found == -1 || found == numFeatures, s"column '${names.head}' has $found features; the model takes $numFeatures")
  }

  private def checkNumber(schema: StructType, name: String, param: String): Unit = {
    val found = column(schema, name, param).dataType
    require(isNumber(found), s"$param: column '$name' is ${found.simpleString}; it must be numeric")
  }

  private def column(schema: StructType, name: String, param: String): StructField = schema.find(_.name == name).getOrElse(
    throw new IllegalArgumentException(s"$param='$name' is not a column of the dataset; it has ${schema.fieldNames.mkString(", ")}"))

  private def isNumber(dataType: DataType): Boolean = dataType.isInstanceOf[NumericType] || dataType == BooleanType
}

private object ArtifactModel {
  val Scored = "_sparkml_algos_scored"
}
