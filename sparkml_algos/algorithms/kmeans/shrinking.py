"""From the many centres of the stream to k of them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator

AUTO_LOCAL_LLOYD_TRIALS = 10


def finalize(state: Artifact, hyperparameters: Hyperparameters, communicator: Communicator) -> Artifact:
    """Shrink the K centres to k by Lloyd's method weighted by their counts, the best of several trials, which the workers share.

    Returns
    -------
    Artifact
        ``centers`` (k, features) in float64, and in its values ``train:ssd`` and ``train:msd``: within-cluster sum and mean of squares
        of the training rows when each stays with the extra centre it fell to, an upper bound of the true ones that needs no further pass.
    """
    alive = state.arrays["counts"] > 0
    points = state.arrays["centers"][alive].astype(np.float64)
    weights = state.arrays["counts"][alive]
    trials = hyperparameters.local_lloyd_num_trials
    trials = AUTO_LOCAL_LLOYD_TRIALS if trials == "auto" else trials
    losses, found = np.full(trials, np.inf), {}
    for trial in range(communicator.rank, trials, communicator.size):
        random = np.random.default_rng([state.values["seed"], hyperparameters.k, trial])
        losses[trial], found[trial] = _lloyd(points, weights, hyperparameters, random)
    best = int(communicator.allreduce(losses, "min").argmin())
    centers = found.get(best, np.zeros((hyperparameters.k, points.shape[1])))
    centers = communicator.broadcast(centers, root=best % communicator.size)
    rows, sums, squares = (state.arrays[name] for name in ("rows", "sums", "squares"))
    cost = squares[:, None] - 2 * sums @ centers.T + rows[:, None] * np.einsum("ij,ij->i", centers, centers)
    ssd = float(max(0.0, cost.min(axis=1).sum()))
    values = {"train:ssd": ssd, "train:msd": ssd / float(rows.sum())}
    return Artifact({"centers": centers + state.arrays["shift"].astype(np.float64)}, values)


def _lloyd(
    points: np.ndarray, weights: np.ndarray, hyperparameters: Hyperparameters, random: np.random.Generator
) -> tuple[float, np.ndarray]:
    """One run of weighted Lloyd from a fresh start: its loss and its centres."""
    k = hyperparameters.k
    if len(points) <= k:
        return 0.0, points[np.arange(k) % len(points)]
    if hyperparameters.local_lloyd_init_method == "random":
        start = random.choice(len(points), k, replace=False)
    else:
        start = spread(points, weights, k, random, candidates=2 + int(np.log(k)))
    centers = points[start]
    squares = np.einsum("ij,ij->i", points, points)
    loss = np.inf
    for _ in range(hyperparameters.local_lloyd_max_iter):
        distances = squares[:, None] - 2 * points @ centers.T + np.einsum("ij,ij->i", centers, centers)
        nearest = distances.argmin(axis=1)
        costs = weights * np.maximum(distances[np.arange(len(points)), nearest], 0)
        previous, loss = loss, float(costs.sum())
        empty = np.setdiff1d(np.arange(k), nearest)
        nearest[np.argsort(-costs)[: len(empty)]] = empty
        one_hot = sp.csr_matrix((weights, nearest, np.arange(len(points) + 1)), shape=(len(points), k))
        centers = (one_hot.T @ points) / np.maximum(np.bincount(nearest, weights, k), 1e-300)[:, None]
        if previous - loss <= hyperparameters.local_lloyd_tol * loss:
            break
    return loss, centers


def spread(
    points: np.ndarray, weights: np.ndarray, count: int, random: np.random.Generator, candidates: int
) -> np.ndarray:
    """Indices of `count` points by k-means++: each next one with probability proportional to weight times squared distance to the
    nearest one so far; of several `candidates` drawn, the one that lowers the potential most."""
    squares = np.einsum("ij,ij->i", points, points)
    chosen = np.empty(count, np.int64)
    chosen[0] = random.choice(len(points), p=weights / weights.sum())
    distance = _distances_to(points, squares, chosen[:1])[0]
    for position in range(1, count):
        potential = np.cumsum(weights * distance)
        if potential[-1] <= 0:  # fewer distinct points than centres: any will do
            chosen[position:] = random.choice(len(points), count - position)
            break
        drawn = np.searchsorted(potential, random.random(candidates) * potential[-1], side="right").clip(max=len(points) - 1)
        reached = np.minimum(distance, _distances_to(points, squares, drawn))
        best = int((reached @ weights).argmin())
        chosen[position], distance = drawn[best], reached[best]
    return chosen


def _distances_to(points: np.ndarray, squares: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squared distances, shape (targets, points)."""
    return np.maximum(squares[targets, None] - 2 * points[targets] @ points.T + squares, 0)
