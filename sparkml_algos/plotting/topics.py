"""Words of topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import axes_for, named_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_PER_WORD, _INCHES_AROUND = 0.19, 0.8


def plot_topics(
    model: Any, vocabulary: Sequence[str] | None = None, topics: Sequence[int] | None = None, words: int = 8, ax: Axes | None = None
) -> Axes:
    """Draw the most probable words of topics as bars, topic below topic.

    Parameters
    ----------
    model : LDAModel, NeuralTopicModelModel or array of shape (topics, vocabulary)
        Or the probabilities of the words in each topic.
    vocabulary : sequence of str, optional
        The word of each feature, such as ``CountVectorizerModel.vocabulary``; by default the names of the model's features, or their
        numbers.
    topics : sequence of int, optional
        Which ones, counted from 0; all by default.
    words : int
        Words of a topic.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default, as high as there are words.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no such topic, or words are not as many as features.

    Examples
    --------
    >>> plot_topics(model, count_vectorizer_model.vocabulary, topics=[0, 1, 2])  # doctest: +SKIP
    """
    shares = np.asarray(getattr(model, "topics", model), np.float64)
    chosen = list(range(len(shares))) if topics is None else list(topics)
    if beyond := [one for one in chosen if not 0 <= one < len(shares)]:
        raise ValueError(f"there is no topic {beyond[0]}; there are {len(shares)}, counted from 0")
    names = getattr(model, "feature_names", None) if vocabulary is None else vocabulary
    if names is not None and len(names) != shares.shape[1]:
        raise ValueError(f"vocabulary has {len(names)} words; the topics have {shares.shape[1]}")
    words = min(words, shares.shape[1])
    ax = axes_for(ax, "plot_topics", (6, _INCHES_AROUND + _INCHES_PER_WORD * (words + 1) * len(chosen)))
    places: list[int] = []
    labels: list[str] = []
    for place, topic in enumerate(chosen):
        best = np.argsort(-shares[topic], kind="stable")[:words]
        rows = place * (words + 1) + np.arange(words)
        ax.barh(rows, shares[topic][best], height=0.8, color=f"C{place % 10}", label=f"topic {topic}")
        places.extend(rows)
        labels.extend(str(names[word]) if names is not None else str(word) for word in best)
    ax.set_xlabel("probability of the word")
    ax.legend(frameon=False)
    return named_bars(ax, labels, places, fontsize="small")
