"""Object2Vec against a plain loop of torch, two workers against one, and the quality on pairs of sentences and on ratings of films.

The plain loop has the same network and optimizer, and its pairs as tensors in memory; ours starts from a cached DataFrame.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from data import Data, public
from harness import CORES, Options, Report, Table, cached, local_session, measure, median, ratio, timed

USERS, FILMS = 944, 1683  # ids from 1
SEEDS = 3
FITS = 3
POOLED = {"enc0_network": "pooled_embedding", "output_layer": "mean_squared_error"}
# Either side has a vocabulary of its own.
OF_FILMS = {
    **POOLED,
    **{"enc0_max_seq_len": 1, "enc0_vocab_size": USERS, "enc0_token_embedding_dim": 64, "enc1_network": "pooled_embedding"},
    **{"enc1_max_seq_len": 1, "enc1_vocab_size": FILMS, "enc1_token_embedding_dim": 64, "enc_dim": 64},
    **{"mlp_layers": 1, "mlp_dim": 128, "mlp_activation": "relu"},
}
RATINGS = {
    **OF_FILMS,
    **{"epochs": 30, "mini_batch_size": 500, "learning_rate": 0.001, "dropout": 0.5, "weight_decay": 1e-3},
    **{"early_stopping_tolerance": 1e-4, "early_stopping_patience": 5},
}
SENTENCES = {
    **POOLED,
    **{"enc0_max_seq_len": 40, "tied_token_embedding_weight": True, "enc0_token_embedding_dim": 300, "enc_dim": 300},
    **{"comparator_list": ["hadamard", "abs_diff"], "mlp_layers": 1, "mlp_dim": 512, "mlp_activation": "relu"},
    **{"token_embedding_storage_type": "row_sparse", "epochs": 30, "mini_batch_size": 32, "learning_rate": 0.001},
}
# Of speed: as of ratings, at the mini-batch that is recommended for several workers.
SPEED = {**OF_FILMS, "epochs": 12, "mini_batch_size": 10_000, "early_stopping_patience": 5, "learning_rate": 0.001}


def compare_speed(data: Data, options: Options) -> Report:
    """Pairs per second of a fit from a DataFrame, of its train phase, and of the plain loop."""
    found = measure(fits_in_turn, path=str(public("movielens_100k/ratings.csv.gz")))
    ours, train, plain = (median(found[name]) for name in ("ours", "train", "plain"))
    rows = found["rows"] * SPEED["epochs"]
    title = f"{found['rows']:,} ratings, {SPEED['epochs']} epochs, mini-batches of {SPEED['mini_batch_size']:,}: pairs per second"
    table = Table(title, ["", "pairs/s", "this/plain loop"])
    named = {"plain loop": plain, "fit of a DataFrame": ours, "its train phase": train}
    table.rows = [[name, f"{rows / seconds:,.0f}", ratio(plain, seconds)] for name, seconds in named.items()]
    note = f"Medians of {FITS} in turns, after one of each; {CORES} workers in the fit, {CORES} threads in the plain loop."
    return Report([table], found, [note])


def compare_scaling(data: Data, options: Options) -> Report:
    """Seconds of the train phase with one worker and with two."""
    found = measure(train_phases, path=str(public("movielens_100k/ratings.csv.gz")))
    one, two = (median(found[str(workers)]) for workers in (1, CORES))
    table = Table("Train phase, ratings of films: seconds", ["", "1 worker", "2 workers", "scaling 1->2"])
    table.rows.append([f"mini-batches of {SPEED['mini_batch_size']:,}", one, two, ratio(one, two)])
    return Report([table], {**found, "scaling": ratio(one, two)}, [f"Medians of {FITS} fits each, in turns, after one of each."])


def measure_sentences(data: Data, options: Options) -> Report:
    """How far the relatedness of sentences that is told goes with the one that people gave."""
    paths = {part: str(public(f"sick2014/sick_{part}.csv.gz")) for part in ("train", "trial", "test")}
    found = measure(correlations, paths=paths)
    table = Table("Relatedness of sentences (SICK): Pearson correlation", ["", "median", "of"])
    table.rows.append(["pooled embeddings, no pretrained ones", f"{median(found):.4f}", str(np.round(found, 4))])
    note = "Trained on the training part, stopped by the trial part; averaged embeddings alone reach 0.621."
    return Report([table], {"pearson": found}, [note])


def measure_ratings(data: Data, options: Options) -> Report:
    """Root of the mean squared error on the first of the official splits of MovieLens."""
    found = measure(errors_of_ratings, path=str(public("movielens_100k/ratings.csv.gz")))
    table = Table("Ratings of films (MovieLens 100k, u1): RMSE", ["", "median", "of"])
    table.rows.append([f"{RATINGS['epochs']} epochs at most", f"{median(found):.4f}", str(np.round(found, 4))])
    return Report([table], {"rmse": found}, ["A tenth of the training ratings is for validation."])


def read_ratings(path: str) -> pa.Table:
    table = pcsv.read_csv(path)
    columns = {name: table[name].combine_chunks() for name in ("user_id", "item_id", "rating", "fold")}
    names = {"user_id": "in0", "item_id": "in1", "rating": "label", "fold": "fold"}
    return pa.table({names[name]: column for name, column in columns.items()})


def fits_in_turn(path: str) -> dict[str, Any]:
    """Seconds of fits, of their train phases, and of the plain loop."""
    from sparkml_algos import Object2Vec

    table = read_ratings(path)
    found: dict[str, Any] = {"ours": [], "train": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, Path(folder) / "pairs.parquet")
        frame = cached(local_session(), folder).repartition(CORES).cache()
        found["rows"] = frame.count()
        for _ in range(FITS + 1):
            seconds, model = timed(lambda: Object2Vec(num_workers=CORES, **SPEED).fit(frame))
            found["ours"].append(seconds)
            found["train"].append(model.training_summary.seconds["train"])
            found["plain"].append(timed(lambda: plain_loop(table))[0])
    return {**found, **{name: found[name][1:] for name in ("ours", "train", "plain")}}


def train_phases(path: str) -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers."""
    from sparkml_algos import Object2Vec

    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(read_ratings(path), Path(folder) / "pairs.parquet")
        frame = cached(local_session(), folder).repartition(CORES).cache()
        frame.count()
        found: dict[str, list[float]] = {"1": [], str(CORES): []}
        for _ in range(FITS + 1):
            for workers, seconds in found.items():
                model = Object2Vec(num_workers=int(workers), **SPEED).fit(frame)
                seconds.append(model.training_summary.seconds["train"])
    return {workers: seconds[1:] for workers, seconds in found.items()}


def plain_loop(table: pa.Table) -> None:
    """What one writes by hand: two tables, what compares their rows, two layers, Adam."""
    import torch
    from torch import nn

    dim = SPEED["enc_dim"]
    users, films = nn.Embedding(USERS, dim), nn.Embedding(FILMS, dim)
    top = nn.Sequential(nn.Linear(4 * dim, SPEED["mlp_dim"]), nn.ReLU(), nn.Linear(SPEED["mlp_dim"], 1))
    optimizer = torch.optim.Adam([*users.parameters(), *films.parameters(), *top.parameters()], lr=SPEED["learning_rate"])
    user, film, rating = (torch.from_numpy(table[name].to_numpy().copy()) for name in ("in0", "in1", "label"))
    for _ in range(SPEED["epochs"]):
        for rows in torch.randperm(len(user)).split(SPEED["mini_batch_size"]):
            one, other = users(user[rows]), films(film[rows])
            told = top(torch.cat([one * other, one, other, (one - other).abs()], dim=1))[:, 0]
            loss = nn.functional.mse_loss(told, rating[rows].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def correlations(paths: dict[str, str]) -> list[float]:
    """Of some seeds, on the test part."""
    parts = {name: pcsv.read_csv(path, pcsv.ParseOptions(newlines_in_values=True)) for name, path in paths.items()}
    texts = {name: [[words_of(text) for text in table[f"sentence_{side}"].to_pylist()] for side in "AB"] for name, table in parts.items()}
    counts = Counter(word for side in texts["train"] for words in side for word in words)
    ids = {word: place + 1 for place, word in enumerate(sorted(counts, key=lambda word: (-counts[word], word)))}
    pairs = {
        name: {f"in{side}": [[ids.get(word, 0) for word in words] for words in texts[name][side]] for side in (0, 1)} for name in parts
    }
    labels = {name: table["relatedness_score"].to_numpy() for name, table in parts.items()}
    settings = {**SENTENCES, "enc0_vocab_size": len(ids) + 1}
    given = [one for part in ("train", "trial") for one in (pairs[part], labels[part])]
    found = [told_pairs(settings, *given, pairs["test"], seed) for seed in range(SEEDS)]
    return [float(np.corrcoef(told, labels["test"])[0, 1]) for told in found]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def errors_of_ratings(path: str) -> list[float]:
    """Of some seeds, on the first split's test ratings."""
    table = read_ratings(path)
    fold, random = table["fold"].to_numpy(), np.random.default_rng(0).random(len(table))
    pairs, label = {role: table[role].to_numpy() for role in ("in0", "in1")}, table["label"].to_numpy().astype(np.float32)
    train, watched, test = (fold != 1) & (random >= 0.1), (fold != 1) & (random < 0.1), fold == 1

    def part(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {role: ids[rows] for role, ids in pairs.items()}

    errors = []
    for seed in range(SEEDS):
        told = told_pairs(RATINGS, part(train), label[train], part(watched), label[watched], part(test), seed)
        errors.append(float(np.sqrt(np.mean((told - label[test]) ** 2))))
    return errors


def told_pairs(
    settings: dict[str, Any],
    pairs: dict[str, Iterable[Any]],
    label: np.ndarray,
    watched: dict[str, Iterable[Any]],
    watched_label: np.ndarray,
    asked: dict[str, Iterable[Any]],
    seed: int,
) -> np.ndarray:
    """What a model of some pairs, watched on others, tells of pairs."""
    from sparkml_algos import Object2Vec
    from sparkml_algos.algorithms.object2vec.training import OBJECT2VEC
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.training.run import train_arrays

    values = Object2Vec(**settings).hyperparameters()
    hyperparameters = Hyperparameters(**values)
    columns = {role: [*pairs[role], *watched[role]] for role in ("in0", "in1")}
    marked = np.arange(len(label) + len(watched_label)) >= len(label)
    labels = np.concatenate([label, watched_label])
    artifact = train_arrays(OBJECT2VEC, values, label=labels, validation=marked, seed=seed, **columns)
    fields = [field for field in OBJECT2VEC.fields_for(hyperparameters) if field.role in asked]
    decode, predict = Decoder([Source(field, [field.role]) for field in fields]), OBJECT2VEC.load(artifact, hyperparameters, "cpu")
    return np.concatenate([predict(decode(batch))["predicted_label"] for batch in record_batches(fields, asked)])


CASES = {"speed": compare_speed, "scaling": compare_scaling, "sentences": measure_sentences, "ratings": measure_ratings}
