"""K-means on arrays against closed forms, against scikit-learn, and against itself on other paths."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as Reference
from threadpoolctl import threadpool_limits

from sparkml_algos import KMeans
from sparkml_algos.algorithms.kmeans.assignment import Scratch, assigned_sums
from sparkml_algos.algorithms.kmeans.prediction import KMeansPredictor
from sparkml_algos.algorithms.kmeans.shrinking import finalize
from sparkml_algos.algorithms.kmeans.training import KMEANS, num_centers
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.arrays.nearest import Centers
from sparkml_algos.collectives.communicator import CommunicationError, SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import Alone, TrainingPlan, train, train_arrays
from tests.datasets import MNIST, blobs, digits, grid, in_order, inertia, means, mnist
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads, process_gang

# Training returns what `train` leaves behind, before the centres are shrunk to k.
SKETCH = replace(KMEANS, finalize=None)

# How far the cost after one pass may lie above that of Lloyd's method, run to its end ten times on all rows. With at least 320 centres in
# the sketch a cluster is made of 32 or more for k up to 10, and of eleven for k = 30, which costs 1.4 % to 2.4 % on the digits.
QUALITY = {2: 1.02, 5: 1.02, 10: 1.02, 30: 1.03}

SEEDS = range(8)


def settings(**hyperparameters):
    """All hyperparameters, those not given at their defaults."""
    return KMeans(**hyperparameters).hyperparameters()


def split(options):
    """Hyperparameters, and what is left for `train_arrays`."""
    own = {name: value for name, value in options.items() if isinstance(KMeans.declared.get(name), Hyperparameter)}
    return settings(**own), {name: value for name, value in options.items() if name not in own}


def fit(rows, **options) -> Artifact:
    hyperparameters, plan = split(options)
    return train_arrays(KMEANS, hyperparameters, rows, **plan)


def sketch(rows, **options) -> Artifact:
    """The K centres and what they stand for."""
    hyperparameters, plan = split(options)
    return train_arrays(SKETCH, hyperparameters, rows, **plan)


def centers(rows, **options) -> np.ndarray:
    return fit(rows, **options).arrays["centers"]


def cost(rows, **options) -> float:
    return inertia(rows, centers(rows, **options))


@cache
def reference_cost(k: int) -> float:
    """What scikit-learn reaches on the digits with ten full runs of Lloyd's method."""
    return lloyd_cost(digits(), k)


def lloyd_cost(rows, k, weight=None) -> float:
    """The cost scikit-learn reaches in the best of ten runs."""
    with threadpool_limits(1):  # small problems: threads only wait for each other
        return Reference(k, n_init=10, random_state=0).fit(rows.astype(np.float64), sample_weight=weight).inertia_


class TestPlantedBlobs:
    """Every extra centre lies in one blob, so the shrunk centres are the means of the blobs, exactly."""

    rows, blob = blobs(20_000, grid(7))

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    @pytest.mark.parametrize("init_method", ["random", "kmeans++"])
    def test_are_found_at_their_means(self, mode, init_method):
        found = centers(self.rows, k=7, init_method=init_method, input_mode=mode)
        np.testing.assert_allclose(in_order(found), means(self.rows, self.blob), atol=1e-4)

    def test_are_found_in_several_passes(self):
        np.testing.assert_allclose(in_order(centers(self.rows, k=7, epochs=3)), means(self.rows, self.blob), atol=1e-4)

    def test_are_found_whatever_the_seed(self):
        expected = means(self.rows, self.blob)
        for seed in SEEDS:
            np.testing.assert_allclose(in_order(centers(self.rows, k=7, seed=seed)), expected, atol=1e-4)

    def test_are_found_far_from_the_origin(self):
        far = self.rows + np.float32(1e4)
        np.testing.assert_allclose(in_order(centers(far, k=7) - 1e4), means(far - 1e4, self.blob), atol=1e-3)

    def test_of_weighted_rows_are_found_at_their_weighted_means(self):
        weight = np.random.default_rng(1).uniform(0.1, 5, len(self.rows)).astype(np.float32)
        found = centers(self.rows, k=7, weight=weight)
        np.testing.assert_allclose(in_order(found), means(self.rows, self.blob, weight), atol=1e-4)

    def test_are_found_when_they_differ_a_thousandfold_in_size(self):
        corners = 10.0 * np.eye(4)
        blob = np.repeat(np.arange(4), [20, 200, 2_000, 20_000])
        rows = np.random.default_rng(0).normal(corners[blob], 0.1).astype(np.float32)
        np.testing.assert_allclose(in_order(centers(rows, k=4, init_method="kmeans++")), means(rows, blob), atol=1e-4)

    def test_far_apart_compared_with_their_spread_keep_their_training_error(self):
        artifact = fit(self.rows, k=7)
        assert artifact.values["train:ssd"] == pytest.approx(inertia(self.rows, artifact.arrays["centers"]), rel=1e-3)


class TestQuality:
    @pytest.mark.parametrize("k", [2, 10, 30])
    @pytest.mark.parametrize("init_method", ["random", "kmeans++"])
    def test_on_the_digits_is_that_of_scikit_learn_within_a_few_percent(self, k, init_method):
        assert cost(digits(), k=k, init_method=init_method) <= QUALITY[k] * reference_cost(k)

    @pytest.mark.parametrize("options", [{"input_mode": "Pipe"}, {"epochs": 3}, {"mini_batch_size": 200}], ids=str)
    def test_on_the_digits_does_not_depend_on_the_way_of_reading(self, options):
        assert cost(digits(), k=10, **options) <= QUALITY[10] * reference_cost(10)

    def test_on_digits_far_from_the_origin_is_the_same(self):
        far = digits() + np.float32(1e4)
        assert inertia(far - 1e4, centers(far, k=10) - 1e4) <= QUALITY[10] * reference_cost(10)

    def test_on_rows_kept_sparse_is_the_same(self):
        wide = sp.hstack([sp.csr_matrix(digits()), sp.csr_matrix((len(digits()), 1000))], format="csr")
        found = centers(wide, k=10)
        assert inertia(digits(), found[:, :64]) <= QUALITY[10] * reference_cost(10)
        assert not found[:, 64:].any()

    @pytest.mark.skipif(not MNIST.exists(), reason=f"needs MNIST as {'/'.join(MNIST.parts[-4:])} beside the repository")
    def test_on_mnist_is_that_of_converged_lloyd_within_a_percent(self):
        assert cost(mnist(), k=10) <= 2.376e6


class TestTrainingError:
    @pytest.mark.parametrize("k", [5, 10, 50])
    def test_bounds_the_true_one_from_above_within_a_few_percent(self, k):
        artifact = fit(digits(), k=k)
        true = inertia(digits(), artifact.arrays["centers"])
        assert 1 - 1e-6 <= artifact.values["train:ssd"] / true <= 1.04

    def test_mean_is_the_sum_by_weight(self):
        weight = np.full(len(digits()), 3.0)
        values = fit(digits(), k=10, weight=weight).values
        assert values["train:msd"] == pytest.approx(values["train:ssd"] / weight.sum())

    def test_of_the_extra_centres_is_the_mean_square_within_their_groups(self):
        rows = digits()
        (history,) = fit(rows, k=1, extra_center_factor=1).values["history"]
        assert history["train:extra_centers_msd"] == pytest.approx(rows.var(axis=0, dtype=np.float64).sum(), rel=1e-4)


class TestExtraCenterFactor:
    @pytest.mark.parametrize(
        ("k", "factor", "expected"),
        [
            (10, 1, 10),
            (10, 4, 40),
            (1, 7, 7),
            (10, "auto", 320),
            (100, "auto", 1000),
            (32, "auto", 320),
            (33, "auto", 330),
            (1, "auto", 320),
        ],
    )
    def test_times_k_is_the_number_of_centres_while_streaming(self, k, factor, expected):
        assert num_centers(Hyperparameters(**settings(k=k, extra_center_factor=factor))) == expected

    def test_gives_way_to_the_number_of_extra_centres_itself(self):
        assert num_centers(Hyperparameters(**settings(k=5, extra_center_factor=3, extra_centers=40))) == 40
        assert KMeans(k=5, extra_centers=4).problems() == ["extra_centers=4 must be at least k=5: of them the clusters are made"]

    def test_says_how_many_centres_are_kept(self):
        assert sketch(digits(), k=10, extra_center_factor=4).arrays["centers"].shape == (40, 64)

    def test_keeps_no_more_centres_than_there_are_rows(self):
        assert sketch(digits()[:50], k=10).arrays["centers"].shape == (50, 64)

    def test_of_more_gives_better_clusters(self):
        one, many = (np.mean([cost(digits(), k=10, seed=seed, extra_center_factor=factor) for seed in SEEDS]) for factor in (1, 32))
        assert many < 0.97 * one


class TestInitMethod:
    rows, blob = blobs(5_000, grid(20))

    def misses(self, init_method):
        """Blobs that none of twenty first centres found, over all seeds."""
        found = [centers(self.rows, k=20, extra_center_factor=1, init_method=init_method, seed=seed) for seed in SEEDS]
        return sum(int((cdist(means(self.rows, self.blob), one).min(axis=1) > 1).sum()) for one in found)

    def test_kmeans_plus_plus_spreads_the_first_centres_over_the_blobs(self):
        assert self.misses("kmeans++") < self.misses("random") / 3

    @pytest.mark.parametrize("init_method", ["random", "kmeans++"])
    def test_takes_rows_as_first_centres(self, init_method):
        # Weight on ten rows only: the first centres are exactly they.
        weight = np.zeros(len(self.rows))
        weight[:10] = 1
        state = sketch(self.rows, k=10, extra_center_factor=1, init_method=init_method, weight=weight)
        assert cdist(state.arrays["centers"], self.rows[:10]).min(axis=1).max() < 1e-4

    def test_first_centres_come_from_the_first_minibatch_of_a_pipe(self):
        drifting = np.concatenate([np.zeros((10_000, 2)), np.full((10_000, 2), 9.0)]).astype(np.float32)
        assert len(np.unique(centers(drifting, k=2, mini_batch_size=100, input_mode="Pipe"), axis=0)) == 1


class TestHalfLife:
    """A pipe of four record batches, each a mini-batch, whose means drift."""

    batch = 10_000
    levels = np.array([0.0, 1.0, 5.0, 2.0])
    rows = np.repeat(levels, batch)[:, None] + np.random.default_rng(0).normal(0, 0.1, (4 * batch, 3))

    def expected(self, half_life):
        """The mean with a weight of 2^(−rows since / half-life)."""
        since = self.batch * np.arange(3, -1, -1)
        weight = 2.0 ** (-since / half_life)
        return weight @ self.rows.reshape(4, self.batch, 3).mean(axis=1) / weight.sum()

    def found(self, rows, **options):
        return centers(rows, k=1, extra_center_factor=1, input_mode="Pipe", **options)[0]

    @pytest.mark.parametrize("half_life", [2_000, 10_000, 35_000])
    def test_is_the_number_of_rows_after_which_a_row_counts_half(self, half_life):
        found = self.found(self.rows, mini_batch_size=self.batch, half_life_time_size=half_life)
        np.testing.assert_allclose(found, self.expected(half_life), rtol=1e-4)

    def test_of_zero_lets_all_rows_count_the_same(self):
        np.testing.assert_allclose(self.found(self.rows, mini_batch_size=self.batch), self.rows.mean(axis=0), rtol=1e-4)

    def test_counts_the_rows_of_all_workers(self):
        # Two record batches of each level on either worker, so eight steps of 2 · 10,000 rows.
        rows = np.repeat(self.rows.reshape(4, self.batch, 3), 2, axis=0).reshape(-1, 3)

        def work(communicator):
            hyperparameters = settings(k=1, extra_center_factor=1, mini_batch_size=2 * self.batch, half_life_time_size=2 * self.batch)
            return train_arrays(KMEANS, hyperparameters, rows, communicator=communicator, input_mode="Pipe")

        weight = 2.0 ** np.arange(-7, 1)
        expected = weight @ np.repeat(self.levels, 2) / weight.sum()
        np.testing.assert_allclose(in_threads(2, work)[0].arrays["centers"][0], [expected] * 3, atol=5e-3)

    def test_passes_with_rows_of_weight_zero_too(self):
        weight = np.ones(len(self.rows))
        weight[-self.batch :] = 0
        found = self.found(self.rows, mini_batch_size=self.batch, half_life_time_size=10_000, weight=weight)
        expected = np.array([0.25, 0.5, 1]) @ self.rows.reshape(4, self.batch, 3)[:3].mean(axis=1) / 1.75
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def states():
    """A sketch of the digits per seed."""
    return [sketch(digits(), k=10, seed=seed) for seed in SEEDS]


class TestLocalLloyd:
    """The same sketches shrunk in different ways."""

    @staticmethod
    def loss(state, **hyperparameters):
        """What the shrink minimises: squared distances of the extra centres, by the rows they stand for."""
        wanted = Hyperparameters(**settings(k=10, **{"local_lloyd_num_trials": 1, **hyperparameters}))
        found = finalize(state, wanted, SingleProcess()).arrays["centers"]
        return inertia(state.arrays["centers"], found, state.arrays["counts"])

    def losses(self, states, **hyperparameters):
        return np.array([self.loss(state, **hyperparameters) for state in states])

    def test_reaches_what_scikit_learn_reaches_on_the_weighted_extra_centres(self, states):
        for state in states[:3]:
            best = lloyd_cost(state.arrays["centers"], 10, state.arrays["counts"])
            assert self.loss(state, local_lloyd_num_trials=30) <= 1.005 * best

    def test_max_iter_bounds_the_iterations(self, states):
        assert (self.losses(states, local_lloyd_max_iter=1) > self.losses(states, local_lloyd_max_iter=300)).all()

    def test_tol_of_one_stops_where_tol_of_zero_goes_on(self, states):
        assert (self.losses(states, local_lloyd_tol=1) > self.losses(states, local_lloyd_tol=0)).all()

    def test_more_trials_are_no_worse_and_on_most_data_better(self, states):
        one, many = (self.losses(states, local_lloyd_num_trials=trials) for trials in (1, 20))
        assert (many <= one * (1 + 1e-9)).all()
        assert np.sum(many < one) > len(states) / 2

    @pytest.mark.parametrize("trials", [1, 5])
    def test_workers_share_the_trials_and_find_what_one_finds(self, states, trials):
        hyperparameters = Hyperparameters(**settings(k=10, local_lloyd_num_trials=trials))
        alone = finalize(states[0], hyperparameters, SingleProcess())
        together = in_threads(3, lambda communicator: finalize(states[0], hyperparameters, communicator))
        for found in together:
            np.testing.assert_allclose(found.arrays["centers"], alone.arrays["centers"], rtol=1e-12)
            assert found.values == pytest.approx(alone.values)

    def test_auto_is_ten_trials(self, states):
        np.testing.assert_array_equal(self.losses(states, local_lloyd_num_trials="auto"), self.losses(states, local_lloyd_num_trials=10))

    def test_kmeans_plus_plus_starts_closer_than_random(self, states):
        first = {method: self.losses(states, local_lloyd_init_method=method, local_lloyd_max_iter=1) for method in ("random", "kmeans++")}
        assert first["kmeans++"].mean() < first["random"].mean()

    def test_weighs_the_extra_centres_by_the_rows_they_stand_for(self):
        state = Artifact(
            {
                "centers": np.array([[0.0], [1.0], [10.0]]),
                "counts": np.array([30.0, 10.0, 5.0]),
                **{"weights": np.array([30.0, 10.0, 5.0]), "means": np.array([[0.0], [1.0], [10.0]]), "within": np.zeros(3)},
            },
            {"seed": 0, "rows": 45},
        )
        artifact = finalize(state, Hyperparameters(**settings(k=2)), SingleProcess())
        np.testing.assert_allclose(np.sort(artifact.arrays["centers"].ravel()), [0.25, 10])
        assert artifact.values["train:ssd"] == pytest.approx(30 * 0.25**2 + 10 * 0.75**2)

    def test_leaves_out_extra_centres_that_no_row_came_to(self):
        centers, counts = np.array([[0.0], [10.0], [77.0]]), np.array([1.0, 1.0, 0.0])
        groups = {"weights": counts, "means": centers, "within": np.zeros(3)}
        state = Artifact({"centers": centers, "counts": counts, **groups}, {"seed": 0, "rows": 2})
        assert np.sort(finalize(state, Hyperparameters(**settings(k=2)), SingleProcess()).arrays["centers"].ravel()).tolist() == [0, 10]


class CountingCommunicator(SingleProcess):
    """Counts the mini-batches: each ends in one exchange of a matrix."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.steps, self.fail_at = 0, fail_at

    def allreduce(self, array: np.ndarray, operation: str = "sum") -> np.ndarray:
        self.steps += array.ndim == 2
        if self.steps == self.fail_at:
            raise CommunicationError("a peer was lost")
        return array


class TestEpochsAndMinibatches:
    @pytest.mark.parametrize(("size", "epochs", "steps"), [(5000, 1, 1), (1797, 1, 1), (1000, 1, 2), (100, 1, 18), (100, 3, 54)])
    def test_workers_exchange_once_per_minibatch_and_epoch(self, size, epochs, steps):
        communicator = CountingCommunicator()
        fit(digits(), k=10, mini_batch_size=size, epochs=epochs, communicator=communicator)
        assert communicator.steps == steps

    def test_every_epoch_is_in_the_history(self):
        assert [entry["epoch"] for entry in fit(digits(), k=10, epochs=3).values["history"]] == [1, 2, 3]

    def test_every_epoch_counts_every_row_again(self):
        assert sketch(digits(), k=10, epochs=3).arrays["counts"].sum() == pytest.approx(3 * len(digits()))

    def test_more_epochs_bring_the_extra_centres_closer(self):
        first, *_, last = (entry["train:extra_centers_msd"] for entry in fit(digits(), k=10, epochs=5).values["history"])
        assert last < 0.98 * first

    def test_more_epochs_give_better_clusters_where_there_are_no_extra_centres(self):
        one, ten = (
            np.mean([cost(digits(), k=10, seed=seed, extra_center_factor=1, epochs=epochs) for seed in SEEDS]) for epochs in (1, 10)
        )
        assert ten < 0.97 * one

    def test_centres_move_by_the_published_rule_from_one_minibatch_to_the_next(self):
        # One centre, decaying counts, mini-batches in the order of a pipe of 1,000 rows each out of one record batch: p = b/(n + b).
        rows = np.random.default_rng(0).normal(size=(30_000, 2)).astype(np.float32) + np.repeat([0, 10, 20], 10_000)[:, None]
        state = sketch(rows, k=1, extra_center_factor=1, mini_batch_size=10_000, half_life_time_size=5_000, input_mode="Pipe")
        center, count = np.zeros(2), 0.0
        for block in rows.reshape(3, 10_000, 2):
            count *= 2.0 ** (-10_000 / 5_000)
            p = 10_000 / (count + 10_000)
            center, count = (1 - p) * center + p * block.mean(axis=0, dtype=np.float64), count + 10_000
        np.testing.assert_allclose(state.arrays["centers"][0], center, rtol=1e-4)
        assert state.arrays["counts"].tolist() == pytest.approx([count])


class TestWeights:
    rows, blob = blobs(3_000, grid(5), spread=1.0)

    def test_that_are_integers_are_repeated_rows(self):
        weight = np.random.default_rng(0).integers(1, 6, len(self.rows))
        weighted = centers(self.rows, k=5, weight=weight)
        repeated = centers(np.repeat(self.rows, weight, axis=0), k=5)
        np.testing.assert_allclose(in_order(weighted), in_order(repeated), atol=1e-3)

    def test_that_are_integers_give_the_same_training_error_as_repeated_rows(self):
        weight = np.random.default_rng(0).integers(1, 6, len(self.rows))
        artifact = fit(self.rows, k=1, weight=weight)
        repeated = np.repeat(self.rows, weight, axis=0).astype(np.float64)
        assert artifact.values["train:ssd"] == pytest.approx(((repeated - repeated.mean(axis=0)) ** 2).sum(), rel=1e-4)

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_of_zero_hide_rows(self, mode):
        shown = self.blob != 0
        found = centers(self.rows, k=4, weight=shown.astype(np.float32), input_mode=mode)
        np.testing.assert_allclose(in_order(found), means(self.rows[shown], self.blob[shown]), atol=1e-3)

    def test_do_not_change_the_clusters_when_all_are_the_same(self):
        np.testing.assert_allclose(centers(digits(), k=10, weight=np.full(len(digits()), 0.5)), centers(digits(), k=10), atol=1e-3)

    def test_pull_the_centre_towards_heavy_rows(self):
        np.testing.assert_allclose(centers(np.array([[0.0], [1.0]]), k=1, weight=np.array([1.0, 3.0])), [[0.75]], atol=1e-6)

    def test_that_are_all_zero_are_refused(self):
        with pytest.raises(InvalidRows):
            fit(self.rows, k=2, weight=np.zeros(len(self.rows)))


class TestFewRows:
    three = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)

    def test_as_many_as_clusters_are_the_centres(self):
        np.testing.assert_allclose(in_order(centers(self.three, k=3)), in_order(self.three), atol=1e-6)

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_fewer_than_clusters_are_refused_with_both_numbers(self, mode):
        with pytest.raises(InvalidRows, match=r"k=4 clusters need at least as many rows, the dataset has 3"):
            fit(self.three, k=4, input_mode=mode)

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_none_at_all_are_refused(self, mode):
        with pytest.raises(InvalidRows, match="the dataset is empty"):
            fit(self.three[:0], k=1, input_mode=mode)

    @pytest.mark.parametrize("init_method", ["random", "kmeans++"])
    def test_that_are_distinct_are_all_centres_though_there_are_fewer_than_clusters(self, init_method):
        found = centers(np.repeat(self.three, 100, axis=0), k=5, init_method=init_method)
        assert found.shape == (5, 2)
        np.testing.assert_allclose(np.unique(np.round(found, 5), axis=0), np.unique(self.three, axis=0))

    @pytest.mark.parametrize("init_method", ["random", "kmeans++"])
    def test_that_are_all_the_same_are_the_centre(self, init_method):
        np.testing.assert_allclose(centers(np.full((50, 3), 2.5), k=2, init_method=init_method), np.full((2, 3), 2.5))


class TestSparseRows:
    def test_dense_enough_give_the_very_centres_of_dense_ones(self):
        np.testing.assert_array_equal(centers(sp.csr_matrix(digits()), k=10), centers(digits(), k=10))

    def test_kept_sparse_give_the_means_of_planted_blobs(self):
        random = np.random.default_rng(0)
        blob = random.permutation(np.arange(4_000) % 6)
        columns = 30 * blob[:, None] + np.array([0, 7, 11])
        data = random.normal(10, 0.1, columns.shape).astype(np.float32)
        rows = sp.csr_matrix((data.ravel(), columns.ravel(), np.arange(0, data.size + 1, 3)), shape=(4_000, 300))
        np.testing.assert_allclose(in_order(centers(rows, k=6)), means(rows.toarray(), blob), atol=1e-3)


class TestSpill:
    """Digits in record batches of a hundred rows of which half and more do not fit the budget."""

    def train(self, **options):
        plan = TrainingPlan(KMEANS, [settings(k=10)], decoder_of(["x"]), **options)
        return dict(train(plan, Alone(), record_batches(digits(), rows=100)))

    @pytest.mark.parametrize("max_shard_bytes", [1, 30_000, 200_000])
    def test_does_not_change_the_quality(self, max_shard_bytes):
        assert inertia(digits(), self.train(max_shard_bytes=max_shard_bytes)["model/0"].arrays["centers"]) <= QUALITY[10] * reference_cost(
            10
        )

    def test_of_more_passes_over_a_pipe_does_not_change_the_quality(self):
        plan = TrainingPlan(KMEANS, [settings(k=10, epochs=2)], decoder_of(["x"]), input_mode="Pipe", max_shard_bytes=30_000)
        found = dict(train(plan, Alone(), record_batches(digits(), rows=100)))["model/0"]
        assert inertia(digits(), found.arrays["centers"]) <= QUALITY[10] * reference_cost(10)

    def test_leaves_no_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        self.train(max_shard_bytes=1)
        assert list(tmp_path.iterdir()) == []

    def test_reports_every_row(self):
        assert self.train(max_shard_bytes=1)["report/0"].values["rows"] == len(digits())


class TestSeveralSettings:
    def test_that_share_a_pass_have_the_quality_of_each_alone(self):
        ks = [5, 10, 30]
        plan = TrainingPlan(KMEANS, [settings(k=k) for k in ks], decoder_of(["x"]))
        results = dict(train(plan, Alone(), record_batches(digits())))
        for index, k in enumerate(ks):
            assert inertia(digits(), results[f"model/{index}"].arrays["centers"]) <= QUALITY[k] * reference_cost(k)

    def test_read_the_rows_once(self):
        communicator = CountingCommunicator()
        plan = TrainingPlan(KMEANS, [settings(k=k) for k in (5, 10, 30)], decoder_of(["x"]))
        list(train(plan, Alone(communicator=communicator), record_batches(digits())))
        assert communicator.steps == 1


class TestResume:
    """Four epochs of four mini-batches each, cut off in the third epoch."""

    def train(self, directory=None, communicator=None, **options):
        options = {"k": 10, "epochs": 4, "mini_batch_size": 500, "seed": 3, **options}
        return fit(digits(), checkpoint_dir=directory and str(directory), communicator=communicator, **options)

    def lose(self, directory, **options):
        with pytest.raises(CommunicationError):
            self.train(directory, CountingCommunicator(fail_at=11), **options)

    def test_ends_where_an_undisturbed_training_ends(self, tmp_path):
        self.lose(tmp_path)
        np.testing.assert_array_equal(self.train(tmp_path).arrays["centers"], self.train().arrays["centers"])

    def test_of_a_pipe_reads_all_rows_again(self, tmp_path):
        # The rows are cut as they arrive, not evenly as in a later pass of an undisturbed training: as good, not the same bits.
        self.lose(tmp_path, input_mode="Pipe")
        resumed, undisturbed = self.train(tmp_path, input_mode="Pipe"), self.train(input_mode="Pipe")
        costs = [inertia(digits(), artifact.arrays["centers"]) for artifact in (resumed, undisturbed)]
        assert costs[0] == pytest.approx(costs[1], rel=5e-3)

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    def test_leaves_a_history_of_all_epochs(self, tmp_path, mode):
        self.lose(tmp_path, input_mode=mode)
        assert [entry["epoch"] for entry in self.train(tmp_path, input_mode=mode).values["history"]] == [1, 2, 3, 4]

    def test_does_not_repeat_epochs_that_were_saved(self, tmp_path):
        self.lose(tmp_path)
        self.train(tmp_path, second := CountingCommunicator())
        assert second.steps == 2 * 4

    def test_needs_the_same_settings(self, tmp_path):
        self.lose(tmp_path)
        self.train(tmp_path, second := CountingCommunicator(), k=11)
        assert second.steps == 4 * 4

    def test_leaves_no_checkpoint_of_a_training_that_is_done(self, tmp_path):
        self.train(tmp_path)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class TestAssignedSums:
    """What a mini-batch adds to each centre, on every path, against distances computed one by one."""

    random = np.random.default_rng(0)
    where = random.normal(size=(40, 20)).astype(np.float32)
    dense = random.normal(size=(500, 20)).astype(np.float32)
    few = np.where(random.random(dense.shape) < 0.05, dense, 0).astype(np.float32)
    weight = random.uniform(0, 3, 500).astype(np.float32)
    far = np.where(random.random((500, 1)) < 0.5, 1e6 + dense, dense).astype(np.float32)
    near_far = np.concatenate([where[:20], where[20:] + np.float32(1e6)])
    cases = pytest.mark.parametrize(
        ("batch", "where"),
        [
            (Batch(features=dense), where),
            (Batch(features=dense, weight=weight), where),
            (Batch(features=sp.csr_matrix(few)), where),
            (Batch(features=sp.csr_matrix(few), weight=weight), where),
            (Batch(features=far), near_far),
            (Batch(features=sp.csr_matrix(far)), near_far),
            (Batch(features=dense), where[:1]),
        ],
        ids=["dense", "dense weighted", "sparse", "sparse weighted", "half far off", "half far off, sparse", "a single centre"],
    )

    @cases
    @pytest.mark.parametrize("device", ["cpu", "cpu:0"], ids=["numpy", "torch"])
    def test_are_the_sums_over_the_rows_nearest_to_each(self, batch, where, device):
        found = assigned_sums(batch, Centers(where), device, Scratch())
        rows, where = sp.csr_matrix(batch.features).toarray().astype(np.float64), where.astype(np.float64)
        weight = np.ones(len(rows)) if batch.weight is None else batch.weight
        nearest = cdist(rows, where).argmin(axis=1)
        rows -= where[nearest]
        columns = np.column_stack([rows * weight[:, None], weight, weight * (rows**2).sum(axis=1), np.ones(len(rows))])
        expected = np.zeros((len(where), 23))
        np.add.at(expected, nearest, columns)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    def test_of_no_rows_are_zero(self):
        assert not assigned_sums(Batch(features=np.empty((0, 20), np.float32)), Centers(self.where), "cpu", Scratch()).any()


def predict(centers, rows):
    return KMeansPredictor(Artifact({"centers": centers}), Hyperparameters(), "cpu")(Batch(features=rows))


class TestPredict:
    where = grid(9) + np.random.default_rng(0).normal(size=(9, 4))
    rows = blobs(2_000, grid(9), spread=3.0)[0]

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_gives_the_nearest_centre_and_the_distance_to_it(self, form):
        distances = cdist(self.rows.astype(np.float64), self.where)
        found = predict(self.where, form(self.rows))
        np.testing.assert_array_equal(found["closest_cluster"], distances.argmin(axis=1))
        np.testing.assert_allclose(found["distance_to_cluster"], distances.min(axis=1), rtol=1e-6)

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_gives_exact_distances_far_from_the_origin(self, form):
        rows = self.rows + np.float32(1e4)
        expected = cdist(rows.astype(np.float64), self.where + 1e4).min(axis=1)
        np.testing.assert_allclose(predict(self.where + 1e4, form(rows))["distance_to_cluster"], expected, rtol=1e-6)

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    def test_gives_distance_zero_at_a_centre(self, form):
        assert not predict(self.rows[:5].astype(np.float64), form(self.rows[:5]))["distance_to_cluster"].any()

    def test_of_no_rows_gives_no_rows(self):
        found = predict(self.where, self.rows[:0])
        assert (len(found["closest_cluster"]), len(found["distance_to_cluster"])) == (0, 0)


def train_share(communicator, rows, cuts, options):
    """Train on the rows between two cuts; the worker's share may be empty."""
    own = rows[cuts[communicator.rank] : cuts[communicator.rank + 1]]
    hyperparameters, plan = split(options)
    return train_arrays(KMEANS, hyperparameters, own, communicator=communicator, **plan).arrays.get("centers")


SHARES = pytest.mark.parametrize(
    "shares", [(0.5, 0.5), (0.9, 0.1), (1, 0), (0, 1), (0.4, 0.3, 0.3), (0.7, 0.3, 0), (0, 0, 1), (0.01, 0.01, 0.98)], ids=str
)


class TestProcesses:
    """The same training split over two and three processes."""

    def train(self, rows, shares, **options):
        """The centres, which worker 0 has."""
        cuts = np.round(np.cumsum([0, *shares]) * len(rows)).astype(int).tolist()
        found, *others = process_gang(len(shares))(train_share, rows, cuts, options)
        assert others == [None] * len(others)
        return found

    @pytest.mark.parametrize("mode", ["File", "Pipe"])
    @SHARES
    def test_find_the_same_blobs(self, shares, mode):
        rows, blob = blobs(3_000, grid(7))
        found = self.train(rows, shares, k=7, mini_batch_size=600, input_mode=mode)
        np.testing.assert_allclose(in_order(found), means(rows, blob), atol=1e-4)

    @SHARES
    def test_have_the_quality_of_one_on_the_digits(self, shares):
        assert inertia(digits(), self.train(digits(), shares, k=10)) <= 1.02 * cost(digits(), k=10)

    def test_find_blobs_that_only_one_of_them_has(self):
        rows, blob = blobs(3_000, grid(6))
        order = np.argsort(blob)
        found = self.train(rows[order], (0.5, 0.5), k=6, init_method="kmeans++")
        np.testing.assert_allclose(in_order(found), means(rows, blob), atol=1e-4)

    def test_refuse_fewer_rows_than_clusters_together(self):
        outcomes = process_gang(2).outcomes(train_share, np.zeros((3, 2), np.float32), [0, 2, 3], {"k": 4})
        assert [str(outcome) for outcome in outcomes] == ["k=4 clusters need at least as many rows, the dataset has 3"] * 2


def test_the_same_seed_gives_the_same_centres():
    np.testing.assert_array_equal(centers(digits(), k=10, seed=4), centers(digits(), k=10, seed=4))


def test_another_seed_gives_other_centres():
    assert not np.array_equal(centers(digits(), k=10, seed=4), centers(digits(), k=10, seed=5))


def test_a_single_cluster_is_the_mean():
    np.testing.assert_allclose(centers(digits(), k=1), digits().mean(axis=0, dtype=np.float64)[None], atol=1e-4)


def test_centres_are_float64_of_one_row_per_cluster():
    found = centers(digits(), k=10)
    assert (found.dtype, found.shape) == (np.float64, (10, 64))


def far_rows(name):
    """Three groups of rows, exact in float32, and the group of each."""
    random = np.random.default_rng(0)
    group, noise = random.integers(0, 3, 900), random.normal(0, 0.5, (2, 900))
    first = {
        "one group far away": np.array([0.0, 10.0, 1e5])[group] + noise[0],
        "a sentinel for unknown": np.where(group == 0, 20, 60) + noise[0],
        "all far away": 1e7 + np.array([0.0, 20.0, 40.0])[group] + noise[0],
    }[name]
    second = np.where(group == 2, 999_999.0, 50 + noise[1]) if name == "a sentinel for unknown" else noise[1]
    return np.column_stack([first, second]).astype(np.float32), group


class TestFarRows:
    """Where float32 products drown the distances: clusters, nearest centres and distances are those of float64."""

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
    @pytest.mark.parametrize("workers", [1, 2, 3])
    @pytest.mark.parametrize("name", ["one group far away", "a sentinel for unknown", "all far away"])
    def test_have_their_groups_nearest_centres_and_distances(self, name, workers, form):
        rows, group = far_rows(name)
        found = in_threads(workers, lambda communicator: fit(form(rows[communicator.rank :: workers]), k=3, communicator=communicator))[0]
        where = found.arrays["centers"]
        distances = cdist(rows.astype(np.float64), where)
        scored = predict(where, form(rows))
        np.testing.assert_array_equal(scored["closest_cluster"], distances.argmin(axis=1))
        np.testing.assert_allclose(scored["distance_to_cluster"], distances.min(axis=1), rtol=1e-6)
        assert len(np.unique(np.column_stack([group, scored["closest_cluster"]]), axis=0)) == 3
        assert found.values["train:ssd"] == pytest.approx((distances.min(axis=1) ** 2).sum(), rel=1e-3)


def test_settings_in_one_training_give_the_models_that_each_gives_alone():
    several = [settings(k=10, extra_center_factor=factor) for factor in (1, 50)] + [settings(k=4), settings(k=9)]
    assert KMEANS.groups([Hyperparameters(**one) for one in several]) == [[0], [1], [2, 3]]
