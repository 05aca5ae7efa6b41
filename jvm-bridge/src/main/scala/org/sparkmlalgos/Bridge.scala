package org.sparkmlalgos

import org.json4s.JsonAST.{JArray, JInt}
import org.json4s.jackson.JsonMethods.{compact, render}
import org.sparkmlalgos.ml.{Artifact, ArtifactModel}

/** What Python asks the bridge. */
object Bridge {

  /** Version of the Python package the jar was built from. */
  def version: String = getClass.getPackage.getImplementationVersion

  /** Rows of an artifact: name, part, dtype, shape as JSON, data. */
  def rows(artifact: Artifact): Array[Array[AnyRef]] = artifact.toRows.map { row =>
    val shape = JArray(row.getAs[Seq[Long]](3).map(JInt(_)).toList)
    Array[AnyRef](row.getString(0), Long.box(row.getLong(1)), row.getString(2), compact(render(shape)), row.getAs[Array[Byte]](4))
  }.toArray

  /** Metadata of a model as it would be saved. */
  def metadata(model: ArtifactModel[_], sparkVersion: String): String = model.saved.updated(model, sparkVersion).json
}
