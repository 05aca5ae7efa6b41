"""The text classifier against fastText, one thread each: words per second of processor time, and accuracy, on rows in random order and on
rows sorted by label, which fastText trains on as they come.

Texts are in lower case, words and marks apart. Ours starts from lists of strings, fastText from a file; both count words, and hash n-grams,
within the time that is measured.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data import Data, public
from harness import Headline, Options, Report, Skipped, Table, measure, ratio

TASKS: dict[str, dict[str, Any]] = {
    "imdb": {
        "name": "IMDb reviews, bigrams",
        "files": ["imdb_reviews/imdb_train.jsonl.gz", "imdb_reviews/imdb_test.jsonl.gz"],
        "label": "label",
        "settings": {"word_ngrams": 2, "learning_rate": 0.5, "epochs": 5, "vector_dim": 100, "min_count": 5, "buckets": 2_000_000},
    },
    "newsgroups": {
        "name": "20 newsgroups",
        "files": ["newsgroups20/20news_bydate_train.jsonl.gz", "newsgroups20/20news_bydate_test.jsonl.gz"],
        "label": "group",
        "settings": {"word_ngrams": 1, "learning_rate": 0.5, "epochs": 25, "vector_dim": 100, "min_count": 5, "buckets": 2_000_000},
    },
}
# What fastText calls them.
NAMES = {
    **{"word_ngrams": "wordNgrams", "learning_rate": "lr", "epochs": "epoch", "vector_dim": "dim", "min_count": "minCount"},
    **{"buckets": "bucket"},
}
SEED = 0

Rows = list[tuple[str, str]]


def compare(task: str) -> Report:
    """Speed and accuracy of both on a task."""
    if find_spec("fasttext") is None:
        raise Skipped("fastText is not installed")
    paths = [str(public(path)) for path in TASKS[task]["files"]]
    found = {order: {way: measure(run, task=task, paths=paths, order=order, way=way) for way in ("ours", "fastText")} for order in ORDERS}
    name = TASKS[task]["name"]
    table = Table(f"{name}: one thread", ["", "words per CPU second", "ours/this", "accuracy", "sorted by label"])
    fast = found["shuffled"]
    for way in ("ours", "fastText"):
        times = "" if way == "ours" else ratio(fast["ours"]["words_per_second"], fast[way]["words_per_second"])
        row = [f"{fast[way]['words_per_second']:,.0f}", times, f"{fast[way]['accuracy']:.4f}", f"{found['sorted'][way]['accuracy']:.4f}"]
        table.rows.append([way, *row])
    note = f"Settings: {TASKS[task]['settings']}. Inner loops of ours: {fast['ours']['kernels']}."
    headline = Headline(f"BlazingText classifier, {name}, one thread", "fastText", fast["fastText"]["seconds"], fast["ours"]["seconds"])
    return Report([table], found, [note], [headline])


ORDERS = ("shuffled", "sorted")


def run(task: str, paths: list[str], order: str, way: str) -> dict[str, Any]:
    """A training by one of both, and its accuracy on the test rows."""
    os.environ["OMP_NUM_THREADS"] = "1"
    train, test = (rows_of(path, TASKS[task]["label"]) for path in paths)
    if order == "shuffled":
        random.Random(SEED).shuffle(train)
    else:
        train.sort()
    settings = TASKS[task]["settings"]
    found = (by_us if way == "ours" else by_fasttext)(train, test, settings)
    words = settings["epochs"] * sum(len(text.split()) + 1 for _, text in train)
    return {**found, "words_per_second": words / found["seconds"]}


def rows_of(path: str, label: str) -> Rows:
    """Label and text of each row, the text in lower case with blanks around marks."""
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [(str(row[label]), " ".join(re.findall(r"\w+|[^\w\s]", row["text"].lower()))) for row in rows]


def by_us(train: Rows, test: Rows, settings: dict[str, Any]) -> dict[str, Any]:
    """A training without Spark, after one of a few rows that compiles what is not yet compiled."""
    import pyarrow as pa

    from sparkml_algos import BlazingTextClassifier
    from sparkml_algos.algorithms.blazingtext.classifier.training import BLAZING_TEXT_CLASSIFIER
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.training.run import train_arrays

    hyperparameters = {param.name: param.default for param in BlazingTextClassifier.declared.values()} | settings
    labels, texts = (list(part) for part in zip(*train, strict=True))
    train_arrays(BLAZING_TEXT_CLASSIFIER, {**hyperparameters, "min_count": 1}, text=texts[:20], label=labels[:20])
    began = time.process_time()
    model = train_arrays(BLAZING_TEXT_CLASSIFIER, hyperparameters, text=texts, label=labels)
    seconds = time.process_time() - began
    predict = BLAZING_TEXT_CLASSIFIER.load(model, Hyperparameters(**hyperparameters), "cpu")
    parts = [test[start : start + 1000] for start in range(0, len(test), 1000)]
    found = [predict(Batch(text=pa.array([text for _, text in part])))["predicted_label"].to_pylist() for part in parts]
    right = sum(label == one for part, answers in zip(parts, found, strict=True) for (label, _), one in zip(part, answers, strict=True))
    return {"seconds": seconds, "accuracy": right / len(test), "kernels": model.values["kernels"]}


def by_fasttext(train: Rows, test: Rows, settings: dict[str, Any]) -> dict[str, Any]:
    """A training of fastText's from a file."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("train.txt", "test.txt")]
        for path, rows in zip(paths, (train, test), strict=True):
            Path(path).write_text("".join(f"__label__{label} {text}\n" for label, text in rows))
        began = time.process_time()
        given = {NAMES[name]: value for name, value in settings.items()}
        model = fasttext.train_supervised(paths[0], thread=1, verbose=0, **given)
        seconds = time.process_time() - began
        return {"seconds": seconds, "accuracy": model.test(paths[1])[1]}


def compare_imdb(data: Data, options: Options) -> Report:
    """Film reviews, two labels."""
    return compare("imdb")


def compare_newsgroups(data: Data, options: Options) -> Report:
    """Posts to twenty newsgroups."""
    return compare("newsgroups")


CASES = {"imdb": compare_imdb, "newsgroups": compare_newsgroups}
