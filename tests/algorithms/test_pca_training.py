"""PCA on arrays against scikit-learn, against NumPy, and against itself on other paths."""

from __future__ import annotations

import tempfile
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import subspace_angles
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.decomposition import PCA as Reference
from threadpoolctl import threadpool_limits

from sparkml_algos import PCA
from sparkml_algos.algorithms.pca.prediction import load, load_reconstructing
from sparkml_algos.algorithms.pca.scatter import squared
from sparkml_algos.algorithms.pca.training import PCA_ALGORITHM, _product, sketch_rows
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import Alone, TrainingPlan, train, train_arrays
from tests.datasets import MNIST, digits, mnist
from tests.decoding import decoder_of, record_batches
from tests.gang import in_threads
from tests.predicting import predicted

MODES = ["regular", "randomized"]
every_mode = pytest.mark.parametrize("mode", MODES)


def settings(**hyperparameters):
    return Hyperparameters(**PCA(**hyperparameters).hyperparameters())


def fit(rows, **options) -> dict[str, np.ndarray]:
    own = {name: value for name, value in options.items() if isinstance(PCA.declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    return train_arrays(PCA_ALGORITHM, PCA(**own).hyperparameters(), rows, **plan).arrays


@cache
def reference(count: int) -> Reference:
    """Scikit-learn's exact decomposition of the digits."""
    with threadpool_limits(1):
        return Reference(count, svd_solver="full").fit(digits().astype(np.float64))


def assert_same(found, expected, **tolerance):
    for name in ("mean", "singular_values", "explained_variance", "explained_variance_ratio", "components"):
        np.testing.assert_allclose(found[name], expected[name], **{"rtol": 1e-6, "atol": 1e-6, **tolerance}, err_msg=name)


def spread(scales, rows=2000, seed=0) -> np.ndarray:
    """Rows of independent columns with the given standard deviations, turned at random; float32."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((len(scales), len(scales))))[0]
    return ((random.standard_normal((rows, len(scales))) * scales) @ turn).astype(np.float32)


def test_regular_mode_is_scikit_learn_s():
    found, expected = fit(digits(), num_components=10), reference(10)
    for name in ("singular_values", "explained_variance", "explained_variance_ratio"):
        np.testing.assert_allclose(found[name], getattr(expected, f"{name}_"), rtol=1e-5)
    np.testing.assert_allclose(found["mean"], expected.mean_, atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(found["components"] * expected.components_, axis=1)), 1, atol=1e-8)


def test_randomized_mode_comes_close():
    found, expected = fit(digits(), num_components=10, algorithm_mode="randomized"), reference(10)
    np.testing.assert_allclose(found["singular_values"], expected.singular_values_, rtol=0.005)
    np.testing.assert_allclose(found["explained_variance_ratio"], expected.explained_variance_ratio_, rtol=0.01)
    assert (found["singular_values"] <= expected.singular_values_ * (1 + 1e-6)).all()


def test_a_sketch_as_wide_as_the_rows_is_exact():
    found = fit(digits(), num_components=10, extra_components=54, algorithm_mode="randomized")
    assert_same(found, fit(digits(), num_components=10), rtol=1e-4, atol=1e-5)


def test_more_extra_components_are_more_accurate():
    rows = spread(1 / np.sqrt(1 + np.arange(200)))
    exact = fit(rows, num_components=5)["singular_values"]
    errors = [
        np.abs(fit(rows, num_components=5, extra_components=extra, algorithm_mode="randomized")["singular_values"] - exact).max()
        for extra in (0, 5, 40)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize(("num_components", "extra", "rows"), [(3, -1, 13), (50, -1, 100), (5, 0, 5), (5, 7, 12)])
def test_sketch_has_as_many_rows_as_documented(num_components, extra, rows):
    assert sketch_rows(settings(num_components=num_components, extra_components=extra)) == rows


@every_mode
def test_components_are_orthonormal_and_their_largest_entry_is_positive(mode):
    components = fit(digits(), num_components=12, algorithm_mode=mode)["components"]
    np.testing.assert_allclose(components @ components.T, np.eye(12), atol=1e-10)
    assert (np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1) > 0).all()


@every_mode
def test_rows_far_off_lose_nothing(mode):
    rows = spread(np.array([40.0, 20.0, 10.0, 5.0, 2.0])) + np.float32(1e6)
    exact = np.linalg.svd(rows - rows.mean(axis=0, dtype=np.float64), full_matrices=False)
    found = fit(rows, num_components=3, algorithm_mode=mode)
    np.testing.assert_allclose(found["singular_values"], exact[1][:3], rtol=1e-5)
    assert subspace_angles(found["components"].T, exact[2][:3].T).max() < 1e-4
    artifact = Artifact(found)
    expected = (rows - found["mean"]) @ found["components"].T
    np.testing.assert_allclose(predicted(load, artifact, rows)["projection"], expected, atol=1e-3)


@every_mode
def test_without_subtract_mean_it_is_the_plain_singular_value_decomposition(mode):
    rows = digits() + np.float32(3)
    found = fit(rows, num_components=6, subtract_mean=False, algorithm_mode=mode)
    _, values, vectors = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(found["singular_values"], values[:6], rtol={"regular": 1e-5, "randomized": 0.01}[mode])
    np.testing.assert_allclose(np.abs(found["components"][0] @ vectors[0]), 1, atol=1e-6)
    assert not found["mean"].any()


@every_mode
def test_sparse_rows_give_what_dense_ones_give(mode):
    sparse = sp.random(3000, 80, 0.03, format="csr", dtype=np.float32, random_state=np.random.default_rng(0))
    sparse = sparse.multiply(1.1 ** np.arange(80)).tocsr().astype(np.float32)
    one, other = (fit(rows, num_components=4, algorithm_mode=mode) for rows in (sparse, sparse.toarray()))
    assert_same(one, other, rtol=1e-5, atol=1e-5)


@every_mode
def test_a_weight_of_two_counts_as_two_rows(mode):
    twice = np.arange(len(digits())) % 3 == 0
    rows = np.concatenate([digits(), digits()[twice]]).astype(np.float64)
    exact = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:5]
    found = fit(digits(), num_components=5, weight=1.0 + twice, algorithm_mode=mode)
    np.testing.assert_allclose(found["singular_values"], exact, rtol={"regular": 1e-5, "randomized": 0.005}[mode])
    np.testing.assert_allclose(found["mean"], rows.mean(axis=0), atol=1e-5)


def test_scaling_all_weights_does_not_change_variances():
    one, other = (fit(digits(), num_components=5, weight=np.full(len(digits()), weight)) for weight in (1.0, 0.001))
    np.testing.assert_allclose(one["explained_variance"], other["explained_variance"], rtol=1e-5)


def share(rows, cuts, communicator, **options):
    return fit(np.split(rows, cuts)[communicator.rank], communicator=communicator, **options)


@pytest.mark.parametrize("cuts", [[900], [600, 1200], [10, 20], [0, 700]], ids=["two", "three", "uneven", "empty"])
@pytest.mark.parametrize("input_mode", ["File", "Pipe"])
def test_any_split_gives_the_same_model(cuts, input_mode):
    expected = fit(digits(), num_components=8)
    found = in_threads(len(cuts) + 1, lambda communicator: share(digits(), cuts, communicator, num_components=8, input_mode=input_mode))
    assert_same(found[0], expected, rtol=1e-5, atol=1e-5)


def test_splits_of_the_randomized_mode_agree_closely():
    options = {"num_components": 5, "algorithm_mode": "randomized", "extra_components": 25}
    found = in_threads(3, lambda communicator: share(digits(), [0, 700], communicator, **options))
    np.testing.assert_allclose(found[0]["singular_values"], reference(5).singular_values_, rtol=1e-3)


@every_mode
def test_workers_with_sparse_and_with_dense_rows_agree(mode):
    def one(communicator):
        half = digits()[communicator.rank :: 2]
        return fit(sp.csr_matrix(half) if communicator.rank else half, communicator=communicator, num_components=5, algorithm_mode=mode)

    rtol = {"regular": 1e-5, "randomized": 0.005}[mode]
    np.testing.assert_allclose(in_threads(2, one)[0]["singular_values"], reference(5).singular_values_, rtol=rtol)


@every_mode
def test_spilled_rows_and_small_batches_change_nothing(mode):
    options = {"num_components": 4, "algorithm_mode": mode, "extra_components": 60}
    assert_same(fit(digits(), max_shard_bytes=50_000, mini_batch_size=600, **options), fit(digits(), **options), rtol=1e-4, atol=1e-4)


@every_mode
def test_directions_without_variance_have_value_zero(mode):
    rows = np.outer(np.arange(100.0), [1.0, 2.0, 2.0, 0.0]).astype(np.float32)
    found = fit(rows, num_components=4, algorithm_mode=mode)
    np.testing.assert_allclose(found["components"][0], [1 / 3, 2 / 3, 2 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found["components"] @ found["components"].T, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(found["explained_variance_ratio"], [1, 0, 0, 0], atol=1e-6)


@every_mode
def test_equal_rows_have_a_mean_and_no_variance(mode):
    found = fit(np.full((5, 3), 7, np.float32), num_components=2, algorithm_mode=mode)
    assert np.array_equal(found["mean"], [7, 7, 7]) and not found["explained_variance_ratio"].any()


def test_more_components_than_features_are_refused():
    with pytest.raises(InvalidRows, match="num_components=65 is more than the 64 features"):
        fit(digits(), num_components=65)


@every_mode
def test_training_resumes_from_any_epoch(mode):
    class Lost(Exception):
        pass

    options = {"num_components": 4, "algorithm_mode": mode, "extra_components": 60}

    def lose(progress):
        if progress["done"] == 1:
            raise Lost

    with tempfile.TemporaryDirectory() as directory:
        plan = TrainingPlan(PCA_ALGORITHM, [PCA(**options).hyperparameters()], decoder_of(["features"]), checkpoint_dir=directory)
        worker = Alone()
        worker.report = lose
        with pytest.raises(Lost):
            dict(train(plan, worker, record_batches(digits())))
        resumed = dict(train(plan, Alone(), record_batches(digits())))["model/0"].arrays
    assert_same(resumed, fit(digits(), **options), rtol=1e-5, atol=1e-5)


def test_all_components_reconstruct_the_rows():
    artifact = Artifact(fit(digits(), num_components=64))
    projection = predicted(load, artifact, digits())["projection"]
    np.testing.assert_allclose(predicted(load_reconstructing, artifact, projection)["reconstruction"], digits(), atol=1e-4)
    sparse = predicted(load, artifact, sp.csr_matrix(digits()))["projection"]
    np.testing.assert_allclose(sparse, projection, atol=1e-4)


def test_torch_multiplies_as_numpy_does():
    block = digits()[:100]
    np.testing.assert_allclose(squared(block, "cpu:0"), block.T @ block, rtol=1e-5)
    np.testing.assert_allclose(np.triu(squared(block, "cpu")), np.triu(block.T @ block), rtol=1e-5)
    np.testing.assert_allclose(_product(block.T, block, "cpu:0"), block.T @ block, rtol=1e-5)


def test_wide_sparse_rows_are_within_one_per_cent_of_arpack():
    random = np.random.default_rng(0)
    rows, features, filled = 5000, 10_000, 20
    columns = (random.zipf(1.3, rows * filled) - 1) % features
    values = random.random(rows * filled, dtype=np.float32)
    matrix = sp.csr_matrix((values, (np.repeat(np.arange(rows), filled), columns)), shape=(rows, features))
    found = fit(matrix, num_components=10, algorithm_mode="randomized")
    double, mean = matrix.astype(np.float64), found["mean"]
    centered = LinearOperator(
        matrix.shape,
        matvec=lambda vector: double @ vector.ravel() - mean @ vector.ravel(),
        rmatvec=lambda vector: double.T @ vector.ravel() - mean * vector.sum(),
        dtype=np.float64,
    )
    exact = np.sort(svds(centered, 10, return_singular_vectors=False, random_state=0))[::-1]
    np.testing.assert_allclose(found["singular_values"], exact, rtol=0.01)


@pytest.mark.skipif(not MNIST.exists(), reason=f"{MNIST} is not there")
def test_mnist_has_the_known_spectrum():
    found = fit(mnist(), num_components=50)
    assert found["explained_variance_ratio"].sum() == pytest.approx(0.8246, abs=1e-4)
    np.testing.assert_allclose(found["explained_variance"][:3], [5.117, 3.741, 3.253], atol=1e-3)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_a_column_of_a_much_larger_scale_does_not_hide_the_components_behind_it(mode, form):
    rows = (np.random.default_rng(0).normal(size=(500, 4)) * [1e6, 1, 1e-3, 0.5]).astype(np.float32)
    expected = np.linalg.svd(rows - rows.mean(axis=0, dtype=np.float64), compute_uv=False)
    found = fit(form(rows), num_components=2, algorithm_mode=mode)["singular_values"]
    np.testing.assert_allclose(found, expected[:2], rtol=1e-3)


@every_mode
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("scales", [(1e6, 1, 1e-3, 0.5), (1e9, 1, 1, 0.5), (1e3, 1, 1e-6, 2)], ids=str)
def test_columns_of_very_different_scales_keep_all_their_components(mode, form, scales):
    rows = (np.random.default_rng(0).normal(size=(500, 4)) * scales).astype(np.float32)
    exact = np.linalg.svd(rows - rows.mean(axis=0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(fit(form(rows), num_components=4, algorithm_mode=mode)["singular_values"], exact, rtol=1e-6)


@every_mode
def test_columns_that_nearly_repeat_each_other_keep_what_tells_them_apart(mode):
    random = np.random.default_rng(1)
    column = random.normal(size=(1000, 1)) * 1e6
    rows = np.hstack([column, column + random.normal(size=(1000, 1))]).astype(np.float32)
    exact = np.linalg.svd(rows - rows.mean(axis=0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(fit(rows, num_components=2, algorithm_mode=mode)["singular_values"], exact, rtol=1e-3)


def test_settings_that_share_a_scatter_give_the_models_that_each_gives_alone():
    settings = [PCA(num_components=count).hyperparameters() for count in (2, 5)]
    assert PCA_ALGORITHM.groups([Hyperparameters(**one) for one in settings]) == [[0, 1]]
    results = dict(train(TrainingPlan(PCA_ALGORITHM, settings, decoder_of(["features"])), Alone(), record_batches(digits())))
    for index, count in enumerate((2, 5)):
        alone = fit(digits(), num_components=count)
        np.testing.assert_array_equal(results[f"model/{index}"].arrays["components"], alone["components"])
