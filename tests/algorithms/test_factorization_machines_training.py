"""Factorization machines on arrays: against the definition, a plain dense reference, and themselves on other paths."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sparkml_algos import FactorizationMachinesBinaryClassifier, FactorizationMachinesRegressor, InvalidParams
from sparkml_algos.algorithms.factorization_machines.machine import BLOCK, Machine, start
from sparkml_algos.algorithms.factorization_machines.prediction import load
from sparkml_algos.algorithms.factorization_machines.preparation import Preparation
from sparkml_algos.algorithms.factorization_machines.rows import Rows
from sparkml_algos.algorithms.factorization_machines.training import FACTORIZATION_MACHINES
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.collectives import sparse_sums
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Job
from sparkml_algos.training.losses import LogisticLoss, SquaredLoss
from sparkml_algos.training.run import train_arrays
from sparkml_algos.training.trainer import Progress, fit
from sparkml_algos.training.watching import WatchedRows
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads, process_gang

ESTIMATORS = {"regressor": FactorizationMachinesRegressor, "binary_classifier": FactorizationMachinesBinaryClassifier}
TASKS = pytest.mark.parametrize("task", ESTIMATORS)

RANDOM = np.random.default_rng(0)
# Of 60 columns, 3 are in no row and some in few.
ROWS = (RANDOM.normal(size=(200, 60)) * (RANDOM.random((200, 60)) < np.linspace(0, 0.2, 60))).astype(np.float32)
ROWS[:, :3] = 0
LABELS = {"regressor": RANDOM.normal(1, 2, 200).astype(np.float32), "binary_classifier": (RANDOM.random(200) < 0.4).astype(np.float32)}
WEIGHT = RANDOM.uniform(0.5, 2, 200).astype(np.float32)

FACTORS = 4
# Rates and starts at which a few steps show every term.
LIVELY = {"num_factors": FACTORS, "linear_lr": 0.02, "factors_lr": 0.05, "factors_init_sigma": 0.3, "linear_init_sigma": 0.2}
# As many steps as epochs and mini-batches say, on labels as they are, each exact on several workers.
PLAIN = {"min_steps": 1, "exchange_every": 1}


def settings(task, **own) -> Hyperparameters:
    estimator = ESTIMATORS[task](**{**LIVELY, **PLAIN, **({"normalize_label": False} if task == "regressor" else {}), **own})
    assert estimator.problems() == []
    return Hyperparameters(**estimator.hyperparameters())


def train(task, rows=ROWS, label=None, **options) -> Artifact:
    """Train on arrays; options are hyperparameters, or for `train_arrays`."""
    own = {name: value for name, value in options.items() if isinstance(ESTIMATORS[task].declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    label = LABELS[task] if label is None else label
    return train_arrays(FACTORIZATION_MACHINES, vars(settings(task, **own)), rows, label=label, **plan)


def predict(artifact, rows, hyperparameters) -> dict[str, np.ndarray]:
    return load(artifact, hyperparameters, "cpu")(Batch(features=rows))


def numbers(artifact) -> np.ndarray:
    """All parameters in one array."""
    return np.concatenate([artifact.arrays[name].ravel() for name in ("bias", "linear", "factors")])


def scores(artifact, rows, task="regressor") -> np.ndarray:
    found = predict(artifact, rows, settings(task))
    return found["score"] if task == "regressor" else found["raw"][:, 1]


def by_definition(bias, linear, factors, rows) -> np.ndarray:
    """b + w·x and a term for each pair of features."""
    pairs = itertools.combinations(range(rows.shape[1]), 2)
    return bias + rows @ linear + sum(factors[i] @ factors[j] * rows[:, i] * rows[:, j] for i, j in pairs)


# ------------------------------------------------------------------------------------------------------------------- scores


class TestScores:
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_are_those_of_the_definition(self, form):
        artifact = train("regressor", epochs=3)
        expected = by_definition(*(artifact.arrays[name].astype(float) for name in ("bias", "linear", "factors")), ROWS.astype(float))
        np.testing.assert_allclose(scores(artifact, form(ROWS)), expected, atol=1e-9)

    def test_of_stored_zeros_and_unordered_columns_are_those_of_the_row(self):
        artifact = train("regressor")
        row = sp.csr_matrix((np.array([0, 2, 0, 3], np.float32), [9, 40, 1, 7], [0, 4]), shape=(1, 60))
        np.testing.assert_allclose(scores(artifact, row), scores(artifact, row.toarray()), atol=1e-12)

    def test_of_a_row_of_zeros_are_the_bias(self):
        artifact = train("regressor")
        assert scores(artifact, sp.csr_matrix((2, 60), dtype=np.float32)) == pytest.approx([artifact.arrays["bias"][0]] * 2)

    def test_of_two_classes_give_probabilities_and_the_label_from_one_half_on(self):
        artifact = train("binary_classifier", epochs=5)
        found, score = predict(artifact, ROWS, settings("binary_classifier")), scores(artifact, ROWS, "binary_classifier")
        np.testing.assert_allclose(found["raw"], np.stack([-score, score], axis=1))
        np.testing.assert_allclose(found["probability"], np.stack([1 / (1 + np.exp(score)), 1 / (1 + np.exp(-score))], axis=1))
        assert (found["predicted_label"] == (found["probability"][:, 1] >= 0.5)).all() and 0 < found["predicted_label"].mean() < 1


# ----------------------------------------------------------------------------------------------------------------- gradients


class TestGradient:
    @pytest.mark.parametrize("loss", [SquaredLoss, LogisticLoss])
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_is_the_slope_of_the_loss(self, loss, form):
        rows, loss = Rows(form(ROWS), np.float64), loss(settings("regressor"))
        table = np.random.default_rng(1).normal(0, 0.5, (len(rows.columns), 1 + FACTORS))
        label = LABELS["binary_classifier"].astype(float)

        def value(change=0.0):
            return loss(rows.scores(0.3, table + change)[None, None], label)

        expected = np.zeros_like(table)
        for position in np.ndindex(*table.shape):
            change = np.zeros_like(table)
            change[position] = 1e-6
            expected[position] = ((value(change)[0] - value(-change)[0]) @ WEIGHT).sum() / 2e-6
        np.testing.assert_allclose(rows.gradient(value()[1][0, 0] * WEIGHT), expected, atol=1e-5)

    def test_in_torch_is_that_of_numpy(self):
        # torch's CPU stands in for the GPU: same calls, same layout of the arrays.
        table, found = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32), []
        for device in (None, "cpu"):
            rows = Rows(ROWS, device=device)
            value = rows.scores(0.3, table[rows.columns])
            found.append((value, rows.gradient(value / 10)))
        for own, other in zip(*found, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------------------------------------- steps


class Reference:
    """The same, dense, in float64, a feature at a time: gradients by the definition, Adam by its paper."""

    def __init__(self, hyperparameters, features):
        self.own = hyperparameters
        bias, table = start(hyperparameters, features, np.random.default_rng(0))
        self.parameters = np.append(bias, table.ravel()).astype(float)
        groups = ["bias"] + (["linear"] + ["factors"] * FACTORS) * features
        self.rate, self.decay = (np.array([getattr(hyperparameters, f"{group}_{name}") for group in groups]) for name in ("lr", "wd"))
        self.mean, self.square, self.steps = np.zeros_like(self.parameters), np.zeros_like(self.parameters), 0

    def parts(self):
        table = self.parameters[1:].reshape(-1, 1 + FACTORS)
        return self.parameters[0], table[:, 0], table[:, 1:]

    def step(self, rows, label, weight):
        bias, linear, factors = self.parts()
        score = by_definition(bias, linear, factors, rows)
        squared = self.own.predictor_type == "regressor"
        slope = weight * (2 * (score - label) if squared else 1 / (1 + np.exp(-score)) - label)
        gradient = np.zeros((rows.shape[1], 1 + FACTORS))
        for i in range(rows.shape[1]):
            others = np.delete(np.arange(rows.shape[1]), i)
            gradient[i, 0] = slope @ rows[:, i]
            gradient[i, 1:] = (slope * rows[:, i]) @ (rows[:, others] @ factors[others])
        gradient = np.append(slope.sum(), gradient.ravel())
        gradient *= 1 / weight.sum() if self.own.rescale_grad is None else self.own.rescale_grad
        if self.own.clip_gradient is not None:
            gradient = np.clip(gradient, -self.own.clip_gradient, self.own.clip_gradient)
        gradient += self.decay * self.parameters
        moved = np.append(True, np.repeat((rows != 0).any(axis=0), 1 + FACTORS))
        self.steps += 1
        self.mean[moved] = 0.9 * self.mean[moved] + 0.1 * gradient[moved]
        self.square[moved] = 0.999 * self.square[moved] + 0.001 * gradient[moved] ** 2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        eps = 1e-8 if self.own.eps is None else self.own.eps
        self.parameters[moved] -= (self.rate * mean / (np.sqrt(square) + eps))[moved]


def machine(hyperparameters, features=60) -> Machine:
    shard = Shard(iter([]), decoder_of(["x"]))
    shard.learn([{"features": {"num_features": features}}])
    job = Job(shard, SingleProcess())
    return Machine(hyperparameters, features, job, SingleProcess(), Preparation(), WatchedRows(job))


class TestSteps:
    @TASKS
    @pytest.mark.parametrize(
        "own",
        [
            {},
            {"rescale_grad": 0.5},
            {"clip_gradient": 0.01, "factors_wd": 0.3},
            {"eps": 0.1, "bias_lr": 0.3, "bias_wd": 0.5, "linear_wd": 0.2},
            {"factors_init_method": "uniform", "factors_init_scale": 0.4, "linear_init_method": "constant", "linear_init_value": -0.2},
        ],
        ids=lambda own: "-".join(own) or "defaults",
    )
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_are_those_of_a_plain_reference(self, task, own, form):
        own = settings(task, **own)
        one, other = machine(own), Reference(own, 60)
        for number in range(4):
            some = slice(20 * number, 20 * number + 20)
            label, weight = LABELS[task][some], WEIGHT[some]
            one.update(one.gradient(Batch(features=form(ROWS[some]), label=label, weight=weight)), Progress(0, number, None))
            other.step(ROWS[some].astype(float), label.astype(float), weight.astype(float))
        found = np.append(one.bias, one.table.ravel())
        np.testing.assert_allclose(found, other.parameters, rtol=1e-3, atol=1e-4)

    def test_leave_features_that_are_in_no_row_where_they_started(self):
        own = settings("regressor", factors_wd=0.5, linear_wd=0.5)
        _, table = start(own, 60, np.random.default_rng(0))
        found = train("regressor", epochs=3, factors_wd=0.5, linear_wd=0.5)
        np.testing.assert_array_equal(found.arrays["factors"][:3], table[:3, 1:])
        np.testing.assert_array_equal(found.arrays["linear"][:3], table[:3, 0])

    @TASKS
    def test_of_dense_and_of_sparse_rows_are_the_same(self, task):
        wide = np.hstack([ROWS, np.zeros((200, 200), np.float32)])  # few enough values to stay sparse
        dense, sparse = (train(task, form(wide), epochs=3, mini_batch_size=50) for form in (np.asarray, sp.csr_matrix))
        np.testing.assert_allclose(numbers(sparse), numbers(dense), rtol=1e-3, atol=1e-5)

    def test_cost_what_their_rows_cost_and_not_what_the_table_does(self):
        features = 400_000
        own = settings("regressor", num_factors=8)
        one = machine(own, features)
        rows = sp.random(50, features, 2e-5, format="csr", dtype=np.float32, random_state=0)
        batch = Batch(features=rows, label=LABELS["regressor"][:50])
        one.update(one.gradient(batch), Progress(0, 0, None))
        tracemalloc.start()
        one.update(one.gradient(batch), Progress(0, 1, None))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert batch.features.nnz == 400 and peak < 300_000 < features

    def test_too_large_are_refused_with_advice(self):
        with pytest.raises(FloatingPointError, match="not finite in epoch 1: lower bias_lr, linear_lr and factors_lr"):
            train("regressor", ROWS * 1e10, factors_init_sigma=1e10)


class TestStart:
    def test_has_the_asked_distributions(self):
        own = settings(
            "regressor",
            bias_init_method="constant",
            bias_init_value=3.5,
            linear_init_method="uniform",
            linear_init_scale=0.2,
            factors_init_sigma=0.05,
        )
        bias, table = start(own, 2 * BLOCK + 5, np.random.default_rng(0))
        linear, factors = table[:, 0], table[:, 1:]
        assert bias == [3.5] and table.dtype == bias.dtype == np.float32
        assert np.abs(linear).max() == pytest.approx(0.2, rel=1e-3) and linear.mean() == pytest.approx(0, abs=2e-3)
        assert linear.std() == pytest.approx(0.2 / 3**0.5, rel=0.01)
        assert factors.std() == pytest.approx(0.05, rel=0.01) and factors.mean() == pytest.approx(0, abs=1e-3)
        assert len(np.unique(factors[:, 0])) > 100_000  # no block repeats another

    def test_of_the_bias_is_drawn_too(self):
        values = [start(settings("regressor", bias_init_sigma=2.0), 1, np.random.default_rng(seed))[0][0] for seed in range(500)]
        assert np.std(values) == pytest.approx(2, rel=0.1)

    def test_ignores_values_of_methods_that_are_not_active(self):
        given = {f"{group}_init_{name}": 7.0 for group in ("bias", "linear", "factors") for name in ("scale", "value")}
        np.testing.assert_array_equal(numbers(train("regressor", **given)), numbers(train("regressor")))

    def test_without_a_learning_rate_is_the_end(self):
        found = train("regressor", bias_lr=0, linear_lr=0, factors_lr=0, bias_wd=1, epochs=2)
        bias, table = start(settings("regressor"), 60, np.random.default_rng(0))
        np.testing.assert_array_equal(numbers(found), np.concatenate([bias, table[:, 0], table[:, 1:].ravel()]))


class TestProblems:
    @pytest.mark.parametrize(
        ("own", "message"),
        [
            ({"clip_gradient": -1}, "clip_gradient must be > 0, got -1"),
            ({"eps": 0}, "eps must be > 0, got 0"),
            ({"rescale_grad": 0}, "rescale_grad must be > 0, got 0"),
            ({"factors_init_method": "uniform"}, "factors_init_scale is required with factors_init_method='uniform'"),
            ({"bias_init_method": "constant"}, "bias_init_value is required with bias_init_method='constant'"),
            ({"linear_init_sigma": None}, "linear_init_sigma is required with linear_init_method='normal'"),
        ],
    )
    def test_are_found_before_training(self, own, message):
        assert FactorizationMachinesRegressor(num_factors=2, **own).problems() == [message]

    def test_are_reported_with_those_of_the_declarations(self):
        with pytest.raises(InvalidParams, match="num_factors must be an int >= 1, got 0"):
            FactorizationMachinesRegressor(num_factors=0)


# --------------------------------------------------------------------------------------------------------------- distribution

# A mini-batch of all rows is the same rows on any number of workers.
FULL = {"mini_batch_size": 1000, "epochs": 4}
FORMS = {"dense": ROWS, "sparse": sp.csr_matrix(np.hstack([ROWS, np.zeros((200, 200), np.float32)]))}


@pytest.fixture(params=["the whole step", "a part of the step"])
def each_worker_makes(request, monkeypatch):
    """Large tables have owners of their rows; what counts as small decides that."""
    if request.param == "a part of the step":
        monkeypatch.setattr(sparse_sums, "SMALL_BYTES", 0)


def table_of_part(communicator, task, form, ends, small_bytes=None):
    """The parameters of this worker, trained with the rows between two ends on each worker."""
    if small_bytes is not None:  # of this process alone
        sparse_sums.SMALL_BYTES = small_bytes
    bounds = [0, *ends, 200]
    part = slice(bounds[communicator.rank], bounds[communicator.rank + 1])
    rows, label, weight = FORMS[form][part], LABELS[task][part], WEIGHT[part]
    shard = Shard(record_batches(rows, label, weight), decoder_of(["x"], label="y", weight="w"), rank=communicator.rank)
    shard.learn([{"features": {"num_features": rows.shape[1]}}])
    job = Job(shard, communicator)
    one = Machine(settings(task), rows.shape[1], job, communicator, Preparation(), WatchedRows(job))
    fit(one, job, communicator, epochs=FULL["epochs"], mini_batch_size=FULL["mini_batch_size"])
    return np.append(one.bias, one.table.ravel())


class TestDistribution:
    @pytest.mark.usefixtures("each_worker_makes")
    @TASKS
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("ends", [[100], [199], [0], [30, 120], [200, 200]], ids=str)
    def test_does_not_change_the_model_which_is_the_same_on_every_worker(self, task, form, ends):
        found = in_threads(len(ends) + 1, lambda communicator: table_of_part(communicator, task, form, ends))
        for other in found[1:]:
            np.testing.assert_array_equal(found[0], other)
        np.testing.assert_allclose(found[0], table_of_part(SingleProcess(), task, form, []), rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("small_bytes", [0, 1 << 20])
    @pytest.mark.parametrize("form", FORMS)
    def test_over_processes_does_not_change_the_model(self, form, small_bytes):
        found = process_gang(2)(table_of_part, "regressor", form, [70], small_bytes)
        np.testing.assert_array_equal(*found)
        np.testing.assert_allclose(found[0], table_of_part(SingleProcess(), "regressor", form, []), rtol=1e-3, atol=1e-5)

    def test_of_a_pipe_gives_the_model_of_a_file(self):
        file, pipe = (numbers(train("regressor", input_mode=mode, **FULL)) for mode in ("File", "Pipe"))
        np.testing.assert_allclose(pipe, file, rtol=1e-3, atol=1e-5)


class TestWeights:
    @TASKS
    def test_are_repetitions(self, task):
        times = np.arange(200) % 3
        weighted = train(task, weight=times.astype(np.float32), **FULL)
        repeated = train(task, np.repeat(ROWS, times, axis=0), np.repeat(LABELS[task], times), **FULL)
        np.testing.assert_allclose(numbers(weighted), numbers(repeated), rtol=1e-3, atol=1e-5)


class TestCheckpoints:
    def test_a_training_cut_off_in_the_middle_ends_where_it_would_have(self, tmp_path, monkeypatch):
        options = {"epochs": 4, "mini_batch_size": 30}
        expected = train("regressor", **options)
        end_epoch = Machine.end_epoch

        def fail_in_third_epoch(self, progress):
            if progress.epoch == 2:
                raise KeyboardInterrupt
            return end_epoch(self, progress)

        with monkeypatch.context() as patch:
            patch.setattr(Machine, "end_epoch", fail_in_third_epoch)
            with pytest.raises(KeyboardInterrupt):
                train("regressor", checkpoint_dir=str(tmp_path), **options)
        found = train("regressor", checkpoint_dir=str(tmp_path), **options)
        np.testing.assert_array_equal(numbers(found), numbers(expected))
        assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]
        assert found.values["train:rmse"] == expected.values["train:rmse"]

    @pytest.mark.usefixtures("each_worker_makes")
    @pytest.mark.parametrize("later", [1, 2, 3])
    def test_serve_any_number_of_workers(self, tmp_path, monkeypatch, later):
        options = {"epochs": 4, "mini_batch_size": 1000}

        def on_workers(communicator, **more):
            part = slice(communicator.rank, None, communicator.size)
            return train("regressor", ROWS[part], LABELS["regressor"][part], communicator=communicator, **options, **more)

        def fail_in_third_epoch(self, progress):
            if progress.epoch == 2:
                raise InterruptedError
            return end_epoch(self, progress)

        end_epoch = Machine.end_epoch
        with monkeypatch.context() as patch:
            patch.setattr(Machine, "end_epoch", fail_in_third_epoch)
            with pytest.raises(InterruptedError):
                in_threads(2, lambda communicator: on_workers(communicator, checkpoint_dir=str(tmp_path)))
        found = in_threads(later, lambda communicator: on_workers(communicator, checkpoint_dir=str(tmp_path)))[0]
        np.testing.assert_allclose(numbers(found), numbers(on_workers(SingleProcess())), rtol=1e-3, atol=1e-5)
        assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3, 4]


class TestValidation:
    marked = np.arange(200) % 5 == 0

    @TASKS
    def test_rows_are_not_trained_on_and_measured_after_each_epoch(self, task):
        one = {**FULL, "epochs": 1}  # of several, validation rows would choose one
        found = train(task, validation=self.marked, **one)
        expected = train(task, ROWS[~self.marked], LABELS[task][~self.marked], **one)
        np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-3, atol=1e-5)
        score, label = scores(found, ROWS[self.marked], task), LABELS[task][self.marked]
        name, value = {
            "regressor": ("rmse", np.mean((score - label) ** 2) ** 0.5),
            "binary_classifier": ("binary_classification_accuracy", np.mean((score >= 0) == (label > 0))),
        }[task]
        assert found.values["history"][-1][f"validation:{name}"] == pytest.approx(value, rel=1e-5)
        assert found.values[f"validation:{name}"] == found.values["history"][-1][f"validation:{name}"]

    def test_metrics_do_not_depend_on_the_number_of_workers(self):
        def on_workers(communicator):
            part = slice(communicator.rank, None, communicator.size)
            options = {"validation": self.marked[part], "communicator": communicator, **FULL}
            return train("regressor", ROWS[part], LABELS["regressor"][part], **options).values

        alone, shared = on_workers(SingleProcess()), in_threads(3, on_workers)[0]
        for name in ("validation:rmse", "train:rmse"):
            assert shared[name] == pytest.approx(alone[name], rel=1e-4)

    def test_without_a_marked_row_is_refused(self):
        with pytest.raises(InvalidRows, match="no row is marked for validation"):
            train("regressor", validation=np.zeros(200, bool))


# ------------------------------------------------------------------------------------------------------------------ learning


def one_hot(random, rows, *sizes) -> sp.csr_matrix:
    """Rows with a one among the columns of each of several categories."""
    categories = np.stack([random.integers(0, size, rows) for size in sizes], axis=1) + np.cumsum([0, *sizes[:-1]])
    ones = np.ones(categories.size, np.float32)
    return sp.csr_matrix((ones, categories.ravel(), np.arange(0, categories.size + 1, len(sizes))), shape=(rows, sum(sizes)))


def test_planted_factors_are_recovered_from_noise():
    random = np.random.default_rng(5)
    rows = one_hot(random, 12_000, 60, 40)
    factors, linear = random.normal(0, 1, (100, 3)), random.normal(0, 0.5, 100)
    signal = 2 + rows @ linear + ((rows @ factors) ** 2 - rows @ factors**2).sum(axis=1) / 2
    label = (signal + random.normal(0, 0.1, 12_000)).astype(np.float32)
    learned = {"num_factors": 3, "linear_lr": 0.02, "factors_lr": 0.02, "factors_init_sigma": 0.1, "epochs": 20, "mini_batch_size": 200}
    found = train("regressor", rows[:10_000], label[:10_000], linear_wd=0, factors_wd=0, bias_wd=0, **learned)
    error = scores(found, rows[10_000:]) - signal[10_000:]
    assert signal.std() > 1.5 and np.mean(error**2) ** 0.5 < 0.1
    # What is determined of the factors: the interaction of each pair of one category with the other, after its means.
    truth, own = (interactions(values[:60], values[60:]) for values in (factors, found.arrays["factors"].astype(float)))
    assert np.corrcoef(truth.ravel(), own.ravel())[0, 1] > 0.995


def interactions(first, second):
    """⟨v_i, v_j⟩ of all pairs without the parts that linear weights can have taken."""
    product = first @ second.T
    return product - product.mean(axis=0) - product.mean(axis=1, keepdims=True) + product.mean()


def test_classes_that_only_pairs_of_features_tell_are_told():
    random = np.random.default_rng(6)
    rows = one_hot(random, 6000, 2, 2, 30)
    label = (rows[:, 0].toarray() != rows[:, 2].toarray()).ravel().astype(np.float32)
    label = np.where(random.random(6000) < 0.1, 1 - label, label)
    learned = {"num_factors": 2, "linear_lr": 0.01, "factors_lr": 0.02, "factors_init_sigma": 0.1, "epochs": 10, "mini_batch_size": 100}
    found = train("binary_classifier", rows[:5000], label[:5000], **learned)
    area = roc_auc_score(label[5000:], scores(found, rows[5000:], "binary_classifier"))
    linear = LogisticRegression().fit(rows[:5000], label[:5000]).decision_function(rows[5000:])
    assert roc_auc_score(label[5000:], linear) < 0.55 and area > 0.85
