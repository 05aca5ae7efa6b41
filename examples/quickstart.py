"""Handwritten digits, from Parquet to clusters to a saved pipeline: `KMeans` on a local Spark with two workers.

Writes to examples/output/: the data, the fitted pipeline and a picture of what was found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import PCA, MinMaxScaler, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from sklearn.datasets import load_digits

from sparkml_algos import KMeans

OUTPUT = Path(__file__).resolve().parent / "output"
LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
KS = [2, 4, 6, 8, 10, 12, 14, 16, 20]


def main() -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    spark = local_spark()
    try:
        digits = read_digits(spark)
        model = fit(digits)
        clustered = model.transform(digits).cache()
        report(model, clustered)
        save_and_reload(model, digits, clustered)
        elbow = choose_k(clustered)
        picture = draw(model, clustered, elbow)
    finally:
        spark.stop()
    print(f"\nPicture        {picture}")


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos quickstart")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_digits(spark: SparkSession) -> DataFrame:
    """1,797 images of 8 × 8 pixels as a table: one column per pixel, and the digit that was written, which training never sees."""
    images = load_digits()
    table = pd.DataFrame(images.data.astype(np.float32), columns=pixels()).assign(digit=images.target)
    path = OUTPUT / "digits.parquet"
    table.to_parquet(path)
    return spark.read.parquet(str(path))


def pixels() -> list[str]:
    return [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]


def fit(digits: DataFrame) -> PipelineModel:
    return Pipeline(
        stages=[
            VectorAssembler(inputCols=pixels(), outputCol="pixels"),
            MinMaxScaler(inputCol="pixels", outputCol="scaled"),
            KMeans(k=10, featuresCol="scaled", epochs=10, mini_batch_size=600, num_workers=2, seed=1),
        ]
    ).fit(digits)


def report(model: PipelineModel, clustered: DataFrame) -> None:
    summary = model.stages[-1].training_summary
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in summary.seconds.items() if phase != "total")
    print(f"Trained        {summary.rows:,} rows x {summary.num_features} features in {len(summary.history)} epochs")
    print(f"Workers        {summary.num_workers} ({summary.launch}), rows on each: {summary.rows_per_worker}")
    print(f"Seconds        {summary.seconds['total']:.2f} in all; {phases}")
    print(f"Silhouette     {silhouette(clustered):.3f}")
    inputs = clustered.drop("prediction", "distance_to_cluster")
    print(f"Evaluation     {', '.join(f'{name} {value:.3f}' for name, value in model.stages[-1].evaluate(inputs).items())}")
    print(f"Purity         {purity(clustered):.1%} of the images show the most frequent digit of their cluster")


def silhouette(clustered: DataFrame) -> float:
    return ClusteringEvaluator(featuresCol="scaled", predictionCol="prediction").evaluate(clustered)


def purity(clustered: DataFrame) -> float:
    counts = clustered.groupBy("prediction").pivot("digit").count().fillna(0).toPandas().drop(columns="prediction")
    return counts.max(axis=1).sum() / counts.sum().sum()


def save_and_reload(model: PipelineModel, digits: DataFrame, clustered: DataFrame) -> None:
    path = str(OUTPUT / "digits-pipeline")
    model.write().overwrite().save(path)
    again = PipelineModel.load(path).transform(digits)
    columns = ["digit", "prediction", "distance_to_cluster"]
    differences = clustered.select(columns).exceptAll(again.select(columns)).count()
    if differences:
        raise AssertionError(f"{differences} predictions changed by saving and loading")
    print(f"Saved, loaded  all {clustered.count():,} predictions equal ({path})")


def choose_k(clustered: DataFrame) -> pd.DataFrame:
    """All k from one training: the workers' extra centres serve every k."""
    scaled = clustered.select("scaled")
    elbow = KMeans(k=max(KS), featuresCol="scaled", epochs=10, mini_batch_size=600, num_workers=2, seed=1).elbow(scaled, KS).toPandas()
    print("Elbow          " + ", ".join(f"k={k}: {msd:.2f}" for k, msd in zip(elbow["k"], elbow["msd"], strict=True)))
    return elbow


# ------------------------------------------------------------------------------------------------------------------- picture


def draw(model: PipelineModel, clustered: DataFrame, elbow: pd.DataFrame) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sparkml_algos.plotting import plot_elbow

    plt.rcParams.update({"font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left"})
    summary = model.stages[-1].training_summary
    clusters = describe_clusters(clustered)
    colors = {cluster: plt.get_cmap("tab10")(position) for position, cluster in enumerate(clusters.index)}

    figure = plt.figure(figsize=(17, 5.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    figure.suptitle(
        f"KMeans on Spark: {summary.rows:,} handwritten digits, {summary.num_workers} workers, "
        f"{len(summary.history)} epochs in {summary.seconds['train']:.2f} s",
        fontsize=16,
        x=0.008,
        ha="left",
    )
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1.4, 1.1, 0.95])
    draw_centers(left, centers_in_pixels(model), clusters, colors)
    draw_map(middle.subplots(), clustered, clusters, colors)
    axes = plot_elbow(elbow, right.subplots())
    chosen = elbow.loc[elbow["k"] == len(clusters)].iloc[0]
    axes.plot(chosen["k"], chosen["msd"], "o", markersize=13, markerfacecolor="none", markeredgecolor="#c44e52", markeredgewidth=2)
    axes.annotate(
        f"k = {len(clusters)}",
        (chosen["k"], chosen["msd"]),
        xytext=(12, 14),
        textcoords="offset points",
        color="#c44e52",
        fontweight="bold",
    )
    axes.set_title("Elbow: every k from one training", pad=12)
    path = OUTPUT / "digits.png"
    figure.savefig(path, dpi=150, facecolor="white")
    plt.close(figure)
    return path


def describe_clusters(clustered: DataFrame) -> pd.DataFrame:
    """Per cluster ``rows``, its most frequent ``digit`` and that digit's ``share``; in the order of the digits."""
    counts = clustered.groupBy("prediction", "digit").count().toPandas()
    table = counts.pivot(index="prediction", columns="digit", values="count").fillna(0)
    described = pd.DataFrame({"rows": table.sum(axis=1), "digit": table.idxmax(axis=1), "share": table.max(axis=1) / table.sum(axis=1)})
    return described.sort_values(["digit", "rows"], ascending=[True, False])


def centers_in_pixels(model: PipelineModel) -> np.ndarray:
    """The cluster centres as images, shape (k, 8, 8): the scaling undone."""
    scaler, kmeans = model.stages[-2], model.stages[-1]
    low, high = scaler.originalMin.toArray(), scaler.originalMax.toArray()
    return (kmeans.cluster_centers * (high - low) + low).reshape(-1, 8, 8)


def draw_centers(figure: object, images: np.ndarray, clusters: pd.DataFrame, colors: dict) -> None:
    figure.suptitle("Cluster centres, and the digit most frequent in each", fontsize=12, fontweight="bold", x=0.012, ha="left")
    for axes, (cluster, facts) in zip(figure.subplots(2, 5).flat, clusters.iterrows(), strict=True):
        axes.imshow(images[int(cluster)], cmap="gray_r", vmin=0, vmax=16, interpolation="bicubic")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=colors[cluster], linewidth=3)
        axes.set_title(f"{int(facts['digit'])}", loc="center", fontsize=17, color=colors[cluster])
        axes.set_xlabel(f"{facts['share']:.0%} of {int(facts['rows'])}", fontsize=9.5, color="#444444")


def draw_map(axes: object, clustered: DataFrame, clusters: pd.DataFrame, colors: dict) -> None:
    """All rows on their first two principal components, coloured by cluster, each cluster's digit at its middle."""
    projected = PCA(k=2, inputCol="scaled", outputCol="plane").fit(clustered).transform(clustered)
    plane = vector_to_array("plane")
    points = projected.select(plane[0].alias("x"), plane[1].alias("y"), "prediction").toPandas()
    for cluster in clusters.index:
        own = points[points["prediction"] == cluster]
        axes.scatter(own["x"], own["y"], s=13, color=colors[cluster], alpha=0.55, linewidths=0)
    for cluster, facts in clusters.iterrows():
        own = points[points["prediction"] == cluster]
        badge = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": colors[cluster], "linewidth": 2}
        axes.text(own["x"].mean(), own["y"].mean(), int(facts["digit"]), ha="center", va="center", fontweight="bold", bbox=badge)
    axes.set_title("Every image on two principal components", pad=12)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_color("#cccccc")


if __name__ == "__main__":
    main()
