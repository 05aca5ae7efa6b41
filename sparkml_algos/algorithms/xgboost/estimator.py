"""Gradient boosted trees for regression, classification and ranking: Estimators.

    ŷ = base_score + Σ_t eta·f_t(x),    round t minimises  Σ_i [g_i f_t(x_i) + h_i f_t(x_i)²/2] + gamma·leaves + λ·Σw²/2 + α·Σ|w|

with g and h the derivatives of the loss at the prediction so far. The arithmetic is the xgboost library's; here rows are fed to it and its
workers connected.

References
----------
T. Chen, C. Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

from sparkml_algos.algorithms.xgboost.model import XGBoostClassificationModel, XGBoostRankerModel, XGBoostRegressionModel
from sparkml_algos.algorithms.xgboost.params import (
    WarmStartParams,
    XGBoostClassifierParams,
    XGBoostParams,
    XGBoostRankerParams,
    XGBoostRegressorParams,
)
from sparkml_algos.algorithms.xgboost.settings import dimension_problems, only_one_worker
from sparkml_algos.algorithms.xgboost.training import XGBOOST, XGBOOST_RANKING
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.core.estimator import AlgorithmEstimator, M
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.training.algorithm import Algorithm


class _XGBoost(XGBoostParams, WarmStartParams, AlgorithmEstimator[M]):
    """Params come before the base of all Estimators, for `seed` is a hyperparameter here."""

    @staticmethod
    def algorithm() -> Algorithm:
        return XGBOOST

    def only_one_worker(self) -> str | None:
        return only_one_worker(self._settings())

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        known = None if problems else self.inputs(dataset).num_features
        return problems + (dimension_problems(self._settings(), known) if known else [])

    def _settings(self) -> Hyperparameters:
        return Hyperparameters(**self.hyperparameters())


class XGBoostRegressor(XGBoostRegressorParams, _XGBoost[XGBoostRegressionModel]):
    """Boosted trees for numbers: by squared or other losses, counts, survival times.

    {parameters}

    Notes
    -----
    Rows are split between the workers, which add up histograms of gradients: O(rows · features · depth / workers) a round, and one exchange
    of features · max_bin sums for a level of a tree. With hist, the bins of a worker's rows (a byte or two a value) are made from the rows
    as they are, without a second copy.

    Missing values: NaN and null elements are missing, and so is what a sparse vector does not store, as is the library's rule. A zero in a
    dense vector or in a column is a value. Where sparse and dense vectors are mixed, each keeps its meaning. A split learns which way
    missing values go.

    One worker only: ``tree_method='exact'``, ``booster='gblinear'`` and ``survival:cox``, for which the library needs all rows in one
    place. ``num_workers='auto'`` is one there. With ``data_distribution='FullyReplicated'`` the copies of a row share its weight.

    In ``survival:cox`` a negative label is a time of censoring; times of ``survival:aft`` are all observed.

    ``max_delta_step=0`` leaves the cap to the objective: 0.7 for ``count:poisson``, else none. The default of `updater` suits the exact
    method only, so it stands for what `tree_method` implies. `sketch_eps` becomes a number of bins, 1 / sketch_eps. ``mse`` and, of
    classifiers, ``accuracy`` and ``f1`` are metrics of the service that the library does not have; here they are.

    Where the JVM bridge is in the session, models of trees score on the JVM, without the library; contributions, leaves and linear boosters
    are computed in Python.

    With `early_stopping_rounds` the best round serves; without it all rounds do, as in the library, also where rows for validation say that
    fewer would be better: a warning then names the best round. `training_summary` has the metrics of the round that serves.

    Scores are sums of 32-bit numbers, as the library makes them. Labels that stand 100,000 times their deviation from 0 lose much of their
    differences in such sums; `fit` warns of that, and of models whose trees have no split, and says what helps.

    Checkpoints are written as often as they take a twentieth of the time.

    Examples
    --------
    >>> from sparkml_algos import XGBoostRegressor
    >>> estimator = XGBoostRegressor(num_round=200, eta=0.1, labelCol="price", validationIndicatorCol="held", early_stopping_rounds=10)
    >>> model = estimator.fit(dataframe)  # doctest: +SKIP
    >>> model.evaluate(held_out)["test:rmse"]  # doctest: +SKIP
    """

    @staticmethod
    def model_class() -> type[AlgorithmModel]:
        return XGBoostRegressionModel


class XGBoostClassifier(XGBoostClassifierParams, _XGBoost[XGBoostClassificationModel]):
    """Boosted trees for two classes or for many.

    {parameters}

    Notes
    -----
    See `XGBoostRegressor`. Labels are integers from 0. Without `objective`, two classes have ``binary:logistic`` and more have
    ``multi:softprob``: as many as `num_class` says, or one more than the largest label of all rows, those for validation included, or,
    with `initial_model`, what that was trained with. The workers see that as they train; no job of Spark counts labels before.

    A row is of class 1 if its probability is above one half, of many classes of the most probable one; the model's `setThreshold` and
    `setThresholds` change that. The probability of ``binary:logitraw`` is that of its loss, ``binary:hinge`` has none.

    Examples
    --------
    >>> from sparkml_algos import XGBoostClassifier
    >>> model = XGBoostClassifier(labelCol="species", num_round=50).fit(dataframe)  # doctest: +SKIP
    >>> model.numClasses, model.getObjective()  # doctest: +SKIP
    (3, 'multi:softprob')
    """

    @staticmethod
    def model_class() -> type[AlgorithmModel]:
        return XGBoostClassificationModel


class XGBoostRanker(XGBoostRankerParams, _XGBoost[XGBoostRankerModel]):
    """Boosted trees that put the rows of a group in order of relevance.

    {parameters}

    Notes
    -----
    See `XGBoostRegressor`. Rows of a group come to one worker, wherever they are in the data, so `shardKeyCol` has no place here.
    Relevances are numbers from 0; integers up to 31 for ``rank:ndcg``, 0 or 1 for ``rank:map``. All rows of a group have the same weight.
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return XGBOOST_RANKING

    def shard_key(self) -> str | None:
        return None if self.value("data_distribution") == "FullyReplicated" else self.value("groupCol")

    def problems(self) -> list[str]:
        found = super().problems()
        if self.value("shardKeyCol") not in (None, self.value("groupCol")):
            found.append("shardKeyCol must stay unset: rows of a group, as groupCol has them, come to one worker")
        return found

    @staticmethod
    def model_class() -> type[AlgorithmModel]:
        return XGBoostRankerModel
