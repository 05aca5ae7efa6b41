"""English sentences into German ones: `Seq2Seq` on pairs of sentences, on a local Spark with two workers.

    python examples/translation.py [FOLDER]

takes a folder with Multi30k's ``train.en.gz``, ``train.de.gz``, ``val.…`` and ``test_2016_flickr.…``, a sentence per line; without one it
makes sentences of its own. Words are lower-cased and parted from punctuation. As it stands it trains for a few minutes, far from the end.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sparkml_algos import Seq2Seq

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
SCHEMA = "en string, de string, held boolean"


def main(folder: str | None) -> None:
    spark = local_spark()
    try:
        pairs, test = read_pairs(spark, Path(folder)) if folder else made_pairs(spark)
        size = 256 if folder else 64
        learner = Seq2Seq(
            sourceCol="en", targetCol="de", validationIndicatorCol="held", num_embed_source=size, num_embed_target=size,
            rnn_num_hidden=size, rnn_cell_type="gru", rnn_attention_type="dot", rnn_input_feeding=False, rnn_decoder_hidden_dropout=0.2,
            embed_dropout_source=0.2, embed_dropout_target=0.2, learning_rate=0.002, batch_size=128, min_word_count=2,
            checkpoint_frequency_num_batches=100, max_num_batches=1000 if folder else 200, num_workers=2, seed=1,
        )  # fmt: skip
        model = learner.fit(pairs)
        print(f"Trained in {model.training_summary.seconds['total']:.0f} s: {model.training_summary.metrics}")
        print(model.evaluate(test))
        model.transform(test.limit(5)).select("en", "prediction").show(truncate=False)
    finally:
        spark.stop()


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos Seq2Seq")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_pairs(spark: SparkSession, folder: Path) -> tuple[DataFrame, DataFrame]:
    """Pairs to train on and to validate on, and those of the test."""

    def read(part: str, held: bool) -> list[tuple[str, str, bool]]:
        texts = (gzip.open(folder / f"{part}.{side}.gz", "rt", encoding="utf-8").read().splitlines() for side in ("en", "de"))
        return [(tokenised(one), tokenised(other), held) for one, other in zip(*texts, strict=True)]

    pairs = spark.createDataFrame(read("train", False) + read("val", True), SCHEMA).repartition(2).cache()
    return pairs, spark.createDataFrame(read("test_2016_flickr", False), SCHEMA)


def tokenised(text: str) -> str:
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))


def made_pairs(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Sentences of a small grammar, whose verb goes to the end."""
    who = {"a man": "ein mann", "a woman": "eine frau", "a child": "ein kind", "my friend": "mein freund"}
    what = {"an apple": "einen apfel", "the book": "das buch", "two dogs": "zwei hunde", "a picture": "ein bild"}
    does = {"seen": "gesehen", "found": "gefunden", "bought": "gekauft", "painted": "gemalt"}
    when = {"today": "heute", "yesterday": "gestern", "again": "wieder", "in berlin": "in berlin"}
    drawn, rows = random.Random(1), []
    for _ in range(4000):
        one, thing, verb, time = (drawn.choice(list(words)) for words in (who, what, does, when))
        rows.append((f"{one} has {verb} {thing} {time}", f"{who[one]} hat {when[time]} {what[thing]} {does[verb]}", drawn.random() < 0.1))
    return spark.createDataFrame(rows[200:], SCHEMA).repartition(2).cache(), spark.createDataFrame(rows[:200], SCHEMA)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
