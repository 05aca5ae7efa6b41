"""The neural topic model on the 20-newsgroups documents, 50 topics: what its topics are worth; its speed against the
same network in a plain torch loop; two workers against one.

What comes out is judged as in `lda`: perplexity of document completion and coherence; and by how unique the first words of topics are. The
model's probability of a word is softmax(R·θ + b), with θ of the other half of the document.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Data, documents
from harness import CORES, Headline, Options, Report, Table, cached, local_session, measure, median, ratio, timed

from sparkml_algos.arrays.topics import npmi, topic_uniqueness

TOPICS = 50
SEEDS = (0, 1, 2)
MEASURES = ("perplexity", "npmi", "uniqueness")
# What is recommended for several workers.
LARGE_BATCH = {"optimizer": "adam", "learning_rate": 0.01, "mini_batch_size": 1024}
#: Settings by how they are called; what they leave out is as by default.
SETTINGS: dict[str, dict[str, Any]] = {"defaults": {}, "large mini-batches": LARGE_BATCH}
SPEED_EPOCHS = 3
ROUNDS = 5


def judge_topics(data: Data, options: Options) -> Report:
    """Medians over seeds of what the topics are worth, and seconds of the fits."""
    train, half = data.get("newsgroups"), data.get("newsgroups half")
    fits = measure(fits_of_seeds, path=train.path, half=half.path)
    worth = Table(f"Fit, {train.name}, {TOPICS} topics, medians of {len(SEEDS)} seeds", ["settings", "seconds", "epochs", *MEASURES])
    for name in SETTINGS:
        found = [fit for fit in fits if fit["settings"] == name]
        values = [median([fit[key] for fit in found]) for key in ("wall", "epochs", *MEASURES)]
        worth.rows.append([name, *values[:3], *(f"{value:.3f}" for value in values[3:])])
    notes = [f"{name}: {settings or 'as declared'}." for name, settings in SETTINGS.items()]
    return Report([worth], {"fits": fits}, notes)


def fits_of_seeds(path: str, half: str) -> list[dict[str, Any]]:
    """Seconds and worth of a fit with every seed and settings."""
    from sparkml_algos import NeuralTopicModel

    session = local_session()
    frame, held_out = cached(session, path), cached(session, half)
    found = []
    for name, settings in SETTINGS.items():
        for seed in SEEDS:
            wall, model = timed(lambda s=settings, seed=seed: NeuralTopicModel(num_topics=TOPICS, seed=seed, **s).fit(frame))
            scored = model.transform(held_out).select("label", "topicDistribution").collect()
            weights = np.array([vector.toArray() for _, vector in sorted(scored, key=lambda row: row[0])])
            epochs = len(model.training_summary.history)
            found.append({"settings": name, "seed": seed, "wall": wall, "epochs": epochs, **worth_of(model, weights)})
    session.stop()
    return found


def worth_of(model: Any, weights: np.ndarray) -> dict[str, float]:
    """Perplexity of the words that the weights have not seen, coherence and uniqueness of the topics."""
    words = documents("ts_h2").tocoo()
    likely = model.expected_words(weights)[words.row, words.col]
    perplexity = np.exp(-(words.data @ np.log(likely)) / words.data.sum())
    return {
        "perplexity": float(perplexity),
        "npmi": npmi(model.topics, documents("tr")),
        "uniqueness": topic_uniqueness(model.topics),
    }


def compare_loops(data: Data, options: Options) -> Report:
    """Documents per second of the training function and of a plain torch loop with dense input, in turns, one thread."""
    found = measure(loops_in_turn, threads=1)
    table = Table(f"{SPEED_EPOCHS} epochs, {TOPICS} topics: documents/s", ["mini-batch", "plain torch, dense", "ours", "ours/plain"])
    headlines = []
    for size, rates in found.items():
        plain, ours = max(rates["plain"]), max(rates["ours"])
        table.rows.append([int(size), plain, ours, ratio(ours, plain)])
        subject = f"neural topic model, 20-newsgroups, {TOPICS} topics, mini-batches of {size}"
        headlines.append(Headline(subject, "the same network in plain torch, dense input", plain, ours, "rows/s"))
    note = f"The best of {ROUNDS} rounds in turn after one to warm up, in one process and thread, Adam in both."
    return Report([table], {"rates": found}, [note], headlines[:1])


def loops_in_turn() -> dict[str, dict[str, list[float]]]:
    """Documents per second by size of the mini-batch and loop."""
    from sparkml_algos import NeuralTopicModel
    from sparkml_algos.algorithms.ntm.training import NEURAL_TOPIC_MODEL
    from sparkml_algos.training.run import train_arrays

    rows = sp.csr_matrix(documents("tr"), dtype=np.float32)
    dense = rows.toarray()
    found: dict[str, dict[str, list[float]]] = {}
    for size in (256, LARGE_BATCH["mini_batch_size"]):
        settings = {"num_topics": TOPICS, "epochs": SPEED_EPOCHS, "mini_batch_size": size, "optimizer": "adam", "learning_rate": 0.005}
        hyperparameters = NeuralTopicModel(**settings).hyperparameters()
        loops: dict[str, Callable[[], float]] = {
            "plain": lambda size=size: plain_loop(dense, size),
            "ours": lambda known=hyperparameters: _seconds_of_epochs(train_arrays(NEURAL_TOPIC_MODEL, known, rows)),
        }
        rates: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(ROUNDS + 1):
            for name, loop in loops.items():
                rates[name].append(SPEED_EPOCHS * len(dense) / loop())
        found[str(size)] = {name: values[1:] for name, values in rates.items()}
    return found


def _seconds_of_epochs(artifact: Any) -> float:
    return sum(entry["seconds"] for entry in artifact.values["history"])


def plain_loop(dense: np.ndarray, mini_batch_size: int) -> float:
    """Seconds of the epochs of the same network as one would write it in torch: dense counts, torch's own layers, losses and optimizer."""
    import torch
    from torch import nn

    counts = torch.from_numpy(dense)
    vocabulary = counts.shape[1]
    encoder = nn.Sequential(nn.Linear(vocabulary, 3 * TOPICS), nn.Sigmoid(), nn.Linear(3 * TOPICS, 2 * TOPICS), nn.Sigmoid())
    heads = nn.ModuleList(nn.Sequential(nn.Linear(2 * TOPICS, TOPICS), nn.BatchNorm1d(TOPICS, affine=False)) for _ in range(2))
    decoder = nn.Linear(TOPICS, vocabulary)
    parameters = [parameter for part in (encoder, heads, decoder) for parameter in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.005)
    start = time.perf_counter()
    for _ in range(SPEED_EPOCHS):
        for rows in torch.randperm(len(counts)).split(mini_batch_size):
            batch = counts[rows]
            hidden = encoder(nn.functional.dropout(torch.log1p(batch), 0.5))
            mean, log_variance = (head(hidden) for head in heads)
            topics = torch.softmax(mean + torch.randn_like(mean) * (log_variance / 2).exp(), 1)
            reconstruction = -(batch * torch.log_softmax(decoder(topics), 1)).sum()
            divergence = 0.5 * ((mean**2 + log_variance.exp()) / 10 - 1 - log_variance + np.log(10)).sum()
            optimizer.zero_grad()
            ((reconstruction + divergence) / len(rows)).backward()
            optimizer.step()
    return time.perf_counter() - start


def compare_scaling(data: Data, options: Options) -> Report:
    """The train phase with one and with two workers, in turns."""
    train = data.get("newsgroups")
    found = measure(train_phases, path=train.path)
    one, two = (statistics.median(found[str(workers)]) for workers in (1, CORES))
    table = Table("Train phase, seconds, 5 epochs", ["", "1 worker", f"{CORES} workers", "scaling"])
    table.rows.append([f"mini-batches of {LARGE_BATCH['mini_batch_size']}", one, two, ratio(one, two)])
    return Report([table], {"seconds": found, "scaling": ratio(one, two)}, [f"Medians of {ROUNDS} fits with each, in turns, after one."])


def train_phases(path: str) -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers."""
    from sparkml_algos import NeuralTopicModel

    session = local_session()
    frame = cached(session, path)
    found: dict[str, list[float]] = {"1": [], str(CORES): []}
    for _ in range(ROUNDS + 1):
        for workers, seconds in found.items():
            model = NeuralTopicModel(num_topics=TOPICS, epochs=5, num_workers=int(workers), **LARGE_BATCH).fit(frame)
            seconds.append(model.training_summary.seconds["train"])
    session.stop()
    return {workers: seconds[1:] for workers, seconds in found.items()}


CASES: dict[str, Callable[[Data, Options], Report]] = {
    "newsgroups": judge_topics,
    "plain torch": compare_loops,
    "scaling": compare_scaling,
}
