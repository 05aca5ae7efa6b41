"""The vocabularies of both sides, and what the lengths of pairs have shown; no Spark here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from sparkml_algos.algorithms.seq2seq.params import ROLES
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.collectives.communicator import Communicator
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows

#: The reserved words: what fills up, what stands for unknown words, what a target starts and ends with.
PAD, UNKNOWN, START, END = RESERVED = ("<pad>", "<unk>", "<s>", "</s>")

# In references, words that are not in the vocabulary: nothing that is said is one of them.
_NOWHERE = -1
# A translation has as many words at most as its source times the mean ratio of lengths and so many of its standard deviations …
_DEVIATIONS = 2
# … but may have these.
_LEAST_LIMIT = 10


class Words:
    """A vocabulary.

    Parameters
    ----------
    words : sequence of str
        In the order of their ids; the reserved ones are among them.
    role : str
        Of the side; for messages.
    """

    def __init__(self, words: Sequence[str], role: str) -> None:
        self.words, self._role = list(words), role
        self._array = pa.array(self.words, pa.string())
        self._reserved = {word: self.words.index(word) for word in RESERVED}
        unknown = self._reserved[UNKNOWN]
        # What is written like a reserved word is not what that is for.
        self._ids = {word: place for place, word in enumerate(self.words)} | dict.fromkeys(RESERVED, unknown)

    def __len__(self) -> int:
        return len(self.words)

    def id_of(self, word: str) -> int:
        """The id of a reserved word."""
        return self._reserved[word]

    @property
    def never(self) -> list[int]:
        """Ids that are in no translation."""
        return [self._reserved[PAD], self._reserved[START]]

    def encoded(self, lists: Ragged, unknown: int | None = None) -> Ragged:
        """Lists of words, or of ids, as lists of ids; words that are not in the vocabulary as `unknown`, by default that of ``<unk>``.

        Raises
        ------
        InvalidRows
            If an id is not in the vocabulary, or of a word that no sentence has.
        """
        if not isinstance(lists.values, pa.Array):
            self._check(lists)
            return lists
        encoded = lists.values.dictionary_encode()
        reserved = self._reserved[UNKNOWN]
        of_distinct = np.array([self._ids.get(word, reserved) for word in encoded.dictionary.to_pylist()], np.int64)
        if unknown is not None:
            of_distinct[of_distinct == reserved] = unknown
        ids = of_distinct[encoded.indices.to_numpy(zero_copy_only=False)] if len(of_distinct) else np.empty(0, np.int64)
        return Ragged(ids, lists.offsets)

    def decoded(self, ids: Ragged) -> Ragged:
        """Lists of ids as lists of words."""
        return Ragged(self._array.take(pa.array(ids.values)), ids.offsets)

    def _check(self, lists: Ragged) -> None:
        ids = lists.values
        wrong = (ids >= len(self)) | np.isin(ids, [self._reserved[word] for word in (PAD, START, END)])
        if not wrong.any():
            return
        place = int(np.flatnonzero(wrong)[0])
        row = int(np.searchsorted(lists.offsets, place, side="right")) - 1
        where = f"{self._role} has the id {ids[place]} as word {place - int(lists.offsets[row])} of row {row} of its batch"
        if ids[place] < len(self):
            raise InvalidRows(f"{where}, which is {self.words[ids[place]]}: sentences must come without {PAD}, {START} and {END}")
        raise InvalidRows(f"{where}; its vocabulary has the ids from 0 to {len(self) - 1}")


class Sides:
    """Both vocabularies, and how long targets are to be expected.

    Parameters
    ----------
    source, target : Words
    ratio, deviation : float
        Mean of the lengths of targets, each in lengths of its source, and their standard deviation.
    longest : (int, int)
        Words that are read of a source and of a target.
    """

    def __init__(self, source: Words, target: Words, ratio: float, deviation: float, longest: tuple[int, int]) -> None:
        self.source, self.target, self.ratio, self._deviation, self._longest = source, target, ratio, deviation, longest

    @classmethod
    def of(cls, artifact: Artifact, hyperparameters: Hyperparameters) -> Sides:
        """Those of an artifact that `learned` gave."""
        source, target = (Words(words_of(artifact, role), role) for role in ROLES)
        longest = hyperparameters.max_seq_len_source, hyperparameters.max_seq_len_target
        return cls(source, target, artifact.values["length_ratio"], artifact.values["length_deviation"], longest)

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.source), len(self.target)

    def encoded(self, batch: Batch) -> Batch:
        """Rows as ids, as many as are read; ``whole`` has the targets in full length, with -1 for words that are not in the vocabulary."""
        whole = self.target.encoded(batch.target, _NOWHERE)
        target = Ragged(np.where(whole.values < 0, self.target.id_of(UNKNOWN), whole.values), whole.offsets)
        found = batch.replace(source=self.cut(self.source.encoded(batch.source), 0), target=self.cut(target, 1))
        return found.replace(whole=whole)

    def whole_targets(self, batch: Batch) -> Ragged:
        """Targets of rows that `encoded` gave, in full length; see there."""
        return batch.whole

    def cut(self, lists: Ragged, side: int) -> Ragged:
        """Lists of the ids that are read."""
        longest = self._longest[side]
        lengths = lists.lengths
        if not len(lists) or lengths.max() <= longest:
            return lists
        within = np.arange(len(lists.values)) - np.repeat(lists.offsets[:-1] - lists.offsets[0], lengths)
        kept = np.concatenate([[0], np.cumsum(np.minimum(lengths, longest))])
        return Ragged(lists.values[lists.offsets[0] : lists.offsets[-1]][within < longest], kept.astype(np.int64))

    def limits(self, lengths: np.ndarray) -> list[int]:
        """Words of a translation at most, that of its end among them, of sources of these lengths."""
        expected = np.ceil(lengths * (self.ratio + _DEVIATIONS * self._deviation)).astype(int)
        return (np.minimum(np.maximum(expected, _LEAST_LIMIT), self._longest[1]) + 1).tolist()

    def buckets(self, batch: Batch, width: int) -> np.ndarray:
        """The bucket of each row: which step of lengths it is in, steps being `width` on the side whose sentences are longer, and on the
        other one in proportion.

        Returns
        -------
        ndarray of int64, shape (rows,)
        """
        steps = (width / self.ratio, width) if self.ratio >= 1 else (width, width * self.ratio)
        lengths = batch.source.lengths, batch.target.lengths
        return np.maximum(*(np.ceil(own / max(1.0, step)).astype(np.int64) for own, step in zip(lengths, steps, strict=True)))


def learned(
    batches: Iterable[Batch], hyperparameters: Hyperparameters, communicator: Communicator, replicated: bool, given: Artifact | None
) -> Artifact:
    """Vocabularies, those that are given or else of the rows of all workers, and what the lengths of pairs show.

    Words have ids by falling frequency after the reserved ones, and words of equal frequency in the order of their code points.

    Raises
    ------
    InvalidRows
        If there are no vocabularies for ids.
    """
    counts, sums = [Counter(), Counter()], np.zeros(3)
    for batch in batches:
        lengths = batch.target.lengths / batch.source.lengths
        sums += [len(batch), lengths.sum(), (lengths**2).sum()]
        if given is not None:
            continue
        for role, counter in zip(ROLES, counts, strict=True):
            values = batch.columns[role].values
            if not isinstance(values, pa.Array):
                raise InvalidRows(
                    f"{role} is given by the ids of its words, which need a vocabulary: set vocab_dir, or call setVocabularies"
                )
            counter.update({pair["values"]: pair["counts"] for pair in values.value_counts().to_pylist()})
    rows, total, squares = communicator.allreduce(sums).tolist()
    mean = total / rows
    found = Artifact(values={"length_ratio": mean, "length_deviation": max(0.0, squares / rows - mean**2) ** 0.5})
    if given is not None:
        found.arrays.update(given.arrays)
        return found
    sizes = hyperparameters.max_vocab_size_source, hyperparameters.max_vocab_size_target
    for role, counter, size in zip(ROLES, counts, sizes, strict=True):
        together: Counter[str] = Counter()
        for part in communicator.allgather_json(dict(counter))[: 1 if replicated else None]:
            together.update(part)
        words = [word for word, count in together.items() if count >= hyperparameters.min_word_count and word not in RESERVED]
        words.sort(key=lambda word: (-together[word], word.encode()))
        put_words(found, role, [*RESERVED, *words[: size - len(RESERVED)]])
    return found


def put_words(artifact: Artifact, role: str, words: Sequence[str]) -> None:
    """Keep the words of a side, in the order of their ids, in an artifact.

    Raises
    ------
    ValueError
        If a reserved word is missing, or a word is there twice.
    """
    missing = [word for word in RESERVED if word not in words]
    if missing:
        raise ValueError(f"the vocabulary of the {role} lacks the reserved words {', '.join(missing)}; it must have {', '.join(RESERVED)}")
    if len(set(words)) < len(words):
        twice = Counter(words).most_common(1)[0][0]
        raise ValueError(f"the vocabulary of the {role} has the word {twice!r} twice")
    encoded = [word.encode() for word in words]
    artifact.arrays[f"{role}/text"] = np.frombuffer(b"".join(encoded), np.uint8)
    artifact.arrays[f"{role}/ends"] = np.cumsum([0, *map(len, encoded)]).astype(np.int64)


def words_of(artifact: Artifact, role: str) -> list[str]:
    """The words of a side in the order of their ids."""
    text, ends = artifact.arrays[f"{role}/text"].tobytes(), artifact.arrays[f"{role}/ends"].tolist()
    return [text[start:end].decode() for start, end in itertools.pairwise(ends)]
