"""From the many centres of the stream to k of them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.nearest import Centers, middle_of, squared_distances, squared_lengths
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.kinds import InvalidRows

AUTO_LOCAL_LLOYD_TRIALS = 10


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    """Shrink the K centres to k by Lloyd's method weighted by their counts, the best of several trials, which the workers share.

    Returns
    -------
    Artifact
        ``centers`` (k, features) in float64, and in its values ``train:ssd`` and ``train:msd``: within-cluster sum and mean of squares
        of the training rows when each stays with the extra centre it fell to, an upper bound of the true ones that needs no further pass.

    Raises
    ------
    InvalidRows
        If the dataset has fewer rows than k.
    """
    if state.values["rows"] < hyperparameters.k:
        raise InvalidRows(f"k={hyperparameters.k} clusters need at least as many rows, the dataset has {state.values['rows']}")
    alive = state.arrays["counts"] > 0
    middle = middle_of(state.arrays["centers"][alive])
    points, weights = state.arrays["centers"][alive] - middle, state.arrays["counts"][alive]
    trials = hyperparameters.local_lloyd_num_trials
    trials = AUTO_LOCAL_LLOYD_TRIALS if trials == "auto" else trials
    losses, found = np.full(trials, np.inf), {}
    for trial in range(communicator.rank, trials, communicator.size):
        random = np.random.default_rng([state.values["seed"], hyperparameters.k, trial])
        losses[trial], found[trial] = _lloyd(points, weights, hyperparameters, random)
    best = int(communicator.allreduce(losses, "min").argmin())
    centers = found.get(best, np.zeros((hyperparameters.k, points.shape[1])))
    centers = communicator.broadcast(centers, root=best % communicator.size) + middle
    weights, means, within = (state.arrays[name] for name in ("weights", "means", "within"))
    ssd = float(within.sum() + weights @ Centers(centers).nearest(means).squares)
    return Artifact({"centers": centers}, {"train:ssd": ssd, "train:msd": ssd / float(weights.sum())})


def _lloyd(
    points: np.ndarray, weights: np.ndarray, hyperparameters: Hyperparameters, random: np.random.Generator
) -> tuple[float, np.ndarray]:
    """One run of weighted Lloyd from a fresh start: its loss and its centres. The points should lie around the origin."""
    k = hyperparameters.k
    if len(points) <= k:
        return 0.0, points[np.arange(k) % len(points)]
    if hyperparameters.local_lloyd_init_method == "random":
        start = random.choice(len(points), k, replace=False)
    else:
        start = spread(points, weights, k, random, candidates=2 + int(np.log(k)))
    centers, origin = points[start], np.zeros(points.shape[1])
    loss = np.inf
    for _ in range(hyperparameters.local_lloyd_max_iter):
        found = Centers(centers, origin).nearest(points)
        nearest, costs = found.index, weights * found.squares
        previous, loss = loss, float(costs.sum())
        empty = np.setdiff1d(np.arange(k), nearest)
        nearest[np.argsort(-costs)[: len(empty)]] = empty
        one_hot = sp.csr_matrix((weights, nearest, np.arange(len(points) + 1)), shape=(len(points), k))
        centers = (one_hot.T @ points) / np.maximum(np.bincount(nearest, weights, k), 1e-300)[:, None]
        if previous - loss <= hyperparameters.local_lloyd_tol * loss:
            break
    return loss, centers


def spread(points: np.ndarray, weights: np.ndarray, count: int, random: np.random.Generator, candidates: int) -> np.ndarray:
    """Indices of `count` points by k-means++: each next one with probability proportional to weight times squared distance to the
    nearest one so far; of several `candidates` drawn, the one that lowers the potential most. The points should lie around the origin."""
    lengths = squared_lengths(points)
    chosen = np.empty(count, np.int64)
    chosen[0] = random.choice(len(points), p=weights / weights.sum())
    distance = squared_distances(points, lengths, chosen[:1])[0]
    for position in range(1, count):
        potential = np.cumsum(weights * distance)
        if potential[-1] <= 0:  # fewer distinct points than centres: any will do
            chosen[position:] = random.choice(len(points), count - position)
            break
        drawn = np.searchsorted(potential, random.random(candidates) * potential[-1], side="right").clip(max=len(points) - 1)
        reached = np.minimum(distance, squared_distances(points, lengths, drawn))
        best = int((reached @ weights).argmin())
        chosen[position], distance = drawn[best], reached[best]
    return chosen
