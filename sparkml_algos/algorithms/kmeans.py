"""K-means for data of any size: one pass over many extra centres, then a weighted shrink to k.

K = k·x centres are kept while the workers stream their rows. In each step every worker assigns its part of the mini-batch to
the nearest centres; the summed rows and weights per centre are added up over all workers, and every worker makes the same update:

    p = b / (n + b);   c ← (1 − p)·c + p·d;   n ← n + b

for a centre c that has stood for weight n and now receives rows of weight b and mean d. At the end Lloyd's method, weighted by n,
shrinks the K centres to k. The K centres serve every k, which is why several k cost one pass.

References
----------
D. Sculley, "Web-scale k-means clustering", WWW 2010. D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful
seeding", SODA 2007. E. Liberty et al., "Elastic machine learning algorithms in Amazon SageMaker", SIGMOD 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.device import to_device
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.core.bridge import OnJvm
from sparkml_algos.core.estimator import AlgorithmEstimator, AlgorithmModel
from sparkml_algos.core.hyperparameters import Hyperparameter
from sparkml_algos.core.inputs import column
from sparkml_algos.core.params import ColumnParam, FeaturesParams, PredictionParams, WeightParams
from sparkml_algos.core.scoring import Output
from sparkml_algos.rows.batch import Batch, Features, InvalidRows
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training.job import Algorithm, Hyperparameters, Job

# The service's logs show ``auto`` as ten extra centres for each of the k. For small k that is a coarse sketch: on MNIST, k = 10, the
# cost of the result is 1 % above converged Lloyd with 100 centres and 0.5 % with 320. So ``auto`` keeps no fewer than these.
AUTO_EXTRA_CENTER_FACTOR = 10
AUTO_MIN_CENTERS = 320
AUTO_LOCAL_LLOYD_TRIALS = 10

# With more clusters Python's matrix products make up for the way of the rows to Python and back.
JVM_CLUSTERS = 100

# Floats of a block of the distance matrix: 1 MiB stays in a core's cache between the product and the search for the nearest.
DISTANCE_BLOCK = 1 << 18

# Column of `evaluate`'s own.
_DISTANCE = "_sparkml_algos_distance"


class KMeansParams(FeaturesParams, WeightParams, PredictionParams):
    """Hyperparameters and columns of `KMeans` and `KMeansModel`."""

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1)
    k = Hyperparameter(int, "Number of clusters.", required=True, minimum=1)
    epochs = Hyperparameter(int, "Passes over the training rows.", default=1, minimum=1)
    eval_metrics = Hyperparameter(
        list,
        "Scores that evaluate computes: mean (msd) and sum (ssd) of squared distances to the closest centre.",
        default=["msd"],
        choices=["msd", "ssd"],
    )
    extra_center_factor = Hyperparameter(
        int,
        "Factor x in K = k·x, the centres kept while streaming; auto is 10, or what makes K at least 320.",
        default="auto",
        minimum=1,
        special=["auto"],
        accessor="CenterFactor",
    )
    half_life_time_size = Hyperparameter(
        int,
        "Rows, counted over all workers, after which a row's weight in the mean of its cluster has halved; 0 means no decay.",
        default=0,
        minimum=0,
        accessor="HalflifeTime",
    )
    init_method = Hyperparameter(
        str, "Choice of the first K centres among the rows of the first mini-batch.", default="random", choices=["random", "kmeans++"]
    )
    local_lloyd_init_method = Hyperparameter(
        str,
        "Start of the Lloyd runs that shrink K centres to k.",
        default="kmeans++",
        choices=["random", "kmeans++"],
        accessor="LocalInitMethod",
    )
    local_lloyd_max_iter = Hyperparameter(
        int, "Most iterations of a Lloyd run.", default=300, minimum=1, accessor="MaxIter"
    )
    local_lloyd_num_trials = Hyperparameter(
        int, "Lloyd runs, of which the best is kept; auto is 10.", default="auto", minimum=1, special=["auto"], accessor="TrialNum"
    )
    local_lloyd_tol = Hyperparameter(
        float, "Relative change of the loss below which a Lloyd run stops.", default=1e-4, minimum=0, maximum=1, accessor="Tol"
    )
    mini_batch_size = Hyperparameter(
        int,
        "Rows per mini-batch, split among the workers (each takes at least 512, or all where it is smaller).",
        default=5000,
        minimum=1,
    )
    distanceCol = ColumnParam("Output column: Euclidean distance to the centre of the row's cluster.", default="distance_to_cluster")


class KMeans(AlgorithmEstimator, KMeansParams):
    """Web-scale k-means on the executors of a Spark cluster.

    {parameters}

    Notes
    -----
    A pass costs O(rows · K · features / workers) and, per mini-batch, one exchange of K · features floats between the workers. In ``Pipe``
    mode the first centres come from the first rows to arrive: shuffle sorted data before.

    The specification leaves open whether the shrink weighs the K centres: it does, by the rows they stand for. `local_lloyd_tol` is read
    as a relative change.

    Examples
    --------
    >>> from sparkml_algos import KMeans
    >>> model = KMeans(k=10, featuresCol="scaled").fit(dataframe)  # doctest: +SKIP
    >>> model.transform(dataframe).groupBy("prediction").count().show()  # doctest: +SKIP
    """

    @staticmethod
    def algorithm() -> Algorithm:
        return KMEANS

    @staticmethod
    def model_class() -> type[KMeansModel]:
        return KMeansModel

    def elbow(self, dataset: DataFrame, ks: Sequence[int]) -> DataFrame:
        """Within-cluster sum of squares for several k from one pass: the K centres of the largest k serve all.

        Parameters
        ----------
        dataset : DataFrame
        ks : sequence of int

        Returns
        -------
        DataFrame
            ``k`` (int), ``ssd`` and ``msd`` (double): sum and mean of squared distances of the training rows, each staying with the extra
            centre it fell to, which bounds the true figure from above. `sparkml_algos.plotting.plot_elbow` draws it.
        """
        ks = sorted(set(ks))
        models = dict(self.fitMultiple(dataset, [{self.k: k} for k in ks]))
        metrics = [models[index].training_summary.metrics for index in range(len(ks))]
        rows = [(int(k), metric["train:ssd"], metric["train:msd"]) for k, metric in zip(ks, metrics, strict=True)]
        return dataset.sparkSession.createDataFrame(rows, "k int, ssd double, msd double")


class KMeansModel(AlgorithmModel, KMeansParams):
    """Clusters found by `KMeans`.

    `transform` appends ``prediction`` (int, the index of the nearest centre from 0) and ``distance_to_cluster`` (double, the
    Euclidean distance to it).
    """

    outputs = (Output("closest_cluster", "int", "predictionCol"), Output("distance_to_cluster", "double", "distanceCol"))
    on_jvm = OnJvm("org.sparkmlalgos.ml.KMeansModel", faster=lambda artifact: len(artifact.arrays["centers"]) <= JVM_CLUSTERS)

    @staticmethod
    def algorithm() -> Algorithm:
        return KMEANS

    @property
    def cluster_centers(self) -> np.ndarray:
        """The centres, shape (k, features), float64."""
        return self.artifact.arrays["centers"]

    def clusterCenters(self) -> list[np.ndarray]:
        """The centres as MLlib's model gives them: a list of k arrays."""
        return list(self.cluster_centers)

    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """The metrics named by `eval_metrics` on the rows of a dataset.

        Returns
        -------
        dict
            ``test:msd`` mean and ``test:ssd`` sum of squared Euclidean distances to the nearest centre; weighted where `weightCol` is set.

        Raises
        ------
        ValueError
            If the dataset is empty.
        """
        weight = column(self.getWeightCol()).cast("double") if self.getWeightCol() else F.lit(1.0)
        square = column(_DISTANCE) * column(_DISTANCE)
        scored = self.only("distance_to_cluster", _DISTANCE).transform(dataset)
        sums = scored.agg(F.sum(square * weight).alias("ssd"), F.sum(weight).alias("weight")).first()
        if not sums["weight"]:
            raise ValueError("the dataset to evaluate on is empty")
        scores = {"msd": sums["ssd"] / sums["weight"], "ssd": sums["ssd"]}
        return {f"test:{name}": scores[name] for name in self.getEvalMetrics()}


# ---------------------------------------------------------------------------------------------------------------- training


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
        chosen = _spread(centers.astype(np.float64), np.ones(len(centers)), count, random, candidates=1)
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
    nearest = _nearest(features, centers)
    weight = np.ones(len(batch), np.float32) if batch.weight is None else batch.weight
    one_hot = sp.csr_matrix((weight, nearest, np.arange(len(batch) + 1)), shape=(len(batch), len(centers)))
    sums = one_hot.T @ features
    totals[:, :-3] = sums.toarray() if sp.issparse(sums) else sums
    totals[:, -3] = np.bincount(nearest, weight, len(centers))
    totals[:, -2] = np.bincount(nearest, weight * _squared_length(features), len(centers))
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


def _nearest(features: Features, centers: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of each row: the largest x·c − |c|²/2, which orders centres as the distance does."""
    half_squares = 0.5 * np.einsum("ij,ij->i", centers, centers)
    transposed = np.ascontiguousarray(centers.T)
    nearest = np.empty(features.shape[0], np.int64)
    step = max(64, DISTANCE_BLOCK // len(centers))
    for start in range(0, len(nearest), step):
        block = slice(start, start + step)
        scores = features[block] @ transposed
        scores -= half_squares
        np.argmax(scores, axis=1, out=nearest[block])
    return nearest


def _squared_length(features: Features) -> np.ndarray:
    if sp.issparse(features):
        return np.asarray(features.multiply(features).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", features, features)


def _sketch_msd(state: Artifact) -> float:
    """Mean squared distance of the last epoch's rows to the means of the K groups they fell into."""
    rows, sums, squares = (state.arrays[name] for name in ("rows", "sums", "squares"))
    hit = rows > 0
    within = squares[hit] - np.einsum("ij,ij->i", sums[hit], sums[hit]) / rows[hit]
    return float(max(0.0, within.sum()) / max(rows.sum(), 1e-300))


# ----------------------------------------------------------------------------------------------------------------- shrinking


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
        start = _spread(points, weights, k, random, candidates=2 + int(np.log(k)))
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


def _spread(
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


# ------------------------------------------------------------------------------------------------------------------- scoring


def predict(artifact: Artifact, features: Features, hyperparameters: Hyperparameters) -> dict[str, np.ndarray]:
    """Nearest centre and Euclidean distance to it.

    Returns
    -------
    dict
        ``closest_cluster`` (rows,) int64 and ``distance_to_cluster`` (rows,) float64.
    """
    centers = artifact.arrays["centers"]
    if sp.issparse(features):
        features = features.astype(np.float64)
        nearest = _nearest(features, centers)
        products = np.empty(len(nearest))
        for cluster in np.unique(nearest):
            members = np.flatnonzero(nearest == cluster)
            products[members] = features[members] @ centers[cluster]
        squares = _squared_length(features) - 2 * products + np.einsum("ij,ij->i", centers, centers)[nearest]
        return {"closest_cluster": nearest, "distance_to_cluster": np.sqrt(np.maximum(squares, 0))}
    middle = centers.mean(axis=0).astype(np.float32)  # rounded distances from the origin would drown those between rows far off
    features, centers = features - middle, (centers - middle).astype(np.float32)
    nearest = _nearest(features, centers)
    difference = features - centers[nearest]
    return {"closest_cluster": nearest, "distance_to_cluster": np.sqrt(_squared_length(difference).astype(np.float64))}


KMEANS = Algorithm(
    name="kmeans",
    train=train,
    predict=predict,
    finalize=finalize,
    shared=("feature_dim", "epochs", "init_method", "mini_batch_size", "half_life_time_size"),
    combine=lambda settings: max(settings, key=num_centers),
    passes=lambda hyperparameters: hyperparameters.epochs,
    on_gpu=True,
    model_bytes=lambda hyperparameters, num_features: 8 * hyperparameters.k * num_features,
)

