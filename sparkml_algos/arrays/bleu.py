"""BLEU of a corpus of translations.

Of hypotheses, each with one reference, for n from 1 to 4: pₙ is the share of the hypotheses' n-grams that are in their reference, of each
n-gram at most as often as it is there. With c and r the lengths of all hypotheses and of all references together,

    BLEU = 100 · min(1, exp(1 − r / c)) · (p₁ p₂ p₃ p₄)^¼

Where no n-gram of some n is found, its share is 1 / (2ᵏ · their number), k counting these n: the smoothing of the evaluation script of NIST
(mteval-v13a), and the default of sacrebleu, with whose numbers these agree (``tokenize="none"`` of tokens that are given). All is made of
sums over sentences, so parts of a corpus add up.

References
----------
K. Papineni, S. Roukos, T. Ward, W. Zhu, "BLEU: a method for automatic evaluation of machine translation", ACL 2002. M. Post, "A call for
clarity in reporting BLEU scores", WMT 2018. B. Chen, C. Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU",
WMT 2014 (the smoothing, their method 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

#: Longest n-grams that count.
ORDER = 4
#: Numbers that the counts of a corpus are.
COUNTS = 2 * ORDER + 2


def corpus_bleu(hypotheses: Iterable[Sequence[Hashable]], references: Iterable[Sequence[Hashable]]) -> float:
    """BLEU of hypotheses against references, a list of tokens each, from 0 to 100."""
    return bleu(counts(hypotheses, references))


def counts(hypotheses: Iterable[Sequence[Hashable]], references: Iterable[Sequence[Hashable]]) -> np.ndarray:
    """What BLEU is made of, which adds up over parts of a corpus.

    Parameters
    ----------
    hypotheses, references : iterable of sequence
        Tokens, which need be hashable alone; equally many of both.

    Returns
    -------
    ndarray of float64, shape (10,)
        By n, n-grams of the hypotheses that are in their reference; by n, all of them; length of the hypotheses; of the references.
    """
    found = np.zeros(COUNTS)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        hypothesis, reference = tuple(hypothesis), tuple(reference)
        for n in range(1, ORDER + 1):
            own, there = _ngrams(hypothesis, n), _ngrams(reference, n)
            found[n - 1] += sum(min(count, there[ngram]) for ngram, count in own.items() if ngram in there)
            found[ORDER + n - 1] += max(0, len(hypothesis) - n + 1)
        found[-2:] += len(hypothesis), len(reference)
    return found


def bleu(counted: np.ndarray) -> float:
    """BLEU from its `counts`, from 0 to 100; 0 where nothing is right."""
    right, total, (length, reference) = counted[:ORDER], counted[ORDER : 2 * ORDER], counted[-2:]
    if not right.any() or not total.all():
        return 0.0
    smooth, shares = 1.0, []
    for found, all_ in zip(right.tolist(), total.tolist(), strict=True):
        smooth *= 1.0 if found else 2.0
        shares.append(found / all_ if found else 1 / (smooth * all_))
    brevity = 1.0 if length >= reference else float(np.exp(1 - reference / length))
    return 100 * brevity * float(np.exp(np.mean(np.log(shares))))


def _ngrams(tokens: tuple[Hashable, ...], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tokens[start : start + n] for start in range(len(tokens) - n + 1))
