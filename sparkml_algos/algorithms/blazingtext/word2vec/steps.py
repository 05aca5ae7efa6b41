"""The steps of word2vec over texts, in NumPy: what runs where kernels cannot be compiled, and what these are held against.

Every function goes through the texts of `order` and moves both tables in place. Words are thinned out first: what is left of a text stands
side by side. The distance up to which words are around a centre is drawn for each centre, from 1 to `window`.

References
----------
T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and phrases and their compositionality", NIPS
2013. P. Bojanowski, E. Grave, A. Joulin, T. Mikolov, "Enriching word vectors with subword information", TACL 5, 2017 (subwords). S. Ji,
N. Satish, S. Li, P. Dubey, "Parallelizing word2vec in shared and distributed memory", IEEE TPDS 30, 2019 (batches).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Half of the range that the tables of sigmoids and losses cover, and how many values they have.
REACH, CELLS = 6.0, 1024

_ONES = (1 << 64) - 1


@dataclass(frozen=True)
class Texts:
    """Texts as ids of words.

    Attributes
    ----------
    tokens : ndarray of int32, shape (tokens,)
        Below 0 where a word is not in the vocabulary.
    offsets : ndarray of int64, shape (texts + 1,)
        Text i is ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Tables:
    """What steps look up and never change.

    Attributes
    ----------
    keep : ndarray of uint64, shape (words,)
        A word stays where the upper half of a random number of 64 bits is below this.
    noise : ndarray of int32, shape (a power of two,)
        Words, each as often as it is to be drawn as a negative sample.
    sigmoids, losses : ndarray of float32, shape (CELLS,)
        1 / (1 + exp(−x)) and log(1 + exp(−x)) for x from −REACH to REACH.
    """

    keep: np.ndarray
    noise: np.ndarray
    sigmoids: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Parts:
    """Which rows of the table of inputs make up a word: its mean is the input of a word.

    Attributes
    ----------
    starts : ndarray of int64, shape (words + 1,)
    rows : ndarray of int64
        Those of word i are ``rows[starts[i]:starts[i + 1]]``.
    """

    starts: np.ndarray
    rows: np.ndarray

    def of(self, words: np.ndarray) -> np.ndarray:
        """The rows of some words, one after the other."""
        return np.concatenate([self.rows[self.starts[word] : self.starts[word + 1]] for word in words])


class Draws:
    """The random numbers of the kernels: xorshift of 64 bits (G. Marsaglia, J. Stat. Soft. 8, 2003), of which the upper bits are used."""

    def __init__(self, seed: int) -> None:
        self._state = int(seed)

    def upper_half(self) -> int:
        """32 bits."""
        return self._next() >> 32

    def noise(self, table: np.ndarray, count: int) -> np.ndarray:
        """Negative samples, shape (count,), int64."""
        return np.array([table[(self._next() >> 20) & (len(table) - 1)] for _ in range(count)], np.int64)

    def _next(self) -> int:
        state = self._state
        state ^= (state << 13) & _ONES
        state ^= state >> 7
        state ^= (state << 17) & _ONES
        self._state = state
        return state


def batch_skipgram(
    texts: Texts,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    tables: Tables,
    window: int,
    negatives: int,
    batch_size: int,
    rates: np.ndarray,
    seed: int,
) -> tuple[float, int]:
    """Skip-gram in batches: pairs of successive centres with the words around them share one set of negative samples.

    A batch has at most `batch_size` words, centres and words around them; where those of a single centre are more, they are several
    batches. The input is the word around the centre, the output the centre. Negative samples move once per batch.

    Parameters
    ----------
    texts : Texts
    order : ndarray of int64
        Which texts, in which order.
    inputs, outputs : ndarray of float32, shape (words, dim)
    tables : Tables
    window, negatives, batch_size : int
    rates : ndarray of float64, shape (2,)
        The learning rate at the beginning and at the end, linear in between, text by text.
    seed : int
        Of 64 bits, not 0.

    Returns
    -------
    (float, int)
        The loss of the first pair of each batch, added up, and the number of batches.
    """
    draws, loss, batches = Draws(seed), 0.0, 0
    for rate, words in _thinned(texts, order, tables.keep, rates, draws):
        for centres, contexts in _batches(words, window, batch_size, draws):
            noise, pairs = draws.noise(tables.noise, negatives), 0
            y, inner, errors = outputs[noise], [], []
            for centre, context in zip(centres, contexts, strict=True):
                own = outputs[centre].copy()
                first = pairs
                for word in context:
                    x = inputs[word].copy()
                    found, error = _errors(np.append(y @ x, own @ x), noise, centre, tables, rate)
                    loss += found if pairs == 0 else 0.0
                    inputs[word] += error[:-1] @ y + error[-1] * own
                    inner.append(x)
                    errors.append(error)
                    pairs += 1
                outputs[centre] += np.array(errors[first:])[:, -1] @ np.array(inner[first:])
            np.add.at(outputs, noise, np.array(errors)[:, :-1].T @ np.array(inner))
            batches += 1
    return loss, batches


def skipgram(
    texts: Texts,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    parts: Parts,
    tables: Tables,
    window: int,
    negatives: int,
    rates: np.ndarray,
    seed: int,
) -> tuple[float, int]:
    """Skip-gram: a centre, the mean of its parts, predicts each word around it, for which negative samples are drawn anew.

    Outputs move with every pair, the parts of the centre once all its pairs are done, each by the whole sum of their gradients. Arguments
    are those of `batch_skipgram`; inputs have shape (rows, dim).

    Returns
    -------
    (float, int)
        The loss of all pairs, added up, and their number.
    """
    draws, loss, pairs = Draws(seed), 0.0, 0
    for rate, words in _thinned(texts, order, tables.keep, rates, draws):
        for place, low, high in _windows(words, window, draws):
            own = parts.of(words[place : place + 1])
            hidden, gradient = _mean(inputs, own), np.zeros(inputs.shape[1], np.float32)
            for other in range(low, high):
                if other == place:
                    continue
                found, step = _step(hidden, words[other], outputs, tables, negatives, rate, draws)
                loss, pairs, gradient = loss + found, pairs + 1, gradient + step
            np.add.at(inputs, own, gradient)
    return loss, pairs


def cbow(
    texts: Texts,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    parts: Parts,
    tables: Tables,
    window: int,
    negatives: int,
    rates: np.ndarray,
    seed: int,
) -> tuple[float, int]:
    """CBOW: the mean of all parts of the words around a centre predicts the centre.

    Each part moves by the whole gradient of the mean, as in the original program. Arguments are those of `skipgram`.

    Returns
    -------
    (float, int)
        The loss of all centres, added up, and their number.
    """
    draws, loss, centres = Draws(seed), 0.0, 0
    for rate, words in _thinned(texts, order, tables.keep, rates, draws):
        for place, low, high in _windows(words, window, draws):
            around = np.append(words[low:place], words[place + 1 : high])
            if not len(around):
                continue
            rows = parts.of(around)
            found, step = _step(_mean(inputs, rows), words[place], outputs, tables, negatives, rate, draws)
            loss, centres = loss + found, centres + 1
            np.add.at(inputs, rows, step)
    return loss, centres


def _thinned(texts: Texts, order: np.ndarray, keep: np.ndarray, rates: np.ndarray, draws: Draws) -> Iterator[tuple[np.float32, np.ndarray]]:
    """Of each text the learning rate, and the words that stay."""
    for number, text in enumerate(order):
        rate = np.float32(rates[0] + (rates[1] - rates[0]) * number / len(order))
        words = texts.tokens[texts.offsets[text] : texts.offsets[text + 1]]
        yield rate, np.array([word for word in words if word >= 0 and draws.upper_half() < keep[word]], np.int64)


def _windows(words: np.ndarray, window: int, draws: Draws) -> Iterator[tuple[int, int, int]]:
    """Each centre, and where the words around it begin and end."""
    for place in range(len(words)):
        reach = 1 + draws.upper_half() % window
        yield place, max(0, place - reach), min(len(words), place + reach + 1)


def _batches(words: np.ndarray, window: int, batch_size: int, draws: Draws) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Centres of each batch, and the words around each of them."""
    most = max(batch_size, 2)
    centres, contexts, size = [], [], 0
    for place, low, high in _windows(words, window, draws):
        around = [words[other] for other in range(low, high) if other != place]
        while around:
            if centres and size + 1 + len(around) > batch_size:
                yield centres, contexts
                centres, contexts, size = [], [], 0
            taken = around[: most - 1 - size]
            centres.append(words[place])
            contexts.append(taken)
            size += 1 + len(taken)
            around = around[len(taken) :]
    if centres:
        yield centres, contexts


def _step(
    hidden: np.ndarray, word: int, outputs: np.ndarray, tables: Tables, negatives: int, rate: np.float32, draws: Draws
) -> tuple[float, np.ndarray]:
    """Let an input predict a word: the loss, and by how much the input is to move. Outputs move one after the other."""
    rows, gradient = np.append(draws.noise(tables.noise, negatives), word), np.zeros_like(hidden)
    loss, errors = _errors(outputs[rows] @ hidden, rows[:-1], word, tables, rate)
    for row, error in zip(rows, errors, strict=True):
        gradient += error * outputs[row]
        outputs[row] += error * hidden
    return loss, gradient


def _errors(scores: np.ndarray, noise: np.ndarray, word: int, tables: Tables, rate: np.float32) -> tuple[float, np.ndarray]:
    """The loss and, times the rate, the errors of negative samples, of which one that is the word has none, and of the word."""
    cells = np.clip(((scores + np.float32(REACH)) * np.float32(CELLS / (2 * REACH))).astype(np.int64), 0, CELLS - 1)
    is_noise = np.append(noise != word, False)
    errors = -tables.sigmoids[cells] * is_noise
    errors[-1] = 1 - tables.sigmoids[cells[-1]]
    loss = tables.losses[cells[-1]] + tables.losses[CELLS - 1 - cells] @ is_noise
    return float(loss), (errors * rate).astype(np.float32)


def _mean(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return inputs[rows].sum(axis=0) * np.float32(1.0 / len(rows))


def take_ways(rows: np.ndarray, before: np.ndarray, table: np.ndarray, ways: np.ndarray) -> None:
    """`kernels.word_vectors.take_ways`, how far rows have come, with NumPy."""
    np.subtract(table[rows], before[rows], out=ways)


def go_ways(rows: np.ndarray, ways: np.ndarray, factors: np.ndarray, before: np.ndarray, table: np.ndarray) -> None:
    """`kernels.word_vectors.go_ways`, rows going from where they were, with NumPy: to the same bits."""
    table[rows] = before[rows] = before[rows] + ways * factors[:, None]


def find_moved(before: np.ndarray, table: np.ndarray, moved: np.ndarray) -> None:
    """`kernels.word_vectors.find_moved`, which rows are not where they were, with NumPy."""
    moved[:] = (table != before).any(axis=1)
