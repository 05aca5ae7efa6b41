"""k-nearest neighbours on arrays: against scikit-learn, and against itself on other paths."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import chisquare
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors

from sparkml_algos import KNNClassifier, KNNRegressor
from sparkml_algos.algorithms.knn.index import Lookup, normalized, padded
from sparkml_algos.algorithms.knn.prediction import load
from sparkml_algos.algorithms.knn.reduction import make_reduction, reduce
from sparkml_algos.algorithms.knn.training import KNN
from sparkml_algos.arrays import neighbors as search
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameter, Hyperparameters
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import train_arrays
from sparkml_algos.training.sampling import Reservoir
from tests.gang import in_threads, process_gang
from tests.predicting import predicted

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(1000, 12)).astype(np.float32)
QUERIES = RANDOM.normal(size=(300, 12)).astype(np.float32)
LABEL = (np.arange(1000) % 7).astype(np.float32)
ALL = 10**6

METRICS = {"L2": "euclidean", "COSINE": "cosine", "INNER_PRODUCT": lambda x, y: -(x @ y)}


def settings(estimator=KNNClassifier, **own) -> Hyperparameters:
    return Hyperparameters(**estimator(**{"k": 5, "sample_size": ALL, **own}).hyperparameters())


def fit(rows=ROWS, label=LABEL, estimator=KNNClassifier, **options) -> Artifact:
    """Train on arrays; options are hyperparameters, or for `train_arrays`."""
    own = {name: value for name, value in options.items() if isinstance(estimator.declared.get(name), Hyperparameter)}
    plan = {name: value for name, value in options.items() if name not in own}
    return train_arrays(KNN, vars(settings(estimator, **own)), rows, label=label, **plan)


def digits():
    """Rows and labels of handwritten digits: 1,400 to keep, 397 to look up."""
    data = load_digits()
    rows, label = data.data.astype(np.float32), data.target.astype(np.float32)
    return rows[:1400], label[:1400], rows[1400:], label[1400:]


# -------------------------------------------------------------------------------------------------------------- exact search


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 5, 200])
def test_neighbours_and_distances_are_those_of_scikit_learn(metric, k):
    model = fit(index_metric=metric, id=np.arange(1000))
    found = predicted(load, model, QUERIES, settings(index_metric=metric, k=k))
    peer = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=METRICS[metric]).fit(ROWS.astype(np.float64))
    distances, places = peer.kneighbors(QUERIES.astype(np.float64))
    assert np.allclose(found["distances"], distances, atol=1e-6)
    swapped = found["ids"] != places
    gaps = np.abs(np.diff(distances, axis=1, append=np.inf)) < 1e-6
    assert not (swapped & ~gaps & ~np.roll(gaps, 1, axis=1)).any()


@pytest.mark.parametrize("is_l2", [True, False])
def test_search_in_blocks_gives_the_same(monkeypatch, is_l2):
    rows = search.Rows(ROWS, search.half_squares(ROWS), is_l2)
    expected = search.search(rows, QUERIES, 5)
    monkeypatch.setattr(search, "ROWS", 96)
    monkeypatch.setattr(search, "SCORES", 96 * 7)
    monkeypatch.setattr(search, "DIFFERENCES", 50)
    found = search.search(rows, QUERIES, 5)
    assert np.array_equal(found[0], expected[0]) and np.allclose(found[1], expected[1], rtol=1e-14)


@pytest.mark.parametrize("width", [64, 640, 1000, 6400])
def test_the_smallest_numbers_are_found_by_groups(width):
    scores = RANDOM.normal(size=(20, width)).astype(np.float32)
    places, values = search.smallest(scores, 9)
    assert np.array_equal(np.sort(values, axis=1), np.sort(scores, axis=1)[:, :9])
    assert np.array_equal(np.take_along_axis(scores, places, axis=1), values)


def test_rows_far_from_the_origin_lose_no_digits():
    far = (ROWS[:, :3] * 0.05 + 3000).astype(np.float32)
    asked = (QUERIES[:, :3] * 0.05 + 3000).astype(np.float32)
    places, distances = search.search(search.Rows(far, search.half_squares(far), True), asked, 3)
    exact = ((asked[:, None].astype(np.float64) - far) ** 2).sum(axis=2)
    assert np.array_equal(places, np.argsort(exact, axis=1, kind="stable")[:, :3])
    assert np.allclose(distances, np.sort(exact, axis=1)[:, :3], rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says that they overflow
def test_squares_beyond_float32_are_no_obstacle():
    huge = (ROWS * 1e25).astype(np.float32)
    places, distances = search.search(search.Rows(huge, search.half_squares(huge), True), huge[:20], 3)
    expected = search.search(search.Rows(ROWS, search.half_squares(ROWS), True), ROWS[:20], 3)
    assert np.array_equal(places, expected[0]) and np.allclose(distances, expected[1] * 1e50, rtol=1e-4)


def test_float32_products_alone_would_have_missed_them():
    far = (ROWS[:, :3] * 0.05 + 3000).astype(np.float32)
    rough = 0.5 * (far * far).sum(axis=1) - far[:50] @ far.T
    assert (rough.argmin(axis=1) != np.arange(50)).any()


def test_of_more_ties_than_candidates_the_first_rows_win():
    rows = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    places, distances = search.search(search.Rows(rows, search.half_squares(rows), True), rows[[0, 60, 149]], 4)
    assert places.tolist() == [[0, 1, 2, 3], [50, 51, 52, 53], [100, 101, 102, 103]]
    assert not distances.any()


def test_sparse_rows_and_queries_give_the_same():
    rows, queries = np.where(ROWS > 1.5, ROWS, 0), np.where(QUERIES > 1.5, QUERIES, 0)
    dense = fit(rows)
    sparse = fit(sp.csr_matrix(rows))
    assert np.array_equal(dense.arrays["rows"], sparse.arrays["rows"])
    one, other = Lookup(dense, settings())(queries), Lookup(dense, settings())(sp.csr_matrix(queries))
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def test_rows_of_zeros_have_cosine_distance_1():
    model = fit(np.vstack([ROWS, np.zeros((1, 12), np.float32)]), np.append(LABEL, 0), index_metric="COSINE")
    _, distances = Lookup(model, settings(index_metric="COSINE"))(np.zeros((2, 12), np.float32))
    assert np.array_equal(distances, np.ones((2, 5)))


# ---------------------------------------------------------------------------------------------------------------- prediction


def test_votes_and_probabilities_are_those_of_scikit_learn():
    rows, label, queries, _ = digits()
    found = predicted(load, fit(rows, label), queries, settings(k=7))
    peer = KNeighborsClassifier(7, algorithm="brute").fit(rows, label)
    assert np.array_equal(found["predicted_label"], peer.predict(queries))
    assert np.allclose(found["probability"], peer.predict_proba(queries))
    assert np.array_equal(found["votes"].sum(axis=1), np.full(len(queries), 7))


def test_of_equally_many_votes_the_smallest_label_wins():
    model = fit(np.array([[0], [1], [2], [3]], np.float32), np.array([4, 4, 2, 2], np.float32), k=4)
    assert predicted(load, model, np.array([[0], [3]], np.float32), settings(k=4))["predicted_label"].tolist() == [2, 2]


def test_regression_is_the_mean_of_the_labels():
    label = RANDOM.normal(1e4, 5, 1000).astype(np.float32)
    found = predicted(load, fit(label=label, estimator=KNNRegressor), QUERIES, settings(KNNRegressor))
    peer = KNeighborsRegressor(5, algorithm="brute").fit(ROWS.astype(np.float64), label.astype(np.float64))
    assert np.allclose(found["predicted_label"], peer.predict(QUERIES), rtol=1e-12)
    assert found["labels"].shape == found["distances"].shape == (300, 5)


# ------------------------------------------------------------------------------------------------------------------ sampling


def sample(rows, size, seed, workers=1):
    """Numbers of the rows that a sample of 0, 1, … has, spread unevenly over workers."""
    cuts = np.linspace(0, 1, workers + 1) ** 2 * rows
    shards = np.split(np.arange(rows, dtype=np.float32)[:, None], cuts[1:-1].astype(int))

    def work(communicator):
        reservoir = Reservoir(size, np.random.default_rng([seed, communicator.rank]))
        for start in range(0, len(shards[communicator.rank]), 10):
            part = shards[communicator.rank][start : start + 10]
            reservoir.add(Batch(features=part, label=part[:, 0]))
        own = reservoir.share(communicator)
        return np.empty(0) if own is None else own.label

    parts = [work(SingleProcess())] if workers == 1 else in_threads(workers, work)
    return np.sort(np.concatenate(parts)).astype(int)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_sample_is_uniform_without_replacement_whatever_the_spread(workers):
    drawn = np.array([sample(40, 10, seed, workers) for seed in range(300 if workers == 1 else 120)])
    assert all(len(set(one)) == 10 for one in drawn)
    # Of rows drawn without replacement, counts vary less than of independent ones: the statistic shrinks by 1 − 10/40.
    counts = np.bincount(drawn.ravel(), minlength=40)
    statistic = chisquare(counts).statistic / (1 - 10 / 40)
    assert 15 < statistic < 75  # 39 degrees of freedom: 0.01 % lie outside


def test_a_sample_of_many_rows_is_kept_in_little_memory(monkeypatch):
    monkeypatch.setattr("sparkml_algos.training.sampling.MIN_SLACK_ROWS", 5)
    reservoir = Reservoir(20, np.random.default_rng(0))
    for _ in range(500):
        reservoir.add(Batch(features=np.zeros((10, 1), np.float32), label=np.zeros(10, np.float32)))
        assert sum(map(len, reservoir._batches)) <= 25
    assert len(reservoir.share(SingleProcess())) == 20


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_fewer_rows_than_the_sample_are_all_taken_in_the_same_order(workers):
    expected = fit(id=np.arange(1000)[::-1])
    shards = np.array_split(RANDOM.permutation(1000), workers)

    def work(communicator):
        own = shards[communicator.rank]
        return fit(ROWS[own], LABEL[own], id=(999 - np.arange(1000))[own], communicator=communicator)

    model = in_threads(workers, work)[0]
    assert all(np.array_equal(model.arrays[name], array) for name, array in expected.arrays.items())
    assert np.array_equal(expected.arrays["ids"], np.arange(1000)) and np.array_equal(expected.arrays["rows"], ROWS[::-1])


def spread(communicator, rows, label):
    own = slice(communicator.rank, None, communicator.size)
    return fit(rows[own], label[own], communicator=communicator).arrays


def test_processes_give_the_model_of_one_without_ids_too():
    expected = fit().arrays
    for arrays, is_root in zip(process_gang(2)(spread, ROWS, LABEL), [True, False], strict=True):
        assert set(arrays) == (set(expected) if is_root else set())
        assert all(np.array_equal(array, expected[name]) for name, array in arrays.items())


def test_replicas_are_counted_once():
    expected = fit()
    found = in_threads(2, lambda communicator: fit(communicator=communicator, replicated=True))
    assert np.array_equal(found[0].arrays["rows"], expected.arrays["rows"])


def test_a_sample_has_as_many_rows_as_asked_for_with_their_labels_and_ids():
    label = np.arange(1000, dtype=np.float32)
    model = fit(label=label, estimator=KNNRegressor, sample_size=100, id=np.arange(1000))
    ids = model.arrays["ids"]
    assert len(set(ids)) == 100
    assert np.array_equal(model.arrays["rows"], ROWS[ids]) and np.array_equal(model.arrays["labels"], ids)


# ----------------------------------------------------------------------------------------------------------------- reduction


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_a_reduction_keeps_distances_as_johnson_and_lindenstrauss_say(kind):
    rows = RANDOM.normal(size=(60, 1500)).astype(np.float32) * np.geomspace(1, 1e-3, 1500, dtype=np.float32)
    target, epsilon = 600, 0.25  # 4 ln(60) / (ε²/2 − ε³/3) = 630
    mapped = reduce(rows, make_reduction(kind, 1500, target, 1, seed=3))
    pairs = np.triu_indices(60, 1)
    before = ((rows[pairs[0]] - rows[pairs[1]]) ** 2).sum(axis=1)
    ratios = ((mapped[pairs[0]] - mapped[pairs[1]]) ** 2).sum(axis=1) / before
    assert mapped.shape == (60, target) and 1 - epsilon < ratios.min() and ratios.max() < 1 + epsilon
    assert ratios.mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_a_reduction_is_linear_and_the_same_for_sparse_rows_in_any_block(kind, monkeypatch):
    reduction = make_reduction(kind, 12, 5, 1, seed=1)
    expected = reduce(np.eye(12, dtype=np.float32), reduction)
    assert np.allclose(reduce(ROWS, reduction), ROWS @ expected, atol=1e-5)
    monkeypatch.setattr("sparkml_algos.algorithms.knn.reduction.BLOCK", 30)
    assert np.allclose(reduce(sp.csr_matrix(ROWS), reduction), ROWS @ expected, atol=1e-5)


def test_the_map_of_a_seed_is_the_same_for_ever():
    sign = reduce(np.eye(4, dtype=np.float32), make_reduction("sign", 4, 4, 1, seed=7)) * 2
    assert sign.astype(int).tolist() == SIGNS
    assert reduce(np.ones((1, 6), np.float32), make_reduction("fjlt", 6, 3, 1, seed=7))[0].tolist() == pytest.approx(FAST, abs=1e-6)


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_queries_are_reduced_as_the_rows_were(kind):
    options = {"dimension_reduction_type": kind, "dimension_reduction_target": 6}
    model = fit(**options, id=np.arange(1000))
    assert model.arrays["rows"].shape == (1000, 6)
    found = predicted(load, model, ROWS[:50], settings(k=1, **options))
    assert np.array_equal(found["ids"][:, 0], np.arange(50)) and np.allclose(found["distances"], 0, atol=1e-5)


# ------------------------------------------------------------------------------------------------------------------- indexes


def recall(model, queries, expected, k=10, **options):
    found = predicted(load, model, queries, settings(k=k, **options))["ids"]
    return np.mean([len(set(one) & set(other)) for one, other in zip(found, expected, strict=True)]) / k


@pytest.mark.parametrize("metric", METRICS)
def test_lists_hold_95_percent_of_the_neighbours(metric):
    rows, label, queries, _ = digits()
    ids = np.arange(len(rows))
    flat = fit(rows, label, index_metric=metric, id=ids)
    model = fit(rows, label, index_type="faiss.IVFFlat", index_metric=metric, id=ids)
    assert np.array_equal(np.sort(model.arrays["ids"]), ids) and len(model.arrays["centroids"]) == int(np.sqrt(1400))
    assert np.array_equal(model.arrays["rows"], flat.arrays["rows"][model.arrays["ids"]])
    expected = predicted(load, flat, queries, settings(k=10, index_metric=metric))
    assert recall(model, queries, expected["ids"], index_type="faiss.IVFFlat", index_metric=metric) >= 0.95
    assert 5 <= model.values["probes"] < 30


def test_all_lists_hold_all_neighbours_whatever_the_blocks(monkeypatch):
    expected = predicted(load, fit(id=np.arange(1000)), QUERIES, settings())
    options = {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 20}
    model = fit(**options, id=np.arange(1000))
    model.values["probes"] = 20
    monkeypatch.setattr(search, "QUERIES", 70)
    monkeypatch.setattr(search, "SCORES", 500)
    found = predicted(load, model, QUERIES, settings(**options))
    assert np.array_equal(found["ids"], expected["ids"]) and np.array_equal(found["distances"], expected["distances"])


def test_queries_whose_lists_have_too_few_rows_are_searched_in_all():
    options = {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 500}
    model, exact = fit(**options, id=np.arange(1000)), fit(id=np.arange(1000))
    found = predicted(load, model, QUERIES, settings(k=400, **options))
    assert np.array_equal(found["ids"], predicted(load, exact, QUERIES, settings(k=400))["ids"])


def test_codes_find_most_neighbours_from_few_bytes():
    rows, label, queries, expected = digits()
    options = {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 16, "faiss_index_ivf_nlists": 16}
    model = fit(rows, label, **options, id=np.arange(1400))
    assert "rows" not in model.arrays and model.arrays["index"].dtype == np.uint8
    exact = predicted(load, fit(rows, label, id=np.arange(1400)), queries, settings(k=10))
    assert recall(model, queries, exact["ids"], **options) > 0.7
    found = predicted(load, model, queries, settings(k=5, **options))
    assert np.mean(found["predicted_label"] == expected) > 0.92
    assert np.allclose(found["distances"][:, 0], exact["distances"][:, 0], rtol=0.5, atol=4)


def test_codes_of_few_lists_still_give_k_neighbours():
    options = {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 4, "faiss_index_ivf_nlists": 100}
    found = predicted(load, fit(**options), QUERIES, settings(k=300, **options))
    assert found["labels"].shape == (300, 300) and np.isfinite(found["distances"]).all()


def test_rows_are_padded_to_a_multiple_of_the_parts():
    assert padded(ROWS, 8).shape == (1000, 16) and not padded(ROWS, 8)[:, 12:].any()
    assert padded(ROWS, 4) is ROWS
    options = {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 8, "faiss_index_ivf_nlists": 4}
    found = predicted(load, fit(ROWS[:400], LABEL[:400], **options, id=np.arange(400)), ROWS[:400], settings(k=3, **options))
    assert np.mean((found["ids"] == np.arange(400)[:, None]).any(axis=1)) > 0.8


def test_the_target_of_a_reduction_is_raised_to_a_multiple_of_the_parts():
    options = {"dimension_reduction_type": "fjlt", "dimension_reduction_target": 9, "index_type": "faiss.IVFPQ", "faiss_index_pq_m": 8}
    model = fit(ROWS[:300], LABEL[:300], **options)
    assert model.values["reduction"]["target_dim"] == 16
    assert predicted(load, model, QUERIES, settings(**options))["labels"].shape == (300, 5)


def test_normalised_rows_have_length_1():
    assert np.allclose(np.linalg.norm(normalized(ROWS * 1e-20), axis=1), 1, atol=1e-6)


def test_the_library_works_beside_torch_and_xgboost_in_one_process():
    script = """
import numpy as np, torch, xgboost, faiss
rows = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
for _ in range(2):
    torch.from_numpy(rows) @ torch.from_numpy(rows.T.copy())
    xgboost.train({"max_depth": 3}, xgboost.DMatrix(rows, label=rows[:, 0]), 2)
    index = faiss.IndexFlatL2(16)
    index.add(rows)
    faiss.Kmeans(16, 5, niter=2, seed=1).train(rows)
    assert (index.search(rows, 1)[1][:, 0] == np.arange(2000)).all()
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("fine\n"), done.stderr


# ----------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1001}, "k=1001 neighbours need as many rows, the sample has 1000"),
        ({"k": 5, "sample_size": 4}, "k=5 neighbours need as many rows, the sample has 4"),
        ({"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 1001}, "faiss_index_ivf_nlists=1001 centroids need as many rows"),
        (
            {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 4, "sample_size": 255},
            "at least 256 rows for its codebooks, the sample has 255",
        ),
        (
            {"dimension_reduction_type": "sign", "dimension_reduction_target": 12},
            "dimension_reduction_target=12 must be less than the 12 features",
        ),
        ({"id": np.arange(1000) // 2}, r"the id column has 0 in more than one row; ids must differ"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(options, message):
    with pytest.raises(InvalidRows, match=message):
        fit(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index_type": "faiss.IVFPQ", "index_metric": "COSINE", "faiss_index_pq_m": 4}, "index_metric='COSINE' cannot be combined with"),
        ({"index_type": "faiss.IVFPQ", "index_metric": "INNER_PRODUCT", "faiss_index_pq_m": 4}, "'INNER_PRODUCT' cannot be combined"),
        ({"index_type": "faiss.IVFPQ"}, "index_type='faiss.IVFPQ' needs faiss_index_pq_m"),
        ({"faiss_index_pq_m": 4}, "faiss_index_pq_m has no meaning with index_type='faiss.Flat'"),
        ({"faiss_index_ivf_nlists": 4}, "faiss_index_ivf_nlists has no meaning with index_type='faiss.Flat'"),
        ({"dimension_reduction_type": "sign"}, "dimension_reduction_type='sign' needs dimension_reduction_target"),
        ({"dimension_reduction_target": 3}, "dimension_reduction_target=3 has no meaning without dimension_reduction_type"),
        (
            {"dimension_reduction_type": "fjlt", "dimension_reduction_target": 8, "feature_dim": 8},
            "dimension_reduction_target=8 must be less than the 8 features",
        ),
    ],
)
def test_combinations_without_meaning_are_refused_by_name(options, message):
    assert any(message in problem for problem in KNNRegressor(k=1, sample_size=10, **options).problems())


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert len(fit().arrays["rows"]) == 1000
    with pytest.raises(ImportError, match=r"needs the package faiss-cpu on driver and executors: pip install 'sparkml-algos\[knn\]'"):
        fit(index_type="faiss.IVFFlat")


# Of seed 7.
SIGNS = [[1, -1, -1, -1], [1, -1, 1, 1], [-1, 1, -1, -1], [1, -1, 1, -1]]
FAST = [1.4142134, 2.3094010, 1.5773504]
