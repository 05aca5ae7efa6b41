"""The stream: many centres that follow the rows, kept in step over the workers."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sparkml_algos.algorithms.kmeans.distances import nearest_centers, squared_lengths
from sparkml_algos.algorithms.kmeans.params import FIELDS
from sparkml_algos.algorithms.kmeans.prediction import predict
from sparkml_algos.algorithms.kmeans.shrinking import finalize, spread
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.device import to_device
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.predictor import predicting
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
        The state after the last epoch, the same on every worker: ``centers`` (K, features) and ``shift`` (features,), to be
        added to them; ``counts`` (K,), the weight each centre stands for; and of the rows of the last epoch by nearest centre,
        shifted too, ``rows`` (K,) their weight, ``sums`` (K, features) and ``squares`` (K,) their sums and squared lengths.
    """
    state = job.resume() or _start(hyperparameters, shard, communicator, job)
    centers, counts, shift = (state.arrays[name].copy() for name in ("centers", "counts", "shift"))
    last = state.arrays
    for _ in job.epochs(hyperparameters.epochs):
        last = {"rows": np.zeros(len(centers)), "sums": np.zeros(centers.shape), "squares": np.zeros(len(centers))}
        for batch in job.minibatches(hyperparameters.mini_batch_size):
            sums, weights, squares, rows = _reduce(_assigned_sums(batch, centers, shift, job.device), communicator)
            _move(centers, counts, sums, weights, rows, hyperparameters.half_life_time_size)
            last["rows"] += weights
            last["sums"] += sums
            last["squares"] += squares
        state = Artifact({"centers": centers, "counts": counts, "shift": shift, **last}, {"seed": job.seed})
        job.end_epoch(state, **{"train:extra_centers_msd": _sketch_msd(state)})
    return state


def _start(hyperparameters: Hyperparameters, shard: Shard, communicator: Communicator, job: Job) -> Artifact:
    """The first K centres, chosen among the rows of a first mini-batch of all workers; the same on every worker."""
    wanted = num_centers(hyperparameters)
    head = shard.head(max(hyperparameters.mini_batch_size, wanted))
    available = [int(part[0]) for part in communicator.allgather(np.array([len(head)], np.int64))]
    if sum(available) < hyperparameters.k:
        raise InvalidRows(f"k={hyperparameters.k} clusters need at least as many rows, the dataset has {sum(available)}")
    count = min(wanted, sum(available))
    offered = count
    if hyperparameters.init_method == "kmeans++":
        offered = min(sum(available), max(hyperparameters.mini_batch_size, count))
    random = job.random
    quota = random.multivariate_hypergeometric(available, offered, method="marginals")[communicator.rank]
    own = np.random.default_rng([job.seed, communicator.rank]).permutation(len(head))[:quota]
    rows = head.features[np.sort(own)]
    is_sparse = communicator.allreduce(np.array([sp.issparse(rows)], np.int64), "max")[0]
    rows = rows.toarray() if sp.issparse(rows) else rows
    candidates = np.concatenate(communicator.allgather(np.ascontiguousarray(rows, np.float32)))
    # Distances from the origin drown in rounding when all rows lie far off; sparse rows must keep their zeros.
    shift = np.zeros(candidates.shape[1], np.float32) if is_sparse else candidates.mean(axis=0)
    centers = candidates - shift
    if hyperparameters.init_method == "kmeans++":
        chosen = spread(centers.astype(np.float64), np.ones(len(centers)), count, random, candidates=1)
        centers = centers[communicator.broadcast(chosen)]
    return Artifact({"centers": centers, "counts": np.zeros(count), "shift": shift})


def num_centers(hyperparameters: Hyperparameters) -> int:
    """K, the number of centres kept while streaming."""
    factor = hyperparameters.extra_center_factor
    if factor == "auto":
        factor = max(AUTO_EXTRA_CENTER_FACTOR, -(-AUTO_MIN_CENTERS // hyperparameters.k))
    return hyperparameters.k * factor


def _assigned_sums(batch: Batch, centers: np.ndarray, shift: np.ndarray, device: str) -> np.ndarray:
    """What a mini-batch adds to each centre it is nearest to: a row of (sum of its rows, their weight, squared length, number)."""
    totals = np.zeros((len(centers), centers.shape[1] + 3), np.float32)
    if not len(batch):
        return totals
    if device != "cpu":
        return _assigned_sums_on_gpu(batch, centers, shift, device)
    features = batch.features if sp.issparse(batch.features) else batch.features - shift
    nearest = nearest_centers(features, centers)
    weight = np.ones(len(batch), np.float32) if batch.weight is None else batch.weight
    one_hot = sp.csr_matrix((weight, nearest, np.arange(len(batch) + 1)), shape=(len(batch), len(centers)))
    sums = one_hot.T @ features
    totals[:, :-3] = sums.toarray() if sp.issparse(sums) else sums
    totals[:, -3] = np.bincount(nearest, weight, len(centers))
    totals[:, -2] = np.bincount(nearest, weight * squared_lengths(features), len(centers))
    totals[:, -1] = np.bincount(nearest, minlength=len(centers))
    return totals


def _assigned_sums_on_gpu(batch: Batch, centers: np.ndarray, shift: np.ndarray, device: str) -> np.ndarray:
    import torch

    rows = to_device(batch.features.toarray() if sp.issparse(batch.features) else batch.features, device) - to_device(shift, device)
    where = to_device(centers, device)
    nearest = torch.addmm((where * where).sum(1).mul_(-0.5), rows, where.T).argmax(1)
    weight = torch.ones(len(rows), device=device) if batch.weight is None else to_device(batch.weight, device)
    squares = (rows * rows).sum(1, keepdim=True)
    parts = torch.cat([rows, torch.ones_like(squares), squares], 1) * weight[:, None]
    parts = torch.cat([parts, torch.ones_like(squares)], 1)
    return torch.zeros(len(where), parts.shape[1], device=device).index_add_(0, nearest, parts).cpu().numpy()


def _reduce(totals: np.ndarray, communicator: Communicator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    totals = communicator.allreduce(totals).astype(np.float64)
    return totals[:, :-3], totals[:, -3], totals[:, -2], float(totals[:, -1].sum())


def _move(
    centers: np.ndarray, counts: np.ndarray, sums: np.ndarray, weights: np.ndarray, rows: float, half_life: int
) -> None:
    """Move the centres towards the means of what they received, in place."""
    if half_life:
        counts *= 2.0 ** (-rows / half_life)
    hit = weights > 0
    counts += weights
    share = (weights[hit] / counts[hit])[:, None]
    centers[hit] += share * (sums[hit] / weights[hit, None] - centers[hit])


def _sketch_msd(state: Artifact) -> float:
    """Mean squared distance of the last epoch's rows to the means of the K groups they fell into."""
    rows, sums, squares = (state.arrays[name] for name in ("rows", "sums", "squares"))
    hit = rows > 0
    within = squares[hit] - np.einsum("ij,ij->i", sums[hit], sums[hit]) / rows[hit]
    return float(max(0.0, within.sum()) / max(rows.sum(), 1e-300))


KMEANS = Algorithm(
    name="kmeans",
    fields=FIELDS,
    train=train,
    load=predicting(predict),
    finalize=finalize,
    shared=("feature_dim", "epochs", "init_method", "mini_batch_size", "half_life_time_size"),
    combine=lambda settings: max(settings, key=num_centers),
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * hyperparameters.k * num_features,
)
