"""What the hyperparameters of Object2Vec come to, in one form."""

from __future__ import annotations

from dataclasses import dataclass

from sparkml_algos.arrays.hyperparameters import Hyperparameters

#: The encoders.
POOLED, HCNN, BILSTM = "pooled_embedding", "hcnn", "bilstm"
#: The other side's encoder, as the one of side 1.
LIKE_FIRST = "enc0"
SOFTMAX, SQUARED_ERROR = "softmax", "mean_squared_error"
ROW_SPARSE = "row_sparse"

# Layers of an encoder that is not told how many.
_AUTO_LAYERS = {POOLED: 0, HCNN: 4, BILSTM: 1}
# Of the length of an encoding, how long what a comparator gives is.
_LENGTHS = {"hadamard": 1, "concat": 2, "abs_diff": 1}


@dataclass(frozen=True)
class Side:
    """One input and its encoder.

    Attributes
    ----------
    vocab_size, max_seq_len, dim : int
        How many tokens there are, how many of a sequence are read, numbers of a token's embedding.
    network : {"pooled_embedding", "hcnn", "bilstm"}
    layers, filter_width : int
        Where the encoder has such.
    embedding_file, vocab_file : str
        Of the auxiliary channel, "" without.
    frozen : bool
        Whether vectors that are known before stay as they are.
    """

    vocab_size: int
    max_seq_len: int
    dim: int
    network: str
    layers: int
    filter_width: int
    embedding_file: str
    vocab_file: str
    frozen: bool


@dataclass(frozen=True)
class Settings:
    """What a network is built from.

    Attributes
    ----------
    sides : (Side, Side)
    tied, sparse : bool
        Whether both sides have one table of token embeddings, and whether steps move the rows alone that they touch.
    enc_dim, bucket_width : int
    comparators : tuple of str
        In the order in which their outputs are joined.
    mlp_layers, mlp_dim : int
    mlp_activation : {"tanh", "relu", "linear"}
    outputs : int
        One for numbers, else one for each class.
    dropout : float
    """

    sides: tuple[Side, Side]
    tied: bool
    sparse: bool
    enc_dim: int
    bucket_width: int
    comparators: tuple[str, ...]
    mlp_layers: int
    mlp_dim: int
    mlp_activation: str
    outputs: int
    dropout: float

    @property
    def compared_dim(self) -> int:
        """Length of what the comparators give together."""
        return self.enc_dim * sum(_LENGTHS[name] for name in self.comparators)


def settings_of(hyperparameters: Hyperparameters) -> Settings:
    """The settings that hyperparameters come to."""
    of = hyperparameters
    return Settings(
        sides=(side_of(of, 0), side_of(of, 1)),
        tied=of.tied_token_embedding_weight,
        sparse=of.token_embedding_storage_type == ROW_SPARSE,
        enc_dim=of.enc_dim,
        bucket_width=of.bucket_width,
        comparators=tuple(of.comparator_list),
        mlp_layers=of.mlp_layers,
        mlp_dim=of.mlp_dim,
        mlp_activation=of.mlp_activation,
        outputs=of.num_classes if of.output_layer == SOFTMAX else 1,
        dropout=of.dropout,
    )


def side_of(hyperparameters: Hyperparameters, side: int) -> Side:
    """One side; side 1 is like side 0 where its network is ``enc0``."""
    enc = "enc0" if side == 0 or hyperparameters.enc1_network == LIKE_FIRST else "enc1"

    def of(name: str) -> object:
        return getattr(hyperparameters, f"{enc}_{name}")

    layers = of("layers")
    return Side(
        vocab_size=of("vocab_size"),
        max_seq_len=of("max_seq_len"),
        dim=of("token_embedding_dim"),
        network=of("network"),
        layers=_AUTO_LAYERS[of("network")] if layers == "auto" else layers,
        filter_width=of("cnn_filter_width"),
        embedding_file=of("pretrained_embedding_file"),
        vocab_file=of("vocab_file"),
        frozen=of("freeze_pretrained_embedding"),
    )
