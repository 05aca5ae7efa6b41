package org.sparkmlalgos.connect

import org.apache.spark.sql.api.java.UDF0
import org.apache.spark.sql.catalyst.expressions.{Expression, Literal}
import org.apache.spark.sql.classic.SparkSession
import org.apache.spark.sql.types.{MetadataBuilder, NullType, StructType}
import org.apache.spark.unsafe.types.UTF8String
import org.sparkmlalgos.Bridge
import org.sparkmlalgos.ml.{ArtifactModelCompanion, PackVector, UploadedScorer}

/** What a client of Spark Connect registers as a Java UDF when the jar is among the artifacts of its session. Spark then makes one of it on
  * the server, and that is when the bridge's expressions come among the functions of the session, for a client can call no others.
  *
  * {{{
  * sparkml_algos_pack(vector)                                       the vector as bytes
  * sparkml_algos_score(model, metadata, file, features[, margin])   the outputs of a model, as one struct
  * sparkml_algos_bridge()                                           null, with the version of the bridge beside its type
  * sparkml_algos_refusal(model, file)                               null, with the reason why the model is left to Python, if there is one
  * }}}
  *
  * The last two answer in metadata of their type, for a plan is analysed ten times as quickly as it is run.
  */
final class Functions extends UDF0[String] {
  private val registry = SparkSession.active.sessionState.functionRegistry

  for ((name, builder) <- Functions.Builders) registry.createOrReplaceTempFunction(name, builder, "java_udf")

  override def call(): String = Bridge.version
}

private object Functions {

  val Builders: Map[String, Seq[Expression] => Expression] = Map(
    "sparkml_algos_pack" -> { case Seq(vector) => PackVector(vector) },
    "sparkml_algos_score" -> { case Seq(model, metadata, file, features, start @ _*) =>
      val scorer = UploadedScorer.of(text(model), text(metadata), text(file))
      scorer.onServer.scored(features, start.headOption, scorer)
    },
    "sparkml_algos_bridge" -> { case Seq() => answer(Bridge.version) },
    "sparkml_algos_refusal" -> { case Seq(model, file) =>
      answer(ArtifactModelCompanion.of(text(model)).refusal(UploadedScorer.artifact(text(file))))
    })

  private def text(argument: Expression): String = argument.eval().asInstanceOf[UTF8String].toString

  private def answer(text: String): Expression = {
    val metadata = new MetadataBuilder()
    if (text == null) metadata.putNull("answer") else metadata.putString("answer", text)
    Literal(null, new StructType().add("answer", NullType, nullable = true, metadata.build()))
  }
}
