"""Growing the trees of a random cut forest, and walking them.

Trees are grown one after the other, each level by level: the points of a tree stay in a core's cache while it is cut.

They are walked by rows in blocks, tree by tree. The top of a tree, the nodes that most rows pass, is asked without following it: each
node's comparison strikes out places where a row could leave the top, and the leftmost that is left is where it does (QuickScorer). Below,
nodes part their rows among their children. So the rows that come to a node lie side by side, and its box is compared with many at
once. A box differs from its parent's in few corners, the more so the more points it holds: the distance of a row is what it was at the
parent, and what these add to it.

References
----------
C. Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees", SIGIR 2015.
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.kernels.compiler import FINITE, kernel
from sparkml_algos.kernels.lanes import (
    LANES,
    all_bits,
    any_equal,
    larger,
    load,
    masked_above,
    smaller,
    spread,
    store,
    store_lowest,
    where_below,
)

# Rows of a block, as many as Spark hands to Python at a time; their numbers fit in 16 bits.
ROWS = 10240

# Places where rows leave the top of a tree, a bit for each.
EXITS = 32

# What is known of the rows of a block in a tree: how far they are outside the last box; what the share of the score that is still to be
# given away is one by; and what has been given, times this. So a row is divided once a tree, not once a box.
GROWTH, DIVISOR, SCORE = 0, 1, 2

# A row so many times as far outside a box as the box is long is left no share that a float32 would show, and so is one whose share has been
# divided by so much.
MOST = np.float32(1e18)


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


@kernel
def find_tops(roots, children, counts, top, masks, split) -> None:
    """Find of each tree the nodes with the most points, as many as there are bits for the places where rows leave them.

    Parameters
    ----------
    roots, children, counts : ndarrays
        Of a `Forest`.
    top : ndarray of int32, shape (trees, EXITS - 1)
        Receives nodes; -1 where a tree has fewer.
    masks : ndarray of int32, shape (trees, EXITS - 1)
        Receives the exits that are left to rows that go right at a node, the leftmost exit being the lowest bit.
    split : ndarray of int32, shape (nodes,)
        Receives of these nodes the first exit on the right, of others -1.
    """
    sizes = np.zeros(len(children), np.int64)
    for node in range(len(children) - 1, -1, -1):
        split[node] = -1
        for side in range(2):
            child = children[node, side]
            sizes[node] += sizes[child] if child >= 0 else counts[~child]
    exits, first = np.empty(EXITS, np.int32), np.empty(EXITS, np.int32)
    for tree in range(len(roots)):
        exits[0], nodes = roots[tree], 0
        while nodes < EXITS - 1:
            place, most = -1, 0
            for number in range(nodes + 1):
                if exits[number] >= 0 and sizes[exits[number]] > most:
                    place, most = number, sizes[exits[number]]
            if place < 0:
                break
            node = exits[place]
            for number in range(nodes + 1, place + 1, -1):
                exits[number] = exits[number - 1]
            exits[place], exits[place + 1] = children[node, 0], children[node, 1]
            # Exits to the right of this one have moved by one.
            for number in range(nodes):
                first[number] += first[number] > place
                split[top[tree, number]] += split[top[tree, number]] > place
            top[tree, nodes], first[nodes], split[node] = node, place, place + 1
            nodes += 1
        for number in range(nodes):
            left = (1 << split[top[tree, number]]) - (1 << first[number])
            masks[tree, number] = ~left
        top[tree, nodes:] = -1


@kernel(fastmath=FINITE)
def add_scores(
    rows, roots, children, dimension, cut, points, changes, upper, features, corners, reaches, top, masks, split, per_length,
    alone, leaf_alone, leaf_seen, total,
) -> None:  # fmt: skip
    """Add the scores of rows in all trees, before they are scaled.

    Parameters
    ----------
    rows : ndarray of float32, shape (rows, features)
    roots, children, dimension, cut, points : ndarrays
        Of a `Forest`.
    changes : ndarray of int64, shape (nodes + 1,)
        Where the corners in which the box of a node differs from its parent's begin in what follows.
    upper : ndarray of int64, shape (nodes,)
        Where those begin above which rows are outside, behind those below which they are.
    features : ndarray of int32
        Their features.
    corners, reaches : ndarrays of float32
        The corners, and by how much they lie further in.
    top, masks, split : ndarrays
        See `find_tops`.
    per_length : ndarray of float32, shape (nodes,)
        One by the sum of the box's sides.
    alone, leaf_alone, leaf_seen : ndarrays of float32
        Of the forest's `Boxes`.
    total : ndarray of float64, shape (rows,)
        Is added to.
    """
    num_rows, num_features = rows.shape
    blocks = max(1, -(-num_rows // ROWS))
    most = -(-num_rows // blocks)
    columns = np.zeros((num_features, most + LANES), np.float32)
    placed = np.zeros((num_features, most + LANES), np.float32)
    state = np.zeros((3, most + LANES), np.float32)
    exits, starts = np.zeros(most + LANES, np.uint8), np.empty(EXITS + 1, np.int64)
    order, orders = np.empty(most, np.uint16), np.empty((2, most), np.uint16)
    # What is still to be parted, and where the nodes and leaves have their rows: nodes before their children, the right ones first.
    stack = np.empty((len(cut) + 2, 4), np.int32)
    found = np.empty((len(cut) + len(points) + 1, 3), np.int32)
    for first in range(0, num_rows, max(1, most)):
        count = min(most, num_rows - first)
        for f in range(num_features):
            for i in range(count):
                columns[f, i] = rows[first + i, f]
        for tree in range(len(roots)):
            _find_exits(columns, dimension, cut, top[tree], masks[tree], count, exits)
            _sort_rows(exits, count, starts, orders[0])
            stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = roots[tree], 0, count, 0
            waiting, entries = 1, 0
            while waiting:
                waiting -= 1
                node, start, end, now = stack[waiting]
                found[entries, 0], found[entries, 1], found[entries, 2] = node, start, end
                entries += 1
                if node < 0 or children[node, 0] < 0 and children[node, 1] < 0:  # two leaves, to which rows are compared as they lie
                    for i in range(start, end):
                        order[i] = orders[now, i]
                    continue
                if split[node] >= 0:
                    middle, then = starts[split[node]], np.int64(now)
                else:
                    middle, then = _part(columns, dimension[node], cut[node], orders, now, start, end), np.int64(1 - now)
                for side in range(2):
                    least, beyond = (start, middle) if side == 0 else (middle, end)
                    if least < beyond:
                        stack[waiting, 0], stack[waiting, 1], stack[waiting, 2] = children[node, side], least, beyond
                        stack[waiting, 3] = then
                        waiting += 1
            _place(columns, order, count, placed)
            for i in range(count + LANES):
                state[GROWTH, i], state[DIVISOR, i], state[SCORE, i] = 0, 1, 0
            for entry in range(entries):
                node, start, end = found[entry]
                left = right = node
                if node >= 0:
                    changed = (features, corners, reaches, changes[node], upper[node], changes[node + 1])
                    _pass(placed, *changed, state, per_length[node], alone[node], start, end)
                    left, right = children[node, 0], children[node, 1]
                if left < 0 and right < 0:
                    _end(placed, points, ~left, ~right, state, leaf_alone[~left], leaf_seen, start, end, order, total, first)


@kernel
def _find_exits(columns, dimension, cut, top, masks, count, exits) -> None:
    """Where rows leave the top of a tree: at the leftmost exit that is not left of where they turn right."""
    nodes = 0
    while nodes < len(top) and top[nodes] >= 0:
        nodes += 1
    for i in range(0, count, LANES):
        bits = all_bits()
        for number in range(nodes):
            node = top[number]
            bits = masked_above(bits, masks[number], load(columns, dimension[node], i), cut[node])
        store_lowest(exits, i, bits)


@kernel
def _sort_rows(exits, count, starts, order) -> None:
    """Put the rows of each exit behind those of the exits before it, and where they begin into `starts`."""
    # Exits are counted in turns in four places, for a place that has just been written cannot be read at once.
    numbers = np.zeros((4, EXITS), np.int32)
    for i in range(0, count - 3, 4):
        for turn in range(4):
            numbers[turn, exits[i + turn]] += 1
    for i in range(count - count % 4, count):
        numbers[0, exits[i]] += 1
    free, reached = np.empty(EXITS, np.int64), 0
    for place in range(EXITS):
        starts[place] = free[place] = reached
        for turn in range(4):
            reached += numbers[turn, place]
    starts[EXITS] = reached
    for i in range(count):
        order[free[exits[i]]] = i
        free[exits[i]] += 1


@kernel(fastmath=FINITE)
def _part(columns, feature, cut, orders, now, start, end):
    """Put the rows at most at the cut first, the others last, in the other of two orders, and return where the others begin."""
    first, last, one = np.uintp(start), np.uintp(end - 1), np.uintp(1)
    for i in range(start, end):
        row = orders[now, i]
        stays = np.uintp(columns[feature, row] <= cut)
        # Both places are written, and one of them is kept: no branch that a core would have to guess.
        orders[1 - now, first] = row
        orders[1 - now, last] = row
        first += stays
        last -= one - stays
    return np.int64(first)


@kernel
def _place(columns, order, count, placed) -> None:
    """Put the features of rows in their order, of four features at a time, so that the order is read once for them."""
    num_features, f = len(columns), 0
    while f + 4 <= num_features:
        for i in range(count):
            row = order[i]
            placed[f, i], placed[f + 1, i] = columns[f, row], columns[f + 1, row]
            placed[f + 2, i], placed[f + 3, i] = columns[f + 2, row], columns[f + 3, row]
        f += 4
    while f < num_features:
        for i in range(count):
            placed[f, i] = columns[f, order[i]]
        f += 1


@kernel
def _pass(placed, features, corners, reaches, first, middle, last, state, per_length, alone, start, end) -> None:
    """What a box says of its rows. Lanes reach beyond the last of these, where rows lie that are through with the tree."""
    for i in range(start, end, LANES):
        growth = load(state, GROWTH, i)
        # Of numbers without a sign the compiler knows that they do not count from the end.
        for change in range(np.uintp(first), np.uintp(middle)):
            outside = spread(corners[change]) - load(placed, features[change], i)
            growth = growth + smaller(larger(outside, spread(0)), spread(reaches[change]))
        for change in range(np.uintp(middle), np.uintp(last)):
            outside = load(placed, features[change], i) - spread(corners[change])
            growth = growth + smaller(larger(outside, spread(0)), spread(reaches[change]))
        store(state, GROWTH, i, growth)
        divisor = load(state, DIVISOR, i)
        times = where_below(divisor, MOST, smaller(growth * spread(per_length), spread(MOST)))
        store(state, SCORE, i, load(state, SCORE, i) * (spread(1) + times) + times * spread(alone))
        store(state, DIVISOR, i, divisor * (spread(1) + times))


@kernel(fastmath=FINITE)
def _end(placed, points, left, right, state, alone, leaf_seen, start, end, order, total, first) -> None:
    """Add the scores of the rows that come to a leaf, or to one of two that are next to each other, which rows equal or not as well
    unparted."""
    may_equal = False
    for i in range(start, end, LANES):
        store(state, SCORE, i, (load(state, SCORE, i) + spread(alone)) / load(state, DIVISOR, i))
        values = load(placed, 0, i)
        may_equal |= any_equal(values, points[left, 0]) | any_equal(values, points[right, 0])
    if may_equal:
        for i in range(start, end):
            # A row that equals a leaf is in every box above it, and all of its score is still to be given.
            if _is_equal(placed, i, points, left):
                state[SCORE, i] = leaf_seen[left]
            elif _is_equal(placed, i, points, right):
                state[SCORE, i] = leaf_seen[right]
    for i in range(start, end):
        total[first + order[i]] += state[SCORE, i]


@kernel
def _is_equal(placed, i, points, leaf) -> bool:
    f = 0
    while f < len(placed) and placed[f, i] == points[leaf, f]:
        f += 1
    return f == len(placed)
