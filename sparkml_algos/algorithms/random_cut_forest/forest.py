"""Trees of random cuts: how they are grown, and the arrays they are.

A node picks a feature with a probability proportional to the range of its points in it, then a place uniformly within that range, and
splits; leaves are single points, or equal ones with their number. Compiled, trees are grown one after the other; by NumPy all grow side by
side, a level at a time. The trees are the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sparkml_algos import kernels
from sparkml_algos.arrays.artifact import Artifact

#: Parent of a root.
NOBODY = -1


@dataclass(frozen=True)
class Forest:
    """Trees as arrays over all their nodes and leaves.

    Attributes
    ----------
    roots : ndarray of int32, shape (trees,)
        A reference to a node: its index, or of leaf *i* the number ``~i``, which is negative.
    children : ndarray of int32, shape (nodes, 2)
        References: where rows go whose value is at most the cut, and where the others go. Nodes of a tree stand before their children.
    dimension : ndarray of int32, shape (nodes,)
        The feature that is cut.
    cut : ndarray of float32, shape (nodes,)
    points : ndarray of float32, shape (leaves, features)
    counts : ndarray of int32, shape (leaves,)
        How many equal points a leaf stands for.
    points_per_tree : int
    """

    roots: np.ndarray
    children: np.ndarray
    dimension: np.ndarray
    cut: np.ndarray
    points: np.ndarray
    counts: np.ndarray
    points_per_tree: int

    @classmethod
    def of(cls, artifact: Artifact) -> Forest:
        """The forest of a model."""
        arrays = [artifact.arrays[name] for name in _ARRAYS]
        return cls(*arrays, points_per_tree=artifact.values["points_per_tree"])

    def to_artifact(self) -> Artifact:
        return Artifact({name: getattr(self, name) for name in _ARRAYS}, {"points_per_tree": self.points_per_tree})

    @classmethod
    def concat(cls, parts: Sequence[Forest]) -> Forest:
        """The trees of all parts, in their order."""
        nodes = np.cumsum([0, *(len(part.cut) for part in parts)])
        leaves = np.cumsum([0, *(len(part.counts) for part in parts)])

        def moved(references: np.ndarray, part: int) -> np.ndarray:
            return np.where(references >= 0, references + nodes[part], references - leaves[part]).astype(np.int32)

        return cls(
            np.concatenate([moved(part.roots, i) for i, part in enumerate(parts)]),
            np.concatenate([moved(part.children, i) for i, part in enumerate(parts)]),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS[2:]),
            points_per_tree=parts[0].points_per_tree,
        )

    def levels(self) -> list[np.ndarray]:
        """Indices of the nodes at each depth, from the roots on."""
        found, level = [], self.roots[self.roots >= 0]
        while len(level):
            found.append(level)
            below = self.children[level].ravel()
            level = below[below >= 0]
        return found


_ARRAYS = ("roots", "children", "dimension", "cut", "points", "counts")


def grow(points: np.ndarray, uniform: np.ndarray) -> Forest:
    """Grow a tree of each set of points.

    Parameters
    ----------
    points : ndarray of float32, shape (trees, points, features)
    uniform : ndarray of float64, shape (trees, points - 1, 2)
        Random numbers from [0, 1): two for each node a tree may have, counted level by level. A tree depends on nothing else.

    Returns
    -------
    Forest
    """
    if not len(points):
        return _empty(*points.shape[1:])
    return _by_kernel(points, uniform) if kernels.available() else _by_levels(points, uniform)


def _by_kernel(points: np.ndarray, uniform: np.ndarray) -> Forest:
    """The threads of this worker share the trees."""
    from sparkml_algos.kernels.forest import grow_trees

    trees, size, num_features = points.shape
    children = np.empty((trees, size - 1, 2), np.int32)
    dimension, cut = np.empty((trees, size - 1), np.int32), np.empty((trees, size - 1), np.float32)
    leaves, counts = np.empty((trees, size, num_features), np.float32), np.empty((trees, size), np.int32)
    numbers = np.empty((trees, 2), np.int64)
    # As arrays of their own, where those that are given may not be written.
    arrays = (np.require(points, np.float32, ["C", "W"]), np.require(uniform, np.float64, ["C", "W"]))
    arrays = (*arrays, children, dimension, cut, leaves, counts, numbers)
    shares = np.array_split(np.arange(trees), max(1, min(kernels.threads(), trees)))
    kernels.in_threads([partial(grow_trees, *(array[share[0] : share[-1] + 1] for array in arrays)) for share in shares])
    (nodes, ends), first = numbers.T, np.cumsum(numbers, axis=0) - numbers
    are_nodes, are_leaves = np.arange(size - 1) < nodes[:, None], np.arange(size) < ends[:, None]
    children = np.where(children >= 0, children + first[:, :1, None], children - first[:, 1:, None])
    return Forest(
        np.where(nodes > 0, first[:, 0], ~first[:, 1]).astype(np.int32),
        children[are_nodes].astype(np.int32),
        dimension[are_nodes],
        cut[are_nodes],
        leaves[are_leaves],
        counts[are_leaves],
        points_per_tree=size,
    )


def _by_levels(points: np.ndarray, uniform: np.ndarray) -> Forest:
    trees, size, num_features = points.shape
    flat = points.reshape(-1, num_features)
    order, starts, tree = np.arange(trees * size), np.arange(trees) * size, np.arange(trees)
    nodes, leaves = _Numbers(trees), _Numbers(trees)
    levels: list[dict[str, np.ndarray]] = []
    while len(starts):
        rows = flat[order]
        low, high = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
        splits = (high > low).any(axis=1)
        number = np.where(splits, 0, -1)
        number[splits], number[~splits] = nodes.next(tree[splits]), leaves.next(tree[~splits])
        sizes = np.diff(np.append(starts, len(order)))
        dimension, cut = _random_cuts(low[splits], high[splits], uniform[tree[splits], number[splits]])
        levels.append({
            "tree": tree, "splits": splits, "number": number, "dimension": dimension, "cut": cut,
            "points": low[~splits], "counts": sizes[~splits],
        })  # fmt: skip
        stays = np.repeat(splits, sizes)
        order, rows = order[stays], rows[stays]
        segment = np.repeat(np.arange(splits.sum()), sizes[splits])
        side = 2 * segment + (rows[np.arange(len(rows)), dimension[segment]] > cut[segment])
        order = order[np.argsort(side, kind="stable")]
        starts = np.searchsorted(np.sort(side), np.arange(2 * splits.sum()))
        tree = np.repeat(tree[splits], 2)
    return _assembled(levels, nodes.totals, leaves.totals, size)


class _Numbers:
    """Counts things of each tree."""

    def __init__(self, trees: int) -> None:
        self.totals = np.zeros(trees, np.int64)

    def next(self, tree: np.ndarray) -> np.ndarray:
        """Numbers for some more things, of which the trees are given, in order."""
        place = np.arange(len(tree)) - np.searchsorted(tree, tree)
        numbers = self.totals[tree] + place
        self.totals += np.bincount(tree, minlength=len(self.totals))
        return numbers


def _random_cuts(low: np.ndarray, high: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Feature and place of a cut of each box, so that values up to the place and beyond it both occur."""
    reached = np.cumsum(high.astype(np.float64) - low, axis=1)
    target = np.minimum(uniform[:, :1] * reached[:, -1:], np.nextafter(reached[:, -1:], 0))
    dimension = (reached <= target).sum(axis=1)
    boxes = np.arange(len(low))
    low, high = low[boxes, dimension], high[boxes, dimension]
    place = (low + uniform[:, 1] * (high.astype(np.float64) - low)).astype(np.float32)
    return dimension.astype(np.int32), np.clip(place, low, np.nextafter(high, np.float32(-np.inf)))


def _empty(size: int, num_features: int) -> Forest:
    references, numbers = np.empty(0, np.int32), np.empty(0, np.float32)
    points = np.empty((0, num_features), np.float32)
    return Forest(references, np.empty((0, 2), np.int32), references, numbers, points, references, points_per_tree=size)


def _assembled(levels: Sequence[dict[str, np.ndarray]], nodes: np.ndarray, leaves: np.ndarray, size: int) -> Forest:
    """One forest of what was found level by level, tree after tree."""
    first_node, first_leaf = np.cumsum(nodes) - nodes, np.cumsum(leaves) - leaves
    references = []
    for level in levels:
        tree, number = level["tree"], level["number"]
        references.append(np.where(level["splits"], first_node[tree] + number, ~(first_leaf[tree] + number)))
    internal = [reference[reference >= 0] for reference in references]
    node_order, leaf_order = np.concatenate(internal), ~np.concatenate([reference[reference < 0] for reference in references])
    # The nodes of a level have their children in the next one, two by two and in the same order.
    children = [reference.reshape(-1, 2) for reference in references[1:]] or [np.empty((0, 2), np.int64)]

    def placed(parts: Sequence[np.ndarray], order: np.ndarray, dtype: type) -> np.ndarray:
        values = np.concatenate(parts)
        result = np.empty(values.shape, dtype)
        result[order] = values
        return result

    return Forest(
        references[0].astype(np.int32),
        placed(children, node_order, np.int32),
        placed([level["dimension"] for level in levels], node_order, np.int32),
        placed([level["cut"] for level in levels], node_order, np.float32),
        placed([level["points"] for level in levels], leaf_order, np.float32),
        placed([level["counts"] for level in levels], leaf_order, np.int32),
        points_per_tree=size,
    )
