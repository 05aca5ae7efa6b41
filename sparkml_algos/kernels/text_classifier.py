"""Inner loops of the text classifier: from the bytes of texts to ids of words and word n-grams, and the steps of stochastic descent."""

from __future__ import annotations

import numpy as np

from sparkml_algos.kernels.compiler import kernel

# Of FNV-1a with 32 bits, and of how fastText puts hashes of words together.
_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)
_NGRAM = np.uint64(116049371)
_SIGN = np.uint32(0x80)
_SIGN_BITS = np.uint32(0xFFFFFF00)
_EMPTY = -1


@kernel
def count_tokens(data: np.ndarray, ends: np.ndarray, blank: np.ndarray, found: np.ndarray) -> None:
    """How many tokens each text has: runs of bytes that are no blanks.

    Parameters
    ----------
    data : ndarray of uint8
    ends : ndarray of int64, shape (texts + 1,)
        Where each text begins, and the last one ends.
    blank : ndarray of bool, shape (256,)
    found : ndarray of int64, shape (texts,)
        Overwritten.
    """
    for row in range(len(found)):
        count, inside = 0, False
        for place in range(ends[row], ends[row + 1]):
            is_blank = blank[data[place]]
            if not is_blank and not inside:
                count += 1
            inside = not is_blank
        found[row] = count


@kernel
def build_table(hashes: np.ndarray, table: np.ndarray) -> None:
    """Put words into a table, each at its hash or the next free place; ``table``, int32, of a power of 2, is -1 everywhere before."""
    mask = len(table) - 1
    for word in range(len(hashes)):
        place = hashes[word] & mask
        while table[place] != _EMPTY:
            place = (place + 1) & mask
        table[place] = word


@kernel
def _find(
    text: np.ndarray, start: int, end: int, hash_: np.uint32, data: np.ndarray, ends: np.ndarray, hashes: np.ndarray, table: np.ndarray
) -> int:
    """The number of a word; -1 if the table does not have it."""
    mask = len(table) - 1
    place = hash_ & mask
    while table[place] != _EMPTY:
        word = table[place]
        if hashes[word] == hash_ and ends[word + 1] - ends[word] == end - start:
            same = True
            first = ends[word]
            for offset in range(end - start):
                if data[first + offset] != text[start + offset]:
                    same = False
                    break
            if same:
                return word
        place = (place + 1) & mask
    return _EMPTY


@kernel
def encode(
    text: np.ndarray,
    ends: np.ndarray,
    blank: np.ndarray,
    prefix: np.ndarray,
    eos: np.ndarray,
    eos_hash: np.uint32,
    eos_id: int,
    words: int,
    data: np.ndarray,
    word_ends: np.ndarray,
    hashes: np.ndarray,
    table: np.ndarray,
    places: np.ndarray,
    ngrams: int,
    features: np.ndarray,
    counts: np.ndarray,
    targets: np.ndarray,
    target_counts: np.ndarray,
) -> None:
    """Ids of the words and word n-grams of texts, and of the labels in them.

    Parameters
    ----------
    text : ndarray of uint8
    ends : ndarray of int64, shape (texts + 1,)
    blank : ndarray of bool, shape (256,)
    prefix, eos : ndarray of uint8
        What labels begin with; the token that ends a text.
    eos_hash : uint32
    eos_id : int
        The word that stands at the end of each text; -1 if it is not known.
    words : int
        Entries of the table that are words; labels follow.
    data, word_ends, hashes, table
        The entries, see `build_table`.
    places : ndarray of int32, shape (buckets,)
        Of each bucket of n-grams its id, less the words.
    ngrams : int
        Words of an n-gram at most.
    features, targets : ndarray of int32
        Ids of features and of labels, overwritten, text after text without gaps.
    counts, target_counts : ndarray of int64, shape (texts,)
        How many each text has, overwritten.
    """
    buckets = np.uint64(max(1, len(places)))
    # Hashes of the words before this one, the last first: of a text whose n-grams are no longer, these are enough.
    before = np.zeros(ngrams, np.uint64)
    total, total_targets = 0, 0
    for row in range(len(counts)):
        place, end, known = ends[row], ends[row + 1], 0
        first, first_target = total, total_targets
        is_over = False
        while not is_over:
            while place < end and blank[text[place]]:
                place += 1
            start, hash_ = place, _BASIS
            while place < end and not blank[text[place]]:
                byte = np.uint32(text[place])
                if byte & _SIGN:
                    byte |= _SIGN_BITS
                hash_ = np.uint32((hash_ ^ byte) * _PRIME)
                place += 1
            is_over = start == place
            if not is_over and hash_ == eos_hash and place - start == len(eos):
                is_over = True
                for offset in range(len(eos)):
                    is_over = is_over and text[start + offset] == eos[offset]
            if is_over:
                hash_, id_ = eos_hash, eos_id
            else:
                id_ = _find(text, start, place, hash_, data, word_ends, hashes, table)
                is_label = id_ >= words
                if id_ == _EMPTY and place - start >= len(prefix):
                    is_label = True
                    for offset in range(len(prefix)):
                        is_label = is_label and text[start + offset] == prefix[offset]
                if is_label:
                    if id_ >= words:
                        targets[total_targets] = id_ - words
                        total_targets += 1
                    continue
            if id_ >= 0:
                features[total] = id_
                total += 1
            # A signed number in fastText, widened to 64 bits.
            wide = np.uint64(np.int64(np.int32(hash_)))
            if ngrams > 1:
                for back in range(min(known, ngrams - 1)):
                    before[back] = before[back] * _NGRAM + wide
                    features[total] = words + places[before[back] % buckets]
                    total += 1
                for back in range(min(known, ngrams - 2), 0, -1):
                    before[back] = before[back - 1]
                before[0] = wide
                known += 1
        counts[row] = total - first
        target_counts[row] = total_targets - first_target


@kernel(fastmath=True)
def train_rows(
    features: np.ndarray, ends: np.ndarray, targets: np.ndarray, rates: np.ndarray, vectors: np.ndarray, outputs: np.ndarray
) -> float:
    """A step of stochastic gradient descent on the cross entropy of each text, one after the other.

    Parameters
    ----------
    features : ndarray of int32
    ends : ndarray of int64, shape (texts + 1,)
    targets : ndarray of int32, shape (texts,)
        The label that each is to have.
    rates : ndarray of float32, shape (texts,)
    vectors : ndarray of float32, shape (features, dim)
        Moved in place; other threads may move them at the same time.
    outputs : ndarray of float32, shape (labels, dim)
        Likewise.

    Returns
    -------
    float
        Sum of the cross entropies, each before its step.
    """
    dim, labels = vectors.shape[1], outputs.shape[0]
    hidden, gradient, scores = np.empty(dim, np.float32), np.empty(dim, np.float32), np.empty(labels, np.float32)
    loss = 0.0
    for row in range(len(targets)):
        start, end = ends[row], ends[row + 1]
        if start == end:
            continue
        share = np.float32(1.0) / np.float32(end - start)
        hidden[:] = 0
        gradient[:] = 0
        paired = start + (end - start) // 2 * 2
        for place in range(start, paired, 2):
            one, other = vectors[features[place]], vectors[features[place + 1]]
            for part in range(dim):
                hidden[part] += one[part] + other[part]
        if paired < end:
            one = vectors[features[paired]]
            for part in range(dim):
                hidden[part] += one[part]
        for part in range(dim):
            hidden[part] *= share
        largest = np.float32(-np.inf)
        for label in range(labels):
            weights, score = outputs[label], np.float32(0)
            for part in range(dim):
                score += weights[part] * hidden[part]
            scores[label] = score
            largest = max(largest, score)
        total = np.float32(0)
        for label in range(labels):
            scores[label] = np.exp(scores[label] - largest)
            total += scores[label]
        loss -= np.log(scores[targets[row]] / total + np.float32(1e-30))
        for label in range(labels):
            step = -rates[row] * scores[label] / total
            if label == targets[row]:
                step += rates[row]
            weights = outputs[label]
            for part in range(dim):
                gradient[part] += step * weights[part]
                weights[part] += step * hidden[part]
        for part in range(dim):
            gradient[part] *= share
        for place in range(start, end):
            one = vectors[features[place]]
            for part in range(dim):
                one[part] += gradient[part]
    return loss


@kernel
def add_rows(features: np.ndarray, ends: np.ndarray, gradients: np.ndarray, vectors: np.ndarray) -> None:
    """Move the vectors of all features of each text by a vector of the text's own.

    Parameters
    ----------
    features : ndarray of int32
    ends : ndarray of int64, shape (texts + 1,)
    gradients : ndarray of float32, shape (texts, dim)
    vectors : ndarray of float32, shape (features, dim)
        Moved in place.
    """
    dim = vectors.shape[1]
    for row in range(len(gradients)):
        gradient = gradients[row]
        for place in range(ends[row], ends[row + 1]):
            one = vectors[features[place]]
            for part in range(dim):
                one[part] += gradient[part]
