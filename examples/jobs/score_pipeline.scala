// Scores with a pipeline that Python has trained and saved (train.py --for-jvm), in Scala, without Python.
//
//   MODEL=/tmp/leaving ROWS=/tmp/customers/new.parquet \
//     spark-shell --jars "$(python -m sparkml_algos.jvm path)" -i examples/jobs/score_pipeline.scala
//
// The session needs nothing but the jar.

import org.apache.spark.ml.PipelineModel
import org.apache.spark.sql.functions.{avg, col, count, round}
import org.sparkmlalgos.ml.LinearLearnerBinaryClassifierModel

val pipeline = PipelineModel.load(sys.env("MODEL"))
val learner = pipeline.stages.last.asInstanceOf[LinearLearnerBinaryClassifierModel]
println(s"threshold ${learner.threshold}, coefficients ${learner.coefficients}")

val scored = pipeline.transform(spark.read.parquet(sys.env("ROWS")))
scored
  .groupBy(learner.getPredictionCol)
  .agg(count("*").as("rows"), round(avg(col("age")), 1).as("age"), round(avg(col("visits")), 1).as("visits"))
  .orderBy(learner.getPredictionCol)
  .show()

sys.exit(0)
