"""Trees and scores of a random cut forest by the kernels, beside those of the way of NumPy and a walk in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparkml_algos import kernels
from sparkml_algos.algorithms.random_cut_forest.forest import Forest, grow
from sparkml_algos.algorithms.random_cut_forest.prediction import scores

pytest.importorskip("numba", reason="numba is not installed")

from sparkml_algos.kernels.forest import EXITS, ROWS, find_tops


def forest_of(points: np.ndarray) -> Forest:
    trees, size, _ = points.shape
    return grow(points.astype(np.float32), np.random.default_rng(1).random((trees, max(0, size - 1), 2)))


def spread(trees: int, size: int, features: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(trees, size, features)).astype(np.float32)


def points_of(name: str) -> np.ndarray:
    """Points that make trees of some kind, shape (trees, points, features)."""
    if name == "plain":
        return spread(9, 64, 5)
    if name == "deep":
        return spread(3, 700, 4)
    if name == "wide":
        return spread(3, 40, 300)
    if name == "one feature":
        return spread(4, 50, 1)
    if name == "single points":
        return spread(5, 1, 3)
    if name == "no trees":
        return spread(0, 8, 3)
    if name == "equal points":
        points = spread(4, 60, 3)
        points[0] = points[0, 0]  # a tree of nothing else
        points[1, 10:] = points[1, 9]
        points[2] = points[2].round()
        return points
    if name == "neighbouring numbers":
        start = np.float32(1)
        return np.tile(np.array([[start, start], [np.nextafter(start, np.float32(2)), start]], np.float32), (20, 1, 1))
    return spread(6, 30, 4) * np.float32(3e37)  # as large as 32 bits hold


SHAPES = ("plain", "deep", "wide", "one feature", "single points", "no trees", "equal points", "neighbouring numbers", "large numbers")


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("name", SHAPES)
def test_trees_are_those_of_numpy_to_the_bit(name: str, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(name)
    trees, size, _ = points.shape
    uniform = np.random.default_rng(5).random((trees, size - 1, 2))
    uniform[:, :2, 0] = 1 - 2**-53  # the last feature, if it has a range
    for array in (points, uniform):
        array.flags.writeable = False
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = grow(points, uniform)
    monkeypatch.setenv(kernels.SWITCH, "0")
    expected = grow(points, uniform)
    for field in ("roots", "children", "dimension", "cut", "points", "counts"):
        one, other = getattr(found, field), getattr(expected, field)
        assert one.dtype == other.dtype and one.shape == other.shape, field
        np.testing.assert_array_equal(one, other, err_msg=field)
    assert found.points_per_tree == expected.points_per_tree == size


def by_hand(forest: Forest, row: np.ndarray) -> float:
    """The definition, with a box that is made of the points below a node."""

    def points_of(reference: int) -> np.ndarray:
        if reference < 0:
            return forest.points[~reference][None].astype(float)
        return np.concatenate([points_of(child) for child in forest.children[reference]])

    def score(reference: int, depth: int) -> float:
        if reference < 0:
            count = int(forest.counts[~reference])
            if (row != forest.points[~reference]).any():
                return 1 / (depth + 1)
            return (1 - count / (2 * forest.points_per_tree)) / (depth + math.log2(count + 1))
        below = points_of(reference)
        growth = (np.maximum(below.min(axis=0) - row, 0) + np.maximum(row - below.max(axis=0), 0)).sum()
        chance = growth / (growth + np.ptp(below, axis=0).sum())
        side = int(row[forest.dimension[reference]] > forest.cut[reference])
        return chance / (depth + 1) + (1 - chance) * score(forest.children[reference][side], depth + 1)

    total = sum(score(root, 0) for root in forest.roots)
    return total * math.log2(forest.points_per_tree + 1) / len(forest.roots)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS + 37, 3)).astype(np.float32)


@pytest.fixture
def forest() -> Forest:
    points = np.random.default_rng(2).normal(size=(7, 32, 3))
    points[0, :20] = points[0, 0]  # equal points, and a tree of nothing else
    points[1] = points[1, 0]
    return forest_of(points)


def test_scores_are_those_of_the_definition(forest: Forest, rows: np.ndarray) -> None:
    asked = np.concatenate([rows[:20], forest.points[:20], 10 * rows[20:30]])
    np.testing.assert_allclose(scores(forest, asked)[0], [by_hand(forest, row) for row in asked], rtol=1e-5)


def test_scores_are_those_without_the_kernel(forest: Forest, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scores(forest, rows)[0]
    monkeypatch.setenv(kernels.SWITCH, "0")
    np.testing.assert_allclose(found, scores(forest, rows)[0], rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("no trees", "large numbers")])
def test_scores_of_all_kinds_of_trees_are_those_without_the_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forest = forest_of(points_of(name))
    random = np.random.default_rng(4)
    asked = random.normal(size=(500, forest.points.shape[1])).astype(np.float32) * np.abs(forest.points).max()
    asked[::5] = forest.points[random.integers(len(forest.points), size=100)]
    found = scores(forest, asked)[0]
    monkeypatch.setenv(kernels.SWITCH, "0")
    np.testing.assert_allclose(found, scores(forest, asked)[0], rtol=1e-5)


def test_tops_of_trees_lead_to_the_exits_that_rows_walk_to(rows: np.ndarray) -> None:
    forest = forest_of(spread(5, 200, 3))
    trees, nodes = len(forest.roots), len(forest.cut)
    top, masks, split = np.empty((trees, EXITS - 1), np.int32), np.empty((trees, EXITS - 1), np.int32), np.empty(nodes, np.int32)
    find_tops(forest.roots, forest.children, forest.counts, top, masks, split)
    assert (top >= 0).all() and sorted(np.flatnonzero(split >= 0)) == sorted(top.ravel())
    for tree in range(trees):
        for row in rows[:50]:
            left, right = (1 << EXITS) - 1, [row[forest.dimension[node]] > forest.cut[node] for node in top[tree]]
            for mask, goes_right in zip(masks[tree].view(np.uint32), right, strict=True):
                left &= int(mask) if goes_right else -1
            # Walking, each node says on which side of its split the exit lies.
            node, least, beyond = forest.roots[tree], 0, EXITS
            while node >= 0 and split[node] >= 0:
                side = int(row[forest.dimension[node]] > forest.cut[node])
                least, beyond = (least, split[node]) if side == 0 else (split[node], beyond)
                node = forest.children[node, side]
            assert (left & -left).bit_length() - 1 == least == beyond - 1


def test_the_score_of_a_row_does_not_depend_on_others(forest: Forest, rows: np.ndarray) -> None:
    together = scores(forest, rows)[0]
    alone = np.concatenate([scores(forest, rows[[i]])[0] for i in (0, 5, ROWS, ROWS + 36)])
    np.testing.assert_array_equal(alone, together[[0, 5, ROWS, ROWS + 36]])
    np.testing.assert_array_equal(scores(forest, rows[::-1])[0], together[::-1])


def test_scores_are_the_same_with_attributions(forest: Forest, rows: np.ndarray) -> None:
    score, attribution = scores(forest, rows[:50], attribute=True)
    np.testing.assert_array_equal(score, scores(forest, rows[:50])[0])
    np.testing.assert_allclose(attribution.sum(axis=1), score, rtol=1e-5)


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_threads_share_the_rows(forest: Forest, rows: np.ndarray, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scores(forest, rows)[0]
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    np.testing.assert_array_equal(scores(forest, rows)[0], expected)


def test_no_rows_have_no_scores(forest: Forest) -> None:
    assert scores(forest, np.empty((0, 3), np.float32))[0].shape == (0,)


def test_trees_of_single_points(rows: np.ndarray) -> None:
    forest = forest_of(rows[:4, None])
    np.testing.assert_allclose(scores(forest, rows[:6])[0], [by_hand(forest, row) for row in rows[:6]], rtol=1e-5)


def test_arrays_that_may_not_be_written_are_scored(forest: Forest, rows: np.ndarray) -> None:
    expected = scores(forest, rows)[0]
    rows.flags.writeable = False
    for name in ("cut", "points", "children"):
        getattr(forest, name).flags.writeable = False
    np.testing.assert_array_equal(scores(forest, rows)[0], expected)


def test_values_that_32_bits_do_not_hold_go_another_way(forest: Forest) -> None:
    far = np.full((2, 3), 3e38, np.float32)
    np.testing.assert_allclose(scores(forest, far)[0], [by_hand(forest, row.astype(float)) for row in far], rtol=1e-5)


@pytest.mark.parametrize("factor", [1e6, 1e15, 1e30])
def test_rows_far_outside_all_boxes_are_scored(forest: Forest, rows: np.ndarray, factor: float) -> None:
    far = rows[:40] * np.float32(factor)
    np.testing.assert_allclose(scores(forest, far)[0], [by_hand(forest, row.astype(float)) for row in far], rtol=1e-5)


@pytest.mark.parametrize("factor", [1e-30, 1e-40])
def test_boxes_of_hardly_any_size_are_told_apart(rows: np.ndarray, factor: float) -> None:
    points = np.random.default_rng(2).normal(size=(3, 16, 2)) * factor
    small, forest = (rows[:40, :2].astype(float) * factor).astype(np.float32), forest_of(points)
    np.testing.assert_allclose(scores(forest, small)[0], [by_hand(forest, row.astype(float)) for row in small], rtol=1e-4)
