"""Anomaly scores: how far trees would be changed by a point if it were added.

A point that comes to a node of depth d leaves the node's box by the distance g_j in feature j, g in sum. A cut drawn for the larger box
would separate it with probability p = g / (g + r), r being the sum of the box's sides, and leave it alone at depth d + 1:

    score(node) = p / (d + 1) + (1 − p) · score(child on the point's side)
    score(leaf) = 1 / (d + 1), or (1 − m / 2M) / (d + log₂(m + 1)) if it stands for m points, of M in the tree, equal to this one

Times log₂(M + 1), mean over the trees: about 1 for common points, several times as much for anomalies. Boxes of a path lie in each other,
so a point outside one is outside all below: from the leaf upwards there is nothing left to do once a box contains the point.

The attribution to feature j is the same sum with p_j = g_j / (g + r) in place of p; a leaf gives its share |x_j − y_j| / Σ|x − y| of
the distance, or, equal to the point, the same to every feature. Attributions add up to the score.

References
----------
S. Guha, N. Mishra, G. Roy, O. Schrijvers, "Robust random cut forest based anomaly detection on streams", ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp

from sparkml_algos import kernels
from sparkml_algos.algorithms.random_cut_forest.forest import NOBODY, Forest
from sparkml_algos.algorithms.random_cut_forest.params import FIELDS
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.rows.batch import Batch, Features

__all__ = ["FIELDS", "Boxes", "load", "load_attributing", "scores"]

# Numbers of the arrays that are worked on at once, a row of corners for each pair of row and tree: they stay in a core's cache.
NUMBERS = 1 << 18

# Fewer are not worth a thread.
ROWS_PER_THREAD = 1000

# Values whose differences in all features add up to less than the one and, where they differ, to more than the other are told apart with 32
# bits.
LARGE, TINY = 1e38, 1e-37


def load(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> ForestPredictor:
    """A predictor of anomaly scores: ``score`` (rows,) and ``attribution`` (rows, features), what each feature adds to it, both float64
    and computed when they are asked for.

    Parameters
    ----------
    artifact : Artifact
        From `training.train`.
    hyperparameters : Hyperparameters
        Not needed.
    device : str
        Ignored: the forest is walked on the CPU.
    """
    return ForestPredictor(artifact, attributes=False)


def load_attributing(artifact: Artifact, hyperparameters: Hyperparameters, device: str) -> ForestPredictor:
    """The same for who wants both, which then come from one walk."""
    return ForestPredictor(artifact, attributes=True)


class ForestPredictor:
    """Scores the rows of a batch; what does not depend on them is found out once."""

    def __init__(self, artifact: Artifact, attributes: bool) -> None:
        self._forest = Forest.of(artifact)
        self._boxes, self._attributes = Boxes.of(self._forest), attributes

    def __call__(self, batch: Batch) -> Mapping[str, np.ndarray]:
        rows = dense(batch.features)
        return _Scores(lambda attribute: scores(self._forest, rows, attribute, self._boxes), self._attributes)


class _Scores(Mapping[str, np.ndarray]):
    """Outputs of some rows, by name."""

    def __init__(self, compute: Callable[[bool], tuple[np.ndarray, np.ndarray | None]], attributes: bool) -> None:
        self._compute, self._attributes = compute, attributes
        self._found: dict[str, np.ndarray | None] = dict.fromkeys(["score", "attribution"])

    def __getitem__(self, name: str) -> np.ndarray:
        if self._found[name] is None:
            score, attribution = self._compute(self._attributes or name == "attribution")
            self._found = {"score": score, "attribution": attribution}
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def dense(features: Features) -> np.ndarray:
    """Rows with their zeros."""
    return features.toarray() if sp.issparse(features) else features


@dataclass(frozen=True)
class Boxes:
    """What scoring needs to know of a forest beside its cuts.

    Attributes
    ----------
    forest : Forest
    corners : ndarray, shape (nodes, 2 · features)
        Least values of the points of each node, and the negatives of their largest. A row followed by its negative is inside where it is
        not below these.
    range : ndarray of float64, shape (nodes,)
        Sum of the box's sides.
    alone : ndarray of float64, shape (nodes,)
        1 / (d + 1).
    parent : ndarray of int64, shape (nodes,)
        `NOBODY` of a root.
    leaf_parent : ndarray of int64, shape (leaves,)
    leaf_alone, leaf_seen : ndarray of float64, shape (leaves,)
        Scores of points that differ from the leaf, and that equal it.
    largest : float
        The largest magnitude of a coordinate of the points.
    """

    forest: Forest
    corners: np.ndarray
    range: np.ndarray
    alone: np.ndarray
    parent: np.ndarray
    leaf_parent: np.ndarray
    leaf_alone: np.ndarray
    leaf_seen: np.ndarray
    largest: float

    @classmethod
    def of(cls, forest: Forest) -> Boxes:
        nodes, leaves = len(forest.cut), len(forest.counts)
        depth, leaf_depth = np.zeros(nodes), np.zeros(leaves)
        parent, leaf_parent = np.full(nodes, NOBODY), np.full(leaves, NOBODY)
        points, num_features = _mirrored(forest.points), forest.points.shape[1]
        corners = np.empty((nodes, 2 * num_features), np.float32)
        levels = forest.levels()
        for d, level in enumerate(levels):
            depth[level] = d
            for side in forest.children[level].T:
                inner, outer = side >= 0, side < 0
                parent[side[inner]], leaf_parent[~side[outer]] = level[inner], level[outer]
                leaf_depth[~side[outer]] = d + 1
        for level in reversed(levels):
            corners[level] = np.minimum(*(_corners(side, corners, points) for side in forest.children[level].T))
        sides = (-corners[:, num_features:].astype(np.float64) - corners[:, :num_features]).sum(axis=1)
        seen = (1 - forest.counts / (2 * forest.points_per_tree)) / (leaf_depth + np.log2(forest.counts + 1))
        largest = float(np.abs(forest.points).max(initial=0))
        return cls(forest, corners, sides, 1 / (depth + 1), parent, leaf_parent, 1 / (leaf_depth + 1), seen, largest)

    @cached_property
    def are_tiny(self) -> bool:
        """Whether there is a box whose sides 32 bits do not hold."""
        return bool(len(self.range)) and float(self.range.min()) < TINY

    @cached_property
    def for_kernel(self) -> tuple[np.ndarray, ...]:
        """What `kernels.forest.add_scores` takes of the forest and its boxes, as arrays that may be written."""
        from sparkml_algos.kernels.forest import EXITS, find_tops

        forest, trees, num_features = self.forest, len(self.forest.roots), self.forest.points.shape[1]
        top, masks = (np.empty((trees, EXITS - 1), np.int32) for _ in range(2))
        split = np.empty(len(forest.cut), np.int32)
        own = [np.require(array, None, ["C", "W"]) for array in (forest.roots, forest.children, forest.counts)]
        find_tops(*own, top, masks, split)
        differ = self.corners != self.corners[self.parent]
        differ[self.parent == NOBODY] = True
        node, side = np.nonzero(differ)
        changes = np.append(0, np.cumsum(np.count_nonzero(differ, axis=1)))
        upper = changes[:-1] + np.count_nonzero(differ[:, :num_features], axis=1)
        corners, above = self.corners[node, side], self.corners[self.parent[node], side]
        reaches = np.where(self.parent[node] == NOBODY, np.finfo(np.float32).max, corners - above).astype(np.float32)
        corners = np.where(side < num_features, corners, -corners)
        by_node = [getattr(self, name).astype(np.float32) for name in ("alone", "leaf_alone", "leaf_seen")]
        arrays = (
            *(forest.roots, forest.children, forest.dimension, forest.cut, forest.points),
            *(changes, upper, (side % num_features).astype(np.int32), corners, reaches),
            *(top, masks, split, (1 / self.range).astype(np.float32), *by_node),
        )
        return tuple(np.require(array, None, ["C", "W"]) for array in arrays)

    def in_64_bits(self) -> Boxes:
        """The same for values whose differences 32 bits do not hold."""
        return replace(self, corners=self.corners.astype(np.float64))


def scores(forest: Forest, rows: np.ndarray, attribute: bool = False, boxes: Boxes | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Scores of rows and, if wanted, what each feature adds to them.

    Parameters
    ----------
    forest : Forest
    rows : ndarray of float32, shape (rows, features)
    attribute : bool
    boxes : Boxes, optional
        Those of the forest, where they are known.

    Returns
    -------
    (ndarray, ndarray or None)
        Scores (rows,) and attributions (rows, features), float64.
    """
    boxes = Boxes.of(forest) if boxes is None else boxes
    if boxes.are_tiny or max(float(np.abs(rows).max(initial=0)), boxes.largest) > LARGE / boxes.corners.shape[1]:
        rows, boxes = rows.astype(np.float64), boxes.in_64_bits()
    elif kernels.available():
        # The same scores whether or not attributions are wanted, which are not compiled.
        found = _by_kernel(rows, boxes)
        return found, _by_walk(forest, rows, boxes, attribute)[1] if attribute else None
    return _by_walk(forest, rows, boxes, attribute)


def _by_walk(forest: Forest, rows: np.ndarray, boxes: Boxes, attribute: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The same by NumPy: blocks of rows and trees walk side by side, a level at a time."""
    trees = len(forest.roots)
    total = np.zeros(len(rows))
    parts = np.zeros(rows.shape) if attribute else None
    pairs = max(1, NUMBERS // boxes.corners.shape[1])
    for start in range(0, len(rows), pairs):
        block = slice(start, min(start + pairs, len(rows)))
        count = block.stop - start
        at_once = max(1, pairs // count)
        for first in range(0, trees, at_once):
            roots = forest.roots[first : first + at_once]
            leaf = _leaves(forest, roots, rows[block])
            row = np.tile(np.arange(count), len(roots))
            score, shares = _climb(forest, boxes, leaf, rows[block], row, attribute)
            total[block] += score.reshape(len(roots), count).sum(axis=0)
            if attribute:
                parts[block] += shares.reshape(len(roots), count, -1).sum(axis=0)
    scale = np.log2(forest.points_per_tree + 1) / trees
    return total * scale, parts * scale if attribute else None


def _by_kernel(rows: np.ndarray, boxes: Boxes) -> np.ndarray:
    """Scores of rows, which the threads of this worker share. Those of a row do not depend on which others come with it."""
    from sparkml_algos.kernels.forest import add_scores

    shares = min(kernels.threads(), max(1, len(rows) // ROWS_PER_THREAD))
    # As an array of its own, where the one that is given may not be written.
    rows, total = np.require(rows, np.float32, ["C", "W"]), np.zeros(len(rows))
    parts = zip(np.array_split(rows, shares), np.array_split(total, shares), strict=True)
    kernels.in_threads([partial(add_scores, mine, *boxes.for_kernel, there) for mine, there in parts])
    return total * (np.log2(boxes.forest.points_per_tree + 1) / len(boxes.forest.roots))


def _mirrored(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, -rows], axis=1)


def _corners(references: np.ndarray, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Corners of the boxes of nodes, and of leaves their points."""
    inner = references >= 0
    found = np.empty((len(references), corners.shape[1]), np.float32)
    found[inner], found[~inner] = corners[references[inner]], points[~references[~inner]]
    return found


def _leaves(forest: Forest, roots: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The leaf that each row comes to in each tree, shape (trees · rows,), tree by tree."""
    found = np.repeat(roots.astype(np.int64), len(rows))
    flat, children = rows.ravel(), forest.children.ravel()
    offset = np.tile(np.arange(len(rows)) * rows.shape[1], len(roots))
    walking = np.flatnonzero(found >= 0)
    node, offset = found[walking], offset[walking]
    while len(walking):
        goes_right = flat.take(offset + forest.dimension.take(node)) > forest.cut.take(node)
        node = children.take(2 * node + goes_right)
        found[walking] = node
        inner = np.flatnonzero(node >= 0)
        walking, node, offset = walking.take(inner), node.take(inner), offset.take(inner)
    return ~found


def _climb(
    forest: Forest, boxes: Boxes, leaf: np.ndarray, rows: np.ndarray, row: np.ndarray, attribute: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Score and attributions of each pair of row and tree, from the leaf up to the first box that contains the row."""
    num_features, mirrored = rows.shape[1], _mirrored(rows)
    ones = np.ones(2 * num_features, rows.dtype)
    distance = np.abs(rows.take(row, axis=0) - forest.points.take(leaf, axis=0))
    length = distance @ ones[:num_features]
    differs = length > 0
    value = np.where(differs, boxes.leaf_alone.take(leaf), boxes.leaf_seen.take(leaf))
    shares = None
    if attribute:
        shares = np.where(differs[:, None], distance / np.where(differs, length, 1)[:, None], 1 / num_features)
        shares *= value[:, None]
    # A point equal to the leaf lies in every box above it.
    node = boxes.leaf_parent.take(leaf)
    climbing = np.flatnonzero(differs & (node != NOBODY))
    node = node.take(climbing)
    while len(climbing):
        outside = boxes.corners.take(node, axis=0)
        outside -= mirrored.take(row.take(climbing), axis=0)
        np.maximum(outside, 0, out=outside)
        growth = outside @ ones
        still = np.flatnonzero(growth > 0)
        climbing, node, growth = climbing.take(still), node.take(still), growth.take(still)
        chance = 1 / (growth + boxes.range.take(node))
        if attribute:
            kept = 1 - growth * chance
            shares[climbing] *= kept[:, None]
            outside = outside[still, :num_features] + outside[still, num_features:]
            shares[climbing] += outside * (chance * boxes.alone.take(node))[:, None]
        above = value.take(climbing)
        value[climbing] = above + growth * chance * (boxes.alone.take(node) - above)
        node = boxes.parent.take(node)
        inner = np.flatnonzero(node != NOBODY)
        climbing, node = climbing.take(inner), node.take(inner)
    return value, shares
