"""Growing the trees of a random cut forest, and walking them.

Trees are grown one after the other, each level by level: the points of a tree stay in a core's cache while it is cut.

They are walked by rows in blocks, tree by tree, in the order of the leaves that rows come to. A tree parts a block's rows
among the children of its nodes, so that the rows that come to a node lie side by side; then, from the leaves up, the box of a node is
compared with all its rows at once, feature by feature, which is what vector units are made for. The numbers of a block and of a tree stay
in a core's cache.
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.kernels.compiler import FINITE, kernel

# Rows of a block; their numbers fit in 16 bits.
ROWS = 8192

# Keeps quotients of zeros zero, and changes no other: boxes and distances are not as small.
TINY = np.float32(1e-38)


@kernel
def grow_trees(points, uniform, children, dimension, cut, leaves, counts, numbers) -> None:
    """Grow a tree of each set of points, see `algorithms.random_cut_forest.forest.grow`.

    Parameters
    ----------
    points : ndarray of float32, shape (trees, points, features)
    uniform : ndarray of float64, shape (trees, points - 1, 2)
    children : ndarray of int32, shape (trees, points - 1, 2)
        Receives references within a tree: the index of a node, or of leaf *i* ``~i``. Node 0 is the root, if there is one, else leaf 0.
    dimension, cut : ndarrays of int32 and float32, shape (trees, points - 1)
        Receive what the nodes cut.
    leaves, counts : ndarrays of float32, shape (trees, points, features), and int32, shape (trees, points)
        Receive the points of the leaves, and how many equal ones each stands for.
    numbers : ndarray of int64, shape (trees, 2)
        Receives how many nodes and leaves a tree has; what lies beyond is left as it was.
    """
    trees, size, num_features = points.shape
    order, aside = np.empty(size, np.int32), np.empty(size, np.int32)
    low, high = np.empty(num_features, np.float32), np.empty(num_features, np.float32)
    reached = np.empty(num_features, np.float64)
    # Where in the order the points of a node or leaf begin and end, and of which node which child it is; level by level.
    queue = np.empty((2 * size, 4), np.int32)
    for tree in range(trees):
        own = points[tree]
        for i in range(size):
            order[i] = i
        queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3] = 0, size, -1, 0
        taken, waiting, nodes, ends = 0, 1, 0, 0
        while taken < waiting:
            start, end, parent, side = queue[taken]
            taken += 1
            if _bound(own, order, start, end, low, high):
                reference = nodes
                feature, place = _random_cut(low, high, reached, uniform[tree, nodes, 0], uniform[tree, nodes, 1])
                dimension[tree, nodes], cut[tree, nodes] = feature, place
                middle = _part_points(own, feature, place, order, aside, start, end)
                for number in range(2):
                    queue[waiting, 0], queue[waiting, 1] = (start, middle) if number == 0 else (middle, end)
                    queue[waiting, 2], queue[waiting, 3] = nodes, number
                    waiting += 1
                nodes += 1
            else:
                reference = ~ends
                for f in range(num_features):
                    leaves[tree, ends, f] = low[f]
                counts[tree, ends] = end - start
                ends += 1
            if parent >= 0:
                children[tree, parent, side] = reference
        numbers[tree, 0], numbers[tree, 1] = nodes, ends


@kernel
def _bound(points, order, start, end, low, high):
    """Put the box of some points into `low` and `high`; whether they differ."""
    num_features = points.shape[1]
    first = points[order[start]]
    for f in range(num_features):
        low[f] = first[f]
        high[f] = first[f]
    for i in range(start + 1, end):
        point = points[order[i]]
        for f in range(num_features):
            value = point[f]
            low[f] = value if value < low[f] else low[f]
            high[f] = value if value > high[f] else high[f]
    differ = False
    for f in range(num_features):
        differ |= high[f] > low[f]
    return differ


@kernel
def _random_cut(low, high, reached, first, second):
    """Feature and place of a cut, to the bit those of `algorithms.random_cut_forest.forest`."""
    total = 0.0
    for f in range(len(low)):
        total += np.float64(high[f]) - np.float64(low[f])
        reached[f] = total
    target, feature = min(first * total, np.nextafter(total, 0.0)), 0
    while reached[feature] <= target:
        feature += 1
    least, most = low[feature], high[feature]
    place = np.float32(np.float64(least) + second * (np.float64(most) - np.float64(least)))
    return feature, min(max(place, least), np.nextafter(most, np.float32(-np.inf)))


@kernel
def _part_points(points, feature, cut, order, aside, start, end):
    """Put the points at most at the cut first, the others behind them, both in the order they had; where the others begin."""
    middle, put_aside = start, 0
    for i in range(start, end):
        if points[order[i], feature] <= cut:
            order[middle] = order[i]
            middle += 1
        else:
            aside[put_aside] = order[i]
            put_aside += 1
    for i in range(put_aside):
        order[middle + i] = aside[i]
    return middle


@kernel(fastmath=FINITE)
def add_scores(
    rows, roots, children, dimension, cut, points, corners, span, alone, leaf_alone, leaf_seen, total
) -> None:  # fmt: skip
    """Add the scores of rows in all trees, before they are scaled.

    Parameters
    ----------
    rows : ndarray of float32, shape (rows, features)
    roots, children, dimension, cut, points : ndarrays
        Of a `Forest`.
    corners : ndarray of float32, shape (nodes, 2 * features)
    span, alone, leaf_alone, leaf_seen : ndarrays of float32
        Of its `Boxes`; `span` is their `range`.
    total : ndarray of float64, shape (rows,)
        Is added to.
    """
    num_rows, num_features = rows.shape
    columns = np.empty((num_features, ROWS), np.float32)
    placed = np.empty((num_features, ROWS), np.float32)
    growth, value = np.empty(ROWS, np.float32), np.empty(ROWS, np.float32)
    order, orders = np.empty(ROWS, np.uint16), np.empty((2, ROWS), np.uint16)
    # What is still to be parted, and where the nodes and leaves have their rows, nodes before their children.
    stack = np.empty((len(cut) + 2, 4), np.int32)
    found = np.empty((len(cut) + len(points) + 1, 3), np.int32)
    for first in range(0, num_rows, ROWS):
        count = min(ROWS, num_rows - first)
        for f in range(num_features):
            for i in range(count):
                columns[f, i] = rows[first + i, f]
        for tree in range(len(roots)):
            for i in range(count):
                orders[0, i] = i
            stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = roots[tree], 0, count, 0
            waiting, entries = 1, 0
            while waiting:
                waiting -= 1
                node, start, end, now = stack[waiting]
                found[entries, 0], found[entries, 1], found[entries, 2] = node, start, end
                entries += 1
                if node < 0:
                    order[start:end] = orders[now, start:end]
                    continue
                middle = start + _part(columns[dimension[node]], cut[node], orders[now, start:end], orders[1 - now, start:end])
                for side in range(2):
                    least, most = (start, middle) if side == 0 else (middle, end)
                    if least < most:
                        stack[waiting, 0], stack[waiting, 1], stack[waiting, 2] = children[node, side], least, most
                        stack[waiting, 3] = 1 - now
                        waiting += 1
            for f in range(num_features):
                column, there = columns[f], placed[f]
                for i in range(count):
                    there[i] = column[order[i]]
            for entry in range(entries - 1, -1, -1):
                node, start, end = found[entry]
                if node < 0:
                    _compare_leaf(placed, points[~node], growth, value, leaf_alone[~node], leaf_seen[~node], start, end)
                else:
                    _compare_box(placed, corners[node], growth, value, span[node], alone[node], start, end)
            for i in range(count):
                total[first + order[i]] += value[i]


@kernel(fastmath=FINITE)
def _part(column, cut, order, parted):
    """Put the rows at most at the cut first, the others last, and return how many the first are."""
    first, last, one = np.uintp(0), np.uintp(len(order) - 1), np.uintp(1)
    for i in range(len(order)):
        row = order[i]
        stays = np.uintp(column[row] <= cut)
        # Both places are written, and one of them is kept: no branch that a core would have to guess.
        parted[first] = row
        parted[last] = row
        first += stays
        last -= one - stays
    return np.int64(first)


@kernel(fastmath=FINITE)
def _compare_box(placed, corners, growth, value, span, alone, start, end) -> None:
    """What a box says of its rows."""
    num_features = len(placed)
    outside, values = growth[: end - start], value[start:end]
    for i in range(len(outside)):
        outside[i] = 0
    for f in range(num_features):
        column, low, high = placed[f][start:end], corners[f], -corners[num_features + f]
        for i in range(len(outside)):
            below, above = low - column[i], column[i] - high
            larger = below if below > above else above
            outside[i] += larger if larger > np.float32(0) else np.float32(0)
    for i in range(len(outside)):
        values[i] += outside[i] / (outside[i] + span + TINY) * (alone - values[i])


@kernel(fastmath=FINITE)
def _compare_leaf(placed, point, growth, value, alone, seen, start, end) -> None:
    """What a leaf says of its rows."""
    distance, values = growth[: end - start], value[start:end]
    for i in range(len(distance)):
        distance[i] = 0
    for f in range(len(placed)):
        column, there = placed[f][start:end], point[f]
        for i in range(len(distance)):
            distance[i] += abs(column[i] - there)
    for i in range(len(distance)):
        values[i] = alone if distance[i] > 0 else seen
