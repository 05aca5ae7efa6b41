"""The network of sequence to sequence: encoders and decoders, how it learns, and how it translates.

Of a source x₁ … xₙ the encoder makes states h₁ … hₙ. The decoder, which knows the target's words before one and looks at the states, gives
how probable each word of the vocabulary is in its place. What the encoder gives of a sentence does not depend on those beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from sparkml_algos.algorithms.seq2seq.settings import AVERAGE, LAST, RNN, ZERO, Recurrent, Settings
from sparkml_algos.algorithms.seq2seq.words import END, START, Sides
from sparkml_algos.arrays import bleu
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.networks.attention import DOT, Attention, Memory
from sparkml_algos.networks.beam_search import Finding, beam_search
from sparkml_algos.networks.learner import Draws, NetworkLearner
from sparkml_algos.networks.recurrent import LSTM, RecurrentLayer, State
from sparkml_algos.networks.schedules import PlateauReduce
from sparkml_algos.networks.state import to_tensor
from sparkml_algos.rows.batch import Batch
from sparkml_algos.training.progress import EpochResult

# Words of sources, padding included, that are translated at a time; and target words, likewise, that are judged at a time.
SEARCH_WORDS, JUDGED_WORDS = 1 << 12, 1 << 12
# What keeps the size of a sum of two, of which Gehring et al. make layers.
_HALF = math.sqrt(0.5)

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "glu": lambda hidden: functional.glu(hidden, dim=1),
    "relu": torch.relu,
    "softrelu": functional.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class RecurrentEncoder(nn.Module):
    """A layer in both directions, the units of each being half of all, and layers in one direction on top.

    Parameters
    ----------
    inputs, layers : int
    settings : Recurrent
    """

    def __init__(self, inputs: int, layers: int, settings: Recurrent) -> None:
        super().__init__()
        make = nn.LSTM if settings.cell == LSTM else nn.GRU
        self._residual = settings.first_residual_layer
        first = make(inputs, settings.hidden // 2, bidirectional=True)
        self.layers = nn.ModuleList([first, *(make(settings.hidden, settings.hidden) for _ in range(layers - 1))])

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States, shape (rows, length, hidden), and what is known at the end of each row, shape (rows, hidden)."""
        packed, memory = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False), None
        for number, layer in enumerate(self.layers, 1):
            found, memory = layer(packed)
            if self._residual is not None and number >= self._residual:
                found = PackedSequence(found.data + packed.data, *found[1:])
            packed = found
        states, _ = pad_packed_sequence(packed, batch_first=True)
        if len(self.layers) == 1:
            ends = memory[0] if isinstance(memory, tuple) else memory
            return states, torch.cat([ends[0], ends[1]], dim=1)
        return states, _at_end(states, lengths)


class ConvolutionalEncoder(nn.Module):
    """Convolutions over convolutions, whose widths see a word and its neighbours; each is added to what goes into it.

    Parameters
    ----------
    inputs, layers, longest : int
    settings : Settings
    """

    def __init__(self, inputs: int, layers: int, longest: int, settings: Settings) -> None:
        super().__init__()
        self.positions = nn.Embedding(longest, inputs)
        self.projection = nn.Linear(inputs, settings.cnn.hidden)
        self.layers = _convolutions(layers, settings.cnn.encoder_width, settings)
        self.dropout = nn.Dropout(settings.cnn.dropout)
        self._activation = _ACTIVATIONS[settings.cnn.activation]
        width = settings.cnn.encoder_width
        self._padding = ((width - 1) // 2, width // 2)

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States, shape (rows, length, hidden), and the last one of each row, shape (rows, hidden)."""
        places = torch.arange(vectors.shape[1], device=vectors.device)
        is_word = (places < lengths[:, None])[:, None]
        hidden = self.projection(vectors + self.positions(places)).transpose(1, 2) * is_word
        for layer in self.layers:
            found = self._activation(layer(functional.pad(self.dropout(hidden), self._padding)))
            hidden = (found + hidden) * _HALF * is_word
        states = hidden.transpose(1, 2)
        return states, _at_end(states, lengths)


class RecurrentDecoder(nn.Module):
    """Layers that remember the words before, and an attention that looks at the encoder's states.

    What a step makes of both, tanh(W [h; context]), goes to the output and, with input feeding, into the next step.

    Parameters
    ----------
    inputs, layers, encoded : int
        Numbers of an embedding, layers, numbers of an encoder's state.
    settings : Recurrent
    """

    def __init__(self, inputs: int, layers: int, encoded: int, settings: Recurrent) -> None:
        super().__init__()
        hidden = settings.hidden
        self._feeds, self._attends_below = settings.input_feeding, settings.attention_in_upper_layers or layers == 1
        self._residual, self._start = settings.first_residual_layer, settings.start
        self.outputs = hidden
        above = hidden + encoded if self._attends_below else hidden
        sizes = [inputs + hidden if self._feeds else inputs, *[above] * (layers - 1)]
        self.layers = nn.ModuleList(RecurrentLayer(settings.cell, size, hidden) for size in sizes)
        self.attention = Attention(settings.attention, encoded, hidden, settings.attention_hidden)
        self.dropout = nn.Dropout(settings.hidden_dropout)
        self.join = nn.Linear(hidden + encoded, hidden)
        if settings.start != ZERO:
            self.start = nn.Linear(encoded, hidden * layers * self.layers[0].slots)

    def begin(self, memory: Memory, end: Tensor) -> State:
        """The state before the first word: what is fed, and each layer's."""
        rows, count = len(end), len(self.layers) * self.layers[0].slots
        fed = end.new_zeros(rows, 1, self.outputs)
        if self._start == ZERO:
            return (fed, *[fed] * count)
        if self._start == AVERAGE:
            end = memory.states.sum(1) / memory.lengths[:, None].to(end.dtype)
        else:
            assert self._start == LAST
        return (fed, *torch.tanh(self.start(end))[:, None].chunk(count, dim=2))

    def step(self, vectors: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """Hidden numbers of a step, what it looked at, and the state after it; of several beginnings per row.

        Parameters
        ----------
        vectors : Tensor, shape (rows, beams, inputs)
        state : State
            Each of shape (rows, beams, hidden).
        memory : Memory
        """
        slots = self.layers[0].slots
        after: list[Tensor] = []

        def run(number: int, inputs: Tensor) -> Tensor:
            place = 1 + number * slots
            found = self.layers[number].step(inputs, state[place : place + slots])
            after.extend(found)
            return found[0]

        hidden, weights = self._advanced(vectors, state[0], memory, run)
        return hidden, weights, (hidden, *after)

    def forward(self, vectors: Tensor, state: State, memory: Memory) -> Tensor:
        """Hidden numbers of all steps, shape (rows, length, hidden)."""
        if not self._feeds:
            slots = self.layers[0].slots

            def run(number: int, inputs: Tensor) -> Tensor:
                place = 1 + number * slots
                return self.layers[number].sequence(inputs, state[place : place + slots])

            return self._advanced(vectors, None, memory, run)[0]
        found = []
        for place in range(vectors.shape[1]):
            hidden, _, state = self.step(vectors[:, place : place + 1], state, memory)
            found.append(hidden)
        return torch.cat(found, dim=1)

    def _advanced(self, vectors: Tensor, fed: Tensor | None, memory: Memory, run: Callable[[int, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        hidden = run(0, torch.cat([vectors, fed], dim=2) if self._feeds else vectors)
        if self._residual == 1:
            hidden = hidden + vectors
        context, weights = self.attention(hidden, memory) if self._attends_below else (None, None)
        for number in range(1, len(self.layers)):
            found = run(number, torch.cat([hidden, context], dim=2) if self._attends_below else hidden)
            hidden = found + hidden if self._residual is not None and number + 1 >= self._residual else found
        if not self._attends_below:
            context, weights = self.attention(hidden, memory)
        return torch.tanh(self.join(self.dropout(torch.cat([hidden, context], dim=2)))), weights


class ConvolutionalDecoder(nn.Module):
    """Convolutions over a word and those before it, each with an attention of its own; each is added to what goes into it.

    Parameters
    ----------
    inputs, layers, encoded, longest : int
    settings : Settings
    """

    def __init__(self, inputs: int, layers: int, encoded: int, longest: int, settings: Settings) -> None:
        super().__init__()
        hidden = self.outputs = settings.cnn.hidden
        self._width = settings.cnn.decoder_width
        self._activation = _ACTIVATIONS[settings.cnn.activation]
        self.positions = nn.Embedding(longest + 1, inputs)  # with the word that a sentence starts with
        self.projection = nn.Linear(inputs, hidden)
        self.layers = _convolutions(layers, self._width, settings)
        self.queries = nn.ModuleList(nn.Linear(hidden, encoded) for _ in range(layers))
        self.contexts = nn.ModuleList(nn.Linear(encoded, hidden) for _ in range(layers))
        self.attention = Attention(DOT, encoded, encoded, encoded)
        self.dropout = nn.Dropout(settings.cnn.dropout)

    def begin(self, memory: Memory, end: Tensor) -> State:
        """The state before the first word: its place, and what each layer has seen."""
        seen = end.new_zeros(len(end), 1, (self._width - 1) * self.outputs)
        return (torch.zeros(len(end), 1, 1, dtype=torch.int64, device=end.device), *[seen] * len(self.layers))

    def step(self, vectors: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """As of `RecurrentDecoder`; what was looked at is the mean over the layers."""
        place, *seen = state
        first = hidden = self.projection(vectors + self.positions(place[:, :, 0]))
        after, looked = [], []
        for layer, query, context, before in zip(self.layers, self.queries, self.contexts, seen, strict=True):
            window = torch.cat([before, hidden], dim=2)
            after.append(window[:, :, self.outputs :])
            # Of all places within the window, (rows · beams, width, units), the last one's output.
            inputs = window.flatten(0, 1).view(-1, self._width, self.outputs).transpose(1, 2)
            found = self._activation(layer(self.dropout(inputs)))[:, :, 0].view(*hidden.shape)
            hidden, weights = self._attended(found, hidden, first, query, context, memory)
            looked.append(weights)
        return hidden, torch.stack(looked).mean(0), (place + 1, *after)

    def forward(self, vectors: Tensor, state: State, memory: Memory) -> Tensor:
        """Hidden numbers of all steps, shape (rows, length, hidden)."""
        places = torch.arange(vectors.shape[1], device=vectors.device)
        first = hidden = self.projection(vectors + self.positions(places))
        for layer, query, context in zip(self.layers, self.queries, self.contexts, strict=True):
            inputs = functional.pad(self.dropout(hidden).transpose(1, 2), (self._width - 1, 0))
            found = self._activation(layer(inputs)).transpose(1, 2)
            hidden, _ = self._attended(found, hidden, first, query, context, memory)
        return hidden

    def _attended(
        self, found: Tensor, hidden: Tensor, first: Tensor, query: nn.Module, context: nn.Module, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        seen, weights = self.attention(query((found + first) * _HALF), memory)
        return ((found + context(seen)) * _HALF + hidden) * _HALF, weights


class Seq2SeqNetwork(nn.Module):
    """Embeddings, encoder, decoder, and the layer that scores the words of the target's vocabulary.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        (source, target), (source_dim, target_dim), (below, above) = settings.sizes, settings.dims, settings.layers
        self.of_source, self.of_target = nn.Embedding(source, source_dim), nn.Embedding(target, target_dim)
        self.drops = nn.ModuleList(nn.Dropout(share) for share in settings.dropouts)
        if settings.encoder == RNN:
            self.encoder = RecurrentEncoder(source_dim, below, settings.rnn)
        else:
            self.encoder = ConvolutionalEncoder(source_dim, below, settings.longest[0], settings)
        if settings.decoder == RNN:
            self.decoder = RecurrentDecoder(target_dim, above, settings.encoded, settings.rnn)
        else:
            self.decoder = ConvolutionalDecoder(target_dim, above, settings.encoded, settings.longest[1], settings)
        self.output = nn.Linear(self.decoder.outputs, target)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """What the decoder looks at, and its state before the first word.

        Parameters
        ----------
        source : Tensor of int64, shape (rows, length)
        lengths : Tensor of int64, shape (rows,)
        """
        states, end = self.encoder(self.drops[0](self.of_source(source)), lengths)
        memory = self.decoder.attention.memory(states, lengths)
        return memory, self.decoder.begin(memory, end)

    def forward(self, source: Tensor, source_lengths: Tensor, given: Tensor, is_word: Tensor) -> Tensor:
        """Scores of what follows each given word of the target, shape (given words, words of the vocabulary).

        Parameters
        ----------
        source : Tensor of int64, shape (rows, length)
        source_lengths : Tensor of int64, shape (rows,)
        given : Tensor of int64, shape (rows, length of targets)
            Each begins with the word that a sentence starts with.
        is_word : Tensor of bool, shape (rows, length of targets)
        """
        memory, state = self.encode(source, source_lengths)
        hidden = self.decoder(self.drops[1](self.of_target(given)), state, memory)
        return self.output(hidden[is_word])

    def scores(self, tokens: Tensor, state: tuple[Memory, State]) -> tuple[Tensor, Tensor, tuple[Memory, State]]:
        """As `networks.beam_search` asks; the notes are what was looked at."""
        memory, before = state
        hidden, weights, after = self.decoder.step(self.of_target(tokens), before, memory)
        return self.output(hidden), weights, (memory, after)

    def chosen(self, state: tuple[Memory, State], rows: Tensor, beams: Tensor) -> tuple[Memory, State]:
        """As `networks.beam_search` asks."""
        memory, after = state
        if len(rows) < len(memory.lengths):
            memory = memory.take(rows)
        return memory, tuple(part[rows[:, None], beams] for part in after)


def _convolutions(layers: int, width: int, settings: Settings) -> nn.ModuleList:
    hidden = settings.cnn.hidden
    outputs = 2 * hidden if settings.cnn.activation == "glu" else hidden
    return nn.ModuleList(nn.Conv1d(hidden, outputs, width) for _ in range(layers))


def _at_end(states: Tensor, lengths: Tensor) -> Tensor:
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def padded(lists: Ragged, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Lists of ids as a rectangle, 0 after the last one, and their lengths."""
    lengths = lists.lengths
    found = np.zeros((len(lists), int(lengths.max(initial=1))), np.int64)
    found[np.arange(found.shape[1]) < lengths[:, None]] = lists.values[lists.offsets[0] : lists.offsets[-1]]
    return to_tensor(found, device), to_tensor(lengths.astype(np.int64), device)


class Seq2SeqLearner(NetworkLearner):
    """Learns by the cross entropy of each target word, that of the end among them.

    Parameters
    ----------
    *arguments
        Of `NetworkLearner`.
    sides : Sides
        The vocabularies; rows come as words, or ids, for validation, and as ids to learn from.
    metric : {"perplexity", "accuracy", "bleu"}
        What is watched.
    plateau : PlateauReduce or None
        The schedule, where it goes by what is gained.
    beams, translated : int
        Of the rows for validation so many are translated, by beams of this width; all with -1.
    """

    figures: ClassVar = ("cross_entropy", "accuracy")

    def __init__(self, *arguments: Any, sides: Sides, metric: str, plateau: PlateauReduce | None, beams: int, translated: int) -> None:
        super().__init__(*arguments)
        self.larger_is_better = metric != "perplexity"
        self._sides, self._metric, self._plateau = sides, metric, plateau
        self._beams, self._translated = beams, translated

    def weight(self, batch: Batch) -> float:
        return float(batch.target.lengths.sum() + len(batch))

    def loss(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return _sums(self.forward, batch, self._sides, self.device)

    def validate(self, batches: Iterable[Batch], draws: Draws) -> Mapping[str, float]:
        """Cross entropy and accuracy of all rows for validation, and BLEU of as many as are to be translated."""
        rows = [self._sides.encoded(batch) for batch in batches]
        rows = Batch.concat(rows) if rows else self._sides.encoded(self._job.shard.empty())
        own = np.zeros(len(self.figures) + 1)
        for part in of_like_length(rows):
            with self._precision():
                found = self.loss(part, draws)
            own += [*(float(found[name]) for name in self.figures), self.weight(part)]
        summed = self._communicator.allreduce(own)
        figures = dict(zip(self.figures, (summed[:-1] / summed[-1]).tolist(), strict=True))
        return {**figures, "bleu": self._bleu(rows)} if self._translated else figures

    def _bleu(self, rows: Batch) -> float:
        rows = rows.take(self._sample(len(rows)))
        references = self._sides.whole_targets(rows)
        found = translations(self.network, rows.source, self._sides, self._beams, self.device)
        counted = bleu.counts([one.tokens for one in found], [reference.tolist() for reference in references])
        return bleu.bleu(self._communicator.allreduce(counted))

    def _sample(self, rows: int) -> np.ndarray:
        """Which rows of this worker are translated, the same at every checkpoint; all workers call it."""
        counts = np.concatenate(self._communicator.allgather(np.array([rows], np.int64), [1] * self._communicator.size))
        total = int(counts.sum())
        if self._translated == -1 or self._translated >= total:
            return np.arange(rows)
        ends = np.concatenate([[0], np.cumsum(counts)]) * self._translated // total
        rank = self._communicator.rank
        share = int(ends[rank + 1] - ends[rank])
        return np.sort(np.random.default_rng([self._job.seed, rank]).permutation(rows)[:share])

    def result(self, found: dict[str, float]) -> EpochResult:
        entropies = {name: value for name, value in found.items() if name.endswith("cross_entropy")}
        # Beyond 700 it would be no number, and a network that bad is worth none.
        perplexities = {name.replace("cross_entropy", "perplexity"): math.exp(min(700.0, value)) for name, value in entropies.items()}
        metrics = {**perplexities, **{name: value for name, value in found.items() if name not in entropies}}
        part = "validation" if self._watched.marks_validation else "train"
        watched = metrics[f"{part}:{self._metric}"]
        if self._plateau is not None:
            self._plateau.watch(watched)
        return EpochResult(metrics, watched, found[f"{part}:cross_entropy"])

    def state(self) -> Artifact:
        found = super().state()
        if self._plateau is not None:
            found.values["plateau"] = self._plateau.state()
        return found

    def restore(self, state: Artifact) -> None:
        super().restore(state)
        if self._plateau is not None:
            self._plateau.restore(state.values["plateau"])


def _sums(network: Callable[..., Tensor], batch: Batch, sides: Sides, device: str | torch.device) -> dict[str, Tensor]:
    """Sums over the words of targets, that of their end among them, of the cross entropy and of how many are told right.

    Parameters
    ----------
    network : callable
        A `Seq2SeqNetwork`.
    batch : Batch
        As `Sides.encoded` gives it.
    sides : Sides
    device : str
    """
    source, source_lengths = padded(batch.source, device)
    target, lengths = padded(batch.target, device)
    start, end = (sides.target.id_of(word) for word in (START, END))
    given = torch.cat([target.new_full((len(target), 1), start), target], dim=1)
    wanted = torch.cat([target, target.new_zeros(len(target), 1)], dim=1)
    wanted[torch.arange(len(target), device=device), lengths] = end
    is_word = torch.arange(given.shape[1], device=device) <= lengths[:, None]
    scores, wanted = network(source, source_lengths, given, is_word), wanted[is_word]
    scores = scores if scores.dtype == torch.float64 else scores.float()
    loss = functional.cross_entropy(scores, wanted, reduction="sum")
    return {"cross_entropy": loss, "accuracy": (scores.detach().argmax(1) == wanted).sum()}


@torch.no_grad()
def surprise(network: Seq2SeqNetwork, rows: Batch, sides: Sides, device: str | torch.device) -> dict[str, np.ndarray]:
    """How well a network, which is not in training, tells targets word by word: sums of cross entropy and accuracy over their ``words``.

    Parameters
    ----------
    network : Seq2SeqNetwork
    rows : Batch
        As `Sides.encoded` gives it.
    sides : Sides
    device : str
    """
    found = {"cross_entropy": np.zeros(()), "accuracy": np.zeros(()), "words": np.float64(rows.target.lengths.sum() + len(rows))}
    for part in of_like_length(rows):
        for name, value in _sums(network, part, sides, device).items():
            found[name] = found[name] + float(value)
    return found


def of_like_length(rows: Batch) -> Iterator[Batch]:
    """The rows of a batch in parts of like lengths, so large that their targets have room."""
    order = np.lexsort((rows.source.lengths, rows.target.lengths))
    lengths = rows.target.lengths[order] + 1
    for part in parts(lengths, JUDGED_WORDS):
        yield rows.take(order[part])


def parts(lengths: np.ndarray, words: int) -> Iterator[slice]:
    """Ascending lengths in parts of which each, padded to its longest, has at most so many words, or is a single one."""
    start = 0
    while start < len(lengths):
        end = start + 1
        while end < len(lengths) and lengths[end] * (end + 1 - start) <= words:
            end += 1
        yield slice(start, end)
        start = end


@torch.no_grad()
def translations(
    network: Seq2SeqNetwork, sources: Ragged, sides: Sides, beams: int, device: str | torch.device, *, keeps_notes: bool = False
) -> list[Finding]:
    """What beam search finds for sentences.

    Parameters
    ----------
    network : Seq2SeqNetwork
        Not in training.
    sources : Ragged of int64
        Ids, as many as are read.
    sides : Sides
    beams : int
    device : str
    keeps_notes : bool
        Whether what was looked at is kept, shape (words, words of the longest source beside it).
    """
    lengths = sources.lengths
    order = np.argsort(lengths, kind="stable")
    found: list[Finding | None] = [None] * len(sources)
    target = sides.target
    for part in parts(lengths[order], SEARCH_WORDS):
        rows = order[part]
        memory, state = network.encode(*padded(sources.take(rows), device))
        limits = sides.limits(lengths[rows])
        ones = beam_search(
            network,
            (memory, state),
            limits,
            beams,
            target.id_of(START),
            target.id_of(END),
            target.never,
            device=device,
            keeps_notes=keeps_notes,
        )
        for row, one, limit in zip(rows.tolist(), ones, limits, strict=True):
            found[row] = _of_words(one, limit - 1)
    return found


def _of_words(one: Finding, words: int) -> Finding:
    """Without what a translation that has not ended has in the place of its end."""
    if len(one.tokens) <= words:
        return one
    return one._replace(tokens=one.tokens[:words], notes=None if one.notes is None else one.notes[:words])
