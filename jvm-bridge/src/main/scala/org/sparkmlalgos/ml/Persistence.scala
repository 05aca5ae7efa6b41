package org.sparkmlalgos.ml

import org.apache.spark.ml.param.Param
import org.apache.spark.ml.util.{MLReadable, MLReader, MLWriter}
import org.json4s._
import org.json4s.jackson.JsonMethods.{compact, parse, render}

/** What `sparkml_algos.core.persistence` writes beside the arrays. */
final case class SavedMetadata(json: String) {

  @transient private lazy val parsed: JValue = parse(json)

  /** The Python class by the name that the package exports it by, also where it was saved by the module in which it then stood. */
  def className: String = text("class") match {
    case saved if saved.startsWith(s"${SavedMetadata.Ours}.") => s"${SavedMetadata.Ours}${saved.substring(saved.lastIndexOf('.'))}"
    case saved => saved
  }

  def uid: String = text("uid")

  def format: Int = (parsed \ SavedMetadata.Ours \ "format") match {
    case JInt(number) => number.toInt
    case _ => throw new IllegalArgumentException(s"the metadata has no ${SavedMetadata.Ours}.format: not saved by sparkml_algos")
  }

  def featureNames: Option[Seq[String]] = (parsed \ SavedMetadata.Ours \ "facts" \ "feature_names") match {
    case JArray(names) => Some(names.collect { case JString(name) => name })
    case _ => None
  }

  /** The value of a Param that only Python has, set or default. */
  def setting(name: String): Option[JValue] =
    Seq("paramMap", "defaultParamMap").flatMap(fields).collectFirst { case (`name`, value) if value != JNull => value }

  /** Set the Params of a model that are set here; `null`, which Python has for "none", leaves them unset, or an output without a column. */
  def restore(model: ArtifactModel[_]): Unit =
    for ((map, isDefault) <- Seq("defaultParamMap" -> true, "paramMap" -> false); (name, value) <- fields(map) if model.hasParam(name)) {
      if (value != JNull) model.restore(name, compact(render(value)), isDefault)
      else if (model.outputs.exists(_.column.name == name)) model.restore(name, compact(render(JString(""))), isDefault)
    }

  /** The same with the Params of a model as they are now; those that only Python has are kept. */
  def updated(model: ArtifactModel[_], sparkVersion: String): SavedMetadata = {
    val set = model.params.toSeq.filter(model.isSet).map(param => param.name -> asJson(model, param))
    val kept = fields("paramMap").filterNot { case (name, _) => model.hasParam(name) }
    val changed = Map(
      "class" -> JString(model.pythonClass),
      "timestamp" -> JInt(System.currentTimeMillis()),
      "sparkVersion" -> JString(sparkVersion),
      "uid" -> JString(model.uid),
      "paramMap" -> JObject((kept ++ set).toList))
    val JObject(all) = parsed
    SavedMetadata(compact(render(JObject(all.map { case (name, value) => name -> changed.getOrElse(name, value) }))))
  }

  private def asJson[T](model: ArtifactModel[_], param: Param[T]): JValue = parse(param.jsonEncode(model.getOrDefault(param)))

  private def text(name: String): String = (parsed \ name) match {
    case JString(value) => value
    case _ => throw new IllegalArgumentException(s"the metadata has no '$name'")
  }

  private def fields(name: String): Seq[(String, JValue)] = (parsed \ name) match {
    case JObject(found) => found
    case _ => Nil
  }
}

object SavedMetadata {
  /** The Python package, and the field of the metadata that is its own. */
  val Ours = "sparkml_algos"

  /** The newest format that is understood, `FORMAT_VERSION` of the Python module. */
  val Format = 1
}

/** Writes the directory that Python's `load` and the reader here take. */
private final class ArtifactModelWriter(model: ArtifactModel[_]) extends MLWriter {

  override protected def saveImpl(path: String): Unit = {
    val spark = sparkSession
    import spark.implicits._
    val metadata = model.saved.updated(model, spark.version)
    Seq(metadata.json).toDF("value").coalesce(1).write.text(s"$path/metadata")
    spark.createDataFrame(java.util.Arrays.asList(model.artifact.toRows: _*), Artifact.schema).coalesce(1).write.parquet(s"$path/data")
  }
}

/** Reads what Python, or `ArtifactModelWriter`, has saved. */
private final class ArtifactModelReader[M <: ArtifactModel[M]](companion: ArtifactModelCompanion[M]) extends MLReader[M] {

  override def load(path: String): M = {
    val metadata = SavedMetadata(sparkSession.read.text(s"$path/metadata").head().getString(0))
    companion.check(metadata, path)
    companion.restored(metadata, Artifact.fromRows(sparkSession.read.parquet(s"$path/data").collect().toSeq))
  }
}

object ArtifactModelCompanion {

  /** The companion of a model's class in this bridge. */
  private[sparkmlalgos] def of(name: String): ArtifactModelCompanion[_ <: ArtifactModel[_]] =
    Class.forName(name + "$", true, getClass.getClassLoader).getField("MODULE$").get(null).asInstanceOf[ArtifactModelCompanion[_ <: ArtifactModel[_]]]
}

/** What the companion object of a model is: how Spark ML finds its way from a saved stage to the model. */
abstract class ArtifactModelCompanion[M <: ArtifactModel[M]] extends MLReadable[M] {

  /** The class in Python, by the name that the package exports it by; the class here is called the same. */
  final def pythonClass: String = s"${SavedMetadata.Ours}.${getClass.getSimpleName.stripSuffix("$")}"

  private[ml] def construct(uid: String, artifact: Artifact, saved: SavedMetadata): M

  /** Why a model with these arrays is scored in Python only; null if it can be here. */
  def refusal(artifact: Artifact): String = null

  override def read: MLReader[M] = new ArtifactModelReader(this)

  override def load(path: String): M = super.load(path)

  /** A model from what Python has in memory. */
  def restored(metadata: SavedMetadata, artifact: Artifact): M = {
    val model = construct(metadata.uid, artifact, metadata)
    metadata.restore(model)
    model
  }

  private[ml] def check(metadata: SavedMetadata, path: String): Unit = {
    require(metadata.className == pythonClass, s"$path holds a ${metadata.className}, not a $pythonClass")
    require(
      metadata.format <= SavedMetadata.Format,
      s"$path was saved in format ${metadata.format}; this reads formats up to ${SavedMetadata.Format}: upgrade sparkml-algos")
  }
}
