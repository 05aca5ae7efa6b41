"""Hyperparameters of latent Dirichlet allocation, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, OwnHyperparameter
from sparkml_algos.rows import fields

FIELDS = (fields.features(counts=True), fields.weight())


class LDAParams(Declarations):
    """Hyperparameters and columns of `LDA` and `LDAModel`."""

    reads = FIELDS

    num_topics = Hyperparameter(int, "Number of topics.", required=True, minimum=1)
    feature_dim = Hyperparameter(int, "Size of the vocabulary; taken from the data and, where given, checked.", minimum=1)
    mini_batch_size = Hyperparameter(
        int,
        "Documents read at once, split among the workers (each takes at least 512, or all where it is smaller).",
        default=5000,
        minimum=1,
    )
    alpha0 = Hyperparameter(
        float,
        "Sum of the Dirichlet prior of the mixtures; small for few topics per document, above 1 for more even mixtures.",
        default=1.0,
        minimum=0,
        min_exclusive=True,
    )
    max_restarts = Hyperparameter(int, "Most runs of alternating least squares, of which the best is kept.", default=10, minimum=1)
    max_iterations = Hyperparameter(int, "Most iterations of a run of alternating least squares.", default=1000, minimum=1)
    tol = Hyperparameter(
        float,
        "Unexplained share of the third moment, or its change in an iteration, below which alternating least squares stops.",
        default=1e-8,
        minimum=0,
        min_exclusive=True,
    )
    refinements = OwnHyperparameter(
        int, "Passes of expectation maximisation that start from the spectral topics; 0 keeps these.", default=5, minimum=0
    )
    topicDistributionCol = ColumnParam("Output column: a vector of the document's mixture of topics.", default="topicDistribution")
