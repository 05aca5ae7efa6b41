"""The loop that networks learn in against a plain loop of torch: the same losses, and what the loop costs.

A perceptron of 784, 512 and 10 units learns the digits of MNIST by Adam. The plain loop is what one writes by hand: rows as tensors in
memory, an order at random, ``torch.optim.Adam``. Both run in one process, epoch after epoch in turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from data import Data
from harness import Options, Report, Table, measure, median

HIDDEN, CLASSES = 512, 10
LEARNING_RATE = 0.001
MINI_BATCHES = (128, 1000)
CURVE_STEPS = 200
CURVE_SEEDS = 3
ROUNDS = 4


def compare_loops(data: Data, options: Options) -> Report:
    """Seconds of a step of both loops by rows of a mini-batch, with one thread and with two."""
    dataset = data.get("labelled mnist")
    title = f"MLP 784-{HIDDEN}-{CLASSES} on MNIST: milliseconds of a step (the least of {ROUNDS} epochs)"
    table = Table(title, ["", "plain torch", "ours", "ours/plain"])
    values: dict[str, Any] = {}
    for threads in (1, 2):
        for rows in MINI_BATCHES:
            found = measure(both_loops, threads=threads, path=dataset.path, mini_batch_size=rows)
            plain, ours = (1000 * found[name] for name in ("plain", "ours"))
            table.rows.append([f"mini-batches of {rows}, {threads} thread(s)", plain, ours, f"{ours / plain:.3f}"])
            values[f"{rows}/{threads}"] = found
    return Report([table], values)


def compare_curves(data: Data, options: Options) -> Report:
    """How far the losses of both loops are apart, with 32 and with 64 bits, and how far those of the plain loop are where a mini-batch's
    rows come the other way."""
    dataset = data.get("labelled mnist")
    title = f"Losses of {CURVE_STEPS} steps on the same mini-batches: the largest difference, relative to the loss"
    table = Table(title, ["", "ours from plain", "of", "plain from plain, rows the other way round", "of", "ours from plain, 64 bits"])
    values = {str(rows): measure(curves, threads=1, path=dataset.path, mini_batch_size=rows) for rows in MINI_BATCHES}
    for rows, found in values.items():
        cells = [[f"{median(apart):.1e}", " ".join(f"{one:.1e}" for one in apart)] for apart in (found["ours"], found["reversed"])]
        table.rows.append([f"mini-batches of {rows}", *cells[0], *cells[1], f"{found['wide'][0]:.1e}"])
    note = (
        f"Medians of {CURVE_SEEDS} orders of the rows; with 64 bits of one. Sums in another order differ in their last bits; where that "
        "lets a hidden unit pass a row or not, losses part by more, as those of torch do from its own; with 64 bits they do not."
    )
    return Report([table], values, [note])


def both_loops(path: str, mini_batch_size: int) -> dict[str, float]:
    """Seconds of a step of each loop, the least of some epochs in turns."""
    import torch

    features, label = read(path)
    tensors = torch.from_numpy(features), torch.from_numpy(label).long()
    learner, job = ours(features, label)
    plain = Plain()
    plain_seconds, our_seconds = [], []
    for _ in range(ROUNDS):
        start, order = time.perf_counter(), torch.randperm(len(features)).split(mini_batch_size)
        for rows in order:
            plain.step(tensors[0][rows], tensors[1][rows])
        plain_seconds.append((time.perf_counter() - start) / len(order))
        our_seconds.append(epoch_of(learner, job, mini_batch_size))
    return {"plain": min(plain_seconds), "ours": min(our_seconds)}


class Plain:
    """The loop one writes by hand."""

    def __init__(self, is_wide: bool = False) -> None:
        import torch

        self.network = make_network(is_wide)
        self._optimizer, self._loss = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE), torch.nn.CrossEntropyLoss()

    def step(self, features: Any, label: Any) -> float:
        """The mean loss before the step."""
        self._optimizer.zero_grad()
        loss = self._loss(self.network(features), label)
        loss.backward()
        self._optimizer.step()
        return loss.item()


def make_network(is_wide: bool) -> Any:
    """The perceptron, from the same start every time."""
    from torch import nn

    from sparkml_algos.networks.state import built

    network = built(lambda: nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)), seed=0)
    return network.double() if is_wide else network


def ours(features: np.ndarray, label: np.ndarray, seed: int = 0, is_wide: bool = False) -> tuple[Any, Any]:
    """A learner of the same perceptron, with 64 bits or 32, and a job on the same rows."""
    from torch import nn

    from sparkml_algos.collectives.communicator import SingleProcess
    from sparkml_algos.networks.learner import NetworkLearner
    from sparkml_algos.networks.optimizers import OptimizerSettings
    from sparkml_algos.networks.state import to_tensor
    from sparkml_algos.rows import fields
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.rows.shard import Shard
    from sparkml_algos.training.job import Job
    from sparkml_algos.training.watching import WatchedRows

    class Perceptron(NetworkLearner):
        def loss(self, batch: Any, draws: Any) -> dict[str, Any]:
            rows = to_tensor(batch.features, self.device)
            scores = self.forward(rows.double() if is_wide else rows)
            return {"loss": nn.functional.cross_entropy(scores, to_tensor(batch.label, self.device).long(), reduction="sum")}

    read_fields = [fields.features(), fields.label()]
    decoder = Decoder([Source(field, [field.role]) for field in read_fields])
    shard = Shard(record_batches(read_fields, {"features": features, "label": label}), decoder, seed=seed)
    job = Job(shard, SingleProcess())
    return Perceptron(make_network(is_wide), job, job.communicator, OptimizerSettings("adam", LEARNING_RATE), WatchedRows(job, 1)), job


def epoch_of(learner: Any, job: Any, mini_batch_size: int) -> float:
    """Seconds of a step, in an epoch of the common loop."""
    from sparkml_algos.training.trainer import fit

    fit(learner, job, job.communicator, epochs=1, mini_batch_size=mini_batch_size)
    return job.history[-1]["seconds"] / -(-job.shard.num_rows // mini_batch_size)


def curves(path: str, mini_batch_size: int) -> dict[str, list[float]]:
    """For some orders of the rows, the largest relative difference of the losses from the plain loop's: of our loop, and of the plain one
    that has the rows of each mini-batch the other way round; for one order both where all have 64 bits."""
    features, label = read(path)
    narrow = [differences(features, label, mini_batch_size, seed) for seed in range(CURVE_SEEDS)]
    ours, turned = map(list, zip(*narrow, strict=True))
    return {"ours": ours, "reversed": turned, "wide": differences(features, label, mini_batch_size, 0, is_wide=True)}


def differences(features: np.ndarray, label: np.ndarray, mini_batch_size: int, seed: int, is_wide: bool = False) -> list[float]:
    """The same for one order."""
    import torch

    from sparkml_algos.training.progress import Progress

    learner, job = ours(features, label, seed, is_wide)
    plain, other = Plain(is_wide), Plain(is_wide)
    losses = []
    for step, batch in enumerate(first_batches(job, mini_batch_size)):
        learner.begin_step(Progress(0, step, None))
        sums = learner.gradient(batch)
        loss, weight = sums.flat[-2:].tolist()
        learner.update(sums, Progress(0, step, None))
        rows = torch.from_numpy(batch.features).to(plain.network[0].weight.dtype), torch.from_numpy(batch.label).long()
        losses.append([loss / weight, other.step(*(part.flip(0) for part in rows)), plain.step(*rows)])
    our, turned, expected = np.array(losses).T
    return [float((np.abs(curve - expected) / expected).max()) for curve in (our, turned)]


def first_batches(job: Any, mini_batch_size: int) -> Iterator[Any]:
    """Mini-batches of the first steps."""
    done = 0
    for _ in job.epochs(CURVE_STEPS):
        for batch in job.minibatches(mini_batch_size, per_worker=0):
            if done == CURVE_STEPS:
                return
            done += 1
            yield batch


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The dense rows of a folder, float32, and their labels."""
    parts = [pq.read_table(file) for file in sorted(Path(path).glob("*.parquet"))]
    values = [pc.struct_field(table["features"], "values").combine_chunks() for table in parts]
    features = [part.flatten().to_numpy().astype(np.float32).reshape(len(part), -1) for part in values]
    return np.concatenate(features), np.concatenate([table["label"].to_numpy() for table in parts]).astype(np.float32)


CASES = {"mnist": compare_loops, "curve": compare_curves}
