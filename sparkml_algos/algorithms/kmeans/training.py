"""The stream: many centres that follow the rows, kept in step over the workers."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.kmeans.assignment import Received, Scratch, assigned_sums
from sparkml_algos.algorithms.kmeans.params import FIELDS
from sparkml_algos.algorithms.kmeans.prediction import load
from sparkml_algos.algorithms.kmeans.shrinking import finalize, spread
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.nearest import Centers, middle_of, squared_lengths
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.algorithm import Algorithm
from sparkml_algos.training.job import Job

# The service's logs show ``auto`` as ten extra centres for each of the k. For small k that is a coarse sketch: on MNIST, k = 10, the
# cost of the result is 1 % above converged Lloyd with 100 centres and 0.5 % with 320. So ``auto`` keeps no fewer than these.
AUTO_EXTRA_CENTER_FACTOR = 10
AUTO_MIN_CENTERS = 320


def train(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """Stream the shards over K centres.

    Returns
    -------
    Artifact
        The state after the last epoch, the same on every worker: ``centers`` (K, features); ``counts`` (K,), the weight each stands for;
        and of the rows of the last epoch by nearest centre ``weights`` (K,), ``means`` (K, features) and ``within`` (K,), the weighted
        sum of their squared distances to the mean. In its values ``rows``, the number of rows that the first centres were chosen among,
        and ``seed``.
    """
    state = job.resume() or _start(hyperparameters, shard, communicator, job)
    centers, counts = (state.arrays[name].copy() for name in ("centers", "counts"))
    middle, scratch = middle_of(centers), Scratch()
    for _ in job.epochs(hyperparameters.epochs):
        groups = _Groups(centers)
        for batch in job.minibatches(hyperparameters.mini_batch_size):
            origin = Centers(centers.astype(np.float32), middle)
            received = Received(origin.points, communicator.allreduce(assigned_sums(batch, origin, job.device, scratch)))
            groups.add(received)
            _move(centers, counts, received, hyperparameters.half_life_time_size)
        state = Artifact({"centers": centers, "counts": counts, **groups.arrays}, state.values)
        job.end_epoch(state, **{"train:extra_centers_msd": groups.msd})
    return state


def _start(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """The first K centres, chosen among the rows of a first mini-batch of all workers; the same on every worker."""
    wanted = num_centers(hyperparameters)
    head = shard.head(max(hyperparameters.mini_batch_size, wanted))
    available = [int(part[0]) for part in communicator.allgather(np.array([len(head)], np.int64))]
    count = min(wanted, sum(available))
    offered = count
    if hyperparameters.init_method == "kmeans++":
        offered = min(sum(available), max(hyperparameters.mini_batch_size, count))
    random = job.random
    quota = random.multivariate_hypergeometric(available, offered, method="marginals")[communicator.rank]
    own = np.random.default_rng([job.seed, communicator.rank]).permutation(len(head))[:quota]
    rows = head.features[np.sort(own)]
    rows = rows.toarray() if sp.issparse(rows) else rows
    centers = np.concatenate(communicator.allgather(np.ascontiguousarray(rows, np.float32))).astype(np.float64)
    if hyperparameters.init_method == "kmeans++":
        chosen = spread(centers - middle_of(centers), np.ones(len(centers)), count, random, candidates=1)
        centers = centers[communicator.broadcast(chosen)]
    return Artifact({"centers": centers, "counts": np.zeros(count)}, {"rows": sum(available), "seed": job.seed})


def num_centers(hyperparameters: Hyperparameters) -> int:
    """K, the number of centres kept while streaming."""
    if hyperparameters.extra_centers:
        return hyperparameters.extra_centers
    factor = hyperparameters.extra_center_factor
    if factor == "auto":
        return max(AUTO_EXTRA_CENTER_FACTOR * hyperparameters.k, AUTO_MIN_CENTERS)
    return hyperparameters.k * factor


def _move(centers: np.ndarray, counts: np.ndarray, received: Received, half_life: int) -> None:
    """Move the centres towards the means of what they received, in place."""
    if half_life:
        counts *= 2.0 ** (-received.rows / half_life)
    counts += received.weights
    centers += received.about(centers) / np.maximum(counts, 1e-300)[:, None]


class _Groups:
    """Weights, means and squared distances to them of the rows that fell to each centre in an epoch, merged step by step.

    References
    ----------
    T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983).
    """

    def __init__(self, centers: np.ndarray) -> None:
        self._weights, self._means, self._within = np.zeros(len(centers)), centers.copy(), np.zeros(len(centers))

    def add(self, received: Received) -> None:
        before, new = self._weights, np.maximum(received.weights, 1e-300)
        self._weights = before + received.weights
        after = np.maximum(self._weights, 1e-300)
        sums = received.about(self._means)
        self._within += received.within + before / after / new * squared_lengths(sums)
        self._means += sums / after[:, None]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"weights": self._weights, "means": self._means, "within": self._within}

    @property
    def msd(self) -> float:
        """Mean squared distance of the rows to the mean of their group."""
        return float(self._within.sum() / max(self._weights.sum(), 1e-300))


def _state_key(hyperparameters: Hyperparameters) -> list[object]:
    """What shapes the stream."""
    names = ("feature_dim", "epochs", "init_method", "mini_batch_size", "half_life_time_size")
    return [num_centers(hyperparameters), *(getattr(hyperparameters, name) for name in names)]


KMEANS = Algorithm(
    name="kmeans",
    fields=FIELDS,
    train=train,
    load=load,
    finalize=finalize,
    state_key=_state_key,
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * hyperparameters.k * num_features,
)
