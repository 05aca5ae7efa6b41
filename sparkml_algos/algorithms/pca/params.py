"""Hyperparameters of principal component analysis, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter
from sparkml_algos.rows import fields

FIELDS = (fields.features(), fields.weight())
#: What stands for a row in `inverse_transform`.
PROJECTION_FIELDS = (fields.features(),)


class PCAParams(Declarations):
    """Hyperparameters and columns of `PCA` and `PCAModel`."""

    reads = FIELDS

    feature_dim = Hyperparameter(int, "Number of features; taken from the data and, where given, checked.", minimum=1)
    num_components = Hyperparameter(int, "Number of principal components, at most that of the features.", required=True, minimum=1)
    mini_batch_size = Hyperparameter(
        int,
        "Rows per mini-batch, split among the workers (each takes at least 512, or all where it is smaller).",
        default=5000,
        minimum=1,
    )
    algorithm_mode = Hyperparameter(
        str,
        "regular: exact, from the features × features scatter; randomized: from a sketch, for many features.",
        default="regular",
        choices=["regular", "randomized"],
    )
    extra_components = Hyperparameter(
        int,
        "Rows of the sketch (randomized) beyond num_components; more is more accurate. -1 is max(10, num_components).",
        default=-1,
        minimum=-1,
    )
    subtract_mean = Hyperparameter(bool, "Centre the rows, in training and in transform.", default=True)
    outputCol = ColumnParam("Output column: a vector of the row's coordinates along the components.", default="projection")
    reconstructionCol = ColumnParam(
        "Output column of inverse_transform: the vector that the projection stands for.", default="reconstruction"
    )
