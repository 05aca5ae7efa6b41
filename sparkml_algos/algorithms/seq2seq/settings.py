"""What a network of sequence to sequence is built from, in one form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkml_algos.arrays.hyperparameters import Hyperparameters

#: The encoders and decoders.
RNN, CNN = "rnn", "cnn"
#: Where the decoder's state starts.
LAST, AVERAGE, ZERO = "last", "avg", "zero"


@dataclass(frozen=True)
class Recurrent:
    """What the hyperparameters say of recurrent encoders and decoders.

    Attributes
    ----------
    cell : {"lstm", "gru"}
    hidden : int
    attention : {"dot", "fixed", "mlp", "bilinear"}
    attention_hidden : int
    attention_in_upper_layers, input_feeding : bool
    start : {"last", "avg", "zero"}
    first_residual_layer : int or None
        Counted from 1; None where no layer has a residual connection.
    hidden_dropout : float
    """

    cell: str
    hidden: int
    attention: str
    attention_hidden: int
    attention_in_upper_layers: bool
    input_feeding: bool
    start: str
    first_residual_layer: int | None
    hidden_dropout: float


@dataclass(frozen=True)
class Convolutional:
    """What they say of convolutional ones.

    Attributes
    ----------
    hidden, encoder_width, decoder_width : int
    activation : {"glu", "relu", "softrelu", "sigmoid", "tanh"}
    dropout : float
    """

    hidden: int
    encoder_width: int
    decoder_width: int
    activation: str
    dropout: float


@dataclass(frozen=True)
class Settings:
    """What a network is built from.

    Attributes
    ----------
    encoder, decoder : {"rnn", "cnn"}
    sizes, dims, longest, layers : (int, int)
        Of source and target, or of encoder and decoder: words, numbers of a word's embedding, words of a sentence that are read, layers.
    dropouts : (float, float)
        Of embeddings.
    rnn : Recurrent
    cnn : Convolutional
    """

    encoder: str
    decoder: str
    sizes: tuple[int, int]
    dims: tuple[int, int]
    longest: tuple[int, int]
    layers: tuple[int, int]
    dropouts: tuple[float, float]
    rnn: Recurrent
    cnn: Convolutional

    @property
    def encoded(self) -> int:
        """Numbers that the encoder gives for a word."""
        return self.rnn.hidden if self.encoder == RNN else self.cnn.hidden


def settings_of(hyperparameters: Hyperparameters, sizes: tuple[int, int]) -> Settings:
    """The settings that hyperparameters come to, with vocabularies of these sizes."""
    of = hyperparameters
    rnn = Recurrent(
        cell=of.rnn_cell_type,
        hidden=of.rnn_num_hidden,
        attention=of.rnn_attention_type,
        attention_hidden=of.rnn_attention_num_hidden or of.rnn_num_hidden,
        attention_in_upper_layers=of.rnn_attention_in_upper_layers,
        input_feeding=of.rnn_input_feeding,
        start=of.rnn_decoder_state_init,
        first_residual_layer=of.rnn_first_residual_layer if of.rnn_residual_connections else None,
        hidden_dropout=of.rnn_decoder_hidden_dropout,
    )
    cnn = Convolutional(
        hidden=of.cnn_num_hidden,
        encoder_width=of.cnn_kernel_width_encoder,
        decoder_width=of.cnn_kernel_width_decoder,
        activation=of.cnn_activation_type,
        dropout=of.cnn_hidden_dropout,
    )
    return Settings(
        encoder=of.encoder_type,
        decoder=of.decoder_type,
        sizes=sizes,
        dims=(of.num_embed_source, of.num_embed_target),
        longest=(of.max_seq_len_source, of.max_seq_len_target),
        layers=(of.num_layers_encoder, of.num_layers_decoder),
        dropouts=(of.embed_dropout_source, of.embed_dropout_target),
        rnn=rnn,
        cnn=cnn,
    )


def contradictions(of: Hyperparameters, has_validation: bool | None) -> list[str]:
    """What does not go together.

    Parameters
    ----------
    of : Hyperparameters
    has_validation : bool or None
        Whether rows are marked for validation; None where that is of no matter.
    """
    found = _of_training(of, has_validation)
    uses_rnn = RNN in (of.encoder_type, of.decoder_type)
    if uses_rnn and of.rnn_num_hidden % 2:
        found.append(f"rnn_num_hidden must be even, for the two directions of the encoder have half of it each, got {of.rnn_num_hidden}")
    if of.encoder_type == CNN and of.decoder_type == RNN and of.rnn_attention_type == "dot" and of.cnn_num_hidden != of.rnn_num_hidden:
        found.append(
            "rnn_attention_type='dot' with a cnn encoder needs cnn_num_hidden and rnn_num_hidden to be equal, got "
            f"{of.cnn_num_hidden} and {of.rnn_num_hidden}"
        )
    if uses_rnn and of.rnn_residual_connections and of.rnn_first_residual_layer == 1:
        sides: Mapping[str, Any] = {"num_embed_source": of.encoder_type, "num_embed_target": of.decoder_type}
        found += [
            f"rnn_first_residual_layer=1 adds embeddings to the first layer's output, so {name} must be rnn_num_hidden="
            f"{of.rnn_num_hidden}, got {getattr(of, name)}"
            for name, type_ in sides.items()
            if type_ == RNN and getattr(of, name) != of.rnn_num_hidden
        ]
    return found


def _of_training(of: Hyperparameters, has_validation: bool | None) -> list[str]:
    found = []
    if of.momentum is not None and of.optimizer_type != "sgd":
        found.append(f"momentum goes with optimizer_type='sgd' alone, which is {of.optimizer_type!r}: leave one out")
    if of.momentum is not None and not 0 <= of.momentum < 1:
        found.append(f"momentum must be >= 0 and < 1, got {of.momentum:g}")
    if of.learning_rate <= 0:
        found.append(f"learning_rate must be > 0, got {of.learning_rate:g}")
    if of.clip_gradient == 0:
        found.append("clip_gradient must not be 0, with which nothing is learned; negative is for none")
    if of.weight_init_scale == 0:
        found.append("weight_init_scale must not be 0: weights that all start at 0 stay equal")
    if of.weight_decay < 0:
        found.append(f"weight_decay must be >= 0, got {of.weight_decay:g}")
    if not 0 < of.plateau_reduce_lr_factor <= 1:
        found.append(f"plateau_reduce_lr_factor must be > 0 and <= 1, got {of.plateau_reduce_lr_factor:g}")
    if of.max_num_batches is not None and (of.max_num_batches == 0 or of.max_num_batches < -1):
        found.append(f"max_num_batches must be >= 1, or -1 for no cap, got {of.max_num_batches}")
    if of.max_num_epochs is not None and of.min_num_epochs > of.max_num_epochs:
        found.append(f"min_num_epochs={of.min_num_epochs} is more than max_num_epochs={of.max_num_epochs}")
    if of.bleu_sample_size < -1:
        found.append(f"bleu_sample_size must be >= 0, or -1 for all, got {of.bleu_sample_size}")
    if of.optimized_metric == "bleu" and not of.bleu_sample_size:
        found.append("optimized_metric='bleu' needs bleu_sample_size: pairs that are translated at each checkpoint, -1 for all")
    if of.bleu_sample_size and has_validation is False:
        found.append(f"bleu_sample_size={of.bleu_sample_size} needs pairs for validation: name a validationIndicatorCol")
    return found
