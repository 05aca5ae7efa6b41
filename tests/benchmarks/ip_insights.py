"""IP Insights against a plain loop of torch, two workers against one, and the quality on requests to a web server.

The plain loop has the same network, negatives and optimizer, and its rows as tensors in memory; ours starts from a cached DataFrame of
strings. Pairs are drawn: users as unlike in their number of rows as those of a real log, each in a few networks.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from data import Data, public
from harness import CORES, Headline, Options, Report, Table, cached, local_session, measure, median, ratio, timed

USERS, ROWS, SEED = 5000, 200_000, 11
ADDRESS_BITS = 32
SETTINGS = {"num_entity_vectors": 10_000, "vector_dim": 128, "epochs": 4}
WEB = {"num_entity_vectors": 20_000, "vector_dim": 128, "epochs": 20, "mini_batch_size": 500}
WEB_SEEDS = 3
FITS = 3


def compare_speed(data: Data, options: Options) -> Report:
    """Rows per second of a fit from a DataFrame, and of the plain loop."""
    found = measure(fits_in_turn)
    ours, dense, sparse = (median(found[name]) for name in ("ours", "dense Adam", "SparseAdam"))
    rows = ROWS * SETTINGS["epochs"]
    title = f"{ROWS:,} pairs, {SETTINGS['epochs']} epochs, mini-batches of 10,000: rows per second"
    table = Table(title, ["", "rows/s", "ours/this"])
    table.rows = [["fit of a DataFrame", f"{rows / ours:,.0f}", ""]]
    table.rows += [[f"plain loop, {name}", f"{rows / seconds:,.0f}", ratio(seconds, ours)] for name, seconds in (
        ("dense Adam", dense), ("SparseAdam for entities", sparse)
    )]  # fmt: skip
    note = f"Medians of {FITS} in turns, after one of each; {CORES} workers in the fit, {CORES} threads in the plain loops."
    name, theirs = min((dense, "dense Adam"), (sparse, "SparseAdam"))[::-1]
    headline = Headline(f"IP Insights, {ROWS:,} pairs, {SETTINGS['epochs']} epochs, from a DataFrame", f"plain torch, {name}", theirs, ours)
    return Report([table], found, [note], [headline])


def compare_scaling(data: Data, options: Options) -> Report:
    """Seconds of the train phase with one worker and with two, at the default mini-batch."""
    found = measure(train_phases)
    one, two = (median(found[str(workers)]) for workers in (1, CORES))
    table = Table(f"Train phase, {ROWS:,} pairs: seconds", ["", "1 worker", "2 workers", "scaling 1->2"])
    table.rows.append(["mini-batches of 10,000", one, two, ratio(one, two)])
    return Report([table], {**found, "scaling": ratio(one, two)}, [f"Medians of {FITS} fits each, in turns, after one of each."])


def measure_quality(data: Data, options: Options) -> Report:
    """Area under the ROC curve for later requests to a web server against shuffled addresses."""
    found = measure(areas_of_web_log, path=str(public("ip_web_and_ssh/apache_semicomplete.csv.gz")))
    table = Table("Requests to a web server: AUC against shuffled addresses", ["", "median", "of"])
    name = f"{WEB['epochs']} epochs, mini-batches of {WEB['mini_batch_size']}"
    table.rows.append([name, f"{median(found):.4f}", str(np.round(found, 4))])
    note = "Trained on the first four fifths by time, scored on the later ones of known agents; counts of the /16 reach 0.688."
    return Report([table], {"auc": found}, [note])


def pairs() -> pa.Table:
    """Users and addresses, both as text."""
    random = np.random.default_rng(SEED)
    users = np.minimum(random.zipf(1.3, ROWS), USERS) - 1
    networks = random.integers(1 << 16, size=(USERS, 3))
    address = (networks[users, random.integers(3, size=ROWS)] << 16) + random.integers(1 << 16, size=ROWS)
    octets = (address[:, None] >> np.array([24, 16, 8, 0])) & 255
    text = ["{}.{}.{}.{}".format(*row) for row in octets.tolist()]
    return pa.table({"entity": [f"user-{user}@example.com" for user in users.tolist()], "ip": text})


def fits_in_turn() -> dict[str, list[float]]:
    """Seconds of fits and of both plain loops."""
    from sparkml_algos import IPInsights

    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pairs(), Path(folder) / "pairs.parquet")
        frame = cached(local_session(), folder).repartition(CORES).cache()
        frame.count()
        entity, address = numbers(pairs())
        found: dict[str, list[float]] = {"ours": [], "dense Adam": [], "SparseAdam": []}
        for _ in range(FITS + 1):
            found["ours"].append(timed(lambda: IPInsights(**SETTINGS).fit(frame))[0])
            for name in ("dense Adam", "SparseAdam"):
                found[name].append(timed(lambda name=name: plain_loop(entity, address, sparse=name == "SparseAdam"))[0])
    return {name: seconds[1:] for name, seconds in found.items()}


def train_phases() -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers."""
    from sparkml_algos import IPInsights

    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pairs(), Path(folder) / "pairs.parquet")
        frame = cached(local_session(), folder).repartition(CORES).cache()
        frame.count()
        found: dict[str, list[float]] = {"1": [], str(CORES): []}
        for _ in range(FITS + 1):
            for workers, seconds in found.items():
                model = IPInsights(num_workers=int(workers), **SETTINGS).fit(frame)
                seconds.append(model.training_summary.seconds["train"])
    return {workers: seconds[1:] for workers, seconds in found.items()}


def plain_loop(entity: np.ndarray, address: np.ndarray, sparse: bool) -> None:
    """What one writes by hand: the formula as it stands with the same negatives, every address encoded once."""
    import torch
    from torch import nn
    from torch.nn.functional import softplus

    dim = SETTINGS["vector_dim"]
    vectors = nn.Embedding(SETTINGS["num_entity_vectors"], dim, sparse=sparse)
    nn.init.normal_(vectors.weight, std=0.05)
    encoder = nn.Sequential(nn.Linear(ADDRESS_BITS, dim), nn.ReLU(), nn.Linear(dim, dim))
    places = torch.arange(ADDRESS_BITS - 1, -1, -1)
    if sparse:
        optimizers = [torch.optim.SparseAdam(vectors.parameters()), torch.optim.Adam(encoder.parameters())]
    else:
        optimizers = [torch.optim.Adam([*vectors.parameters(), *encoder.parameters()], weight_decay=1e-5)]
    entities, addresses = torch.from_numpy(entity), torch.from_numpy(address)
    for _ in range(SETTINGS["epochs"]):
        for rows in torch.randperm(len(entities)).split(10_000):
            both = torch.cat([addresses[rows], torch.randint(0, 1 << ADDRESS_BITS, (len(rows),))])
            seen_one, random_one = encoder((2 * ((both[:, None] >> places) & 1) - 1).float()).chunk(2)
            entity_one = vectors(entities[rows])
            other_one = seen_one[torch.randperm(len(rows))]
            seen, unseen, others = ((entity_one * one).sum(1) for one in (seen_one, random_one, other_one))
            loss = (softplus(-seen).sum() + softplus(unseen).sum() + softplus(others).sum()) / (3 * len(rows))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()


def numbers(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Which vector an entity has, and the bits of its address."""
    from sparkml_algos.algorithms.ip_insights.network import slots
    from sparkml_algos.arrays.hashing import xxhash64
    from sparkml_algos.rows.identities import to_addresses

    hashes = xxhash64(table["entity"].combine_chunks())
    return slots(hashes, SETTINGS["num_entity_vectors"]), to_addresses(table["ip"].combine_chunks())


def areas_of_web_log(path: str) -> list[float]:
    """Of some seeds."""
    from sklearn.metrics import roc_auc_score

    from sparkml_algos import IPInsights
    from sparkml_algos.algorithms.ip_insights.training import IP_INSIGHTS
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.rows.identities import Name, to_addresses
    from sparkml_algos.training.run import train_arrays

    table = pcsv.read_csv(path).sort_by("timestamp")
    first, later = table[: len(table) * 4 // 5], table[len(table) * 4 // 5 :]
    later = later.filter(pa.compute.is_in(later["user_agent"], first["user_agent"].combine_chunks()))
    columns = {"entity": first["user_agent"].to_pylist(), "ip": first["ip"].to_pylist()}
    entity = Name().arrays(later["user_agent"].to_pylist())[""].to_numpy()
    address = to_addresses(later["ip"].combine_chunks())
    settings = IPInsights(**WEB).hyperparameters()
    found = []
    for seed in range(WEB_SEEDS):
        artifact = train_arrays(IP_INSIGHTS, settings, seed=seed, **columns)
        predictor = IP_INSIGHTS.load(artifact, Hyperparameters(**settings), "cpu")
        shuffled = np.random.default_rng(seed).permutation(address)
        scores: list[Any] = [predictor(Batch(entity=entity, ip=one))["dot_product"] for one in (address, shuffled)]
        found.append(float(roc_auc_score(np.repeat([1, 0], len(entity)), np.concatenate(scores))))
    return found


CASES = {"speed": compare_speed, "scaling": compare_scaling, "web": measure_quality}
