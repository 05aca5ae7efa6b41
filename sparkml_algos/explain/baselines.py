"""Baselines that are found: centres of clusters of the rows, by this library's k-means."""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkml_algos.core.columns import column

# Of the service: the numbers of clusters that are tried where none is given.
MOST_CLUSTERS = 12
# Rows that are clustered; of more a sample.
MOST_ROWS = 10_000
_EPOCHS = 5


def clustered(dataset: DataFrame, vector: Column, num_clusters: int | None, seed: int) -> np.ndarray:
    """Centres of clusters of rows.

    Parameters
    ----------
    dataset : DataFrame
    vector : Column
        Array of numbers, of each row as long.
    num_clusters : int, optional
        By default the best of 1 to 12: the knee of the mean squared distances, where they are farthest below the line from the first to the
        last.
    seed : int

    Returns
    -------
    ndarray of float64, shape (clusters, features)

    Raises
    ------
    ValueError
        If there are no rows, or fewer than clusters.
    """
    from sparkml_algos import KMeans

    rows = dataset.select(vector.cast("array<double>").alias("features"))
    count = rows.count()
    if not count:
        raise ValueError("there are no rows to explain")
    if num_clusters is not None and not 1 <= num_clusters <= count:
        raise ValueError(f"num_clusters is from 1 to the number of rows, {count}, not {num_clusters!r}")
    sampled = rows if count <= MOST_ROWS else rows.sample(fraction=MOST_ROWS / count, seed=seed)
    points = np.array([row["features"] for row in sampled.collect()], np.float64)
    # Columns of large numbers would else decide alone who is near whom.
    mean, spread = points.mean(axis=0), points.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = dataset.sparkSession.createDataFrame([(row.tolist(),) for row in (points - mean) / spread], "features array<double>").coalesce(
        1
    )
    most = min(MOST_CLUSTERS, len(np.unique(points, axis=0)))
    ks = list(range(1, most + 1)) if num_clusters is None else [num_clusters]
    learner = KMeans(k=ks[-1], epochs=_EPOCHS, num_workers=1, seed=seed)
    models = dict(learner.fitMultiple(scaled, [{learner.k: k} for k in ks]))
    summaries = [models[i].training_summary for i in range(len(ks))]
    distances = [float(summary.metrics["train:msd"]) for summary in summaries if summary is not None]
    return np.asarray(models[knee(distances)].cluster_centers, np.float64) * spread + mean


def knee(distances: list[float]) -> int:
    """Place of the value that is farthest below the line from the first to the last of falling values.

    Parameters
    ----------
    distances : list of float

    Returns
    -------
    int
    """
    first, last = distances[0], distances[-1]
    if len(distances) < 3 or first <= last:
        return 0 if first <= last else len(distances) - 1
    line = first + (last - first) * np.arange(len(distances)) / (len(distances) - 1)
    return int(np.argmax(line - np.array(distances)))


def as_array(names: list[str]) -> Column:
    """Columns of numbers as one array."""
    return F.array(*(column(name).cast("double") for name in names))
