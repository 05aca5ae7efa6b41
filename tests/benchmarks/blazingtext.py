"""Word vectors against gensim and MLlib, two workers against one, and the quality on pairs of words.

Texts are 50,000 film reviews in lower case without punctuation, 11.6 million words. gensim, where it is installed, has them as lists in
memory and makes the same passes with one thread; MLlib and ours start from a cached DataFrame.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import Data, public
from harness import CORES, Headline, Options, Report, Table, cached, local_session, measure, median, ratio, timed

SETTINGS = {"vector_dim": 100, "window_size": 5, "negative_samples": 5}
SEEDS = (1, 2, 3)
MODES = ("batch_skipgram", "skipgram", "cbow")


def compare_speed(data: Data, options: Options) -> Report:
    """Words per second of a core, by mode."""
    found = measure(speeds, files=files())
    table = Table("Film reviews, an epoch, one worker: words/s of the train phase", ["", "ours", "gensim", "ours/gensim"])
    for mode in MODES:
        theirs = found["gensim"].get("cbow" if mode == "cbow" else "skipgram")
        table.rows.append([mode, f"{found[mode]:,.0f}", f"{theirs:,.0f}" if theirs else "", ratio(found[mode], theirs) if theirs else ""])
    peer = found["gensim"].get("skipgram")
    headlines = [Headline("BlazingText batch_skipgram, film reviews", "gensim skip-gram", peer, found[MODES[0]], "rows/s")] if peer else []
    return Report([table], found, ["gensim with one thread, on lists in memory." if peer else "gensim is not installed."], headlines)


def compare_mllib(data: Data, options: Options) -> Report:
    """Seconds of a fit of an epoch, from a cached DataFrame, and rank correlation on WordSimilarity-353."""
    found = measure(fits, files=files(), pairs=word_pairs())
    table = Table("Film reviews, one iteration, from a DataFrame", ["", "s", "MLlib/this", "WS-353"])
    peer = found["MLlib Word2Vec"]["seconds"]
    table.rows = [[name, one["seconds"], ratio(peer, one["seconds"]), one["rho"]] for name, one in found.items()]
    return Report([table], found, [f"{CORES} workers, {CORES} partitions; our train phase took {found['ours']['train']:.1f} s."], [])


def compare_scaling(data: Data, options: Options) -> Report:
    """Seconds of the train phase and rank correlation on WordSimilarity-353, one worker and two, five epochs."""
    found = measure(scaling, files=files(), pairs=word_pairs())
    table = Table("Film reviews, five epochs of batch_skipgram", ["workers", "train, s", "one worker/these", "WS-353"])
    one = median(found["1"]["train"])
    table.rows = [[workers, median(of["train"]), ratio(one, median(of["train"])), median(of["rho"])] for workers, of in found.items()]
    return Report([table], found, [f"Medians of {len(SEEDS)} seeds."], [])


CASES = {"speed": compare_speed, "mllib": compare_mllib, "scaling": compare_scaling}


def word_pairs() -> str:
    return str(public("word_eval/EN-WS-353-ALL.tsv"))


def files() -> list[str]:
    return [str(public(f"imdb_reviews/imdb_{part}.jsonl.gz")) for part in ("train", "test")]


def reviews(files: list[str]) -> list[str]:
    """In lower case, words of letters, digits and apostrophes."""
    texts = [json.loads(line)["text"] for file in files for line in gzip.open(file, "rt")]
    return [" ".join(re.findall(r"[a-z0-9']+", text.lower().replace("<br />", " "))) for text in texts]


def speeds(files: list[str]) -> dict[str, Any]:
    """Words per second by mode, after a fit of few texts that compiles."""
    from sparkml_algos import BlazingTextWord2Vec

    texts, found = reviews(files), {}
    words = sum(text.count(" ") + 1 for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": texts}), Path(folder) / "texts.parquet")
        frame = cached(local_session(), folder)
        for mode in MODES:
            learner = BlazingTextWord2Vec(mode=mode, epochs=1, num_workers=1, **SETTINGS)
            learner.fit(frame.limit(500))
            found[mode] = words / learner.fit(frame).training_summary.history[-1]["seconds"]
    return {**found, "gensim": by_gensim(texts, words)}


def by_gensim(texts: list[str], words: int) -> dict[str, float]:
    if find_spec("gensim") is None:
        return {}
    from gensim.models import Word2Vec

    found, lists = {}, [text.split() for text in texts]
    for mode in ("skipgram", "cbow"):
        model = Word2Vec(vector_size=100, window=5, negative=5, sg=int(mode == "skipgram"), sample=1e-4, min_count=5, workers=1)
        model.build_vocab(lists)
        start = time.process_time()
        model.train(lists, total_examples=len(lists), epochs=1)
        found[mode] = words / (time.process_time() - start)
    return found


def fits(files: list[str], pairs: str) -> dict[str, dict[str, float]]:
    from pyspark.ml.feature import Word2Vec
    from pyspark.sql import functions as F

    from sparkml_algos import BlazingTextWord2Vec
    from sparkml_algos.algorithms.blazingtext.word2vec.pairs import read_pairs
    from sparkml_algos.algorithms.blazingtext.word2vec.similarity import agreement

    with reviews_in_partitions(files) as texts:
        frame = texts.withColumn("words", F.split("text", " ")).cache()
        frame.count()
        ours = BlazingTextWord2Vec(mode="batch_skipgram", epochs=1, num_workers=CORES, **SETTINGS)
        theirs = Word2Vec(vectorSize=100, windowSize=5, minCount=5, maxIter=1, numPartitions=CORES, inputCol="words", outputCol="vector")
        ours.fit(frame.limit(500))
        seconds, model = timed(lambda: ours.fit(frame))
        found = {"ours": {"seconds": seconds, "train": model.training_summary.seconds["train"]}}
        judged = read_pairs(frame.sparkSession, pairs)
        found["MLlib Word2Vec"] = {"seconds": (peer := timed(lambda: theirs.fit(frame)))[0]}
        for name, one in (("ours", model), ("MLlib Word2Vec", peer[1])):
            vectors = {row["word"]: np.array(row["vector"]) for row in one.getVectors().collect()}
            found[name]["rho"] = agreement(judged, partial(vectors_of, vectors)).mean_rho
    return found


def vectors_of(known: dict[str, np.ndarray], words: list[str]) -> np.ndarray:
    """Vectors of words, 0 of those that have none."""
    return np.stack([known.get(word, np.zeros(SETTINGS["vector_dim"])) for word in words])


def scaling(files: list[str], pairs: str) -> dict[str, dict[str, list[float]]]:
    from sparkml_algos import BlazingTextWord2Vec

    found: dict[str, dict[str, list[float]]] = {str(workers): {"train": [], "rho": []} for workers in (1, CORES)}
    with reviews_in_partitions(files) as frame:
        learner = BlazingTextWord2Vec(mode="batch_skipgram", word_pairs_path=pairs, **SETTINGS)
        for seed in SEEDS:
            for workers, of in found.items():
                summary = learner.copy().setParams(num_workers=int(workers), seed=seed).fit(frame).training_summary
                of["train"].append(sum(epoch["seconds"] for epoch in summary.history))
                of["rho"].append(summary.metrics["train:mean_rho"])
    return found


@contextmanager
def reviews_in_partitions(files: list[str]) -> Iterator[Any]:
    """A cached DataFrame of texts, a partition for each core."""
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": reviews(files)}), Path(folder) / "texts.parquet")
        frame = cached(local_session(), folder).repartition(CORES).cache()
        frame.count()
        yield frame
