"""The network of Object2Vec: tables of token embeddings, an encoder for each side, comparator and layers on top; and how it learns.

Sequences come as their tokens one after the other and the place where each begins, so that a mean costs no padding. Where an encoder needs
a rectangle, what it gives for a sequence does not depend on those beside it: padding is 0 before and after each layer, and no maximum is
taken over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparkml_algos.algorithms.object2vec.sampling import with_negatives
from sparkml_algos.algorithms.object2vec.settings import BILSTM, HCNN, POOLED, Settings, Side
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.progress import EpochResult

# Standard deviation of a token embedding's numbers at the start. Sentences of SICK, pooled, one training each: the correlation with what
# people said was 0.80 without dropout, and 0.77 with 0.5; with torch's deviation of 1 it was 0.77 and 0.71, with 0.1 and dropout 0.70.
START_DEVIATION = 0.3

_ACTIVATIONS: Mapping[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "linear": nn.Identity}
_COMPARED: Mapping[str, Callable[[Tensor, Tensor], list[Tensor]]] = {
    "hadamard": lambda one, other: [one * other],
    "concat": lambda one, other: [one, other],
    "abs_diff": lambda one, other: [(one - other).abs()],
}


class Sequences:
    """Token ids of some rows.

    Attributes
    ----------
    ids : Tensor of int64, shape (tokens,)
    starts, lengths : Tensor of int64, shape (rows,)
    """

    def __init__(self, ids: Tensor, starts: Tensor, lengths: Tensor) -> None:
        self.ids, self.starts, self.lengths = ids, starts, lengths

    @classmethod
    def of(cls, column: Ragged, device: str | torch.device) -> Sequences:
        """Those of a column of a batch, on a device."""
        first, lengths = column.offsets[0], column.lengths
        ids = column.values[first : column.offsets[-1]]
        return cls(*(to_tensor(array.astype(np.int64, copy=False), device) for array in (ids, column.offsets[:-1] - first, lengths)))

    def __len__(self) -> int:
        return len(self.lengths)


class PooledEncoder(nn.Module):
    """The mean of the token embeddings; where it is not as long as an encoding, a linear layer makes it so.

    Parameters
    ----------
    dim, enc_dim : int
    dropout : float
    """

    def __init__(self, dim: int, enc_dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Identity() if dim == enc_dim else nn.Linear(dim, enc_dim)

    def forward(self, tokens: Sequences, table: nn.Embedding, dtype: torch.dtype) -> Tensor:
        if len(tokens.ids) == len(tokens):  # one token each, for none has no token
            mean = functional.embedding(tokens.ids, table.weight, sparse=table.sparse)
        else:
            mean = functional.embedding_bag(tokens.ids, table.weight, tokens.starts, mode="mean", sparse=table.sparse)
        return self.projection(self.dropout(mean).to(dtype))


class _SequenceEncoder(nn.Module):
    """An encoder of rectangles: rows of like lengths together, padded to the longest of them.

    Parameters
    ----------
    dropout : float
    bucket_width : int
        How much lengths may differ within a rectangle; 0 makes one of all.
    """

    def __init__(self, dropout: float, bucket_width: int) -> None:
        super().__init__()
        self.dropout, self._bucket_width = nn.Dropout(dropout), bucket_width

    def forward(self, tokens: Sequences, table: nn.Embedding, dtype: torch.dtype) -> Tensor:
        vectors = self.dropout(functional.embedding(tokens.ids, table.weight, sparse=table.sparse)).to(dtype)
        if not self._bucket_width or not len(tokens):
            return self.encoded(*_rectangle(vectors, tokens.starts, tokens.lengths))
        buckets = torch.div(tokens.lengths - 1, self._bucket_width + 1, rounding_mode="floor")
        places = [torch.nonzero(buckets == bucket)[:, 0] for bucket in torch.unique(buckets)]
        parts = [self.encoded(*_rectangle(vectors, tokens.starts[rows], tokens.lengths[rows])) for rows in places]
        return torch.cat(parts)[torch.argsort(torch.cat(places))]

    def encoded(self, rectangle: Tensor, is_token: Tensor, lengths: Tensor) -> Tensor:
        """Encodings of the rows of a rectangle.

        Parameters
        ----------
        rectangle : Tensor, shape (rows, longest, dim)
            0 where there is no token.
        is_token : Tensor of bool, shape (rows, longest)
        lengths : Tensor, shape (rows,)

        Returns
        -------
        Tensor, shape (rows, enc_dim)
        """
        raise NotImplementedError


class ConvolutionalEncoder(_SequenceEncoder):
    """Convolutions over convolutions; of each layer the largest value over the sequence, and these joined: ``enc_dim`` in all, as equally
    many from each layer as can be.

    Parameters
    ----------
    dim, enc_dim, layers, width : int
    dropout : float
    bucket_width : int
    """

    def __init__(self, dim: int, enc_dim: int, layers: int, width: int, dropout: float, bucket_width: int) -> None:
        super().__init__(dropout, bucket_width)
        channels = [enc_dim // layers + (layer < enc_dim % layers) for layer in range(layers)]
        sizes = zip([dim, *channels[:-1]], channels, strict=True)
        self.layers = nn.ModuleList(nn.Conv1d(before, after, width, padding="same") for before, after in sizes)

    def encoded(self, rectangle: Tensor, is_token: Tensor, lengths: Tensor) -> Tensor:
        hidden, found = rectangle.transpose(1, 2), []
        for layer in self.layers:
            hidden = torch.relu(layer(hidden)) * is_token[:, None]
            found.append(hidden.amax(2))
        return torch.cat(found, dim=1)


class RecurrentEncoder(_SequenceEncoder):
    """Bidirectional LSTM layers; of the last, the largest value of each unit over the sequence.

    Parameters
    ----------
    dim, enc_dim, layers : int
    dropout : float
    bucket_width : int
    """

    def __init__(self, dim: int, enc_dim: int, layers: int, dropout: float, bucket_width: int) -> None:
        super().__init__(dropout, bucket_width)
        self.layers = nn.LSTM(dim, enc_dim // 2, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0)

    def encoded(self, rectangle: Tensor, is_token: Tensor, lengths: Tensor) -> Tensor:
        if not len(rectangle):
            return rectangle.new_zeros(0, 2 * self.layers.hidden_size)
        packed = nn.utils.rnn.pack_padded_sequence(rectangle, lengths.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = nn.utils.rnn.pad_packed_sequence(self.layers(packed)[0], batch_first=True, padding_value=-torch.inf)
        return hidden.amax(1)


class Object2VecNetwork(nn.Module):
    """Both sides, what compares them, and the layers on top.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._comparators = settings.comparators
        self.tables = nn.ModuleList(_table(side, settings.sparse) for side in settings.sides[: 1 if settings.tied else 2])
        self.encoders = nn.ModuleList(_encoder(side, settings) for side in settings.sides)
        width, layers = settings.compared_dim, []
        for _ in range(settings.mlp_layers):
            layers += [nn.Linear(width, settings.mlp_dim), _ACTIVATIONS[settings.mlp_activation](), nn.Dropout(settings.dropout)]
            width = settings.mlp_dim
        self.top = nn.Sequential(*layers, nn.Linear(width, settings.outputs))

    def table(self, side: int) -> nn.Embedding:
        """Token embeddings of a side."""
        return self.tables[min(side, len(self.tables) - 1)]

    def encode(self, tokens: Sequences, side: int) -> Tensor:
        """Encodings of rows of one side, shape (rows, enc_dim)."""
        return self.encoders[side](tokens, self.table(side), self.top[-1].weight.dtype)

    def forward(self, first: Sequences, second: Sequences) -> Tensor:
        """Scores of pairs, shape (rows, outputs)."""
        return self.top(self.compared(self.encode(first, 0), self.encode(second, 1)))

    def compared(self, one: Tensor, other: Tensor) -> Tensor:
        """What the comparators give of encodings of both sides, joined, shape (rows, compared_dim)."""
        return torch.cat([part for name in self._comparators for part in _COMPARED[name](one, other)], dim=1)

    def precise(self) -> Object2VecNetwork:
        """This network, which from now on computes with 64 bits all but its tables, of which each row is read by itself."""
        self.encoders.double()
        self.top.double()
        return self

    @torch.no_grad()
    def put_pretrained(self, side: int, ids: np.ndarray, vectors: np.ndarray, frozen: bool) -> None:
        """Let token embeddings start with vectors that are known.

        Parameters
        ----------
        side : int
        ids : ndarray, shape (known,)
        vectors : ndarray, shape (known, dim)
        frozen : bool
            Whether the side's embeddings stay as they are now.
        """
        table = self.table(side)
        table.weight[torch.from_numpy(np.array(ids, np.int64))] = torch.from_numpy(np.array(vectors, np.float32))
        table.weight.requires_grad_(not frozen)


class PairProgram(nn.Module):
    """Scores of pairs as a program of tensors: for token ids of both inputs, int64 (rows, longest), -1 behind the end of a list.

    Parameters
    ----------
    network : Object2VecNetwork
        That computes with 64 bits.
    finish : callable
        From what the network says to what the model answers.
    """

    def __init__(self, network: Object2VecNetwork, finish: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self._finish = network, finish

    def forward(self, in0: Tensor, in1: Tensor) -> tuple[Tensor]:
        encodings = [self._encoded(tokens, side) for side, tokens in enumerate((in0, in1))]
        return (self._finish(self.network.top(self.network.compared(*encodings))),)

    def _encoded(self, tokens: Tensor, side: int) -> Tensor:
        encoder, is_token = self.network.encoders[side], tokens >= 0
        vectors = functional.embedding(tokens.clamp_min(0), self.network.table(side).weight) * is_token[..., None]
        vectors, lengths = vectors.double(), is_token.sum(1)
        if isinstance(encoder, PooledEncoder):
            return encoder.projection(vectors.sum(1) / lengths[:, None])
        return encoder.encoded(vectors, is_token, lengths)


def _table(side: Side, sparse: bool) -> nn.Embedding:
    table = nn.Embedding(side.vocab_size, side.dim, sparse=sparse)
    with torch.no_grad():
        table.weight.mul_(START_DEVIATION)
    return table


def _encoder(side: Side, settings: Settings) -> nn.Module:
    if side.network == POOLED:
        return PooledEncoder(side.dim, settings.enc_dim, settings.dropout)
    if side.network == HCNN:
        return ConvolutionalEncoder(side.dim, settings.enc_dim, side.layers, side.filter_width, settings.dropout, settings.bucket_width)
    assert side.network == BILSTM
    return RecurrentEncoder(side.dim, settings.enc_dim, side.layers, settings.dropout, settings.bucket_width)


def _rectangle(vectors: Tensor, starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of some sequences the vectors of their tokens side by side, where there is a token, and the lengths."""
    places = torch.arange(int(lengths.max()) if len(lengths) else 1, device=vectors.device)
    is_token = places < lengths[:, None]
    rectangle = vectors.new_zeros(*is_token.shape, vectors.shape[1])
    rectangle[is_token] = vectors[(starts[:, None] + places)[is_token]]
    return rectangle, is_token, lengths


class _Object2VecLearner(NetworkLearner):
    """Learns from pairs; ``negatives`` more are drawn for each that is positive."""

    def __init__(self, *arguments: object, negatives: int = 0) -> None:
        super().__init__(*arguments)
        self._negatives = negatives

    def extended(self, batch: Batch, draws: Draws) -> Batch:
        return with_negatives(batch, self._negatives, draws.random) if self._negatives else batch

    def scores(self, batch: Batch) -> Tensor:
        """Of the pairs of a batch, shape (rows, outputs)."""
        return self.forward(Sequences.of(batch.in0, self.device), Sequences.of(batch.in1, self.device)).float()

    def weights(self, batch: Batch) -> Tensor | float:
        """What the rows of a batch count for."""
        return 1.0 if batch.weight is None else to_tensor(batch.weight, self.device)


class ClassLearner(_Object2VecLearner):
    """By the cross entropy of classes."""

    figures: ClassVar = ("cross_entropy", "accuracy")

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        scores, label, weights = self.scores(batch), to_tensor(batch.label, self.device).long(), self.weights(batch)
        loss = functional.cross_entropy(scores, label, reduction="none") * weights
        return {"cross_entropy": loss.sum(), "accuracy": ((scores.argmax(1) == label) * weights).sum()}


class NumberLearner(_Object2VecLearner):
    """By the squared error of numbers: the network learns them shifted and in a unit of their own."""

    figures: ClassVar = ("mean_squared_error",)

    def __init__(self, *arguments: object, mean: float = 0.0, unit: float = 1.0, negatives: int = 0) -> None:
        super().__init__(*arguments, negatives=negatives)
        self._mean, self._unit = mean, unit

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        label = (to_tensor(batch.label, self.device) - self._mean) / self._unit
        errors = (self.scores(batch)[:, 0] - label) ** 2 * self.weights(batch)
        return {"mean_squared_error": errors.sum()}

    def result(self, found: dict[str, float]) -> EpochResult:
        return super().result({name: value * self._unit**2 for name, value in found.items()})
