"""Steps of word2vec: skip-gram in batches that share their negative samples, skip-gram and CBOW, both with or without subwords.

A kernel goes through texts in a given order and moves the rows of two tables in place: ``inputs`` (words, and buckets of subwords) and
``outputs`` (words). Several threads may move the same tables at a time; what one overwrites of another's is lost, as in all such programs
(F. Niu, B. Recht, C. Ré, S. Wright, "Hogwild!", NIPS 2011).

The same steps in NumPy are in `algorithms.blazingtext.word2vec.steps`, which says what the arguments are.
"""

from __future__ import annotations

import numpy as np

from sparkml_algos.kernels.compiler import kernel

# Half of the range that the table of sigmoids covers; beyond it they are 0 or 1.
REACH = np.float32(6.0)


@kernel
def _drawn(state: np.uint64) -> np.uint64:
    """The next state of a xorshift generator (G. Marsaglia, J. Stat. Soft. 8, 2003), whose upper bits are the random number."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@kernel
def _kept_words(tokens: np.ndarray, start: int, stop: int, keep: np.ndarray, state: np.uint64, words: np.ndarray) -> tuple[int, np.uint64]:
    """Put the words of a text that are not thinned out into `words`; how many there are, and the state of the generator."""
    count = 0
    for place in range(start, stop):
        word = tokens[place]
        if word < 0:
            continue
        state = _drawn(state)
        if (state >> np.uint64(32)) < keep[word]:
            words[count] = word
            count += 1
    return count, state


@kernel
def _place(score: np.float32, cells: int) -> int:
    """Cell of the tables of sigmoids and losses for a score; the first of one that is no number, as of vectors that are too large."""
    if score >= REACH:
        return cells - 1
    if not score > -REACH:
        return 0
    return min(int((score + REACH) * np.float32(cells / (2 * REACH))), cells - 1)


@kernel(fastmath=True)
def _scores(left: np.ndarray, row: int, right: np.ndarray, count: int, scores: np.ndarray) -> None:
    """Products of a row with the first rows of a table: six at a time, so that the row is read once for them, then three, then one."""
    dim, n = left.shape[1], 0
    while n + 6 <= count:
        a = b = c = e = f = g = np.float32(0)
        for d in range(dim):
            value = left[row, d]
            a += value * right[n, d]
            b += value * right[n + 1, d]
            c += value * right[n + 2, d]
            e += value * right[n + 3, d]
            f += value * right[n + 4, d]
            g += value * right[n + 5, d]
        scores[n], scores[n + 1], scores[n + 2], scores[n + 3], scores[n + 4], scores[n + 5] = a, b, c, e, f, g
        n += 6
    while n + 3 <= count:
        a = b = c = np.float32(0)
        for d in range(dim):
            value = left[row, d]
            a += value * right[n, d]
            b += value * right[n + 1, d]
            c += value * right[n + 2, d]
        scores[n], scores[n + 1], scores[n + 2] = a, b, c
        n += 3
    while n < count:
        a = np.float32(0)
        for d in range(dim):
            a += left[row, d] * right[n, d]
        scores[n] = a
        n += 1


@kernel(fastmath=True)
def _add_products(total: np.ndarray, row: int, factors: np.ndarray, rows: np.ndarray, count: int) -> None:
    """Add the first rows of a table, times factors, to a row, as many at a time as `_scores` has them."""
    dim, n = total.shape[1], 0
    while n + 6 <= count:
        a, b, c, e, f, g = factors[n], factors[n + 1], factors[n + 2], factors[n + 3], factors[n + 4], factors[n + 5]
        for d in range(dim):
            total[row, d] += (
                a * rows[n, d] + b * rows[n + 1, d] + c * rows[n + 2, d] + e * rows[n + 3, d] + f * rows[n + 4, d] + g * rows[n + 5, d]
            )
        n += 6
    while n + 3 <= count:
        a, b, c = factors[n], factors[n + 1], factors[n + 2]
        for d in range(dim):
            total[row, d] += a * rows[n, d] + b * rows[n + 1, d] + c * rows[n + 2, d]
        n += 3
    while n < count:
        a = factors[n]
        for d in range(dim):
            total[row, d] += a * rows[n, d]
        n += 1


@kernel(fastmath=True)
def _copy(source: np.ndarray, row: int, target: np.ndarray, place: int) -> None:
    for d in range(source.shape[1]):
        target[place, d] = source[row, d]


@kernel
def _longest(offsets: np.ndarray, order: np.ndarray) -> int:
    longest = 0
    for text in order:
        longest = max(longest, offsets[text + 1] - offsets[text])
    return longest


@kernel(fastmath=True)
def batch_skipgram(
    tokens: np.ndarray,
    offsets: np.ndarray,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    keep: np.ndarray,
    table: np.ndarray,
    sigmoids: np.ndarray,
    losses: np.ndarray,
    window: int,
    negatives: int,
    batch_size: int,
    rates: np.ndarray,
    seed: np.uint64,
) -> tuple[float, int]:
    """Skip-gram in batches, see `steps.batch_skipgram`."""
    dim, cells = inputs.shape[1], len(sigmoids)
    words = np.empty(_longest(offsets, order), np.int32)
    most = max(batch_size, 2)
    centres, firsts = np.empty(most, np.int64), np.empty(most + 1, np.int64)  # of the batch, and the first pair of each
    context = np.empty(most, np.int64)  # the input of each pair
    drawn = np.empty(negatives, np.int64)
    # Inputs of the pairs of a batch, and outputs of its negative samples and, behind them, of one centre.
    x, y = np.empty((most, dim), np.float32), np.empty((negatives + 1, dim), np.float32)
    scores, errors = np.empty(negatives + 1, np.float32), np.empty((negatives + 1, most), np.float32)
    own_errors = np.empty(negatives + 1, np.float32)
    state, mask = seed, np.uint64(len(table) - 1)
    loss, counted = 0.0, 0
    for number in range(len(order)):
        rate = np.float32(rates[0] + (rates[1] - rates[0]) * number / len(order))
        text = order[number]
        count, state = _kept_words(tokens, offsets[text], offsets[text + 1], keep, state, words)
        place, other, high = 0, -1, 0  # the centre, and where among the words around it the next batch begins, -1 before the first
        while place < count:
            pairs, gathered = 0, 0
            while place < count:
                if other < 0:
                    state = _drawn(state)
                    reach = 1 + int((state >> np.uint64(32)) % np.uint64(window))
                    other, high = max(0, place - reach), min(count, place + reach + 1)
                left = high - other - (1 if other <= place else 0)
                if pairs > 0 and pairs + gathered + left + 1 > batch_size:
                    break
                if left > 0:
                    centres[gathered], firsts[gathered] = words[place], pairs
                    gathered += 1
                while other < high and pairs + gathered < most:
                    if other != place:
                        context[pairs] = words[other]
                        pairs += 1
                    other += 1
                if other < high and not (other == place and high == place + 1):
                    break  # more pairs than a batch takes
                place, other = place + 1, -1
            if pairs == 0:
                continue
            firsts[gathered] = pairs
            for n in range(negatives):
                state = _drawn(state)
                drawn[n] = table[int((state >> np.uint64(20)) & mask)]
                _copy(outputs, drawn[n], y, n)
            for c in range(gathered):
                centre = centres[c]
                _copy(outputs, centre, y, negatives)
                for m in range(firsts[c], firsts[c + 1]):
                    _copy(inputs, context[m], x, m)
                    _scores(x, m, y, negatives + 1, scores)
                    for n in range(negatives + 1):
                        cell = _place(scores[n], cells)
                        error = -sigmoids[cell]
                        if n == negatives:
                            error += np.float32(1)
                            loss += losses[cell] if m == 0 else 0.0
                        elif drawn[n] == centre:
                            error = np.float32(0)
                        elif m == 0:
                            loss += losses[cells - 1 - cell]
                        own_errors[n] = errors[n, m] = error * rate
                    _add_products(inputs, context[m], own_errors, y, negatives + 1)
                first = firsts[c]
                _add_products(outputs, centre, errors[negatives, first:], x[first:], firsts[c + 1] - first)
            counted += 1
            for n in range(negatives):
                _add_products(outputs, drawn[n], errors[n], x, pairs)
    return loss, counted


@kernel
def _draw(word: int, table: np.ndarray, negatives: int, state: np.uint64, drawn: np.ndarray) -> np.uint64:
    """Put negative samples and, behind them, a word into `drawn`; the state of the generator."""
    mask = np.uint64(len(table) - 1)
    for n in range(negatives):
        state = _drawn(state)
        drawn[n] = table[int((state >> np.uint64(20)) & mask)]
    drawn[negatives] = word
    return state


@kernel(fastmath=True)
def _scores_of(hidden: np.ndarray, outputs: np.ndarray, drawn: np.ndarray, scores: np.ndarray) -> None:
    """What `_scores` gives, for rows of the table where they are: three at a time, then one."""
    dim, n, count = hidden.shape[1], 0, len(drawn)
    while n + 3 <= count:
        i, j, k = drawn[n], drawn[n + 1], drawn[n + 2]
        a = b = c = np.float32(0)
        for d in range(dim):
            value = hidden[0, d]
            a += value * outputs[i, d]
            b += value * outputs[j, d]
            c += value * outputs[k, d]
        scores[n], scores[n + 1], scores[n + 2] = a, b, c
        n += 3
    while n < count:
        i = drawn[n]
        a = np.float32(0)
        for d in range(dim):
            a += hidden[0, d] * outputs[i, d]
        scores[n] = a
        n += 1


@kernel(fastmath=True)
def _set_errors(
    scores: np.ndarray, negatives: int, drawn: np.ndarray, sigmoids: np.ndarray, losses: np.ndarray, rate: np.float32, errors: np.ndarray
) -> float:
    """Errors times the rate; the loss."""
    cells, loss = len(sigmoids), 0.0
    for n in range(negatives + 1):
        cell = _place(scores[n], cells)
        error = -sigmoids[cell]
        if n == negatives:
            error += np.float32(1)
            loss += losses[cell]
        elif drawn[n] == drawn[negatives]:
            error = np.float32(0)
        else:
            loss += losses[cells - 1 - cell]
        errors[n] = error * rate
    return loss


@kernel(fastmath=True)
def _move_outputs(outputs: np.ndarray, drawn: np.ndarray, errors: np.ndarray, hidden: np.ndarray, gradient: np.ndarray) -> None:
    """Add outputs, times their errors, to the gradient, and move each by its own, one after the other."""
    for n in range(len(drawn)):
        row, factor = drawn[n], errors[n]
        for d in range(hidden.shape[1]):
            value = outputs[row, d]
            gradient[0, d] += factor * value
            outputs[row, d] = value + factor * hidden[0, d]


@kernel(fastmath=True)
def _add_parts(word: int, starts: np.ndarray, parts: np.ndarray, inputs: np.ndarray, hidden: np.ndarray) -> int:
    """Add up the inputs that make up a word; how many these are."""
    for place in range(starts[word], starts[word + 1]):
        part = parts[place]
        for d in range(inputs.shape[1]):
            hidden[0, d] += inputs[part, d]
    return starts[word + 1] - starts[word]


@kernel(fastmath=True)
def _move_parts(word: int, starts: np.ndarray, parts: np.ndarray, inputs: np.ndarray, gradient: np.ndarray) -> None:
    for place in range(starts[word], starts[word + 1]):
        part = parts[place]
        for d in range(inputs.shape[1]):
            inputs[part, d] += gradient[0, d]


@kernel(fastmath=True)
def skipgram(
    tokens: np.ndarray,
    offsets: np.ndarray,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    starts: np.ndarray,
    parts: np.ndarray,
    keep: np.ndarray,
    table: np.ndarray,
    sigmoids: np.ndarray,
    losses: np.ndarray,
    window: int,
    negatives: int,
    rates: np.ndarray,
    seed: np.uint64,
) -> tuple[float, int]:
    """Skip-gram with negative samples for each pair, see `steps.skipgram`."""
    dim = inputs.shape[1]
    words = np.empty(_longest(offsets, order), np.int32)
    hidden, gradient = np.empty((1, dim), np.float32), np.empty((1, dim), np.float32)
    drawn = np.empty(negatives + 1, np.int64)
    scores, errors = np.empty(negatives + 1, np.float32), np.empty(negatives + 1, np.float32)
    state, loss, pairs = seed, 0.0, 0
    for number in range(len(order)):
        rate = np.float32(rates[0] + (rates[1] - rates[0]) * number / len(order))
        text = order[number]
        count, state = _kept_words(tokens, offsets[text], offsets[text + 1], keep, state, words)
        for place in range(count):
            state = _drawn(state)
            reach = 1 + int((state >> np.uint64(32)) % np.uint64(window))
            hidden[:] = np.float32(0)
            gradient[:] = np.float32(0)
            scale = np.float32(1.0 / _add_parts(words[place], starts, parts, inputs, hidden))
            for d in range(dim):
                hidden[0, d] *= scale
            for other in range(max(0, place - reach), min(count, place + reach + 1)):
                if other == place:
                    continue
                state = _draw(words[other], table, negatives, state, drawn)
                _scores_of(hidden, outputs, drawn, scores)
                loss += _set_errors(scores, negatives, drawn, sigmoids, losses, rate, errors)
                pairs += 1
                _move_outputs(outputs, drawn, errors, hidden, gradient)
            _move_parts(words[place], starts, parts, inputs, gradient)
    return loss, pairs


@kernel(fastmath=True)
def cbow(
    tokens: np.ndarray,
    offsets: np.ndarray,
    order: np.ndarray,
    inputs: np.ndarray,
    outputs: np.ndarray,
    starts: np.ndarray,
    parts: np.ndarray,
    keep: np.ndarray,
    table: np.ndarray,
    sigmoids: np.ndarray,
    losses: np.ndarray,
    window: int,
    negatives: int,
    rates: np.ndarray,
    seed: np.uint64,
) -> tuple[float, int]:
    """CBOW with negative samples for each centre, see `steps.cbow`."""
    dim = inputs.shape[1]
    words = np.empty(_longest(offsets, order), np.int32)
    hidden, gradient = np.empty((1, dim), np.float32), np.empty((1, dim), np.float32)
    drawn = np.empty(negatives + 1, np.int64)
    scores, errors = np.empty(negatives + 1, np.float32), np.empty(negatives + 1, np.float32)
    state, loss, centres = seed, 0.0, 0
    for number in range(len(order)):
        rate = np.float32(rates[0] + (rates[1] - rates[0]) * number / len(order))
        text = order[number]
        count, state = _kept_words(tokens, offsets[text], offsets[text + 1], keep, state, words)
        for place in range(count):
            state = _drawn(state)
            reach = 1 + int((state >> np.uint64(32)) % np.uint64(window))
            low, high, summands = max(0, place - reach), min(count, place + reach + 1), 0
            hidden[:] = np.float32(0)
            gradient[:] = np.float32(0)
            for other in range(low, high):
                if other != place:
                    summands += _add_parts(words[other], starts, parts, inputs, hidden)
            if summands == 0:
                continue
            scale = np.float32(1.0 / summands)
            for d in range(dim):
                hidden[0, d] *= scale
            state = _draw(words[place], table, negatives, state, drawn)
            _scores_of(hidden, outputs, drawn, scores)
            loss += _set_errors(scores, negatives, drawn, sigmoids, losses, rate, errors)
            centres += 1
            _move_outputs(outputs, drawn, errors, hidden, gradient)
            for other in range(low, high):
                if other != place:
                    _move_parts(words[other], starts, parts, inputs, gradient)
    return loss, centres


@kernel
def take_ways(rows: np.ndarray, before: np.ndarray, table: np.ndarray, ways: np.ndarray) -> None:
    """How far rows have come.

    Parameters
    ----------
    rows : ndarray of int64, shape (due,)
    before, table : ndarrays of float32, shape (all rows, dim)
        Where they were, and where they are.
    ways : ndarray of float32, shape (due, dim)
        Overwritten.
    """
    for number in range(len(rows)):
        row = rows[number]
        for d in range(table.shape[1]):
            ways[number, d] = table[row, d] - before[row, d]


@kernel
def go_ways(rows: np.ndarray, ways: np.ndarray, factors: np.ndarray, before: np.ndarray, table: np.ndarray) -> None:
    """Let rows go from where they were, all in the same manner.

    Parameters
    ----------
    rows : ndarray of int64, shape (due,)
        Each once.
    ways : ndarray of float32, shape (due, dim)
    factors : ndarray of float32, shape (due,)
        What each row's way is multiplied by.
    before, table : ndarrays of float32, shape (all rows, dim)
        Changed in place.
    """
    for number in range(len(rows)):
        row, factor = rows[number], factors[number]
        for d in range(table.shape[1]):
            there = before[row, d] + ways[number, d] * factor
            before[row, d] = table[row, d] = there


@kernel
def find_moved(before: np.ndarray, table: np.ndarray, moved: np.ndarray) -> None:
    """Note which rows are not where they were.

    Parameters
    ----------
    before, table : ndarrays of float32, shape (rows, dim)
    moved : ndarray of uint8, shape (rows,)
        Overwritten by 0 and 1.
    """
    for row in range(len(table)):
        moved[row] = 0
        for d in range(table.shape[1]):
            if table[row, d] != before[row, d]:
                moved[row] = 1
                break
