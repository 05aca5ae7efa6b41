"""The linear learner on arrays: against closed forms and scikit-learn, and against itself on other paths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge

from sparkml_algos import LinearLearnerBinaryClassifier, LinearLearnerMultiClassClassifier, LinearLearnerRegressor
from sparkml_algos.algorithms.linear_learner.candidates import make_candidates
from sparkml_algos.algorithms.linear_learner.losses import make_loss
from sparkml_algos.algorithms.linear_learner.prediction import load
from sparkml_algos.algorithms.linear_learner.products import Product
from sparkml_algos.algorithms.linear_learner.scaling import Scaling
from sparkml_algos.algorithms.linear_learner.side_by_side import SideBySide
from sparkml_algos.algorithms.linear_learner.training import LINEAR_LEARNER
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads, process_gang

ESTIMATORS = {
    "regressor": LinearLearnerRegressor,
    "binary_classifier": LinearLearnerBinaryClassifier,
    "multiclass_classifier": LinearLearnerMultiClassClassifier,
}
TASKS = pytest.mark.parametrize("task", ESTIMATORS)

RANDOM = np.random.default_rng(0)
# Features of unlike scales and offsets, a little correlated.
LATENT = RANDOM.normal(size=(2000, 4))
ROWS = ((LATENT @ [[1, 0.4, 0, 0], [0, 1, 0, 0], [0, 0.3, 1, 0], [0, 0, 0, 1]]) * [1, 10, 0.1, 3] + [5, -20, 0, 1]).astype(np.float32)
SCORE = LATENT @ [1.0, -2.0, 0.5, 0.0]
LABELS = {
    "regressor": (30 * SCORE + 1000 + RANDOM.normal(0, 15, 2000)).astype(np.float32),
    "binary_classifier": (SCORE + RANDOM.logistic(size=2000) > 1).astype(np.float32),
    "multiclass_classifier": np.clip(np.round(SCORE + RANDOM.normal(size=2000) + 1), 0, 2).astype(np.float32),
}

# Full batches: the same arithmetic however rows are spread.
FULL = {"num_models": 1, "mini_batch_size": 10_000, "early_stopping_patience": 1000}
# Long enough to converge on the rows above.
LONG = {"num_models": 1, "epochs": 25, "early_stopping_patience": 1000, "mini_batch_size": 500}


def fit(task, rows=ROWS, label=None, **options) -> Artifact:
    """Train on arrays; options are hyperparameters, or for `train_arrays`."""
    own = {name: value for name, value in options.items() if isinstance(ESTIMATORS[task].declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    hyperparameters = settings(task, **own)
    label = LABELS[task][: rows.shape[0]] if label is None else label
    return train_arrays(LINEAR_LEARNER, vars(hyperparameters), rows, label=label, **plan)


def settings(task, **own) -> Hyperparameters:
    return Hyperparameters(**ESTIMATORS[task](**own).hyperparameters())


def predict(artifact, rows, hyperparameters) -> dict[str, np.ndarray]:
    return load(artifact, hyperparameters, "cpu")(Batch(features=rows))


def weights(artifact) -> np.ndarray:
    return np.append(artifact.arrays["weights"], artifact.arrays["bias"][:, None], axis=1)


def predictions(artifact, task, rows=ROWS, **own) -> np.ndarray:
    found = predict(artifact, rows, settings(task, **own))
    return found["score" if task == "regressor" else "raw"]


def chosen(artifact) -> dict:
    return artifact.values["leaderboard"][artifact.values["chosen"]]


# ------------------------------------------------------------------------------------------------------------------- losses


def regression_values(name, e, quantile=0.3, delta=0.8, epsilon=0.4):
    """The formulas of the specification, for an array of errors."""
    return {
        "squared_loss": e**2,
        "absolute_loss": np.abs(e),
        "quantile_loss": quantile * np.maximum(0, -e) + (1 - quantile) * np.maximum(0, e),
        "huber_loss": np.where(np.abs(e) < delta, e**2 / 2, delta * np.abs(e) - delta**2 / 2),
        "eps_insensitive_squared_loss": np.maximum(0, e**2 - epsilon**2),
        "eps_insensitive_absolute_loss": np.maximum(0, np.abs(e) - epsilon),
    }[name]


REGRESSION_LOSSES = [name for name in LinearLearnerRegressor.declared["loss"].choices if name != "auto"]
SIZES = {"quantile": 0.3, "huber_delta": 0.8, "loss_insensitivity": 0.4}


class TestLosses:
    @pytest.mark.parametrize("name", REGRESSION_LOSSES)
    def test_of_regression_are_those_of_the_specification(self, name):
        errors = np.linspace(-3, 3, 61)
        values, _ = make_loss(settings("regressor", loss=name, **SIZES))(errors[None, None].copy(), np.zeros(61))
        np.testing.assert_allclose(values[0], regression_values(name, errors), atol=1e-7)

    def test_for_two_classes_are_those_of_the_specification(self):
        scores, weight, margin = np.linspace(-5, 5, 41), 2.5, 0.6
        for name, positive, negative in (
            ("logistic", lambda f: -np.log(1 / (1 + np.exp(-f))), lambda f: -np.log(1 - 1 / (1 + np.exp(-f)))),
            ("hinge_loss", lambda f: max(0, (margin + 1) / 2 - f), lambda f: max(0, (margin - 1) / 2 + f)),
        ):
            loss = make_loss(settings("binary_classifier", loss=name, margin=margin), np.array([[weight]]))
            for label, formula in ((1.0, lambda f, p=positive: weight * p(f)), (0.0, negative)):
                values, _ = loss(scores[None, None].copy(), np.full(41, label))
                np.testing.assert_allclose(values[0], [formula(score) for score in scores], atol=1e-12)

    def test_of_many_classes_is_minus_the_log_of_the_softmax(self):
        scores = np.random.default_rng(1).normal(size=(5, 2, 7))
        label = np.arange(7) % 5
        values, _ = make_loss(settings("multiclass_classifier"))(scores.copy(), label.astype(float))
        expected = -np.log(np.exp(scores) / np.exp(scores).sum(axis=0))[label, :, np.arange(7)].T
        np.testing.assert_allclose(values, expected)

    EVERY = pytest.mark.parametrize(
        ("task", "name"),
        [
            *(("regressor", name) for name in REGRESSION_LOSSES),
            ("binary_classifier", "logistic"),
            ("binary_classifier", "hinge_loss"),
            ("multiclass_classifier", "softmax_loss"),
        ],
    )

    @EVERY
    @pytest.mark.parametrize("weight", [1.0, 3.0])
    def test_have_both_at_once_what_they_have_one_by_one(self, task, name, weight):
        outputs = 3 if task == "multiclass_classifier" else 1
        scores = np.random.default_rng(2).normal(0, 2, (outputs, 2, 50)).astype(np.float32)
        label = np.random.default_rng(3).integers(0, 2, 50).astype(np.float32)
        loss = make_loss(settings(task, loss=name, **(SIZES if task == "regressor" else {})), np.array([[1.0], [weight]], np.float32))
        value, slope = loss(scores.copy(), label)
        np.testing.assert_array_equal(value, loss.value(scores.copy(), label))
        np.testing.assert_array_equal(slope, loss.slope(scores.copy(), label))

    @EVERY
    def test_have_the_slope_of_their_values(self, task, name):
        outputs = 3 if task == "multiclass_classifier" else 1
        scores = np.random.default_rng(2).normal(0, 2, (outputs, 2, 50))
        label = np.random.default_rng(3).integers(0, 2, 50).astype(float)
        loss = make_loss(settings(task, loss=name, **(SIZES if task == "regressor" else {})), np.array([[1.0], [3.0]]))
        slope = loss(scores.copy(), label)[1]
        for output in range(outputs):
            step = np.zeros_like(scores)
            step[output] = 1e-6
            numeric = (loss(scores + step, label)[0] - loss(scores - step, label)[0]) / 2e-6
            np.testing.assert_allclose(slope[output], numeric, atol=1e-5)


# ------------------------------------------------------------------------------------------------------------------ solutions


class TestRegression:
    def test_by_squares_finds_the_least_squares_solution(self):
        found = fit("regressor", **LONG)
        reference = LinearRegression().fit(ROWS.astype(float), LABELS["regressor"])
        np.testing.assert_allclose(found.arrays["weights"][0], reference.coef_, rtol=5e-3, atol=5e-2)
        np.testing.assert_allclose(predictions(found, "regressor"), reference.predict(ROWS), atol=1.0)

    def test_without_bias_goes_through_the_origin(self):
        found = fit("regressor", use_bias=False, **LONG)
        reference = LinearRegression(fit_intercept=False).fit(ROWS.astype(float), LABELS["regressor"])
        assert found.arrays["bias"] == 0
        np.testing.assert_allclose(predictions(found, "regressor"), reference.predict(ROWS), rtol=0.02, atol=5)

    @pytest.mark.parametrize("name", REGRESSION_LOSSES)
    def test_by_any_loss_comes_to_its_minimum(self, name):
        rows, label = LATENT.astype(np.float32), (SCORE + RANDOM.standard_t(3, 2000)).astype(np.float32)
        found = fit(
            "regressor",
            rows,
            label,
            loss=name,
            **SIZES,
            normalize_data=False,
            unbias_data=False,
            normalize_label=False,
            unbias_label=False,
            **LONG,
        )

        def objective(parameters):
            return np.mean(regression_values(name, rows @ parameters[:-1] + parameters[-1] - label))

        best = scipy.optimize.minimize(objective, weights(found)[0], method="Powell", options={"ftol": 1e-6}).fun
        assert objective(weights(found)[0]) <= 1.003 * best

    def test_by_quantiles_leaves_that_share_of_the_labels_below(self):
        for quantile in (0.1, 0.9):
            found = fit("regressor", loss="quantile_loss", quantile=quantile, **LONG)
            assert np.mean(LABELS["regressor"] < predictions(found, "regressor")) == pytest.approx(quantile, abs=0.02)

    def test_with_wd_is_ridge_regression(self):
        options = {"normalize_data": False, "normalize_label": False, "unbias_label": False, "unbias_data": False}
        rows, label, wd = LATENT.astype(np.float32), SCORE.astype(np.float32), 0.5
        found = fit("regressor", rows, label, wd=wd, **options, **LONG)
        # mean e² + wd·|w|²/2 against Σ e² + α·|w|²
        reference = Ridge(alpha=wd * len(rows) / 2).fit(rows.astype(float), label)
        np.testing.assert_allclose(found.arrays["weights"][0], reference.coef_, atol=2e-3)

    def test_with_l1_is_the_lasso_with_its_zeros(self):
        rows = np.random.default_rng(4).normal(size=(1000, 12)).astype(np.float32)
        label = (rows[:, 0] - 2 * rows[:, 1] + np.random.default_rng(5).normal(size=1000)).astype(np.float32)
        options = {"normalize_data": False, "normalize_label": False, "unbias_label": False, "unbias_data": False}
        found = fit("regressor", rows, label, l1=0.2, **options, **LONG)
        # mean e² + l1·|w| against mean e²/2 + α·|w|
        reference = Lasso(alpha=0.1).fit(rows.astype(float), label)
        np.testing.assert_allclose(found.arrays["weights"][0], reference.coef_, atol=3e-3)
        assert ((found.arrays["weights"][0] == 0) == (reference.coef_ == 0)).all()

    def test_with_bias_wd_mult_holds_the_bias_back_too(self):
        options = {"normalize_data": False, "normalize_label": False, "unbias_label": False, "unbias_data": False, "wd": 1.0}
        rows, label = LATENT.astype(np.float32), np.full(2000, 6.0, np.float32)
        biases = [float(fit("regressor", rows, label, bias_wd_mult=mult, **options, **LONG).arrays["bias"][0]) for mult in (0, 4)]
        assert biases == pytest.approx([6, 2], rel=0.01)  # the minimum of (b − 6)² + 4·b²/2


class TestClassification:
    @pytest.mark.parametrize("wd", [0.0, 0.1])
    def test_of_two_classes_is_logistic_regression(self, wd):
        options = {"normalize_data": False, "unbias_data": False} if wd else {}
        rows = LATENT.astype(np.float32) if wd else ROWS
        found = fit("binary_classifier", rows, wd=wd, **options, **LONG)
        reference = LogisticRegression(C=1 / (2000 * wd) if wd else np.inf, tol=1e-8, max_iter=10_000)
        reference.fit(rows.astype(float), LABELS["binary_classifier"])
        np.testing.assert_allclose(found.arrays["weights"], reference.coef_, rtol=0.02, atol=0.01)

    def test_of_many_classes_is_multinomial_regression(self):
        found = fit("multiclass_classifier", **LONG)
        reference = LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000).fit(ROWS.astype(float), LABELS["multiclass_classifier"])
        own = predict(found, ROWS, settings("multiclass_classifier"))["probability"]
        np.testing.assert_allclose(own, reference.predict_proba(ROWS.astype(float)), atol=0.01)

    def test_by_hinge_loss_comes_to_its_minimum(self):
        label, rows = LABELS["binary_classifier"], LATENT.astype(np.float32)
        found = fit("binary_classifier", rows, loss="hinge_loss", margin=2.0, normalize_data=False, unbias_data=False, **LONG)

        def objective(parameters):
            score = rows @ parameters[:-1] + parameters[-1]
            return np.mean(np.where(label > 0, np.maximum(0, 1.5 - score), np.maximum(0, 0.5 + score)))

        best = scipy.optimize.minimize(objective, weights(found)[0], method="Powell", options={"ftol": 1e-6}).fun
        assert objective(weights(found)[0]) <= 1.003 * best

    def test_probabilities_are_of_the_classes_and_sum_to_one(self):
        for task, classes in (("binary_classifier", 2), ("multiclass_classifier", 3)):
            found = predict(fit(task, **FULL), ROWS, settings(task))
            assert found["probability"].shape == found["raw"].shape == (2000, classes)
            np.testing.assert_allclose(found["probability"].sum(axis=1), 1)

    def test_hinge_loss_gives_no_probabilities(self):
        found = predict(fit("binary_classifier", loss="hinge_loss", **FULL), ROWS, settings("binary_classifier", loss="hinge_loss"))
        assert set(found) == {"predicted_label", "raw"}

    def test_balanced_positives_weigh_as_much_as_negatives(self):
        label = LABELS["binary_classifier"]
        ratio = float((label == 0).sum() / label.sum())
        balanced, given = (fit("binary_classifier", positive_example_weight_mult=value, **FULL) for value in ("balanced", ratio))
        np.testing.assert_allclose(weights(balanced), weights(given), rtol=1e-5)

    def test_automatic_weight_of_positives_is_the_one_that_serves_the_criterion(self):
        rare = LABELS["binary_classifier"] * (np.arange(2000) % 4 == 0)
        options = {"binary_classifier_model_selection_criteria": "f_beta", "positive_example_weight_mult": "auto"}
        found = fit("binary_classifier", label=rare, **options, **FULL)
        tried = found.values["leaderboard"]
        ratio = (rare == 0).sum() / rare.sum()
        assert [entry["positive_example_weight_mult"] for entry in tried] == pytest.approx([1, ratio**0.5, ratio])
        assert chosen(found)["criterion"] == max(entry["criterion"] for entry in tried)

    def test_balanced_classes_weigh_inversely_to_their_frequency(self):
        label = LABELS["multiclass_classifier"]
        counts = np.bincount(label.astype(int))
        balanced = fit("multiclass_classifier", balance_multiclass_weights=True, num_point_for_scaler=2000, epochs=40, **FULL)
        # Row weights say the same, but normalising must not see them.
        plain = {"normalize_data": False, "unbias_data": False, "epochs": 40, "num_point_for_scaler": 2000, **FULL}
        weighted = fit("multiclass_classifier", LATENT, weight=(2000 / (3 * counts))[label.astype(int)], **plain)
        unweighted = fit("multiclass_classifier", LATENT, balance_multiclass_weights=True, **plain)
        np.testing.assert_allclose(weights(unweighted), weights(weighted), rtol=1e-3, atol=1e-4)
        mean = predict(balanced, ROWS, settings("multiclass_classifier"))["probability"].mean(axis=0)
        assert np.ptp(mean) < np.ptp(counts / 2000)


# ----------------------------------------------------------------------------------------------------------------- candidates


class TestSideBySide:
    @TASKS
    def test_each_model_is_the_one_that_its_settings_give_alone(self, task):
        options = {"epochs": 3, "mini_batch_size": 256, "normalize_data": True}
        together = fit(task, num_models=7, l1="auto", **options)
        for entry in together.values["leaderboard"][::3]:
            alone = fit(task, num_models=1, **{name: entry[name] for name in ("learning_rate", "l1", "wd")}, **options)
            assert chosen(alone)["objective_loss"] == pytest.approx(entry["objective_loss"], rel=1e-4)

    def test_the_first_has_the_given_settings_and_no_two_are_alike(self):
        for own in ({}, {"wd": 0.01}, {"l1": 0.0, "wd": 0.0}, {"learning_rate": 0.02, "l1": 1e-3}):
            made = make_candidates(settings("regressor", **own), 4, [1.0])
            assert len(made) == len(set(made)) == 32
            assert all(getattr(made[0], name) == value for name, value in own.items())

    def test_penalties_that_are_switched_off_stay_off(self):
        assert {(one.l1, one.wd) for one in make_candidates(settings("regressor", l1=0, wd=0), 4, [1.0])} == {(0, 0)}

    @TASKS
    def test_the_best_of_the_leaderboard_is_chosen(self, task):
        found = fit(task, num_models=8, epochs=2)
        best = max(found.values["leaderboard"], key=lambda entry: (entry["criterion"], -entry["objective_loss"]))
        assert chosen(found) == best

    def test_a_model_that_diverges_leaves_the_others_alone(self):
        found = fit("regressor", optimizer="sgd", num_models=2, learning_rate=0.6, epochs=5, mini_batch_size=100)
        losses = [entry["objective_loss"] for entry in found.values["leaderboard"]]
        assert found.values["chosen"] == 0 and losses[0] < LABELS["regressor"].var() and not losses[1] < 1e9

    def test_a_training_in_which_all_diverge_says_so(self):
        with pytest.raises(FloatingPointError, match=r"not finite in epoch \d+: lower learning_rate \(tried 1e\+10\)"):
            fit("regressor", optimizer="sgd", num_models=1, learning_rate=1e10, mini_batch_size=100)


# ----------------------------------------------------------------------------------------------------------- hyperparameters


EFFECTS = [
    ("regressor", name, value, context)
    for name, value, context in [
        ("num_models", 4, {"learning_rate": 0.001}),
        ("epochs", 2, {}),
        ("mini_batch_size", 500, {}),
        ("use_bias", False, {}),
        ("optimizer", "sgd", {}),
        ("optimizer", "rmsprop", {}),
        ("learning_rate", 0.01, {}),
        ("momentum", 0.5, {"optimizer": "sgd"}),
        ("beta_1", 0.5, {}),
        ("beta_2", 0.5, {}),
        ("bias_lr_mult", 3.0, {"init_bias": 1}),
        ("l1", 0.01, {}),
        ("wd", 0.1, {}),
        ("bias_wd_mult", 2.0, {"wd": 0.1, "init_bias": 1}),
        ("use_lr_scheduler", False, {}),
        ("lr_scheduler_step", 3, {}),
        ("lr_scheduler_factor", 0.5, {}),
        ("lr_scheduler_minimum_lr", 0.09, {}),
        ("init_method", "normal", {}),
        ("init_scale", 0.5, {}),
        ("init_sigma", 0.5, {"init_method": "normal"}),
        ("init_bias", 2.0, {}),
        ("normalize_data", False, {}),
        ("unbias_data", False, {}),
        ("num_point_for_scaler", 100, {}),
        ("normalize_label", False, {}),
        ("unbias_label", False, {}),
        ("loss", "absolute_loss", {}),
        ("quantile", 0.9, {"loss": "quantile_loss"}),
        ("huber_delta", 0.1, {"loss": "huber_loss"}),
        ("loss_insensitivity", 0.5, {"loss": "eps_insensitive_squared_loss"}),
        ("early_stopping_patience", 1, {"early_stopping_tolerance": 1e9}),
        ("early_stopping_tolerance", 1e9, {"early_stopping_patience": 1}),
    ]
] + [
    ("binary_classifier", "loss", "hinge_loss", {}),
    ("binary_classifier", "margin", 3.0, {"loss": "hinge_loss"}),
    ("binary_classifier", "positive_example_weight_mult", 4.0, {}),
    ("binary_classifier", "binary_classifier_model_selection_criteria", "f_beta", {}),
    ("binary_classifier", "target_recall", 0.95, {"binary_classifier_model_selection_criteria": "precision_at_target_recall"}),
    ("binary_classifier", "target_precision", 0.95, {"binary_classifier_model_selection_criteria": "recall_at_target_precision"}),
    ("binary_classifier", "f_beta", 4.0, {"binary_classifier_model_selection_criteria": "f_beta"}),
    ("binary_classifier", "num_calibration_samples", 50, {}),
    ("multiclass_classifier", "num_classes", 5, {}),
    ("multiclass_classifier", "balance_multiclass_weights", True, {}),
]


@pytest.mark.parametrize(("task", "name", "value", "context"), EFFECTS, ids=lambda part: str(part) if isinstance(part, str) else "")
def test_a_hyperparameter_has_an_effect(task, name, value, context):
    base = {"num_models": 1, "epochs": 3, "mini_batch_size": 250, **context}
    before, after = (fit(task, **options) for options in (base, {**base, name: value}))

    def essence(artifact):
        return [*weights(artifact).ravel(), artifact.values.get("raw_threshold", 0)]

    assert len(essence(before)) != len(essence(after)) or not np.allclose(essence(before), essence(after), rtol=1e-6, atol=0)


# --------------------------------------------------------------------------------------------------------- scaling and sparsity


class TestScaling:
    @TASKS
    def test_makes_units_of_the_features_irrelevant(self, task):
        stretch, offset = np.array([1e3, 1e-2, 5, 1]), np.array([1e4, 3, -20, 0])
        other = ROWS * stretch + offset
        np.testing.assert_allclose(
            predictions(fit(task, other.astype(np.float32), **FULL), task, other.astype(np.float32)),
            predictions(fit(task, **FULL), task),
            rtol=2e-3,
            atol=2e-2,
        )

    def test_makes_units_of_the_label_irrelevant(self):
        found = predictions(fit("regressor", label=1e-3 * LABELS["regressor"] - 7, **LONG), "regressor")
        np.testing.assert_allclose(1e3 * (found + 7), predictions(fit("regressor", **LONG), "regressor"), rtol=1e-3)

    def test_copes_with_a_constant_feature(self):
        rows = np.concatenate([ROWS, np.full((2000, 1), 0.1, np.float32)], axis=1)
        found = fit("regressor", rows, **FULL)
        np.testing.assert_allclose(predictions(found, "regressor", rows), predictions(fit("regressor", **FULL), "regressor"), atol=0.05)

    @TASKS
    @pytest.mark.parametrize("plain", [True, False])
    def test_of_sparse_rows_gives_the_model_of_dense_ones(self, task, plain):
        rows = np.where(np.random.default_rng(6).random((2000, 4)) < 0.5, ROWS, 0).astype(np.float32)
        options = {"normalize_data": not plain, "unbias_data": not plain, "l1": 1e-3, "epochs": 5, **FULL}
        dense, sparse = (fit(task, form, max_shard_bytes=1 << 30, **options) for form in (rows, as_sparse(rows)))
        np.testing.assert_allclose(weights(sparse), weights(dense), rtol=2e-3, atol=2e-3 * np.abs(weights(dense)).max())

    def test_of_sparse_rows_never_makes_them_dense(self, monkeypatch):
        rows = sp.random(500, 20_000, 0.001, format="csr", dtype=np.float32, random_state=0)
        label = np.asarray(rows[:, :50].sum(axis=1)).ravel().astype(np.float32)
        for name in ("toarray", "todense"):
            monkeypatch.setattr(sp.csr_matrix, name, lambda *arguments: pytest.fail("a sparse batch was made dense"))
        found = fit("regressor", rows, label, num_models=2, epochs=2)
        assert found.arrays["weights"].shape == (1, 20_000)


def as_sparse(rows):
    """The same rows with so many zero columns appended that they stay sparse, of which none gets a weight but by chance; cut off again."""
    return sp.csr_matrix(rows)


class TestWeights:
    @TASKS
    def test_are_repetitions(self, task):
        times = np.arange(300) % 3  # some rows weigh nothing
        rows, label = ROWS[:300], LABELS[task][:300]
        weighted = fit(task, rows, label, weight=times.astype(np.float32), epochs=5, **FULL)
        repeated = fit(task, np.repeat(rows, times, axis=0), np.repeat(label, times), epochs=5, **FULL)
        np.testing.assert_allclose(weights(weighted), weights(repeated), rtol=1e-3)


# --------------------------------------------------------------------------------------------------------------- distribution


def weights_of_part(communicator, task, ends, options):
    """The model of worker 0, trained with the rows between two ends on each worker."""
    bounds = [0, *ends, len(ROWS)]
    part = slice(bounds[communicator.rank], bounds[communicator.rank + 1])
    found = fit(task, ROWS[part], LABELS[task][part], communicator=communicator, **options)
    return weights(found) if communicator.rank == 0 else None


class TestDistribution:
    @TASKS
    @pytest.mark.parametrize("ends", [[1000], [1999], [0], [30, 1200], [0, 2000], [2000, 2000]], ids=str)
    def test_over_threads_does_not_change_the_model(self, task, ends):
        options = {**FULL, "num_models": 3, "epochs": 4}
        found = in_threads(len(ends) + 1, lambda communicator: weights_of_part(communicator, task, ends, options))[0]
        np.testing.assert_allclose(found, weights(fit(task, **options)), rtol=1e-4, atol=1e-5 * np.abs(found).max())

    @TASKS
    def test_over_processes_does_not_change_the_model(self, task):
        options = {**FULL, "epochs": 4}
        found = process_gang(2)(weights_of_part, task, [700], options)[0]
        np.testing.assert_allclose(found, weights(fit(task, **options)), rtol=1e-4, atol=1e-5 * np.abs(found).max())

    @TASKS
    def test_of_a_pipe_gives_the_model_of_a_file(self, task):
        options = {**FULL, "epochs": 4, **({"num_classes": 3} if task == "multiclass_classifier" else {})}
        np.testing.assert_allclose(weights(fit(task, input_mode="Pipe", **options)), weights(fit(task, **options)), rtol=1e-4)

    @TASKS
    def test_of_mini_batches_comes_to_the_same_minimum(self, task):
        options = {**LONG, "epochs": 40}
        alone = fit(task, **options).values["train:objective_loss"]
        parts = [slice(0, 600), slice(600, 700), slice(700, 2000)]
        found = in_threads(3, lambda one: fit(task, ROWS[parts[one.rank]], LABELS[task][parts[one.rank]], communicator=one, **options))
        assert found[0].values["train:objective_loss"] == pytest.approx(alone, rel=5e-3)


class TestCheckpoints:
    @TASKS
    def test_a_training_cut_off_in_the_middle_ends_where_it_would_have(self, task, tmp_path, monkeypatch):
        options = {"num_models": 3, "epochs": 4, "mini_batch_size": 300}
        expected = fit(task, **options)
        end_epoch = SideBySide.end_epoch

        def fail_in_third_epoch(self, progress):
            if progress.epoch == 2:
                raise KeyboardInterrupt
            return end_epoch(self, progress)

        with monkeypatch.context() as patch:
            patch.setattr(SideBySide, "end_epoch", fail_in_third_epoch)
            with pytest.raises(KeyboardInterrupt):
                fit(task, checkpoint_dir=str(tmp_path), **options)
        found = fit(task, checkpoint_dir=str(tmp_path), **options)
        np.testing.assert_array_equal(weights(found), weights(expected))
        assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]


class TestGpu:
    def test_products_in_torch_are_those_of_numpy(self):
        # torch's CPU stands in for the GPU: same calls, same layout of the arrays.
        scaling = Scaling(shift=ROWS.mean(axis=0).astype(float), scale=ROWS.std(axis=0).astype(float))
        columns = np.random.default_rng(7).normal(size=(4, 6)).astype(np.float32)
        bias = np.arange(6, dtype=np.float32)
        found = []
        for device in ("cpu", "cpu:0"):
            product = Product(scaling, device)
            rows, scores = product.scores(ROWS, columns, bias)
            gradient = np.empty((4, 6), np.float32)
            product.gradient(rows, scores, out=gradient)
            found.append((scores, gradient))
        for own, other in zip(*found, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-4)


# ------------------------------------------------------------------------------------------------------------ validation, labels


class TestValidation:
    marked = np.arange(2000) % 5 == 0

    @TASKS
    def test_rows_are_not_trained_on(self, task):
        label, options = LABELS[task].copy(), {**FULL, "epochs": 1}  # of several, validation rows would choose one
        expected = fit(task, ROWS[~self.marked], label[~self.marked], **options)
        label[self.marked] = label[self.marked][::-1]
        found = fit(task, label=label, validation=self.marked, **options)
        np.testing.assert_allclose(weights(found), weights(expected), rtol=1e-4)

    @TASKS
    def test_rows_decide_between_models(self, task):
        found = fit(task, validation=self.marked, num_models=8, epochs=1)
        for entry in found.values["leaderboard"]:
            own = {name: entry[name] for name in ("learning_rate", "l1", "wd")}
            alone = fit(task, validation=self.marked, num_models=1, epochs=1, **own)
            assert alone.values["validation:objective_loss"] == pytest.approx(entry["objective_loss"], rel=1e-3)

    def test_metrics_are_those_of_the_model_on_the_marked_rows(self):
        found = fit("regressor", validation=self.marked, **FULL)
        error = predictions(found, "regressor", ROWS[self.marked]) - LABELS["regressor"][self.marked]
        assert found.values["validation:mse"] == pytest.approx(np.mean(error**2), rel=1e-5)
        assert found.values["validation:rmse"] == pytest.approx(np.mean(error**2) ** 0.5, rel=1e-5)

    @TASKS
    def test_metrics_do_not_depend_on_the_number_of_workers(self, task):
        def on_workers(communicator):
            part = slice(communicator.rank, None, communicator.size)
            options = {"validation": self.marked[part], "communicator": communicator, **FULL}
            return fit(task, ROWS[part], LABELS[task][part], **options).values

        alone, shared = on_workers(SingleProcess()), in_threads(3, on_workers)[0]
        names = [name for name in alone if name.startswith("validation:")]
        assert names and {name: shared[name] for name in names} == pytest.approx({name: alone[name] for name in names}, rel=1e-3)

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_without_a_marked_row_is_refused(self, mode):
        with pytest.raises(InvalidRows, match="no row is marked for validation"):
            fit("regressor", validation=np.zeros(2000, bool), input_mode=mode, **FULL)

    def test_rows_of_a_pipe_are_used_after_its_first_pass(self):
        file, pipe = (fit("regressor", validation=self.marked, input_mode=mode, **FULL) for mode in ("File", "Pipe"))
        assert pipe.values["validation:mse"] == pytest.approx(file.values["validation:mse"], rel=1e-3)

    def test_early_stopping_watches_the_criterion(self):
        # The loss goes on falling; accuracy on marked rows, whose labels are noise, does not.
        label = LABELS["binary_classifier"].copy()
        label[self.marked] = np.random.default_rng(8).integers(0, 2, self.marked.sum())
        found = fit("binary_classifier", label=label, validation=self.marked, num_models=1, epochs=50, early_stopping_tolerance=0.05)
        assert len(found.values["history"]) == 4
        assert "validation:accuracy" in found.values["history"][0]


class TestLabels:
    def test_tell_the_number_of_classes(self):
        assert fit("multiclass_classifier", label=np.arange(2000.0) % 7, **FULL).arrays["weights"].shape == (7, 4)

    def test_that_only_one_worker_has_count_too(self):
        def work(communicator):
            label = np.full(100, 4.0 if communicator.rank else 0.0)
            return fit("multiclass_classifier", ROWS[:100], label, communicator=communicator, **FULL)

        assert in_threads(2, work)[0].arrays["weights"].shape == (5, 4)

    def test_of_a_single_class_are_refused(self):
        with pytest.raises(InvalidRows, match="all labels are 0"):
            fit("multiclass_classifier", label=np.zeros(2000), **FULL)

    @pytest.mark.parametrize(
        ("task", "value", "message"),
        [
            ("binary_classifier", 2, r"label column 'label' is 2, expected 0 or 1, in row 17"),
            ("binary_classifier", 0.5, r"label column 'label' is 0.5, expected 0 or 1, in row 17"),
            ("multiclass_classifier", -1, r"label column 'label' is -1, expected an integer from 0 to 999999, in row 17"),
            ("regressor", np.nan, r"column 'label' is nan as a 32-bit float in row 17"),
        ],
    )
    def test_out_of_range_are_named(self, task, value, message):
        label = LABELS[task].copy()
        label[17] = value
        with pytest.raises(InvalidRows, match=message):
            fit(task, label=label, **FULL)
