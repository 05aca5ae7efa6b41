"""What users of MLlib expect of a model besides `transform`; no session is needed for it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from pyspark.ml.linalg import DenseMatrix, DenseVector, SparseVector, Vectors

from sparkml_algos import (
    FactorizationMachinesBinaryClassifierModel,
    KMeansModel,
    KNNClassifierModel,
    KNNRegressorModel,
    LDAModel,
    LinearLearnerBinaryClassifierModel,
    LinearLearnerMultiClassClassifierModel,
    LinearLearnerRegressorModel,
    PCAModel,
    TrainingSummary,
)
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.decisions import classes_by_thresholds
from sparkml_algos.core.mllib import ArrayMatrix, ArrayVector

WEIGHTS, BIAS = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.25], [-1.0, 0.5, 0.0]]), np.array([0.125, -0.5, 0.25])
ROW = np.array([0.5, 0.25, 0.0])
FORMS = pytest.mark.parametrize("form", [Vectors.dense, list, np.asarray, lambda row: SparseVector(3, {0: row[0], 1: row[1]})])


def made(cls, weights, bias, **values):
    model = cls(**values.pop("params", {}))
    model.artifact = Artifact({"weights": weights, "bias": bias}, values)
    history = [{"epoch": epoch + 1, "train:objective_loss": loss} for epoch, loss in enumerate([3.0, 2.0, 1.5])]
    facts = {"num_workers": 1, "rows": 1, "rows_per_worker": [1], "launch": "barrier", "retries": 0, "seconds": {}}
    model.training_summary = TrainingSummary(facts={"features": {"num_features": 3}}, history=history, **facts)
    return model


def regression():
    return made(LinearLearnerRegressorModel, WEIGHTS[:1], BIAS[:1])


def two_classes(**params):
    return made(LinearLearnerBinaryClassifierModel, WEIGHTS[:1], BIAS[:1], raw_threshold=0.25, params=params)


def many_classes():
    return made(LinearLearnerMultiClassClassifierModel, WEIGHTS, BIAS)


def pairs():
    model = FactorizationMachinesBinaryClassifierModel(num_factors=1)
    model.artifact = Artifact({"bias": np.zeros(1), "linear": WEIGHTS[0], "factors": np.ones((3, 1))})
    model.training_summary = two_classes().training_summary
    return model


def trained(model, artifact, **metrics):
    """A model with this artifact whose training took two passes over rows of three features."""
    model.artifact = artifact
    facts = {"num_workers": 1, "rows": 4, "rows_per_worker": [4], "launch": "barrier", "retries": 0, "seconds": {}}
    history = [{"epoch": 1}, {"epoch": 2}]
    model.training_summary = TrainingSummary(facts={"features": {"num_features": 3}}, history=history, metrics=metrics, **facts)
    return model


def clusters():
    return trained(KMeansModel(k=2), Artifact({"centers": np.array([[0.0, 0, 0], [1, 1, 1]])}), **{"train:ssd": 2.5})


def components():
    arrays = {"components": np.array([[0.0, 0.6, 0.8], [1.0, 0, 0]]), "explained_variance_ratio": np.array([0.75, 0.125])}
    return trained(PCAModel(num_components=2), Artifact(arrays))


def stored(cls, k=3):
    """A model of four rows on a line, of labels 2, 0, 0 and 1."""
    rows = np.arange(4, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    arrays = {"rows": rows, "half_squares": (rows**2).sum(axis=1) / 2, "labels": np.array([2, 0, 0, 1], np.float32)}
    return trained(cls(k=k, sample_size=4), Artifact(arrays, {"seed": 0, "reduction": None, "classes": 3}))


class TestSingleRow:
    @FORMS
    def test_of_a_regression_is_predicted_as_a_number(self, form):
        found = regression().predict(form(ROW))
        assert type(found) is float and found == WEIGHTS[0] @ ROW + BIAS[0]

    @FORMS
    def test_of_two_classes_has_scores_and_probabilities_as_vectors(self, form):
        model, score = two_classes(), WEIGHTS[0] @ ROW + BIAS[0]
        assert model.predictRaw(form(ROW)) == Vectors.dense([-score, score])
        np.testing.assert_allclose(model.predictProbability(form(ROW)).toArray()[1], 1 / (1 + np.exp(-score)))
        assert model.predict(form(ROW)) == float(score >= 0.25)

    @FORMS
    def test_of_many_classes_has_an_entry_for_each(self, form):
        model, scores = many_classes(), WEIGHTS @ ROW + BIAS
        assert model.predictRaw(form(ROW)) == Vectors.dense(scores)
        np.testing.assert_allclose(model.predictProbability(form(ROW)).toArray(), np.exp(scores) / np.exp(scores).sum())
        assert model.predict(form(ROW)) == scores.argmax()

    def test_has_no_probability_with_hinge_loss(self):
        with pytest.raises(ValueError, match="LinearLearnerBinaryClassifierModel with these settings has no probability"):
            two_classes(loss="hinge_loss").predictProbability(ROW)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ([1.0, 2.0], "the row has 2 values; the model takes 3"),
            ([1.0, 2.0, np.nan], "no finite number"),
            ([1.0, 2.0, 1e300], "no finite number with 32 bits"),
        ],
    )
    def test_that_transform_would_refuse_is_refused(self, row, message):
        with pytest.raises(ValueError, match=message):
            regression().predict(row)


class TestThresholdOfTwoClasses:
    def test_decides(self):
        model = two_classes()
        probability = model.predictProbability(ROW)[1]
        for threshold, label in ((probability - 1e-6, 1), (probability + 1e-6, 0), (0, 1), (1, 0)):
            assert model.setThreshold(threshold) is model
            assert model.getThreshold() == model.threshold == pytest.approx(threshold)
            assert model.predict(ROW) == label

    def test_of_one_copy_is_not_that_of_another(self):
        model = two_classes()
        other = model.copy().setThreshold(0.9)
        assert (model.artifact.values["raw_threshold"], other.threshold) == (0.25, pytest.approx(0.9))

    def test_is_a_raw_score_with_hinge_loss(self):
        model = two_classes(loss="hinge_loss").setThreshold(-3.5)
        assert model.getThreshold() == -3.5 and model.predict(ROW) == 1
        with pytest.raises(ValueError, match="knows no probabilities"):
            model.setThresholds([1, 2])

    @pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
    def test_that_is_no_probability_is_refused(self, value):
        with pytest.raises(ValueError, match="threshold must be a number from 0 to 1"):
            two_classes().setThreshold(value)

    def test_may_be_given_for_each_class_as_in_mllib(self):
        model = two_classes().setThresholds([0.5, 1.5])
        assert model.getThreshold() == pytest.approx(1 / (1 + 0.5 / 1.5))
        assert model.getThresholds() == pytest.approx([0.25, 0.75])

    def test_of_a_factorization_machine_is_one_half_until_it_is_set(self):
        model = pairs()
        assert model.getThreshold() == 0.5 and model.numClasses == 2
        probability = model.predictProbability(ROW)[1]
        assert [model.setThreshold(value).predict(ROW) for value in (probability - 0.01, probability + 0.01)] == [1, 0]


class TestThresholdsOfManyClasses:
    def test_decide_in_relation_to_the_probabilities(self):
        model = many_classes()
        probability = model.predictProbability(ROW).toArray()
        for thresholds in ([1, 1, 1], [9, 1, 1], [9, 9, 1], [1e-3, 1, 1], [1, 0, 1]):
            assert model.setThresholds(thresholds).predict(ROW) == np.argmax(probability / np.maximum(thresholds, 1e-300))
            assert model.getThresholds() == thresholds

    def test_are_none_until_they_are_set_and_can_be_taken_back(self):
        model = many_classes()
        assert model.getThresholds() is None
        assert model.setThresholds([1, 1, 2]).setThresholds(None).thresholds is None

    @pytest.mark.parametrize("value", [[1, 2], [1, 2, -1], [0, 0, 1], [1, 2, np.inf]])
    def test_that_do_not_fit_the_classes_are_refused(self, value):
        with pytest.raises(ValueError, match="thresholds must be 3 numbers >= 0, one for each class, of which one at most is 0"):
            many_classes().setThresholds(value)

    def test_of_a_class_that_is_impossible_do_not_choose_it(self):
        assert classes_by_thresholds(np.array([[0.0, 1.0], [0.1, 0.9]]), np.array([0.0, 0.5])).tolist() == [1, 0]


class TestSummary:
    def test_has_the_course_of_the_objective(self):
        model = regression()
        assert model.hasSummary and model.summary.totalIterations == 3
        assert model.summary.objectiveHistory == [3.0, 2.0, 1.5]

    def test_that_is_not_there_is_an_error_of_mllib_s(self):
        with pytest.raises(RuntimeError, match="No training summary available for this LinearLearnerRegressorModel"):
            _ = LinearLearnerRegressorModel().summary
        assert not LinearLearnerRegressorModel().hasSummary


class TestWeights:
    def test_have_the_shapes_and_types_of_mllib(self):
        for model, rows in ((two_classes(), 1), (many_classes(), 3)):
            assert isinstance(model.coefficientMatrix, DenseMatrix) and isinstance(model.interceptVector, DenseVector)
            assert (model.coefficientMatrix.numRows, model.coefficientMatrix.numCols) == (rows, 3)
            np.testing.assert_array_equal(model.coefficientMatrix.toArray(), WEIGHTS[:rows])
            assert len(model.interceptVector) == rows
        for model in (two_classes(), regression()):
            assert isinstance(model.coefficients, DenseVector) and type(model.intercept) is float
        assert (two_classes().numClasses, many_classes().numClasses) == (2, 3)

    def test_are_vectors_to_spark_and_arrays_to_numpy(self):
        vector, rows = ArrayVector([1.0, -2.0, 4.0]), np.arange(6.0).reshape(2, 3)
        assert vector == Vectors.dense([1, -2, 4]) and vector != Vectors.dense([1, -2, 5])
        assert (vector == [1, 0, 4]).tolist() == [True, False, True]
        np.testing.assert_array_equal(rows @ vector, [6, 15])
        assert isinstance(vector - [1, 1, 1], ArrayVector) and (abs(vector) > 1.5).tolist() == [False, True, True]
        assert vector.dot(Vectors.sparse(3, {1: 1.0})) == -2 and vector.norm(1) == 7 and vector.shape == (3,)
        assert pickle.loads(pickle.dumps(vector)) == vector and np.asarray(vector, np.float32).dtype == np.float32

    def test_are_matrices_to_spark_and_arrays_to_numpy(self):
        matrix = ArrayMatrix(WEIGHTS)
        assert matrix == DenseMatrix(3, 3, WEIGHTS.T.ravel()) and matrix != DenseMatrix(3, 3, np.zeros(9))
        np.testing.assert_array_equal(ROW @ matrix.T, WEIGHTS @ ROW)
        np.testing.assert_array_equal(np.maximum(matrix, 0), np.maximum(WEIGHTS, 0))
        assert matrix[1, 1] == 1 and matrix[0].tolist() == WEIGHTS[0].tolist() and matrix.shape == (3, 3) and len(matrix) == 3
        assert pickle.loads(pickle.dumps(matrix)) == matrix


class TestNearestRows:
    @FORMS
    def test_vote_for_a_single_row(self, form):
        model = stored(KNNClassifierModel)
        assert model.predict(form(ROW)) == 0 and model.numClasses == 3
        assert model.predictRaw(form(ROW)) == Vectors.dense([2, 0, 1])
        np.testing.assert_allclose(model.predictProbability(form(ROW)).toArray(), [2 / 3, 0, 1 / 3])

    def test_are_averaged_for_a_single_row(self):
        assert stored(KNNRegressorModel).predict(ROW) == pytest.approx(2 / 3)

    def test_are_as_many_as_k_says_at_the_time(self):
        model = stored(KNNClassifierModel)
        assert (model.predict(ROW), model.setK(1).predict(ROW)) == (0, 2)
        with pytest.raises(ValueError, match="k=5 is more than the 4 rows of the model"):
            model.setK(5).predict(ROW)

    def test_win_in_relation_to_thresholds(self):
        model = stored(KNNClassifierModel).setThresholds([5, 1, 1])
        assert model.predict(ROW) == 2 and model.getThresholds() == [5, 1, 1]
        assert model.setThresholds([0.5, 1, 0.3]).predict(ROW) == 0  # 4/3 against 10/9
        assert model.setThresholds(None).predict(ROW) == 0


class TestClusters:
    @FORMS
    def test_of_a_single_row_is_an_int(self, form):
        found = [clusters().predict(form(row)) for row in (ROW, np.array([0.9, 0.8, 0.0]))]
        assert found == [0, 1] and {type(one) for one in found} == {int}

    def test_have_a_summary_of_what_is_known(self):
        summary = clusters().summary
        assert clusters().hasSummary and (summary.k, summary.trainingCost, summary.numIter) == (2, 2.5, 2)

    def test_without_a_history_have_no_summary(self):
        with pytest.raises(RuntimeError, match="No training summary available for this KMeansModel"):
            _ = KMeansModel().summary


class TestComponents:
    def test_are_columns_of_a_matrix(self):
        model = components()
        assert isinstance(model.pc, DenseMatrix) and (model.pc.numRows, model.pc.numCols) == (3, 2)
        np.testing.assert_array_equal(model.pc.toArray(), model.components.T)

    def test_explain_shares_of_the_variance(self):
        assert components().explainedVariance == Vectors.dense([0.75, 0.125])


def test_topics_are_on_the_driver():
    assert LDAModel().isDistributed() is False
