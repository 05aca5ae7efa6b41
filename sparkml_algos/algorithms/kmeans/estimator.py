"""K-means for data of any size: one pass over many extra centres, then a weighted shrink to k.

K = k·x centres are kept while the workers stream their rows. In each step every worker assigns its part of the mini-batch to
the nearest centres; the summed rows and weights per centre are added up over all workers, and every worker makes the same update:

    p = b / (n + b);   c ← (1 − p)·c + p·d;   n ← n + b

for a centre c that has stood for weight n and now receives rows of weight b and mean d. At the end Lloyd's method, weighted by n,
shrinks the K centres to k. The K centres can serve every k, which is why an elbow costs one pass.

References
----------
D. Sculley, "Web-scale k-means clustering", WWW 2010. D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful
seeding", SODA 2007. E. Liberty et al., "Elastic machine learning algorithms in Amazon SageMaker", SIGMOD 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml.linalg import Vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.algorithms.kmeans.params import KMeansParams
from sparkml_algos.algorithms.kmeans.training import KMEANS, num_centers
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.aggregation import SCORE, scored_rows
from sparkml_algos.core.bridge import OnJvm
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import HasSummary, PredictsRows
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows.fields import WEIGHT
from sparkml_algos.training.algorithm import Algorithm

# With more clusters Python's matrix products make up for the way of the rows to Python and back.
JVM_CLUSTERS = 100


class KMeans(AlgorithmEstimator["KMeansModel"], KMeansParams):
    """Web-scale k-means on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    A pass costs O(rows · K · features / workers) and, per mini-batch, one exchange of K · features floats between the workers. In ``Pipe``
    mode the first centres come from the first rows to arrive: shuffle sorted data before.

    Features are taken as float32. Of such rows the nearest centre is found, and distances are computed, as precisely as in float64,
    whatever the scales of the columns and however far from the origin: where float32 products leave a doubt, float64 settles it.

    The specification leaves open whether the shrink weighs the K centres: it does, by the rows they stand for. `local_lloyd_tol` is read
    as a relative change.

    Examples
    --------
    >>> from sparkml_algos import KMeans
    >>> model = KMeans(k=10, featuresCol="scaled").fit(dataframe)  # doctest: +SKIP
    >>> model.transform(dataframe).groupBy("prediction").count().show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return KMEANS

    @staticmethod
    def model_class() -> type[KMeansModel]:
        return KMeansModel

    def elbow(self, dataset: DataFrame, ks: Sequence[int]) -> DataFrame:
        """Within-cluster sum of squares for several k from one pass.

        All k are cut from the K centres of the largest, `extra_centers` or else by `extra_center_factor`. A `fit` of a smaller k alone,
        with its own K, may differ a little. `fitMultiple` gives exactly what `fit` gives alone, and shares a pass between those k that
        have the same K: by default all up to 32.

        Parameters
        ----------
        dataset : DataFrame
        ks : sequence of int

        Returns
        -------
        DataFrame
            ``k`` (int), ``ssd`` and ``msd`` (double): sum and mean of squared distances of the training rows, each staying with the extra
            centre it fell to, which bounds the true figure from above. `sparkml_algos.plotting.plot_elbow` draws it.
        """
        ks = sorted(set(ks))
        extra = self.getExtraCenters() or max(num_centers(Hyperparameters(**{**self.hyperparameters(), "k": k})) for k in ks)
        models = dict(self.fitMultiple(dataset, [{self.k: k, self.extra_centers: extra} for k in ks]))
        metrics = [models[index].training_summary.metrics for index in range(len(ks))]
        rows = [(int(k), metric["train:ssd"], metric["train:msd"]) for k, metric in zip(ks, metrics, strict=True)]
        return dataset.sparkSession.createDataFrame(rows, "k int, ssd double, msd double")


class KMeansModel(PredictsRows, HasSummary, AlgorithmModel, KMeansParams):
    """Clusters found by `KMeans`.

    `transform` appends ``prediction`` (int, the index of the nearest centre from 0) and ``distance_to_cluster`` (double, the
    Euclidean distance to it).
    """

    outputs = (Output("closest_cluster", "int", "predictionCol"), Output("distance_to_cluster", "double", "distanceCol"))
    on_jvm = OnJvm("org.sparkmlalgos.ml.KMeansModel", faster=lambda artifact: len(artifact.arrays["centers"]) <= JVM_CLUSTERS)

    @staticmethod
    def algorithm() -> Algorithm:
        return KMEANS

    @property
    def cluster_centers(self) -> np.ndarray:
        """The centres, shape (k, features), float64."""
        return self.artifact.arrays["centers"]

    def clusterCenters(self) -> list[np.ndarray]:
        """The centres as MLlib's model gives them: a list of k arrays."""
        return list(self.cluster_centers)

    def predict(self, value: Vector | Sequence[float] | np.ndarray) -> int:
        """The index of the centre nearest to a single row; takes and refuses what `PredictsRows.predict` does."""
        return int(super().predict(value))

    @property
    def summary(self) -> KMeansSummary:
        """How the training went, by MLlib's names; more is in `training_summary`.

        Raises
        ------
        RuntimeError
            If that is not known.
        """
        known = self._known_summary()
        return KMeansSummary(len(self.cluster_centers), known.metrics["train:ssd"], len(known.history))

    def computeCost(self, dataset: DataFrame) -> float:
        """The ``test:ssd`` of `evaluate`: sum of squared distances of rows to their nearest centres, weighted where `weightCol` is set."""
        return self.copy({self.eval_metrics: ["ssd"]}).evaluate(dataset)["test:ssd"]

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """The metrics named by `eval_metrics` on the rows of a dataset.

        Returns
        -------
        dict
            ``test:msd`` mean and ``test:ssd`` sum of squared Euclidean distances to the nearest centre; weighted where `weightCol` is set.

        Raises
        ------
        ValueError
            If the dataset is empty.
        """
        rows = scored_rows(dataset, self, "distance_to_cluster")
        weight = F.col(WEIGHT).cast("double") if self.value("weightCol") else F.lit(1.0)
        sums = rows.agg(F.sum(F.col(SCORE) * F.col(SCORE) * weight).alias("ssd"), F.sum(weight).alias("weight")).first()
        if not sums["weight"]:
            raise ValueError("the dataset to evaluate on is empty")
        scores = {"msd": sums["ssd"] / sums["weight"], "ssd": sums["ssd"]}
        return {f"test:{name}": scores[name] for name in self.getEvalMetrics()}


@dataclass(frozen=True)
class KMeansSummary:
    """How the training of a `KMeansModel` went, as far as it is known without another pass over the rows.

    Attributes
    ----------
    k : int
        Number of clusters.
    trainingCost : float
        Sum of squared distances of the training rows when each stays with the extra centre it fell to: an upper bound of what MLlib calls
        so, which `KMeansModel.computeCost` finds.
    numIter : int
        Passes over the training rows; MLlib counts iterations of Lloyd's method, each of which is one.
    """

    k: int
    trainingCost: float
    numIter: int
