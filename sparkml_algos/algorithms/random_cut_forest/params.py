"""Hyperparameters of random cut forests, by the service's names, and the columns they read and write."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, DeclaredParam, Hyperparameter
from sparkml_algos.rows import fields

# Labels are for `evaluate`; training has no use for them.
FIELDS = (fields.features(), fields.label(training=False))


class RandomCutForestParams(Declarations):
    """Hyperparameters and columns of `RandomCutForest` and `RandomCutForestModel`."""

    reads = FIELDS

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1, maximum=10_000)
    eval_metrics = Hyperparameter(
        list,
        "What evaluate computes: accuracy, and precision, recall and F1 of both classes.",
        default=["accuracy", "precision_recall_fscore"],
        choices=["accuracy", "precision_recall_fscore"],
        on_model=True,
    )
    num_samples_per_tree = Hyperparameter(
        int,
        "Rows sampled for each tree; 1 / num_samples_per_tree should be near the share of anomalies.",
        default=256,
        minimum=1,
        maximum=2048,
    )
    num_trees = Hyperparameter(int, "Trees; more of them make scores less noisy.", default=100, minimum=50, maximum=1000)
    scoreCol = ColumnParam("Output column: the anomaly score.", default="score")
    predictionCol = ColumnParam("Output column, if named: 1.0 where the score is above the threshold, else 0.0.")
    attributionCol = ColumnParam("Output column, if named: a vector of what each feature adds to the score.")
    thresholdMethod = DeclaredParam(
        str,
        "standard_deviations: so many above the mean of the scores known from fit; quantile: of these scores.",
        default="standard_deviations",
        choices=["standard_deviations", "quantile"],
    )
    thresholdDeviations = DeclaredParam(float, "Deviations above the mean at which the threshold lies.", default=3.0)
    thresholdQuantile = DeclaredParam(float, "Share of the scores that are not above the threshold.", default=0.99, minimum=0, maximum=1)
