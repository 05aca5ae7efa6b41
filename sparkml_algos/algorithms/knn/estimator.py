"""k-nearest neighbours: Estimators and Models.

The prediction for a row is the majority, or the mean, of the labels of the k rows nearest to it among those the model keeps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.knn.params import (
    IVF_PQ,
    MAX_CLASSES,
    KNNClassifierParams,
    KNNParams,
    KNNRegressorParams,
)
from sparkml_algos.algorithms.knn.training import KNN
from sparkml_algos.arrays.hyperparameters import Hyperparameters, InvalidParams
from sparkml_algos.arrays.params import ClassificationParams, RegressionParams
from sparkml_algos.core.aggregation import Sums, sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator, M
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import ClassifiesRows, ClassThresholds, PredictsRows
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.core.shared_artifacts import Opened, ship
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.predictor import Predictor
from sparkml_algos.training.algorithm import Algorithm

_VERBOSE = (Output("distances", "array<double>", "distancesCol"), Output("labels", "array<double>", "neighborLabelsCol"))
_NEIGHBORS = (Output("ids", "array<long>", "neighborsCol"), _VERBOSE[0])


class _KNN(AlgorithmEstimator[M], KNNParams):
    @staticmethod
    def algorithm() -> Algorithm:
        return KNN

    def _problems(self, dataset: DataFrame) -> list[str]:
        problems = super()._problems(dataset)
        known = None if problems else self.inputs(dataset).num_features
        return problems + (self.too_large_target(known) if known else [])


class _KNNModel(AlgorithmModel, KNNParams):
    @staticmethod
    def algorithm() -> Algorithm:
        return KNN

    @property
    def num_rows(self) -> int:
        """Rows the model keeps."""
        return len(self.labels)

    @property
    def rows(self) -> np.ndarray:
        """The rows it keeps, reduced, of length 1 with ``COSINE``; shape (rows, d), float32.

        Raises
        ------
        ValueError
            If the index holds only their codes.
        """
        if "rows" not in self.artifact.arrays:
            raise ValueError(f"a model with index_type={IVF_PQ!r} keeps codes of its rows, not the rows")
        return self.artifact.arrays["rows"]

    @property
    def labels(self) -> np.ndarray:
        """Their labels, shape (rows,), float32."""
        return self.artifact.arrays["labels"]

    @property
    def ids(self) -> np.ndarray | None:
        """Their names from `idCol`, shape (rows,), int64; None without."""
        return self.artifact.arrays.get("ids")

    @property
    def probes(self) -> int | None:
        """Lists of the index that are scanned for a row; None of an index without."""
        return self.artifact.values.get("probes")

    def kneighbors(self, dataset: DataFrame, k: int | None = None) -> DataFrame:
        """The ids of the neighbours of each row, for joins with the training data.

        Parameters
        ----------
        dataset : DataFrame
            With the features column.
        k : int, optional
            Number of neighbours; that of the model by default.

        Returns
        -------
        DataFrame
            The dataset with the columns ``neighbors`` (array of long, Param `neighborsCol`) and ``distances`` (array of double, Param
            `distancesCol`), nearest first. A row that is itself among those of the model is its own nearest.

        Raises
        ------
        ValueError
            If training had no `idCol`, so that the rows of the model have no names.
        """
        if self.ids is None:
            raise ValueError(f"{type(self).__name__}.kneighbors needs the names of the training rows: set idCol before fit")
        asked = self.copy()
        asked._set(**({} if k is None else {"k": k}), **({} if self.value("distancesCol") else {"distancesCol": "distances"}))
        return asked._append(dataset, _NEIGHBORS)

    def _append(self, dataset: DataFrame, outputs: Sequence[Output]) -> DataFrame:
        if self.value("k") > self.num_rows:
            raise InvalidParams(type(self).__name__, [f"k={self.value('k')} is more than the {self.num_rows} rows of the model"])
        return super()._append(dataset, outputs)

    def _error(self, dataset: DataFrame, classes: int | None) -> float:
        """Share of wrong labels, or mean squared error, on the rows of a dataset."""
        hyperparameters = Hyperparameters(**self.hyperparameters())
        make = functools.partial(KNN.load, hyperparameters=hyperparameters, device="cpu")
        predictor = Opened(ship(self.artifact, dataset.sparkSession), make)
        is_classifier = hyperparameters.predictor_type == "classifier"
        totals = sum_over_batches(dataset, self, functools.partial(_errors, predictor, is_classifier))
        return float(totals["error"] / totals["rows"])


class KNNClassifier(_KNN["KNNClassifierModel"], KNNClassifierParams, ClassificationParams):
    """Classification by the majority of the k nearest rows, sampled and indexed on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Training reads the rows once and keeps `sample_size` of them, a uniform sample without replacement, or all where there are fewer. The
    sample is collected on one worker: it needs 4 · sample_size · features bytes there, on the driver and, shared by the Python workers,
    on each executor. Labels are integers from 0, at most 9,999.

    ``faiss.Flat`` finds the exact neighbours, in O(sample_size · features) for a row. ``faiss.IVFFlat`` scans the rows around the nearest
    centroids only: of √rows centroids (`faiss_index_ivf_nlists`), so many that for rows of the sample 96 % of the 10 nearest others were
    among those scanned, at least 5 (`probes` of the model). ``faiss.IVFPQ`` scans 5 and has a few bytes for each row, so its
    distances are approximate. Both need the package faiss-cpu.

    It works on CPUs; `use_gpu` is refused.

    Where the specification is silent: of labels with equally many votes the smallest wins, as in scikit-learn, so that the prediction is
    the first largest entry of ``probability``. Of rows equally far the first in the model wins, where they are in the order of their ids.
    Distances ascend: Euclidean, not squared; the negative inner product; or 1 − cosine. After a reduction they are those of the
    reduced rows.

    Examples
    --------
    >>> from sparkml_algos import KNNClassifier
    >>> model = KNNClassifier(k=5, sample_size=200_000).fit(dataframe)  # doctest: +SKIP
    >>> model.setK(1).evaluate(held_out)["test:accuracy"]  # doctest: +SKIP
    """

    def label_classes(self) -> int:
        return MAX_CLASSES

    @staticmethod
    def model_class() -> type[KNNClassifierModel]:
        return KNNClassifierModel


class KNNClassifierModel(ClassifiesRows, ClassThresholds, _KNNModel, KNNClassifierParams, ClassificationParams):
    """Rows and their classes.

    `transform` appends ``prediction`` (double, the class), ``rawPrediction`` (vector of votes) and ``probability`` (vector of their
    shares); where `distancesCol` and `neighborLabelsCol` are named, also those of the neighbours, arrays of double, nearest first. `k` may
    be changed, and `setThresholds` makes other classes win than those with the most votes.
    """

    outputs = (
        Output("predicted_label", "double", "predictionCol"),
        Output("votes", "vector", "rawPredictionCol"),
        Output("probability", "vector", "probabilityCol"),
        *_VERBOSE,
    )

    @property
    def numClasses(self) -> int:
        """Number of classes: one more than the largest label of the training rows."""
        return self.artifact.values["classes"]

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """``test:accuracy`` on the rows of a DataFrame with features and label.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        return {"test:accuracy": 1 - self._error(dataset, MAX_CLASSES)}


class KNNRegressor(_KNN["KNNRegressorModel"], KNNRegressorParams, RegressionParams):
    """Regression by the mean label of the k nearest rows, sampled and indexed on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    As `KNNClassifier`, but the prediction is the mean of any numbers, in float64 of labels kept in float32.

    Examples
    --------
    >>> from sparkml_algos import KNNRegressor
    >>> model = KNNRegressor(k=10, sample_size=200_000, labelCol="price").fit(dataframe)  # doctest: +SKIP
    >>> model.evaluate(held_out)["test:mse"]  # doctest: +SKIP
    """

    @staticmethod
    def model_class() -> type[KNNRegressorModel]:
        return KNNRegressorModel


class KNNRegressorModel(PredictsRows, _KNNModel, KNNRegressorParams, RegressionParams):
    """Rows and their labels.

    `transform` appends ``prediction`` (double); where `distancesCol` and `neighborLabelsCol` are named, also those of the neighbours,
    arrays of double, nearest first. `k` may be changed.
    """

    outputs = (Output("predicted_label", "double", "predictionCol"), *_VERBOSE)

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """``test:mse`` on the rows of a DataFrame with features and label.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        return {"test:mse": self._error(dataset, None)}


def _errors(predictor: Opened[Predictor], is_classifier: bool, batch: Batch) -> Sums:
    """What a batch adds to the error of a model: wrong labels, or squared errors."""
    difference = predictor.get()(batch)["predicted_label"] - batch.label
    return {"error": np.sum(difference != 0 if is_classifier else difference**2, dtype=np.float64), "rows": np.float64(len(batch))}
