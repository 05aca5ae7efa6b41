package org.sparkmlalgos.ml

import org.apache.spark.SparkFiles
import org.apache.spark.broadcast.Broadcast

/** Where an executor has the arithmetic of a model from; equal for the same model, so that Spark knows equal plans. */
sealed trait ScorerSource extends Serializable {

  def scorer: RowScorer
}

/** From a broadcast variable. */
final case class BroadcastScorer(broadcast: Broadcast[RowScorer]) extends ScorerSource {

  override def scorer: RowScorer = broadcast.value
}

/** From a file artifact of a session of Spark Connect.
  *
  * Not from a broadcast variable: where the server's JVM runs tasks too, these would be handed the very object of the driver, whose class is
  * another than the one that the same session has loaded for tasks.
  *
  * @param model    name of the model's class
  * @param metadata of the model, as it would be saved
  * @param file     name of the artifact
  */
final case class UploadedScorer(model: String, metadata: String, file: String) extends ScorerSource {

  override def scorer: RowScorer = UploadedScorer.made(this, restored(ArtifactFile.read(SparkFiles.get(file))).arithmetic)

  /** The model on the server. */
  def onServer: ArtifactModel[_] = restored(UploadedScorer.artifact(file))

  private def restored(artifact: Artifact): ArtifactModel[_] = ArtifactModelCompanion.of(model).restored(SavedMetadata(metadata), artifact)
}

object UploadedScorer {
  private val made = new WhileThereIsMemory[UploadedScorer, RowScorer]
  private val artifacts = new WhileThereIsMemory[String, Artifact]

  /** What a file of the session holds. */
  def artifact(file: String): Artifact = artifacts(file, ArtifactFile.read(SparkFiles.get(file)))
}
