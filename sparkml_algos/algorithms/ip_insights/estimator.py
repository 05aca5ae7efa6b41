"""IP Insights: Estimator and Model.

    s(entity, address) = ⟨v_entity, f(bits of the address)⟩,   minimise  the mean cross entropy of 1 / (1 + exp(−s))

over pairs that were seen, and pairs of an entity with an address at random or of another row, which are to be told from them: s is the
log odds that a pair is of the first kind. f is a network of fully connected layers.

References
----------
T. Mikolov et al., "Distributed representations of words and phrases and their compositionality", NIPS 2013 (negative samples). D. Kingma,
J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
"""

from __future__ import annotations

import functools

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.algorithms.ip_insights.auc import area, histogram, made_up
from sparkml_algos.algorithms.ip_insights.params import IPInsightsParams
from sparkml_algos.algorithms.ip_insights.prediction import QUANTILES, load
from sparkml_algos.algorithms.ip_insights.training import IP_INSIGHTS
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters, InvalidParams
from sparkml_algos.arrays.params import NetworkParams
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.columns import column
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.inputs import output_problems
from sparkml_algos.core.mllib import HasSummary
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.identities import NO_ADDRESS
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.training.algorithm import Algorithm

# The score where it has no column of its own.
_SCORE = "_sparkml_algos_score"
# Accuracy of the quantiles of a DataFrame's scores, in ranks: one in so many.
QUANTILE_ACCURACY = 10_000


class IPInsights(AlgorithmEstimator, IPInsightsParams, NetworkParams):
    """Learns which addresses of the Internet go with which entities, such as users or accounts, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Rows are pairs that were seen. The dot product of an entity and an address is the larger, the more usual the pair; low ones are
    suspicious, see `IPInsightsModel.threshold`.

    An entity is known by a hash of its name: XXH64 of the UTF-8 bytes with seed 42, which Spark calls ``xxhash64``, as a number without
    sign modulo `num_entity_vectors`. One that was never seen has a vector too, that of whoever shares its place, or what that started as.
    Addresses are of version 4; the network sees their bits from the left. With several workers, the addresses of other rows are those of
    the worker's own rows of the mini-batch.

    A step costs O((1 + random_negative_sampling_rate) · (32 · vector_dim + vector_dim² · (num_ip_encoder_layers − 1))) for a row and, for
    the last layer is applied to entities in place of addresses, O(vector_dim²) for an entity among the rows; workers share both.
    Of the vectors of entities those of the rows are exchanged and moved, others neither decay nor change Adam's running means. A worker
    holds three numbers of 32 bits for each of the num_entity_vectors · vector_dim.

    Small data wants small mini-batches: of 8,000 requests to a web server by 559 user agents, `mini_batch_size` 10,000 and 1,000 gave areas
    under the ROC curve of 0.63 and 0.75 in 10 epochs, 500 gave 0.77 in 20, for later requests against shuffled addresses (medians of three
    seeds; vectors of 128).

    Examples
    --------
    >>> from sparkml_algos import IPInsights
    >>> insights = IPInsights(num_entity_vectors=20_000, vector_dim=128, entityCol="user", ipCol="address")
    >>> model = insights.fit(logins)  # doctest: +SKIP
    >>> model.setPredictionCol("alarm").transform(new_logins).where("alarm = 1").show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return IP_INSIGHTS

    @staticmethod
    def model_class() -> type[IPInsightsModel]:
        return IPInsightsModel


class IPInsightsModel(HasSummary, AlgorithmModel, IPInsightsParams):
    """Vectors of entities and a network that encodes addresses.

    `transform` appends ``dot_product`` (double) and, where their columns are named, ``entity_embedding`` and ``ip_embedding`` (vectors),
    and 1.0 or 0.0 by `threshold`.
    """

    outputs = (
        Output("dot_product", "double", "dotProductCol"),
        Output("entity_embedding", "vector", "entityEmbeddingCol"),
        Output("ip_embedding", "vector", "ipEmbeddingCol"),
    )

    @staticmethod
    def algorithm() -> Algorithm:
        return IP_INSIGHTS

    def objective_metric(self) -> str:
        return "loss"

    @property
    def served_epoch(self) -> int:
        """The epoch, counted from 1, whose state this model is: the one with the largest area under the curve on rows for validation, or
        else the smallest training loss."""
        return self.artifact.values["epoch"]

    @property
    def threshold(self) -> float:
        """The dot product below which a pair raises an alarm: the `thresholdQuantile` of those of a sample of the training pairs, or of
        the pairs that `fit_threshold` was given."""
        return float(np.interp(self.value("thresholdQuantile"), QUANTILES, self.artifact.arrays["quantiles"]))

    def fit_threshold(self, dataset: DataFrame) -> IPInsightsModel:
        """Let `threshold` follow the scores of these pairs in place of those known from `fit`.

        Parameters
        ----------
        dataset : DataFrame
            Of usual pairs.

        Returns
        -------
        IPInsightsModel
            This model.

        Raises
        ------
        ValueError
            If no row has a score.
        """
        score = column(_SCORE)
        quantiles = F.percentile_approx(score, [float(share) for share in QUANTILES], QUANTILE_ACCURACY)
        found = self._scored(dataset).agg(quantiles).first()[0]
        if found is None:
            raise ValueError("the dataset to take the threshold from is empty")
        self.artifact = Artifact({**self.artifact.arrays, "quantiles": np.array(found, np.float64)}, self.artifact.values)
        return self

    def share_of_alarms(self, dataset: DataFrame | None = None) -> float:
        """Share of pairs that raise an alarm at `threshold`: of a dataset's or, without one, of those the threshold was taken from.

        Parameters
        ----------
        dataset : DataFrame, optional

        Raises
        ------
        ValueError
            If no row of the dataset has a score.
        """
        if dataset is None:
            quantiles = self.artifact.arrays["quantiles"]
            return float(QUANTILES[np.searchsorted(quantiles, self.threshold)])
        share = self._scored(dataset).agg(F.avg((column(_SCORE) < self.threshold).cast("double"))).first()[0]
        if share is None:
            raise ValueError("the dataset has no pair with a score")
        return float(share)

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """How well the model tells the pairs of a dataset from their entities with addresses at random.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:discriminator_auc``, the area under the ROC curve with one random address for each row, which is the same in every call.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that cannot be scored.
        """
        make = functools.partial(load, hyperparameters=Hyperparameters(**self.hyperparameters()), device="cpu")
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        totals = sum_over_batches(dataset, self, functools.partial(_histograms, predictor))
        return {"test:discriminator_auc": area(totals["seen"], totals["made_up"])}

    def _scored(self, dataset: DataFrame) -> DataFrame:
        """The dataset with its scores, without rows that have none."""
        scored = self.copy({self.predictionCol: None}).only("dot_product", _SCORE).transform(dataset)
        return scored.where(~F.isnan(column(_SCORE)))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        name, score = self.value("predictionCol"), self.value("dotProductCol") or _SCORE
        if not name:
            return super()._transform(dataset)
        problems = output_problems(dataset, [name], ["predictionCol"])
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        scored = self.copy({self.predictionCol: None, self.dotProductCol: score}).transform(dataset)
        return scored.select("*", (column(score) < self.threshold).cast("double").alias(name)).drop(_SCORE)


def _histograms(predictor: Opened[Predictor], batch: Batch) -> Sums:
    """What a batch contributes to the area under the curve."""
    batch = batch.take(np.flatnonzero(batch.ip != NO_ADDRESS))
    unseen = batch.replace(ip=made_up(batch.entity, batch.ip))
    return {name: histogram(predictor.get()(one)["dot_product"]) for name, one in (("seen", batch), ("made_up", unseen))}
