"""Hyperparameters of k-means, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, OwnHyperparameter
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.rows import fields

FIELDS = (fields.features(), fields.weight())


class KMeansParams(PredictionParams):
    """Hyperparameters and columns of `KMeans` and `KMeansModel`."""

    reads = FIELDS

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1)
    k = Hyperparameter(int, "Number of clusters.", required=True, minimum=1)
    epochs = Hyperparameter(int, "Passes over the training rows.", default=1, minimum=1)
    eval_metrics = Hyperparameter(
        list,
        "Scores that evaluate computes: mean (msd) and sum (ssd) of squared distances to the closest centre.",
        default=["msd"],
        choices=["msd", "ssd"],
        on_model=True,
    )
    extra_center_factor = Hyperparameter(
        int,
        "Factor x in K = k·x, the centres kept while streaming; auto makes K 10·k or, where that is more, 320.",
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
    local_lloyd_max_iter = Hyperparameter(int, "Most iterations of a Lloyd run.", default=300, minimum=1, accessor="MaxIter")
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
    extra_centers = OwnHyperparameter(
        int, "K itself, at least k, in place of k·x: the same for several k, as elbow sets it, lets them share a pass.", minimum=1
    )
    distanceCol = ColumnParam("Output column: Euclidean distance to the centre of the row's cluster.", default="distance_to_cluster")

    def problems(self) -> list[str]:
        found = super().problems()
        if not found and (self.value("extra_centers") or self.value("k")) < self.value("k"):
            found.append(f"extra_centers={self.value('extra_centers')} must be at least k={self.value('k')}: of them the clusters are made")
        return found
