// Scores with a KMeans model that Python has trained and saved, in a Scala pipeline, without Python.
//
//   MODEL=/models/customers-kmeans spark-shell --jars "$(python -m sparkml_algos.jvm path)" -i examples/score_on_jvm.scala
//
// MODEL is the directory that model.save(...) wrote in Python; the session needs nothing but the jar.

import org.apache.spark.ml.{Pipeline, PipelineModel}
import org.apache.spark.ml.linalg.Vectors
import org.apache.spark.sql.functions.{count, round, avg}
import org.sparkmlalgos.ml.KMeansModel

val model = KMeansModel.load(sys.env("MODEL"))
println(s"${model.clusterCenters.length} clusters of rows of ${model.numFeatures} features")

// Rows near the centres stand in for rows of your own.
val random = new scala.util.Random(0)
val points = model.clusterCenters.toSeq.flatMap { center =>
  Seq.fill(100)(Tuple1(Vectors.dense(center.toArray.map(_ + 0.01 * random.nextGaussian()))))
}
val rows = spark.createDataFrame(points).toDF(model.getFeaturesCol)

// A fitted model is a stage like any other; the pipeline saves and loads on the JVM.
val pipeline = new Pipeline().setStages(Array(model)).fit(rows)
val path = java.nio.file.Files.createTempDirectory("pipeline").resolve("saved").toString
pipeline.write.save(path)
val scored = PipelineModel.load(path).transform(rows)

scored
  .groupBy(model.getPredictionCol)
  .agg(count("*").as("rows"), round(avg(model.getDistanceCol), 4).as("distance"))
  .orderBy(model.getPredictionCol)
  .show(100)

sys.exit(0)
