"""Topics of text files, from paragraphs to a saved pipeline: `NeuralTopicModel` on a local Spark with two workers.

    python examples/topics.py [FOLDER]

Each paragraph of the text files in the folder is a document; by default they are those of this package's documentation. Needs the extra
`torch`. Writes the fitted pipeline to examples/output/topics-pipeline.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import CountVectorizer, RegexTokenizer, StopWordsRemover
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import NeuralTopicModel

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "output"
TOPICS = 8


def main(folder: Path) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    spark = local_spark()
    try:
        texts = paragraphs(spark, folder)
        model = fit(texts)
        report(model, texts)
        model.write().overwrite().save(str(OUTPUT / "topics-pipeline"))
    finally:
        spark.stop()


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    logging = f"-Dlog4j2.configurationFile={(HERE.parent / 'spark-conf' / 'log4j2.properties').as_uri()}"
    builder = SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
    return builder.config("spark.ui.showConsoleProgress", "false").config("spark.driver.extraJavaOptions", logging).getOrCreate()


def paragraphs(spark: SparkSession, folder: Path) -> DataFrame:
    """Paragraphs of all text files and pages in a folder."""
    files = spark.read.option("recursiveFileLookup", True).option("pathGlobFilter", "*.{txt,md}").text(str(folder), wholetext=True)
    parts = files.select(F.explode(F.split("value", r"\n\s*\n")).alias("text"))
    return parts.where(F.length("text") > 80).repartition(2).cache()


def fit(texts: DataFrame) -> PipelineModel:
    return Pipeline(
        stages=[
            RegexTokenizer(inputCol="text", outputCol="all_words", pattern="[a-z]{3,}", gaps=False),
            StopWordsRemover(inputCol="all_words", outputCol="words"),
            CountVectorizer(inputCol="words", outputCol="counts", minDF=3, maxDF=0.3),
            NeuralTopicModel(num_topics=TOPICS, featuresCol="counts", mini_batch_size=64, num_workers=2, seed=1),
        ]
    ).fit(texts)


def report(model: PipelineModel, texts: DataFrame) -> None:
    vectorizer, topics = model.stages[-2:]
    summary = topics.training_summary
    print(f"Trained     {summary.rows:,} documents x {summary.num_features:,} words in {len(summary.history)} epochs")
    print(f"Uniqueness  {topics.topic_uniqueness():.2f} of the ten first words of a topic, 1 if no two share a word")
    for row in topics.describe_topics(8, vectorizer.vocabulary).orderBy("topic").collect():
        print(f"Topic {row['topic']:<5} {' '.join(row['terms'])}")
    share = vector_to_array("topicDistribution")
    clearest = model.transform(texts).withColumn("share", F.array_max(share)).orderBy(F.desc("share")).first()
    print(f"Clearest    {clearest['share']:.0%} of one topic: {' '.join(clearest['text'].split())[:90]} …")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs")
