"""Hyperparameters of the neural topic model, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, OwnHyperparameter
from sparkml_algos.rows import fields

FIELDS = (fields.features(counts=True), fields.weight(), fields.validation())


class NeuralTopicModelParams(Declarations):
    """Hyperparameters and columns of `NeuralTopicModel` and its model."""

    reads = FIELDS

    num_topics = Hyperparameter(int, "Number of topics.", required=True, minimum=2, maximum=1000)
    feature_dim = Hyperparameter(
        int, "Size of the vocabulary; taken from the data and, where given, checked.", minimum=1, maximum=1_000_000
    )
    encoder_layers = Hyperparameter(
        list,
        "Sizes of the layers of the encoder; auto is 3·num_topics and 2·num_topics.",
        default="auto",
        of=int,
        minimum=1,
        special=["auto"],
    )
    encoder_layers_activation = Hyperparameter(
        str, "Activation of the layers of the encoder.", default="sigmoid", choices=["sigmoid", "tanh", "relu"]
    )
    batch_norm = Hyperparameter(bool, "Normalise the layers of the encoder over the documents of a mini-batch.", default=False)
    epochs = Hyperparameter(int, "Most passes over the training rows.", default=50, minimum=1)
    mini_batch_size = Hyperparameter(int, "Documents of a mini-batch, of all workers together.", default=256, minimum=1, maximum=10_000)
    optimizer = Hyperparameter(
        str,
        "Optimizer.",
        default="adadelta",
        choices=["sgd", "adam", "adagrad", "adadelta", "rmsprop"],
    )
    learning_rate = Hyperparameter(
        float,
        "Learning rate; with adadelta in ten thousandths, so that the default makes steps ten times its own.",
        default=0.001,
        minimum=1e-6,
        maximum=1.0,
    )
    weight_decay = Hyperparameter(float, "How many times itself a parameter is added to its gradient.", default=0.0, minimum=0, maximum=1)
    clip_gradient = Hyperparameter(float, "Bound of the absolute value of each derivative; none by default.", minimum=1e-3)
    rescale_gradient = Hyperparameter(float, "Factor of the gradient, before it is clipped.", default=1.0, minimum=1e-3, maximum=1.0)
    sub_sample = Hyperparameter(
        float, "Share of the training rows that each epoch draws at random; fit refuses 0.", default=1.0, minimum=0, maximum=1
    )
    tolerance = Hyperparameter(
        float,
        "Share by which the loss, on rows for validation where there are any, must fall within num_patience_epochs epochs.",
        default=0.001,
        minimum=1e-6,
        maximum=0.1,
    )
    num_patience_epochs = Hyperparameter(
        int, "Epochs over which the stopping rule is judged; more than epochs switch early stopping off.", default=3, minimum=1
    )
    prior_variance = OwnHyperparameter(
        float,
        "Variance of the normal prior of the latent vectors: about 1/α of a Dirichlet prior of the topic weights; the paper has 1.",
        default=10.0,
        minimum=0,
        min_exclusive=True,
    )
    normalize_latent = OwnHyperparameter(
        bool, "Normalise mean and log-variance of the latent vectors over a mini-batch, which keeps every topic in use.", default=True
    )
    word_dropout = OwnHyperparameter(
        float,
        "Share of the words of a document that training hides from the encoder, at random in each step; the paper hides none.",
        default=0.5,
        minimum=0,
        maximum=1,
        max_exclusive=True,
    )
    kl_warm_up = OwnHyperparameter(
        float, "Share of the epochs in which the weight of the divergence rises to 1; the paper has 0.", default=0.5, minimum=0, maximum=1
    )
    topicDistributionCol = ColumnParam("Output column: a vector of the weights of the document's topics.", default="topicDistribution")

    def problems(self) -> list[str]:
        found = super().problems()
        if not found and self.value("sub_sample") == 0:
            found.append("sub_sample=0 leaves no rows to train on; give a share above 0")
        return found
