"""Random cut forest without Spark: how trees are grown, what scores are, and that they find anomalies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from sklearn.metrics import roc_auc_score

from sparkml_algos import kernels
from sparkml_algos.algorithms.random_cut_forest import prediction, training
from sparkml_algos.algorithms.random_cut_forest.forest import Forest, grow
from sparkml_algos.algorithms.random_cut_forest.prediction import NUMBERS, load, load_attributing, scores
from sparkml_algos.algorithms.random_cut_forest.training import RANDOM_CUT_FOREST, REFERENCE_ROWS
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features
from sparkml_algos.training.checkpoint import CheckpointStore
from sparkml_algos.training.run import train_arrays
from tests.datasets import DATA, read_table
from tests.gang import in_threads


def fit(rows: np.ndarray, num_trees: int = 50, num_samples_per_tree: int = 256, **options: object) -> Artifact:
    settings = {"feature_dim": None, "eval_metrics": [], "num_trees": num_trees, "num_samples_per_tree": num_samples_per_tree}
    return train_arrays(RANDOM_CUT_FOREST, settings, rows, **options)


def scored(artifact: Artifact, rows: Features) -> np.ndarray:
    return load(artifact, Hyperparameters(), "cpu")(Batch(features=rows))["score"]


def trees_of(points: np.ndarray, trees: int, seed: int = 0) -> Forest:
    """So many trees of the same points."""
    uniform = np.random.default_rng(seed).random((trees, len(points) - 1, 2))
    return grow(np.repeat(points[None].astype(np.float32), trees, axis=0), uniform)


def gaussian(rows: int, features: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, features)).astype(np.float32)


# ----------------------------------------------------------------------------------------------------------------- growing


def below(forest: Forest, reference: int) -> Iterator[int]:
    """The leaves under a node."""
    if reference < 0:
        yield ~reference
    else:
        for child in forest.children[reference]:
            yield from below(forest, child)


def test_every_cut_has_points_on_both_sides_and_every_leaf_is_one_point() -> None:
    points = np.stack([gaussian(40, seed=seed) for seed in range(5)])
    forest = grow(points, np.random.default_rng(0).random((5, 39, 2)))
    assert np.array_equal(forest.counts, np.ones(200)) and len(forest.cut) == 5 * 39
    for root, own in zip(forest.roots, points, strict=True):
        assert sorted(map(tuple, forest.points[list(below(forest, root))])) == sorted(map(tuple, own))
    for node, (left, right) in enumerate(forest.children):
        feature, cut = forest.dimension[node], forest.cut[node]
        assert (forest.points[list(below(forest, left)), feature] <= cut).all()
        assert (forest.points[list(below(forest, right)), feature] > cut).all()


def test_equal_points_share_a_leaf() -> None:
    points = np.repeat(gaussian(3), [5, 1, 2], axis=0)
    forest = trees_of(points, 4)
    assert len(forest.counts) == 12 and all(sorted(part) == [1, 2, 5] for part in forest.counts.reshape(4, 3))


def test_features_are_cut_in_proportion_to_their_range_and_uniformly_within() -> None:
    points = np.array([[0, 0, 5], [6, 1, 5], [3, 3, 5]], np.float32)
    forest = trees_of(points, 6000)
    first = forest.roots
    counts = np.bincount(forest.dimension[first], minlength=3)
    assert counts[2] == 0 and abs(counts[0] - 4000) < 4 * np.sqrt(6000 * 2 / 9)
    for feature, high in ((0, 6), (1, 3)):
        places = forest.cut[first][forest.dimension[first] == feature]
        assert stats.kstest(places / high, "uniform").pvalue > 0.001


def test_neighbouring_numbers_of_32_bits_are_separated() -> None:
    start = np.float32(1)
    points = np.array([[start], [np.nextafter(start, np.float32(2))]])
    forest = trees_of(points, 50)
    assert (forest.cut == start).all() and len(forest.counts) == 100


def test_a_tree_depends_on_its_own_points_and_random_numbers_only() -> None:
    points, uniform = np.stack([gaussian(30, seed=seed) for seed in range(6)]), np.random.default_rng(0).random((6, 29, 2))
    points[2, 10:] = points[2, 9]
    whole = grow(points, uniform)
    parts = Forest.concat([grow(points[part], uniform[part]) for part in (slice(0, 0), slice(0, 2), slice(2, 3), slice(3, 6))])
    for name, array in whole.to_artifact().arrays.items():
        assert np.array_equal(array, parts.to_artifact().arrays[name]), name


# ----------------------------------------------------------------------------------------------------------------- scoring


def defined_score(forest: Forest, x: np.ndarray) -> float:
    """The closed form of the specification, word by word."""

    def score(reference: int, depth: int) -> float:
        leaves = list(below(forest, reference))
        points = forest.points[leaves].astype(np.float64)
        if reference < 0:
            count = int(forest.counts[leaves[0]])
            if (points[0] == x).all():
                return (1 - count / (2 * forest.points_per_tree)) / (depth + np.log2(count + 1))
            return 1 / (depth + 1)
        with_x = np.vstack([points, x])
        before, after = np.ptp(points, axis=0).sum(), np.ptp(with_x, axis=0).sum()
        chance = (after - before) / after
        side = int(x[forest.dimension[reference]] > forest.cut[reference])
        return chance / (depth + 1) + (1 - chance) * score(forest.children[reference, side], depth + 1)

    return float(np.mean([score(root, 0) for root in forest.roots]) * np.log2(forest.points_per_tree + 1))


@pytest.mark.parametrize("features", [1, 2, 7])
def test_scores_are_those_of_the_closed_form(features: int) -> None:
    points = np.repeat(gaussian(25, features), np.arange(25) % 3 + 1, axis=0)
    forest = trees_of(points, 12)
    rows = np.vstack([gaussian(20, features, seed=1), 5 * gaussian(5, features, seed=2), points[:6]])
    assert np.allclose(scores(forest, rows)[0], [defined_score(forest, row) for row in rows], rtol=1e-6)


def test_values_whose_differences_32_bits_do_not_hold_have_scores() -> None:
    forest = trees_of(gaussian(20) * np.float32(1e38), 5)
    rows = np.array([[3e38, -3e38, 0], [1e38, 0, 1e37]], np.float32)
    assert np.allclose(scores(forest, rows)[0], [defined_score(forest, row.astype(np.float64)) for row in rows], rtol=1e-6)


def test_many_features_whose_differences_add_up_to_more_than_32_bits_hold_have_scores() -> None:
    forest = trees_of(gaussian(12, 80) * np.float32(1e36), 5)
    rows = np.float32(9e36) * np.sign(gaussian(6, 80, seed=1))
    assert np.allclose(scores(forest, rows)[0], [defined_score(forest, row.astype(np.float64)) for row in rows], rtol=1e-6)
    score, attribution = scores(forest, rows, attribute=True)
    assert np.allclose(attribution.sum(axis=1), score, rtol=1e-5)


FAR = {
    "columns of six orders of magnitude": ([1e6, 1.0, 1e-3, 1e3], [0, 0, 0, 0]),
    "far from the origin": ([1, 1, 1, 1], [1e5, -1e5, 1e4, 0]),
    "both": ([1e6, 1.0, 1e-3, 1e3], [1e8, 1e5, -30, 1e6]),
}


@pytest.mark.parametrize("shape", FAR)
def test_scores_of_columns_far_apart_and_far_from_the_origin_are_those_of_64_bits(shape: str) -> None:
    """All values are exact with 32 bits, and the closed form is computed with 64."""
    scale, origin = map(np.array, FAR[shape])
    points = np.round(gaussian(60, 4) * 64) / 64 * scale + origin
    forest = trees_of(points.astype(np.float32), 20)
    rows = (np.round(4 * gaussian(40, 4, seed=1) * 64) / 64 * scale + origin).astype(np.float32)
    rows = np.vstack([rows, forest.points[:5]])
    score, attribution = scores(forest, rows, attribute=True)
    expected = [defined_score(forest, row.astype(np.float64)) for row in rows]
    assert np.allclose(score, expected, rtol=1e-6) and np.allclose(attribution.sum(axis=1), expected, rtol=1e-6)


def test_a_tree_of_one_point_has_scores() -> None:
    point = gaussian(1)
    forest = trees_of(np.repeat(point, 8, axis=0), 3)
    rows = np.vstack([point, point + 1])
    assert np.allclose(scores(forest, rows)[0], [0.5, np.log2(9)])
    assert defined_score(forest, point[0]) == pytest.approx(0.5)


def test_many_rows_have_the_scores_they_have_alone() -> None:
    forest, rows = trees_of(gaussian(30), 8), gaussian(50_000, seed=1)
    together, edge = scores(forest, rows)[0], NUMBERS // 6
    some = slice(edge - 2, edge + 3)
    assert np.allclose(together[some], [scores(forest, row[None])[0][0] for row in rows[some]], rtol=1e-6)


def test_attributions_add_up_to_the_score_and_point_to_the_odd_feature() -> None:
    points = gaussian(200, 4)
    forest = trees_of(points, 40)
    odd = np.eye(4, dtype=np.float32) * 8
    rows = np.vstack([odd, points[:5], gaussian(50, 4, seed=1)])
    score, attribution = scores(forest, rows, attribute=True)
    assert np.allclose(score, scores(forest, rows)[0]) and np.allclose(attribution.sum(axis=1), score, rtol=1e-5)
    assert attribution.shape == rows.shape and (attribution >= 0).all()
    assert attribution[:4].argmax(axis=1).tolist() == [0, 1, 2, 3] and (attribution[:4].max(axis=1) > 0.6 * score[:4]).all()


def test_attribution_of_a_node_is_shared_by_the_growth_in_each_feature() -> None:
    forest = trees_of(np.array([[0, 0], [1, 1]], np.float32), 200)
    # At the root: growth 3 and 1 beside a box of 2 sides of 1. At the leaf (1, 1): distances 3 and 1.
    score, attribution = scores(forest, np.array([[4, 2]], np.float32), attribute=True)
    assert score[0] == pytest.approx((4 / 6 / 1 + 2 / 6 / 2) * np.log2(3))
    assert attribution[0] / score[0] == pytest.approx([3 / 4, 1 / 4])


def test_a_predictor_computes_what_is_asked_for_and_gives_it_as_the_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setenv(kernels.SWITCH, "0")
    monkeypatch.setattr(prediction, "_climb", lambda *given: asked.append(given[-1]) or climb(*given))
    artifact, rows = fit(gaussian(300)), gaussian(20, seed=1)
    score, attribution = scores(Forest.of(artifact), rows, attribute=True)
    for make, walks in ((load, [False, True]), (load_attributing, [True])):
        asked.clear()
        found = make(artifact, Hyperparameters(), "cpu")(Batch(features=rows))
        assert np.array_equal(found["score"], score) and np.array_equal(found["attribution"], attribution)
        assert np.array_equal(found["score"], score) and set(found) == {"score", "attribution"} and "other" not in found
        assert sorted(set(asked)) == walks


climb = prediction._climb


# --------------------------------------------------------------------------------------- against explicit insertion into trees


def displaced_by_insertion(points: np.ndarray, x: np.ndarray, random: np.random.Generator) -> int:
    """How many of the points move one level down when x is put into a random cut tree of them.

    By the paper: a random cut of the box of points and x either separates x from all points, which then make up its sibling, or is a cut of
    the points alone, and the insertion goes on with those on the side of x.
    """
    while True:
        if len(points) == 1:
            return 1
        low, high = np.minimum(points.min(axis=0), x), np.maximum(points.max(axis=0), x)
        feature = random.choice(len(x), p=(high - low) / (high - low).sum())
        cut = random.uniform(low[feature], high[feature])
        side = points[:, feature] <= cut
        if side.all() or not side.any():
            if (x[feature] <= cut) != side[0]:
                return len(points)
            continue
        points = points[side == (x[feature] <= cut)]


def test_scores_rank_as_the_displacement_by_explicit_insertion_does() -> None:
    random = np.random.default_rng(5)
    points = random.normal(size=(10_000, 2)) * [1, 0.5]
    rows = np.vstack([random.normal(size=(30, 2)) * [1, 0.5], random.uniform(-6, 6, (30, 2))])
    displaced = np.zeros(len(rows))
    for _ in range(120):
        tree = random.choice(points, 16, replace=False)
        displaced += [displaced_by_insertion(tree, row, random) for row in rows]
    artifact = fit(points.astype(np.float32), num_trees=300, num_samples_per_tree=16)
    found = scored(artifact, rows.astype(np.float32))
    assert stats.spearmanr(found, displaced).statistic >= 0.95


# ---------------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("workers", [2, 5])
def test_the_forest_does_not_depend_on_how_rows_are_spread_where_all_are_sampled(workers: int) -> None:
    rows = gaussian(1000)
    alone = fit(rows, num_samples_per_tree=30)
    cuts = np.sort(np.random.default_rng(workers).choice(1000, workers - 1, replace=False))
    parts = np.split(np.random.default_rng(1).permutation(rows), cuts)
    shared = in_threads(workers, lambda communicator: fit(parts[communicator.rank], num_samples_per_tree=30, communicator=communicator))[0]
    for name, array in alone.arrays.items():
        assert np.allclose(array, shared.arrays[name], rtol=1e-12), name
    assert alone.values["points_per_tree"] == 1000 // 50 == shared.values["points_per_tree"]


def test_more_workers_than_trees_are_enough() -> None:
    rows = gaussian(300)
    alone = fit(rows)
    many = in_threads(60, lambda communicator: fit(rows[communicator.rank :: 60], communicator=communicator))[0]
    assert all(np.allclose(array, many.arrays[name]) for name, array in alone.arrays.items())


def test_sparse_rows_give_the_forest_of_dense_ones() -> None:
    rows = np.where(np.random.default_rng(0).random((200, 30)) < 0.03, gaussian(200, 30), 0).astype(np.float32)
    rows[0, 0] = -0.0
    dense, sparse = fit(rows), fit(sp.csr_matrix(rows))
    assert all(np.array_equal(array, sparse.arrays[name]) for name, array in dense.arrays.items())
    found = [scored(dense, features) for features in (rows, sp.csr_matrix(rows))]
    assert np.array_equal(*found)


def test_a_tree_takes_its_part_of_a_sample_of_distinct_rows() -> None:
    rows = np.arange(20_000, dtype=np.float32).reshape(-1, 1)
    artifact = fit(rows, num_samples_per_tree=40)
    assert artifact.values["points_per_tree"] == 40
    assert len(np.unique(artifact.arrays["points"])) == 2000 and (artifact.arrays["counts"] == 1).all()
    assert not np.array_equal(artifact.arrays["points"], fit(rows, num_samples_per_tree=40, seed=1).arrays["points"])


def test_fewer_rows_than_trees_make_trees_of_one_row() -> None:
    artifact = fit(gaussian(7))
    assert artifact.values["points_per_tree"] == 1
    assert sorted(np.unique(artifact.arrays["points"], axis=0, return_counts=True)[1]) == [7] * 6 + [8]


def test_the_model_knows_the_scores_of_rows_of_the_sample() -> None:
    rows = gaussian(900)
    artifact = fit(rows)
    found = scored(artifact, rows)
    assert artifact.values["mean"] == pytest.approx(found.mean()) and artifact.values["deviation"] == pytest.approx(found.std())
    assert artifact.arrays["quantiles"][[0, 500, 1000]] == pytest.approx(np.quantile(found, [0, 0.5, 1]))
    assert REFERENCE_ROWS > 900


def test_outliers_score_several_times_as_high_as_common_rows() -> None:
    rows = np.vstack([gaussian(5000), np.full((5, 3), 12, np.float32) + gaussian(5)])
    found = scored(fit(rows, num_trees=100), rows)
    assert found[-5:].min() > 2.5 * np.median(found) and 0.5 < np.median(found) < 1.2


def test_a_forest_that_was_grown_before_the_cut_is_the_one_that_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is all that there is to learn, whatever order the rows come back in."""
    rows = gaussian(2000)
    whole = fit(rows, num_samples_per_tree=20)
    monkeypatch.setattr(CheckpointStore, "save", stop_after(CheckpointStore.save))
    with pytest.raises(CutOff):
        fit(rows, num_samples_per_tree=20, checkpoint_dir=str(tmp_path))
    monkeypatch.setattr(training, "grow", None)
    resumed = fit(np.random.default_rng(5).permutation(rows), num_samples_per_tree=20, checkpoint_dir=str(tmp_path))
    for name, array in whole.arrays.items():
        assert np.array_equal(array, resumed.arrays[name]), name
    assert {name: resumed.values[name] for name in ("mean", "deviation")} == {name: whole.values[name] for name in ("mean", "deviation")}


class CutOff(Exception):
    pass


def stop_after(save: Callable[..., None]) -> Callable[..., None]:
    def saving(*given: object) -> None:
        save(*given)
        raise CutOff

    return saving


@pytest.mark.parametrize(("name", "least"), [("thyroid", 0.95), ("satellite", 0.70)])
def test_anomalies_of_public_data_are_ranked_first(name: str, least: float) -> None:
    path = f"anomaly_tabular/{name}.csv.gz"
    if not (DATA / path).exists():
        pytest.skip(f"{DATA / path} is not there")
    table = read_table(path)
    rows = table.drop(columns="anomaly").to_numpy(np.float32)
    found = scored(fit(rows), rows)
    assert roc_auc_score(table["anomaly"], found) >= least
