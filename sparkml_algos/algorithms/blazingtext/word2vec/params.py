"""Hyperparameters of BlazingText's modes for word vectors, by the service's names, and the column it reads."""

from __future__ import annotations

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, OwnHyperparameter
from sparkml_algos.rows.fields import Field
from sparkml_algos.rows.lists import Tokens

BATCH_SKIPGRAM, SKIPGRAM, CBOW = "batch_skipgram", "skipgram", "cbow"

FIELDS = (
    Field("text", Tokens(), "Texts, a sentence or more: strings, split at blanks, or arrays of strings.", default="text", scoring=True),
)


class BlazingTextWord2VecParams(Declarations):
    """Hyperparameters and columns of `BlazingTextWord2Vec`."""

    reads = FIELDS

    mode = Hyperparameter(
        str,
        "skipgram: a word predicts each word around it; cbow: the mean of these predicts it; batch_skipgram: skipgram whose pairs share "
        "negative samples, batch by batch, the fastest.",
        required=True,
        choices=[BATCH_SKIPGRAM, SKIPGRAM, CBOW],
    )
    batch_size = Hyperparameter(
        int, "Words of a batch of batch_skipgram; 10 to 20 is advised. Of no effect in other modes.", default=11, minimum=1
    )
    buckets = Hyperparameter(int, "Buckets that character n-grams share by their hash, with subwords.", default=2_000_000, minimum=1)
    epochs = Hyperparameter(int, "Passes over the texts.", default=5, minimum=1)
    evaluation = Hyperparameter(
        bool, "Score the vectors after each epoch on the pairs of words that word_pairs_path names or setWordPairs was given.", default=True
    )
    learning_rate = Hyperparameter(float, "Step size at the start; it falls linearly to 0.", default=0.05, minimum=0, min_exclusive=True)
    min_char = Hyperparameter(int, "Characters of the shortest n-gram, with subwords.", default=3, minimum=1)
    min_count = Hyperparameter(int, "Words that occur fewer times are left out.", default=5, minimum=0)
    max_char = Hyperparameter(int, "Characters of the longest n-gram, with subwords.", default=6, minimum=1)
    negative_samples = Hyperparameter(int, "Negative samples of a pair, or of a batch of batch_skipgram.", default=5, minimum=1)
    sampling_threshold = Hyperparameter(
        float,
        "Words of a larger share of the texts are thinned out at random; up to 0.001 is advised.",
        default=0.0001,
        minimum=0,
        min_exclusive=True,
    )
    subwords = Hyperparameter(
        bool, "Learn vectors of character n-grams too, of which unknown words are then made; not with batch_skipgram.", default=False
    )
    vector_dim = Hyperparameter(int, "Length of the vectors.", default=100, minimum=1)
    window_size = Hyperparameter(
        int, "Words to each side of a word that are around it, at most; how many is drawn for each.", default=5, minimum=1
    )
    word_pairs_path = OwnHyperparameter(
        str,
        "For evaluation: a file, or a folder of files: two words and the score of their similarity per line, between them tabs, commas, "
        "semicolons or blanks. On any storage of the session.",
    )
    vectorCol = ColumnParam("Output column: the mean of the vectors of the words of a row.", default="vector")

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        if self.value("subwords") and self.value("mode") == BATCH_SKIPGRAM:
            found.append("subwords=True needs mode 'skipgram' or 'cbow'; batch_skipgram has none")
        if self.value("subwords") and self.value("min_char") > self.value("max_char"):
            found.append(f"min_char is {self.value('min_char')}, more than max_char, {self.value('max_char')}")
        return found
