package org.sparkmlalgos.ml

import java.nio.file.{Path, Paths}

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
  * @param file     where the artifact lies below Spark's folder for files
  */
final case class UploadedScorer(model: String, metadata: String, file: String) extends ScorerSource {

  override def scorer: RowScorer = UploadedScorer.made(this, restored(ArtifactFile.read(UploadedScorer.folder.resolve(file))).arithmetic)

  /** The model, as the server sees it while it analyses a plan. */
  def onServer: ArtifactModel[_] = restored(UploadedScorer.onServer(file))

  private def restored(artifact: Artifact): ArtifactModel[_] = ArtifactModelCompanion.of(model).restored(SavedMetadata(metadata), artifact)
}

object UploadedScorer {
  private val made = new WhileThereIsMemory[UploadedScorer, RowScorer]
  private val artifacts = new WhileThereIsMemory[String, Artifact]

  /** From the name that a file has in the session whose plan is analysed. */
  def of(model: String, metadata: String, name: String): UploadedScorer = UploadedScorer(model, metadata, file(name))

  /** What a file has in the session whose plan is analysed. */
  def artifact(name: String): Artifact = onServer(file(name))

  private def onServer(file: String): Artifact = artifacts(file, ArtifactFile.read(folder.resolve(file)))

  /** A task does not know its session, so `SparkFiles.get` finds the files of a session on the server only. */
  private def file(name: String): String = folder.relativize(Paths.get(SparkFiles.get(name)).toAbsolutePath).toString

  private def folder: Path = Paths.get(SparkFiles.getRootDirectory()).toAbsolutePath
}
