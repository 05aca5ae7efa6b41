"""Linear models for regression and classification: Estimators and Models.

    f(x) = w·x + b,    minimise  mean loss(f(x), y) + l1·‖w‖₁ + wd·‖w‖²/2

by mini-batch gradient descent, many models with different settings side by side on the same pass.

References
----------
D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015. E. Liberty et al., "Elastic machine learning algorithms in
Amazon SageMaker", SIGMOD 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame

from sparkml_algos.algorithms.linear_learner.metrics import Measure, metrics
from sparkml_algos.algorithms.linear_learner.params import (
    LinearLearnerBinaryClassifierParams,
    LinearLearnerMultiClassClassifierParams,
    LinearLearnerRegressorParams,
)
from sparkml_algos.algorithms.linear_learner.prediction import loss_name
from sparkml_algos.algorithms.linear_learner.training import LINEAR_LEARNER
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.params import ClassificationParams, RegressionParams
from sparkml_algos.core.aggregation import SCORE, scored_rows, sum_over_batches
from sparkml_algos.core.bridge import JVM_OUTPUTS, OnJvm
from sparkml_algos.core.estimator import AlgorithmEstimator, M
from sparkml_algos.core.evaluation import evaluation
from sparkml_algos.core.mllib import (
    ArrayMatrix,
    ArrayVector,
    BinaryThreshold,
    ClassifiesRows,
    ClassThresholds,
    HasSummary,
    PredictsRows,
)
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows.fields import LABEL, WEIGHT
from sparkml_algos.training.algorithm import Algorithm

_CLASSIFIER_OUTPUTS = (
    Output("predicted_label", "double", "predictionCol"),
    Output("raw", "vector", "rawPredictionCol"),
    Output("probability", "vector", "probabilityCol"),
)


def _is_faster(artifact: Artifact) -> bool:
    return len(artifact.arrays["bias"]) <= JVM_OUTPUTS


class _LinearLearner(AlgorithmEstimator[M]):
    @staticmethod
    def algorithm() -> Algorithm:
        return LINEAR_LEARNER


class _LinearLearnerModel(HasSummary, AlgorithmModel):
    @staticmethod
    def algorithm() -> Algorithm:
        return LINEAR_LEARNER

    @property
    def leaderboard(self) -> list[dict[str, float]]:
        """The candidates: their settings, and ``objective_loss`` and ``criterion`` after the epoch that is served, on the rows they were
        compared on (validation rows or, without them, a sample of the training rows); with two classes ``raw_threshold``, with many
        ``multiclass_accuracy``. The larger criterion wins; of other than two classes it is the negative loss."""
        return self.artifact.values["leaderboard"]

    @property
    def chosen(self) -> int:
        """Place of this model in the `leaderboard`."""
        return self.artifact.values["chosen"]

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Metrics on the rows of a DataFrame with features and label, weighted where `weightCol` is set.

        Parameters
        ----------
        dataset : DataFrame

        Returns
        -------
        dict of str to float
            By the service's names with the prefix ``test:``. ``test:objective_loss`` is the training loss without penalties. Of a
            regression it is in units of the label like the others, or, where the loss is a square, in their squares: with
            ``squared_loss`` it is ``test:mse``. Of a classifier it is the mean of −log of the probability of the label (natural
            logarithm), or the hinge loss; rows of class 1 count `positive_example_weight_mult` times, classes what
            `balance_multiclass_weights` gave them.

        Raises
        ------
        ValueError
            If the dataset is empty or has a row that could not be trained on.
        """
        hyperparameters = Hyperparameters(**self.hyperparameters())
        totals = sum_over_batches(dataset, self, Measure(self.artifact, hyperparameters))
        return {f"test:{name}": value for name, value in metrics(totals, hyperparameters).items()}

    @property
    def served_epoch(self) -> int | None:
        """The epoch, counted from 1, whose state this model is: the one in which the figure that was watched was best. None of models that
        earlier versions have saved, which are what their last epoch left."""
        return self.artifact.values.get("epoch")

    def objective_metric(self) -> str:
        return "objective_loss"


class _SingleOutputModel(_LinearLearnerModel):
    @property
    def coefficients(self) -> ArrayVector:
        """Weights, as many as features; a Vector of Spark ML and an array."""
        return ArrayVector(self.artifact.arrays["weights"][0])

    @property
    def intercept(self) -> float:
        """Bias."""
        return float(self.artifact.arrays["bias"][0])


class LinearLearnerRegressor(_LinearLearner["LinearLearnerRegressorModel"], LinearLearnerRegressorParams, RegressionParams):
    """Linear regression, by squared or another loss, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Weights, bias, predictions and all metrics are in the units of the columns, however features and label were normalised for training.
    Penalties and the sizes in `huber_delta` and `loss_insensitivity` apply to what is trained on: deviations, unless normalising is
    switched off.

    The model is the state after the epoch in which the figure that early stopping watches was best (`served_epoch`): the loss on the rows
    that `validationIndicatorCol` marks; without such ``train:objective_loss``, what is minimised, penalties included, of up to 10,000
    training rows after the epoch, of more the mean over its mini-batches, each before its step. ``training_summary.history`` has the
    figures of the candidate that led.

    Few rows: with mini-batches of 1,000 rows and 15 epochs, 1,000 rows would make 15 steps and end far from the optimum. So an epoch makes
    about `min_steps_per_epoch` steps at least, in several passes over the rows. Sets of 50 to 1,000 rows with 2 to 100 independent features
    came within 0.01 % of the least loss at the defaults, whatever the features' scales. The learning rate falls from step to step, and
    faster once half the patience is used up, so that it has come down before training ends.

    A step costs O(mini_batch_size · features · num_models / workers) and one exchange of features · num_models floats.

    Where the specification is silent: the penalty is l1·‖w‖₁ + wd·‖w‖²/2; L1 makes exact zeros; all candidates start from the same weights
    and are compared after the epoch that is served, on validation rows or else on 10,000 training rows.

    Examples
    --------
    >>> from sparkml_algos import LinearLearnerRegressor
    >>> model = LinearLearnerRegressor(labelCol="price").fit(dataframe)  # doctest: +SKIP
    >>> model.evaluate(held_out)["test:mse"]  # doctest: +SKIP
    """

    @staticmethod
    def model_class() -> type[LinearLearnerRegressorModel]:
        return LinearLearnerRegressorModel


class _ClassifierModel(ClassifiesRows, _LinearLearnerModel):
    @property
    def coefficientMatrix(self) -> ArrayMatrix:
        """Weights, shape (classes, features), with two classes (1, features); a Matrix of Spark ML and an array."""
        return ArrayMatrix(self.artifact.arrays["weights"])

    @property
    def interceptVector(self) -> ArrayVector:
        """Bias, shape (classes,), with two classes (1,); a Vector of Spark ML and an array."""
        return ArrayVector(self.artifact.arrays["bias"])


class LinearLearnerRegressorModel(PredictsRows, _SingleOutputModel, LinearLearnerRegressorParams, RegressionParams):
    """A linear regression. `transform` appends ``prediction`` (double)."""

    outputs = (Output("score", "double", "predictionCol"),)
    on_jvm = OnJvm("org.sparkmlalgos.ml.LinearLearnerRegressorModel", faster=_is_faster)


class LinearLearnerBinaryClassifier(
    _LinearLearner["LinearLearnerBinaryClassifierModel"], LinearLearnerBinaryClassifierParams, ClassificationParams
):
    """Logistic regression or a linear support vector machine for the classes 0 and 1, on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    The threshold of the decision is calibrated for the criterion that models are chosen by, on validation rows or, without them, on
    training rows; with ``loss_function`` it is a probability of one half.

    Where a target of recall or precision cannot be reached, the threshold comes as near to it as it can.

    What early stopping watches, and the served epoch is chosen by, is the criterion on validation rows or, without them, the training loss;
    see `LinearLearnerRegressor` for that and for few rows.
    """

    @staticmethod
    def model_class() -> type[LinearLearnerBinaryClassifierModel]:
        return LinearLearnerBinaryClassifierModel


class LinearLearnerBinaryClassifierModel(
    BinaryThreshold, _ClassifierModel, _SingleOutputModel, LinearLearnerBinaryClassifierParams, ClassificationParams
):
    """A linear classifier for two classes.

    `transform` appends ``prediction`` (double, 0 or 1), ``rawPrediction`` (vector of −f(x) and f(x)) and ``probability`` (vector); the last
    one not with hinge loss, which knows no probabilities.
    """

    outputs = _CLASSIFIER_OUTPUTS
    on_jvm = OnJvm("org.sparkmlalgos.ml.LinearLearnerBinaryClassifierModel", faster=_is_faster)

    def own_outputs(self) -> Sequence[Output]:
        return [output for output in super().own_outputs() if output.field != "probability" or self._knows_probabilities]

    @property
    def _knows_probabilities(self) -> bool:
        return loss_name(Hyperparameters(**self.hyperparameters())) != "hinge_loss"

    def label_classes(self) -> int:
        return 2

    @evaluation
    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        found = super().evaluate(dataset)
        weighted = {"weightCol": WEIGHT} if self.value("weightCol") else {}
        evaluator = BinaryClassificationEvaluator(rawPredictionCol=SCORE, labelCol=LABEL, numBins=0, **weighted)
        return {**found, "test:roc_auc_score": evaluator.evaluate(scored_rows(dataset, self, "raw"))}

    evaluate.__doc__ = _LinearLearnerModel.evaluate.__doc__


class LinearLearnerMultiClassClassifier(
    _LinearLearner["LinearLearnerMultiClassClassifierModel"], LinearLearnerMultiClassClassifierParams, ClassificationParams
):
    """Multinomial logistic regression on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    Labels are integers from 0. Candidates are compared, and training is watched, by the loss; see `LinearLearnerRegressor`.
    """

    @staticmethod
    def model_class() -> type[LinearLearnerMultiClassClassifierModel]:
        return LinearLearnerMultiClassClassifierModel


class LinearLearnerMultiClassClassifierModel(
    ClassThresholds, _ClassifierModel, LinearLearnerMultiClassClassifierParams, ClassificationParams
):
    """A linear classifier for many classes.

    `transform` appends ``prediction`` (double, the class), ``rawPrediction`` and ``probability`` (vectors with an entry per class).
    """

    outputs = _CLASSIFIER_OUTPUTS
    on_jvm = OnJvm("org.sparkmlalgos.ml.LinearLearnerMultiClassClassifierModel", faster=_is_faster)

    @property
    def numClasses(self) -> int:
        """Number of classes."""
        return len(self.artifact.arrays["bias"])

    def label_classes(self) -> int:
        return self.numClasses
