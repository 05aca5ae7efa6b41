"""A stream: scores rows as their files arrive, with a pipeline that train.py has saved.

    spark-submit --master 'local[2]' examples/jobs/score_stream.py --model /tmp/leaving --rows /tmp/arriving --scored /tmp/scored

Each Parquet file that comes into ``--rows`` is scored once, also across restarts, for what has been read is kept in ``--scored``. Without
``--once`` the job runs until it is stopped.
"""

from __future__ import annotations

import argparse

from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import SparkSession


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", required=True, help="a saved pipeline")
    arguments.add_argument("--rows", required=True, help="folder into which Parquet files come; it has one, for its columns")
    arguments.add_argument("--scored", required=True, help="folder for the results, and for what is known of the files read")
    arguments.add_argument("--once", action="store_true", help="score what is there, then end")
    given = arguments.parse_args()

    spark = SparkSession.builder.appName("score a stream").getOrCreate()
    model = PipelineModel.load(given.model)
    rows = spark.readStream.schema(spark.read.parquet(given.rows).schema).parquet(given.rows)
    scored = model.transform(rows).select("id", "prediction", vector_to_array("probability")[1].alias("probability"))
    trigger = {"availableNow": True} if given.once else {"processingTime": "10 seconds"}
    writer = scored.writeStream.format("parquet").option("checkpointLocation", f"{given.scored}/checkpoint")
    query = writer.trigger(**trigger).start(f"{given.scored}/rows")
    query.awaitTermination()
    print(f"scored {spark.read.parquet(f'{given.scored}/rows').count()} rows so far")
    spark.stop()


if __name__ == "__main__":
    main()
