"""An experiment that is kept: tumours told apart, on a local Spark.

    python examples/tracking.py

takes the breast cancer rows that scikit-learn brings, trains by hand and by a search, and keeps all of it in
``examples/output/tumours``, anew each time. It prints the leaderboard, writes the page of the experiment, registers the best model, loads
it back without Spark and writes its card, in a minute and a half on two busy cores. Needs the extras ``examples`` and ``tracking``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from sparkml_algos import LinearLearnerBinaryClassifier
from sparkml_algos.tracking import Experiment, Lineage, ModelCard, Run, load_pyfunc, register_model, report, set_tracking_uri
from sparkml_algos.tuning import ContinuousParameter, HyperparameterTuner

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
OUTPUT = Path(__file__).resolve().with_name("output") / "tumours"
METRIC = "validation:objective_loss"


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    set_tracking_uri(f"sqlite:///{OUTPUT / 'runs.db'}")
    spark = local_spark()
    try:
        rows = tumours(spark).cache()
        for epochs in (2, 10):
            with Run("Tumours", f"{epochs} epochs") as run:
                model = learner(epochs=epochs).fit(rows)
                run.log_metrics(model.evaluate(rows))
        ranges = {"learning_rate": ContinuousParameter(0.001, 0.5, "Logarithmic"), "l1": ContinuousParameter(1e-6, 0.1, "Logarithmic")}
        options = {"objective_type": "Minimize", "strategy": "Random", "max_jobs": 6, "random_seed": 1}
        with Run("Tumours", "a search") as search:
            HyperparameterTuner(learner(epochs=5), METRIC, ranges, **options).fit(rows)
        experiment = Experiment("Tumours", "Is a tumour benign, by what a microscope shows of its cells?")
        board = experiment.leaderboard(METRIC)
        print(board[["rank", "run", METRIC, "learning_rate", "l1", "seconds"]].to_string(index=False))
        report(experiment, OUTPUT / "experiment.html", METRIC)
        version = register_model(search, "tumours", approval="Approved")
        answers = load_pyfunc(version.uri).predict(rows.limit(5).toPandas()[["features"]])
        (learned,) = Lineage().datasets_of(version.uri)
        print(f"{version.uri} says {answers['prediction'].astype(int).tolist()}; it comes from rows {learned.properties['digest']}")
        uses = {"purpose_of_model": "To show what is kept of a model.", "risk_rating": "High"}
        ModelCard.of(version).edited(intended_uses=uses).save().export(OUTPUT / "card.html")
        print(f"The page is {OUTPUT / 'experiment.html'}, the card of the model {OUTPUT / 'card.html'}")
    finally:
        spark.stop()


def learner(**options: int) -> LinearLearnerBinaryClassifier:
    return LinearLearnerBinaryClassifier(
        validationIndicatorCol="held_out", mini_batch_size=50, num_models=1, num_workers=1, seed=1, **options
    )


def tumours(spark: SparkSession) -> DataFrame:
    features, labels = load_breast_cancer(return_X_y=True)
    scaled = StandardScaler().fit_transform(features)
    rows = [(row.tolist(), float(label), place % 4 == 0) for place, (row, label) in enumerate(zip(scaled, labels, strict=True))]
    return spark.createDataFrame(rows, "features array<double>, label double, held_out boolean").coalesce(2)


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos experiment")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


if __name__ == "__main__":
    main()
