"""Hyperparameters of Object2Vec, by the service's names, and the columns it reads and writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sparkml_algos.algorithms.object2vec.settings import BILSTM, LIKE_FIRST, SOFTMAX, SQUARED_ERROR, side_of
from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, Hyperparameter, Hyperparameters, OwnHyperparameter
from sparkml_algos.arrays.params import PredictionParams
from sparkml_algos.rows import fields
from sparkml_algos.rows.fields import LABEL, Field
from sparkml_algos.rows.kinds import ClassLabel, Kind, Number
from sparkml_algos.rows.lists import TokenIds

#: The two inputs.
ROLES = ("in0", "in1")

FIELDS = (
    *(
        Field(
            role,
            TokenIds(),
            f"Input {side} of the pair: token ids as an array of whole numbers, or one as a whole number.",
            default=role,
            scoring=True,
            evaluating=True,
            alone=True,
        )
        for side, role in enumerate(ROLES)
    ),
    fields.label(Number(), "Label column: the number of the class from 0, or any number with output_layer='mean_squared_error'."),
    fields.weight(),
    fields.validation(),
)

_FILE_NAME = re.compile(r"[A-Za-z0-9._]*")


def _side(number: int) -> type[Declarations]:
    """The Params of one input; those of the second take after the first's where nothing else is said."""
    enc, networks = f"enc{number}", ["hcnn", "bilstm", "pooled_embedding"]
    like_first = [LIKE_FIRST] if number else []
    says = f", or {LIKE_FIRST}: as encoder 0 in all settings, with weights of its own" if number else ""
    params = {
        "max_seq_len": Hyperparameter(
            int, f"Tokens of a sequence that encoder {number} reads; what follows is cut off.", required=not number, minimum=1, maximum=5000
        ),
        "vocab_size": Hyperparameter(
            int, f"Number of tokens of input {number}, whose ids are less than this.", required=not number, minimum=2, maximum=3_000_000
        ),
        "network": Hyperparameter(
            str,
            f"Encoder {number}: convolutions over the sequence, a bidirectional LSTM, or the mean of the token embeddings{says}.",
            default=LIKE_FIRST if number else "hcnn",
            choices=[*like_first, *networks],
        ),
        "cnn_filter_width": Hyperparameter(int, "Tokens that a filter of an hcnn sees.", default=3, minimum=1, maximum=9),
        "layers": Hyperparameter(
            int, "Layers of an hcnn (auto: 4) or bilstm (auto: 1).", default="auto", minimum=1, maximum=4, special=["auto"]
        ),
        "token_embedding_dim": Hyperparameter(int, "Numbers of a token's embedding.", default=300, minimum=2, maximum=1000),
        "pretrained_embedding_file": Hyperparameter(
            str,
            f"File in the folder auxiliary_dir with token embeddings of input {number} to start from: lines of a word and numbers.",
            default="",
        ),
        "vocab_file": Hyperparameter(str, "File in the folder auxiliary_dir with the ids of these words, a JSON map.", default=""),
        "freeze_pretrained_embedding": Hyperparameter(bool, "Keep these token embeddings as they are; of no effect without.", default=True),
    }
    return type(
        f"Encoder{number}Params",
        (Declarations,),
        {"__doc__": f"Settings of input {number}.", **{f"{enc}_{name}": param for name, param in params.items()}},
    )


Encoder0Params, Encoder1Params = _side(0), _side(1)


class Object2VecParams(Encoder0Params, Encoder1Params, PredictionParams):
    """Hyperparameters and columns of `Object2Vec` and `Object2VecModel`."""

    reads = FIELDS

    enc_dim = Hyperparameter(int, "Numbers of an encoding, of either side.", default=4096, minimum=4, maximum=10_000)
    tied_token_embedding_weight = Hyperparameter(bool, "Have one table of token embeddings for both sides.", default=False)
    token_embedding_storage_type = Hyperparameter(
        str,
        "dense: every step moves all token embeddings; row_sparse: those of tokens in its mini-batch, faster where there are many others.",
        default="dense",
        choices=["dense", "row_sparse"],
    )
    comparator_list = Hyperparameter(
        list,
        "What compares the encodings, joined in this order: their product, both, the absolute value of their difference.",
        default=["hadamard", "concat", "abs_diff"],
        choices=["hadamard", "concat", "abs_diff"],
    )
    mlp_layers = Hyperparameter(int, "Layers on top of the comparators before the output.", default=2, minimum=0, maximum=10)
    mlp_dim = Hyperparameter(int, "Numbers that each of these gives.", default=512, minimum=2, maximum=10_000)
    mlp_activation = Hyperparameter(str, "Their activation.", default="linear", choices=["tanh", "relu", "linear"])
    output_layer = Hyperparameter(
        str, "Learn classes by cross entropy, or numbers by the squared error.", default=SOFTMAX, choices=[SOFTMAX, SQUARED_ERROR]
    )
    num_classes = Hyperparameter(int, "Classes of the label; of no effect on numbers.", default=2, minimum=2, maximum=30)
    negative_sampling_rate = Hyperparameter(
        int,
        "Pairs of label 0 that are drawn for each pair with a label above 0: its first input with second ones of others.",
        default=0,
        minimum=0,
    )
    epochs = Hyperparameter(int, "Passes over the training rows at most.", default=30, minimum=1, maximum=100)
    mini_batch_size = Hyperparameter(int, "Pairs per mini-batch, of all workers together.", default=32, minimum=1, maximum=10_000)
    bucket_width = Hyperparameter(
        int,
        "How much lengths may differ of sequences that an hcnn or bilstm computes together, which saves padding; 0 takes all together.",
        default=0,
        minimum=0,
        maximum=100,
    )
    dropout = Hyperparameter(
        float,
        "Share of numbers set to 0 at random in training: of token embeddings, between layers of a bilstm, and in each layer on top.",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
    )
    optimizer = Hyperparameter(str, "Optimizer.", default="adam", choices=["adadelta", "adagrad", "adam", "sgd", "rmsprop"])
    learning_rate = Hyperparameter(float, "Learning rate.", default=0.0004, minimum=1e-6, maximum=1.0)
    weight_decay = Hyperparameter(
        float, "How many times itself each parameter is added to its gradient.", default=0, minimum=0, maximum=10_000
    )
    early_stopping_patience = Hyperparameter(
        int,
        "Epochs in a row of too little gain after which training ends; on validation rows where there are such.",
        default=3,
        minimum=1,
        maximum=5,
    )
    early_stopping_tolerance = Hyperparameter(
        float, "Gains of the loss count from this share of it on.", default=0.01, minimum=1e-6, maximum=0.1
    )
    auxiliary_dir = OwnHyperparameter(str, "Folder, on any storage of the session, with the files of pretrained embeddings.")

    probabilityCol = ColumnParam("Output column of a classifier: a vector of the probability of each class.", default="probability")
    embeddingCol = ColumnParam("Column that `encode` appends: a vector of enc_dim numbers.", default="embedding")

    def problems(self) -> list[str]:
        found = super().problems()
        return found or _contradictions(Hyperparameters(**self.hyperparameters()))


def _contradictions(of: Hyperparameters) -> list[str]:
    """What does not go together."""
    if of.enc1_network != LIKE_FIRST:
        needed = [name for name in ("enc1_max_seq_len", "enc1_vocab_size") if getattr(of, name) is None]
        if needed:
            return [f"{' and '.join(needed)} must be given with enc1_network={of.enc1_network!r}, or leave that 'enc0'"]
    first, second = side_of(of, 0), side_of(of, 1)
    found = []
    if of.tied_token_embedding_weight:
        for name, attribute in (("vocab_size", "vocab_size"), ("token_embedding_dim", "dim")):
            one, other = getattr(first, attribute), getattr(second, attribute)
            if one != other:
                found.append(f"tied_token_embedding_weight needs enc0_{name} and enc1_{name} to be equal, got {one} and {other}")
    if BILSTM in (first.network, second.network) and of.enc_dim % 2:
        found.append(f"enc_dim must be even with a bilstm, whose two directions have half of it each, got {of.enc_dim}")
    if len(set(of.comparator_list)) < len(of.comparator_list):
        found.append(f"comparator_list names one more than once: {', '.join(of.comparator_list)}")
    return found + _file_problems(of)


def _file_problems(of: Hyperparameters) -> list[str]:
    found = []
    for enc in ("enc0", "enc1"):
        vectors, vocabulary = (getattr(of, f"{enc}_{name}") for name in ("pretrained_embedding_file", "vocab_file"))
        for name, value in ((f"{enc}_pretrained_embedding_file", vectors), (f"{enc}_vocab_file", vocabulary)):
            if not _FILE_NAME.fullmatch(value):
                found.append(f"{name} must be the name of a file, of letters, digits, dots and underscores, got {value!r}")
        if vectors and not vocabulary:
            found.append(f"{enc}_vocab_file is required with {enc}_pretrained_embedding_file: the ids of its words")
        if vectors and not of.auxiliary_dir:
            found.append(f"auxiliary_dir is required with {enc}_pretrained_embedding_file: the folder of the file")
    return found


def kinds(hyperparameters: Hyperparameters) -> Mapping[str, Kind]:
    """What the inputs and the label are, by role."""
    found: dict[str, Any] = {}
    for number, role in enumerate(ROLES):
        side = side_of(hyperparameters, number)
        given = "enc0" if hyperparameters.enc1_network == LIKE_FIRST else f"enc{number}"
        found[role] = TokenIds(side.vocab_size, side.max_seq_len, f"{given}_vocab_size={side.vocab_size}")
    if hyperparameters.output_layer == SOFTMAX:
        found[LABEL] = ClassLabel(hyperparameters.num_classes, "or raise num_classes, or output_layer='mean_squared_error'")
    return found
