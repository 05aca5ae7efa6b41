"""Hyperparameters of IP Insights, by the service's names, and the columns it reads."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import (
    ColumnParam,
    Declarations,
    DeclaredParam,
    Hyperparameter,
    Hyperparameters,
    OwnHyperparameter,
)
from sparkml_algos.rows import fields
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.identities import Ipv4, Name
from sparkml_algos.rows.kinds import Kind

MAX_NEGATIVES = 500

FIELDS = (
    Field(
        "entity",
        Name(),
        "Entity column, such as a user or an account: strings or whole numbers, known by their hash.",
        default="entity",
        scoring=True,
        evaluating=True,
    ),
    Field("ip", Ipv4(), "Address column: strings such as 192.0.2.10.", default="ip", scoring=True, evaluating=True),
    fields.validation(),
)


def kinds(hyperparameters: Hyperparameters) -> dict[str, Kind]:
    """What addresses are taken."""
    return {"ip": Ipv4(may_be_missing=hyperparameters.invalid_ip == "missing")}


class IPInsightsParams(Declarations):
    """Hyperparameters and columns of IP Insights."""

    reads = FIELDS

    num_entity_vectors = Hyperparameter(
        int,
        "Vectors that entities share by their hash; twice the number of entities leaves few with one that is another's too.",
        required=True,
        minimum=1,
        maximum=250_000_000,
    )
    vector_dim = Hyperparameter(
        int, "Length of the vectors of entities and addresses; 128 is a good one.", required=True, minimum=4, maximum=4096
    )
    batch_metrics_publish_interval = Hyperparameter(int, "Mini-batches between two lines in the log about speed.", default=1000, minimum=1)
    epochs = Hyperparameter(int, "Passes over the training rows.", default=10, minimum=1)
    learning_rate = Hyperparameter(float, "Learning rate of Adam.", default=0.001, minimum=1e-6, maximum=10.0)
    mini_batch_size = Hyperparameter(int, "Rows per mini-batch, of all workers together.", default=10000, minimum=1, maximum=500_000)
    num_ip_encoder_layers = Hyperparameter(int, "Hidden layers of the network that encodes addresses.", default=1, minimum=0, maximum=100)
    random_negative_sampling_rate = Hyperparameter(
        int,
        "Pairs of each row's entity with an address at random that are learned as not belonging together.",
        default=1,
        minimum=0,
        maximum=MAX_NEGATIVES,
    )
    shuffled_negative_sampling_rate = Hyperparameter(
        int, "The same with the address of another row of the mini-batch.", default=1, minimum=0, maximum=MAX_NEGATIVES
    )
    weight_decay = Hyperparameter(
        float, "How many times itself a parameter is added to its gradient.", default=1e-5, minimum=0.0, maximum=10.0
    )
    early_stopping_patience = OwnHyperparameter(
        int, "Epochs without gain on validation rows after which training stops; of no effect without such rows.", default=5, minimum=1
    )
    invalid_ip = OwnHyperparameter(
        str,
        "What to do with a null, an address of version 6 and what is no address: error, or missing, which is not trained on and has the "
        "score NaN.",
        default="error",
        choices=["error", "missing"],
        on_model=True,
    )
    dotProductCol = ColumnParam(
        "Output column: the dot product of both vectors, the larger the more usual the pair.", default="dot_product"
    )
    entityEmbeddingCol = ColumnParam("Output column: the vector of the entity; none by default.")
    ipEmbeddingCol = ColumnParam("Output column: the vector of the address; none by default.")
    predictionCol = ColumnParam("Output column: 1.0 where the dot product is below the model's threshold, else 0.0; none by default.")
    thresholdQuantile = DeclaredParam(
        float, "Share of the pairs the threshold was taken from that are below it.", default=0.01, minimum=0.0, maximum=1.0
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        names = ("random_negative_sampling_rate", "shuffled_negative_sampling_rate")
        rates = [self.value(name) for name in names]
        if not 1 <= sum(rates) <= MAX_NEGATIVES:
            found.append(f"{' + '.join(names)} must be from 1 to {MAX_NEGATIVES}, got {rates[0]} + {rates[1]}")
        return found
