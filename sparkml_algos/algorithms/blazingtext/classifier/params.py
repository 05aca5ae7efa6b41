"""Hyperparameters of BlazingText in mode supervised, by the service's names, and the columns it reads."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Hyperparameter, OwnHyperparameter
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.kinds import Text
from sparkml_algos.rows.lists import Labels

FIELDS = (
    Field(
        "text",
        Text(),
        "Text column: strings, whose words are parted by blanks, or arrays of words; a token __label__x in it is a label of the text.",
        default="text",
        scoring=True,
        evaluating=True,
    ),
    Field(
        "label",
        Labels(),
        "Label column: a string or a number, or an array of strings where a text has several; without it, labels stand in the text.",
        evaluating=True,
    ),
    fields.validation(),
)


class BlazingTextClassifierParams(PredictionParams):
    """Hyperparameters and columns of the classifier."""

    reads = FIELDS

    mode = Hyperparameter(str, "What the class is for.", default="supervised", choices=["supervised"])
    buckets = Hyperparameter(int, "Hash buckets that word n-grams share.", default=2_000_000, minimum=1)
    early_stopping = Hyperparameter(
        bool, "Stop when the accuracy on rows for validation has not improved for patience epochs, and go back to the best.", default=False
    )
    epochs = Hyperparameter(int, "Passes over the training rows, at most.", default=5, minimum=1)
    learning_rate = Hyperparameter(
        float, "Step size at the start; it falls to 0 over the epochs.", default=0.05, minimum=0, min_exclusive=True
    )
    min_count = Hyperparameter(int, "Words seen fewer times have no vector of their own.", default=5, minimum=0)
    min_epochs = Hyperparameter(int, "Epochs before early stopping may act.", default=5, minimum=1)
    patience = Hyperparameter(int, "Epochs without gain in accuracy after which early stopping acts.", default=4, minimum=1)
    vector_dim = Hyperparameter(int, "Length of the vectors of words.", default=100, minimum=1)
    word_ngrams = Hyperparameter(int, "Words of the longest n-gram that is a feature.", default=2, minimum=1)
    predictedLabelCol = ColumnParam("Output column: the most probable label.", default="predicted_label")
    probabilityCol = ColumnParam("Output column: a vector of the probability of each label.", default="probability")
    bestLabelsCol = ColumnParam("Output column, only where named: the k most probable labels with __label__ before them, the best first.")
    bestProbabilitiesCol = ColumnParam("Output column, only where named: the probabilities of these labels.")
    k = OwnHyperparameter(int, "Labels in bestLabelsCol; may be changed on the model.", default=1, minimum=1, on_model=True)
