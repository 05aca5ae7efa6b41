"""k-nearest neighbours against scikit-learn's exhaustive search and the bare library: digits and letters.

Models are built from raw pixels. Queries per second are measured from end to end: a cached DataFrame through `transform`, predictions
added up; scikit-learn and the library get an array in memory, in one process with as many threads as Spark has cores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from data import Data, public
from harness import CORES, Headline, Options, Report, Table, local_session, measure, median, ratio, timed

NEIGHBORS = 10
TURNS = 3
# Queries of scikit-learn, which is slow, and of the measurements of recall.
FEW = 2000
LETTERS_TO_KEEP = 16_000


def compare_searches(data: Data, options: Options) -> Report:
    """Error of the nearest neighbour, recall and queries per second of each index, and of the others."""
    train, test = str(public("mnist/mnist_train.parquet")), str(public("mnist/mnist_test.parquet"))
    found = {index: measure(through_spark, train=train, test=test, index=index) for index in ("faiss.Flat", "faiss.IVFFlat")}
    bare = measure(bare_library, threads=CORES, train=train, test=test, probes=found["faiss.IVFFlat"]["probes"])
    peer = measure(scikit_learn, threads=CORES, train=train, test=test)
    rows = [
        ["scikit-learn, brute", peer["rate"], None, None],
        *([f"library, {name}", bare[name]["rate"], bare[name]["recall"], None] for name in bare),
        *([f"transform, {name}", one["rate"], one["recall"], 100 * one["error"]] for name, one in found.items()),
    ]
    ratios = {
        "transform/library, Flat": ratio(found["faiss.Flat"]["rate"], bare["faiss.Flat"]["rate"]),
        "transform/library, IVFFlat": ratio(found["faiss.IVFFlat"]["rate"], bare["faiss.IVFFlat"]["rate"]),
        "transform, IVFFlat/Flat": ratio(found["faiss.IVFFlat"]["rate"], found["faiss.Flat"]["rate"]),
        "transform, Flat/scikit-learn": ratio(found["faiss.Flat"]["rate"], peer["rate"]),
    }
    notes = [
        f"Medians of {TURNS} turns after a warm-up; scikit-learn once, on {FEW:,} queries. {CORES} threads each.",
        f"The library scans as many lists as the model, {found['faiss.IVFFlat']['probes']}. Recall: of the {NEIGHBORS} nearest.",
    ]
    tables = [
        Table("MNIST, 60,000 raw images kept, 10,000 looked up", ["", "queries/s", f"recall@{NEIGHBORS}", "1-NN error, %"], rows),
        Table("Ratios", ["", ""], [[name, value] for name, value in ratios.items()]),
    ]
    subject = f"{NEIGHBORS} nearest neighbours, exact, of MNIST, 60,000 × 784"
    headline = Headline(subject, "scikit-learn, brute force", peer["rate"], found["faiss.Flat"]["rate"], "rows/s")
    return Report(tables, {"ours": found, "library": bare, "scikit-learn": peer, "ratios": ratios}, notes, [headline])


def through_spark(train: str, test: str, index: str) -> dict[str, Any]:
    """A model of all rows: error, recall and queries per second of `transform`, seconds of `fit`."""
    from pyspark.sql import functions as F

    from sparkml_algos import KNNClassifier

    spark = local_session()
    columns = [F.col("index").cast("long"), F.col("label").cast("double"), F.col("pixels").cast("array<float>").alias("features")]
    kept, asked = (spark.read.parquet(path).select(*columns).repartition(CORES).cache() for path in (train, test))
    rows = kept.count()
    asked.count()
    settings = {"k": NEIGHBORS, "sample_size": rows, "idCol": "index", "num_workers": CORES}
    seconds, model = timed(lambda: KNNClassifier(index_type=index, **settings).fit(kept))
    turns = [timed(lambda: model.transform(asked).agg(F.sum("prediction")).first())[0] for _ in range(TURNS + 1)][1:]
    error = 1 - model.copy().setK(1).evaluate(asked)["test:accuracy"]
    few = asked.orderBy("index").limit(FEW)
    found = np.array([row[0] for row in model.kneighbors(few).orderBy("index").select("neighbors").collect()])
    exact = exact_neighbors(read_pixels(train)[0], read_pixels(test)[0][:FEW])
    return {
        "rate": asked.count() / median(turns),
        "error": error,
        "recall": recall(found, exact),
        "fit": seconds,
        "probes": model.probes,
        "turns": turns,
    }


def bare_library(train: str, test: str, probes: int) -> dict[str, Any]:
    """Queries per second and recall of the library's own indexes."""
    import faiss

    rows, queries = read_pixels(train)[0], read_pixels(test)[0]
    width = rows.shape[1]
    indexes = {
        "faiss.Flat": faiss.IndexFlatL2(width),
        "faiss.IVFFlat": faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, int(np.sqrt(len(rows)))),
    }
    indexes["faiss.IVFFlat"].nprobe = probes
    exact, found = exact_neighbors(rows, queries[:FEW]), {}
    for name, index in indexes.items():
        index.train(rows)
        index.add(rows)
        turns = [timed(lambda index=index: index.search(queries, NEIGHBORS)[1]) for _ in range(TURNS + 1)][1:]
        rate = len(queries) / median([seconds for seconds, _ in turns])
        found[name] = {"rate": rate, "recall": recall(turns[0][1][:FEW], exact)}
    return found


def scikit_learn(train: str, test: str) -> dict[str, float]:
    """Queries per second of its exhaustive search."""
    from sklearn.neighbors import KNeighborsClassifier

    rows, label = read_pixels(train)
    queries = read_pixels(test)[0][:FEW]
    model = KNeighborsClassifier(NEIGHBORS, algorithm="brute").fit(rows, label)
    model.predict(queries[:100])
    return {"rate": len(queries) / timed(lambda: model.predict(queries))[0]}


def tell_letters_apart(data: Data, options: Options) -> Report:
    """Accuracy of the nearest neighbour on the letters."""
    found = measure(letters, path=str(public("letter/letter.csv.gz")))
    table = Table(f"Letters, {LETTERS_TO_KEEP:,} kept, the others looked up", ["", "accuracy"], [[name, found[name]] for name in found])
    return Report([table], found, ["Of many rows several are nearest: other choices among them give 0.9475 to 0.9660."])


def letters(path: str) -> dict[str, float]:
    """Accuracy of ours and of scikit-learn."""
    import pandas as pd
    from sklearn.neighbors import KNeighborsClassifier

    from sparkml_algos import KNNClassifier

    table = pd.read_csv(path, keep_default_na=False)
    label = (table.pop("letter").map(ord) - ord("A")).to_numpy(float)
    rows = table.to_numpy(float)
    frame = local_session().createDataFrame(
        [(i, row.tolist(), letter) for i, (row, letter) in enumerate(zip(rows, label.tolist(), strict=True))],
        "id long, features array<double>, label double",
    )
    model = KNNClassifier(k=1, sample_size=len(rows), idCol="id").fit(frame.where(f"id < {LETTERS_TO_KEEP}"))
    peer = KNeighborsClassifier(1, algorithm="brute").fit(rows[:LETTERS_TO_KEEP], label[:LETTERS_TO_KEEP])
    return {
        "ours": model.evaluate(frame.where(f"id >= {LETTERS_TO_KEEP}"))["test:accuracy"],
        "scikit-learn": float(peer.score(rows[LETTERS_TO_KEEP:], label[LETTERS_TO_KEEP:])),
    }


def read_pixels(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Raw pixels (images, 784), float32, and labels."""
    table = pq.read_table(path, columns=["pixels", "label"])
    pixels = table["pixels"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return pixels.astype(np.float32).reshape(len(table), -1), table["label"].to_numpy()


def exact_neighbors(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Places of the nearest rows, in float64, shape (queries, `NEIGHBORS`)."""
    rows, found = rows.astype(np.float64), []
    squares = np.einsum("ij,ij->i", rows, rows)
    for start in range(0, len(queries), 200):
        scores = squares - 2 * queries[start : start + 200].astype(np.float64) @ rows.T
        found.append(np.argpartition(scores, NEIGHBORS, axis=1)[:, :NEIGHBORS])
    return np.concatenate(found)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Share of the true neighbours that were found."""
    return float(np.mean([len(set(one) & set(other)) for one, other in zip(found, exact, strict=True)]) / exact.shape[1])


CASES: dict[str, Callable[[Data, Options], Report]] = {"mnist": compare_searches, "letters": tell_letters_apart}
