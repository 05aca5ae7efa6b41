"""Random cut forest: Estimator and Model.

A point is anomalous if it would change random trees of the data much: random cuts soon tell it from all others.

References
----------
S. Guha, N. Mishra, G. Roy, O. Schrijvers, "Robust random cut forest based anomaly detection on streams", ICML 2016. J. Vitter, "Random
sampling with a reservoir", ACM Transactions on Mathematical Software 11 (1985).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos import kernels
from sparkml_algos.algorithms.random_cut_forest.forest import Forest
from sparkml_algos.algorithms.random_cut_forest.params import RandomCutForestParams
from sparkml_algos.algorithms.random_cut_forest.training import ATTRIBUTING, QUANTILES, RANDOM_CUT_FOREST
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import InvalidParams
from sparkml_algos.core.aggregation import scored_rows
from sparkml_algos.core.bridge import OnJvm
from sparkml_algos.core.columns import column
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.inputs import output_problems
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.training.algorithm import Algorithm

logger = logging.getLogger(__name__)

# Labelled rows are called anomalous so many deviations above the mean of their scores, by the service's documentation.
EVALUATION_DEVIATIONS = 3.0

# Of the scores, this share is not above the threshold that is proposed where none is.
USUAL_QUANTILE = 0.99

# Accuracy of the quantiles of a DataFrame's scores, in ranks: one in so many.
QUANTILE_ACCURACY = 10_000


# The score where it has no column of its own.
_SCORE = "_sparkml_algos_score"


class RandomCutForest(AlgorithmEstimator["RandomCutForestModel"], RandomCutForestParams):
    """Anomaly detection by a random cut forest, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    One pass draws num_trees · num_samples_per_tree rows, each set of rows being equally likely; the workers then grow num_trees /
    workers trees each. With fewer rows every tree gets rows / num_trees of them, rounded down; with fewer rows than trees, one.
    Sample and forest are held in memory: 4 · num_trees · num_samples_per_tree · features bytes, a few times over in each worker. A score
    costs O(num_trees · log(num_samples_per_tree) · features).

    Cuts follow the ranges of the features: bring features to one scale first. Series are made into rows by `Shingle`.

    The scores from which `threshold` comes are those of up to 10,000 rows of the sample. Where scores have a short tail, as of a series
    that changes slowly, none may lie three deviations above their mean: `fit` then warns, and ``thresholdMethod="quantile"`` is the better
    choice. `labelCol` is read by `evaluate` only.

    Each row must be on one worker: there is no ``data_distribution="FullyReplicated"``. GPUs would bring nothing: `use_gpu` is
    refused.

    Examples
    --------
    >>> from sparkml_algos import RandomCutForest
    >>> model = RandomCutForest(predictionCol="is_anomaly").fit(dataframe)  # doctest: +SKIP
    >>> model.transform(dataframe).where("is_anomaly = 1").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return RANDOM_CUT_FOREST

    @staticmethod
    def model_class() -> type[RandomCutForestModel]:
        return RandomCutForestModel

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        if self.value("data_distribution") == "FullyReplicated":
            problems.append("data_distribution='FullyReplicated' would sample each row once per worker; use 'ShardedByKey'")
        return problems


class RandomCutForestModel(AlgorithmModel, RandomCutForestParams):
    """A forest grown by `RandomCutForest`.

    `transform` appends ``score`` (double); where `attributionCol` is set, a vector of what each feature adds to it; where `predictionCol`
    is set, 1.0 or 0.0 by `threshold`. The attribution to feature j is the score with, at each node, the share of the chance of a
    separation that falls to j in place of the whole chance; a leaf that equals the row gives the same to every feature.

    Attributions are computed in Python only.
    """

    outputs = (Output("score", "double", "scoreCol"), Output("attribution", "vector", "attributionCol", on_jvm=False))
    on_jvm = OnJvm("org.sparkmlalgos.ml.RandomCutForestModel", faster=lambda artifact: not kernels.available())
    _warned_of: float | None = None

    def algorithm(self) -> Algorithm:
        return ATTRIBUTING if self.value("attributionCol") else RANDOM_CUT_FOREST

    @property
    def forest(self) -> Forest:
        """The trees."""
        return Forest.of(self.artifact)

    @property
    def threshold(self) -> float:
        """The score above which a row is called anomalous, by `thresholdMethod`."""
        if self.value("thresholdMethod") == "quantile":
            return float(np.interp(self.value("thresholdQuantile"), QUANTILES, self.artifact.arrays["quantiles"]))
        return self.artifact.values["mean"] + self.value("thresholdDeviations") * self.artifact.values["deviation"]

    def fit_threshold(self, dataset: DataFrame) -> RandomCutForestModel:
        """Let `threshold` follow the scores of these rows in place of those known from `fit`.

        Parameters
        ----------
        dataset : DataFrame
            With the features; normal rows, or rows as they will come.

        Returns
        -------
        RandomCutForestModel
            This model.

        Raises
        ------
        ValueError
            If the dataset is empty.
        """
        score = column(_SCORE)
        quantiles = F.percentile_approx(score, [float(share) for share in QUANTILES], QUANTILE_ACCURACY)
        found = self._scored(dataset).agg(F.avg(score), F.stddev_pop(score), quantiles).first()
        if found[0] is None:
            raise ValueError("the dataset to take the threshold from is empty")
        arrays = {**self.artifact.arrays, "quantiles": np.array(found[2], np.float64)}
        self.artifact = Artifact(arrays, {**self.artifact.values, "mean": float(found[0]), "deviation": float(found[1])})
        self._warn_if_none_is_above()
        return self

    @property
    def share_above_threshold(self) -> float:
        """Share of the scores known from `fit`, or from `fit_threshold`, that are above `threshold`, to one in a thousand."""
        return float(np.mean(self.artifact.arrays["quantiles"] > self.threshold))

    def _take_what_was_found(self) -> None:
        self._warn_if_none_is_above()

    def _warn_if_none_is_above(self) -> None:
        """Say so, once for each threshold, where no row that it was taken from would be called anomalous."""
        quantiles, threshold = self.artifact.arrays["quantiles"], self.threshold
        if self.share_above_threshold > 0 or quantiles[-1] == quantiles[0] or threshold == self._warned_of:
            return
        self._warned_of = threshold
        usual = float(np.interp(USUAL_QUANTILE, QUANTILES, quantiles))
        by_quantile = f"thresholdMethod='quantile' with thresholdQuantile={USUAL_QUANTILE:g} puts it at {usual:.4g}"
        deviations = (usual - self.artifact.values["mean"]) / self.artifact.values["deviation"]
        logger.warning(
            "%s: 0 %% of the rows that the threshold was taken from are above it: it is %.4g, and the largest score is %.4g. "
            "%s, as does thresholdDeviations=%.2f",
            self.uid, threshold, quantiles[-1], by_quantile, deviations,
        )  # fmt: skip

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """The metrics named by `eval_metrics`, when rows are called anomalous whose score is more than three standard deviations above the
        mean score of these rows; `threshold` has no part in it.

        Parameters
        ----------
        dataset : DataFrame
            With features and `labelCol`: 1 for an anomaly, 0 for a normal row.

        Returns
        -------
        dict of str to float
            ``test:accuracy``; ``test:precision``, ``test:recall`` and ``test:f1`` of the anomalies, and with ``negative_`` before the name
            those of the normal rows.

        Raises
        ------
        ValueError
            If the dataset is empty, has no `labelCol`, or labels other than 0 and 1.
        """
        rows = scored_rows(dataset, self.copy({self.predictionCol: None}), "score").persist()
        try:
            moments = rows.agg(F.avg("score").alias("mean"), F.stddev_pop("score").alias("deviation")).first()
            if moments["mean"] is None:
                raise ValueError("the dataset to evaluate on is empty")
            called = F.col("score") > moments["mean"] + EVALUATION_DEVIATIONS * moments["deviation"]
            counts = rows.groupBy("label", called.alias("called")).count().collect()
        finally:
            rows.unpersist()
        for row in counts:
            if row["label"] not in (0.0, 1.0):
                in_all = sum(other["count"] for other in counts if other["label"] == row["label"])
                raise ValueError(f"label column {self.value('labelCol')!r} is {row['label']}, expected 0 or 1, in {in_all} row(s)")
        return _metrics({(row["label"], row["called"]): row["count"] for row in counts}, self.getEvalMetrics())

    def _scored(self, dataset: DataFrame) -> DataFrame:
        """The dataset with its scores and nothing else beside them."""
        return self.copy({self.predictionCol: None}).only("score", _SCORE).transform(dataset)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        name, score = self.value("predictionCol"), self.value("scoreCol") or _SCORE
        if not name:
            return super()._transform(dataset)
        problems = output_problems(dataset, [name, *(self.value(output.param) for output in self.own_outputs())], [])
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        self._warn_if_none_is_above()
        scored = self.copy({self.predictionCol: None, self.scoreCol: score}).transform(dataset)
        return scored.select("*", (column(score) > self.threshold).cast("double").alias(name)).drop(_SCORE)


def _metrics(counts: dict[tuple[float, bool], int], wanted: Sequence[str]) -> dict[str, float]:
    """From the number of rows by label and by what they are called."""
    found: dict[str, float] = {}
    if "accuracy" in wanted:
        right = sum(count for (label, called), count in counts.items() if label == called)
        found["test:accuracy"] = right / sum(counts.values())
    if "precision_recall_fscore" in wanted:
        for prefix, which in (("", True), ("negative_", False)):
            hits = counts.get((float(which), which), 0)
            called = sum(count for (_, one), count in counts.items() if one == which)
            actual = sum(count for (label, _), count in counts.items() if label == which)
            found[f"test:{prefix}precision"] = hits / called if called else 0.0
            found[f"test:{prefix}recall"] = hits / actual if actual else 0.0
            found[f"test:{prefix}f1"] = 2 * hits / (called + actual) if called + actual else 0.0
    return found
