"""LDA against MLlib's and against the bare arithmetic: 50 topics of the 20-newsgroups documents.

Both engines get the same DataFrame, cached and counted before the clock starts, in one session, and fit in turn; MLlib runs online LDA
for 50 iterations, ours at its defaults and, as ``spectral``, without refinements. What comes out is judged by functions here:

* perplexity of document completion: the model infers the mixture of each test document from one half of its words; scored are the words
  of the other half, exp(−Σ log Σ_k θ_k β_kw / words);
* coherence: normalised pointwise mutual information (G. Bouma 2009) of the ten first words of a topic, by the training documents that have
  both, mean over pairs and topics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from data import Data, documents
from harness import Headline, Options, Quality, Report, Table, cached, local_session, measure, median, medians, ratio, timed

from sparkml_algos.arrays.topics import npmi

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOPICS = 50
MLLIB_ITERATIONS = 50
FITS = 2
PHASES = ("ingest", "setup", "train", "finish")


def compare_fits(data: Data, options: Options) -> Report:
    """Seconds of first and later fits, what the topics are worth, and the training function alone."""
    train, half = data.get("newsgroups"), data.get("newsgroups half")
    sessions = [measure(fits_in_turn, path=train.path, half=half.path) for _ in range(options.sessions)]
    bare = median(measure(bare_loop, threads=1))
    fits = Table(f"Fit, {train.name}, {TOPICS} topics: seconds", ["engine", "first", "later", "MLlib/engine", *PHASES])
    worth = Table("Held-out documents", ["engine", "perplexity", "NPMI", "transform s"])
    values: dict[str, Any] = {"sessions": sessions, "bare": bare}
    for engine in ("MLlib", "spectral", "refined"):
        first = median([session[engine]["fits"][0]["wall"] for session in sessions])
        later = medians([fit for session in sessions for fit in session[engine]["fits"][1:]])
        values[engine] = {"first": first, "later": later["wall"], **medians([session[engine]["worth"] for session in sessions])}
        gain = ratio(values["MLlib"]["later"], later["wall"])
        fits.rows.append([engine, first, later["wall"], gain, *(later.get(phase) for phase in PHASES)])
        worth.rows.append([engine, values[engine]["perplexity"], f"{values[engine]['npmi']:.3f}", values[engine]["transform"]])
    notes = [
        "The first fit of a session is MLlib's, so it pays for the cold JVM; the first of ours pays for the Python workers.",
        f"Training on arrays in one process, one thread, refined: {bare:.2f} s.",
    ]
    peer, ours = values["MLlib"], values["refined"]
    headline = Headline(
        f"LDA, 20-newsgroups, {TOPICS} topics", f"MLlib, online, {MLLIB_ITERATIONS} iterations", peer["later"], ours["later"],
        quality=Quality("perplexity", peer["perplexity"], ours["perplexity"]),
    )  # fmt: skip
    return Report([fits, worth], values, notes, [headline])


def fits_in_turn(path: str, half: str) -> dict[str, Any]:
    """Seconds of each fit of every engine, and what the topics of the last are worth."""
    from pyspark.ml.clustering import LDA as MLlibLDA

    from sparkml_algos import LDA

    session = local_session()
    frame, held_out = cached(session, path), cached(session, half)
    engines: dict[str, Callable[[], Any]] = {
        "MLlib": lambda: MLlibLDA(k=TOPICS, maxIter=MLLIB_ITERATIONS, optimizer="online", seed=1).fit(frame),
        "spectral": lambda: LDA(num_topics=TOPICS, refinements=0).fit(frame),
        "refined": lambda: LDA(num_topics=TOPICS).fit(frame),
    }
    found: dict[str, Any] = {engine: {"fits": []} for engine in engines}
    for fit in range(FITS):
        for engine, action in engines.items():
            wall, model = timed(action)
            summary = getattr(model, "training_summary", None)
            found[engine]["fits"].append({"wall": wall, **(summary.seconds if summary else {})})
            if fit == FITS - 1:
                weights = model.topicsMatrix().toArray().T
                seconds, mixtures = timed(lambda model=model: _mixtures(model.transform(held_out)))
                scores = worth(mixtures, weights / weights.sum(axis=1, keepdims=True))
                found[engine]["worth"] = {"transform": seconds, **scores}
    session.stop()
    return found


def _mixtures(scored: DataFrame) -> np.ndarray:
    """Mixtures of all documents in the order of their numbers, which are the label."""
    rows = scored.select("label", "topicDistribution").collect()
    return np.array([vector.toArray() for _, vector in sorted(rows, key=lambda row: row[0])])


def worth(mixtures: np.ndarray, topics: np.ndarray) -> dict[str, float]:
    """Perplexity of the words that the mixtures have not seen, and coherence of the topics."""
    words = documents("ts_h2").tocoo()
    likely = np.einsum("ij,ij->i", mixtures[words.row], topics.T[words.col])
    perplexity = np.exp(-(words.data @ np.log(likely)) / words.data.sum())
    return {"perplexity": float(perplexity), "npmi": npmi(topics, documents("tr"))}


def bare_loop() -> list[float]:
    """Seconds of training on the documents as an array, without Spark, after a warm-up."""
    from sparkml_algos import LDA
    from sparkml_algos.algorithms.lda.training import LDA_ALGORITHM
    from sparkml_algos.training.run import train_arrays

    rows, settings = sp.csr_matrix(documents("tr")), LDA(num_topics=TOPICS).hyperparameters()
    return [timed(lambda: train_arrays(LDA_ALGORITHM, settings, rows))[0] for _ in range(FITS + 1)][1:]


CASES: dict[str, Callable[[Data, Options], Report]] = {"newsgroups": compare_fits}
