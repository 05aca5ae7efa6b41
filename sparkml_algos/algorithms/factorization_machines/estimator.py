"""Factorization machines for regression and classification: Estimators and Models.

    f(x) = b + Σ_i w_i·x_i + Σ_{i<j} ⟨v_i, v_j⟩·x_i·x_j,    minimise  mean loss(f(x), y)

by mini-batch gradient descent: a linear model, and an interaction of every pair of features, learned through a vector of factors for each
feature, so that also pairs no training row has are known something about.

References
----------
S. Rendle, "Factorization machines", ICDM 2010. D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.factorization_machines.metrics import Sums, loss_metric, metrics, sums
from sparkml_algos.algorithms.factorization_machines.params import (
    FactorizationMachinesBinaryClassifierParams,
    FactorizationMachinesRegressorParams,
)
from sparkml_algos.algorithms.factorization_machines.prediction import MachinePredictor, raw_threshold
from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import ClassificationParams, RegressionParams
from sparkml_algos.core.aggregation import sum_over_batches
from sparkml_algos.core.estimator import AlgorithmEstimator, M
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import BinaryThreshold, ClassifiesRows, HasSummary, PredictsRows
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.algorithm import Algorithm


class _FactorizationMachines(AlgorithmEstimator[M]):
    @staticmethod
    def algorithm() -> Algorithm:
        return FACTORIZATION_MACHINES


class _FactorizationMachinesModel(HasSummary, AlgorithmModel):
    @staticmethod
    def algorithm() -> Algorithm:
        return FACTORIZATION_MACHINES

    @property
    def bias(self) -> float:
        """The constant b."""
        return float(self.artifact.arrays["bias"][0])

    intercept = bias

    @property
    def linear(self) -> np.ndarray:
        """The weights w, shape (features,), float32."""
        return self.artifact.arrays["linear"]

    @property
    def factors(self) -> np.ndarray:
        """The vectors v as rows, shape (features, num_factors), float32."""
        return self.artifact.arrays["factors"]

    @property
    def served_epoch(self) -> int | None:
        """The epoch, counted from 1, whose state this model is: the one in which the figure that was watched was best. None of models that
        earlier versions have saved, which are what their last epoch left."""
        return self.artifact.values.get("epoch")

    def objective_metric(self) -> str:
        return loss_metric(Hyperparameters(**self.hyperparameters()))

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features and label, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            ``test:rmse``, or of a classifier ``test:binary_classification_accuracy``, ``test:binary_f_beta`` (the F1 score of class 1) and
            ``test:binary_classification_cross_entropy``.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        hyperparameters = Hyperparameters(**self.hyperparameters())
        totals = sum_over_batches(dataset, self, _Sums(self.artifact, hyperparameters))
        return {f"test:{name}": value for name, value in metrics(totals, hyperparameters).items()}


class FactorizationMachinesRegressor(
    _FactorizationMachines["FactorizationMachinesRegressorModel"], FactorizationMachinesRegressorParams, RegressionParams
):
    """Regression with pairwise interactions of features, by the squared error, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Made for wide, sparse rows. A step costs O((num_factors + 1) · values that are not 0 in the mini-batch / workers), however many features
    there are; a worker holds three numbers of 32 bits for each of the features · (num_factors + 1) parameters. Steps with sparse rows are
    compiled where numba is installed (extra `fast`), else NumPy makes them: `training_summary.kernels` says which.

    Several workers train as one does where the table of parameters is small, or with `exchange_every` at 1. Of a large one they bring
    together what they have learned after several mini-batches alone: what each does in between does not see what the others do. In between,
    the rows of a worker stand for those of the whole mini-batch. A feature is then moved in the mean direction of all workers' steps, by as
    many of these as there are mini-batches that it was in.

    Where the specification is silent: the optimizer is Adam, and a step moves only the parameters of features that are not 0 in all rows of
    its mini-batch; those of others neither decay nor change their running means. The gradient is a sum over rows, multiplied by
    `rescale_grad` (by default divided by the weight of the mini-batch), then clipped; then the weight decay is added to it. `eps` keeps
    Adam's division from one by 0. Features are taken as they are: scale those of very unlike sizes before. The label is normalised, see
    `normalize_label`; parameters, predictions and metrics are in its own units.

    Rows that `validationIndicatorCol` marks are not trained on; the metrics on them after each epoch are in ``training_summary.history``.
    The model is the state after the epoch in which their ``rmse`` (of a classifier the cross entropy) was best, `served_epoch`; without
    such rows, that of the training rows, which goes on falling while the model learns them by heart.

    Learning rates, measured with 16 factors: root of the mean squared error on a fifth of the ratings, against users' and films' means
    alone (ridge regression, the best of five penalties). At the defaults 0.849 against 0.871 on 12,564 ratings of MovieLens, 0.895 against
    0.904 on 45,316, 0.949 against 0.941 on all 100,000; 1.077 against 1.045 on 5,000 drawn at random, too few a user for interactions. With
    ``linear_lr=0.01, factors_lr=0.001, epochs=30`` and a tenth of the training rows for validation 0.847, 0.874, 0.917 and 1.067: give such
    rows where you can, and keep `factors_lr` at a tenth of `linear_lr`. At 0.02 and 0.01, ten epochs without such rows gave 0.899, 0.972,
    1.055 and 1.133.

    Examples
    --------
    >>> from sparkml_algos import FactorizationMachinesRegressor
    >>> machine = FactorizationMachinesRegressor(
    ...     num_factors=16, epochs=30, linear_lr=0.01, factors_lr=0.001, labelCol="rating", validationIndicatorCol="held"
    ... )
    >>> model = machine.fit(ratings)  # doctest: +SKIP
    >>> model.evaluate(held_out)["test:rmse"]  # doctest: +SKIP
    """

    @staticmethod
    def model_class() -> type[FactorizationMachinesRegressorModel]:
        return FactorizationMachinesRegressorModel


class FactorizationMachinesRegressorModel(
    PredictsRows, _FactorizationMachinesModel, FactorizationMachinesRegressorParams, RegressionParams
):
    """A factorization machine. `transform` appends ``prediction`` (double)."""

    outputs = (Output("score", "double", "predictionCol"),)


class FactorizationMachinesBinaryClassifier(
    _FactorizationMachines["FactorizationMachinesBinaryClassifierModel"],
    FactorizationMachinesBinaryClassifierParams,
    ClassificationParams,
):
    """Classification into 0 and 1 with pairwise interactions of features, by the logistic loss, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    As of `FactorizationMachinesRegressor`.
    """

    @staticmethod
    def model_class() -> type[FactorizationMachinesBinaryClassifierModel]:
        return FactorizationMachinesBinaryClassifierModel


class FactorizationMachinesBinaryClassifierModel(
    BinaryThreshold, ClassifiesRows, _FactorizationMachinesModel, FactorizationMachinesBinaryClassifierParams, ClassificationParams
):
    """A factorization machine for two classes.

    `transform` appends ``prediction`` (double, 1 from a probability of one half on, or what `setThreshold` says, else 0), ``rawPrediction``
    (vector of −f(x) and f(x)) and ``probability`` (vector).
    """

    outputs = (
        Output("predicted_label", "double", "predictionCol"),
        Output("raw", "vector", "rawPredictionCol"),
        Output("probability", "vector", "probabilityCol"),
    )

    def label_classes(self) -> int:
        return 2


class _Sums:
    """What a batch contributes to the metrics of a model."""

    def __init__(self, artifact: Artifact, hyperparameters: Hyperparameters) -> None:
        self._predictor, self._threshold, self._hyperparameters = MachinePredictor(artifact), raw_threshold(artifact), hyperparameters

    def __call__(self, batch: Batch) -> Sums:
        scores = self._predictor.scores(batch.features)
        return sums(scores, batch.label, batch.weights, self._hyperparameters, self._threshold)
