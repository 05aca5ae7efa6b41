"""Image classification against a plain loop of torch: ResNet-20 on 32 x 32 pixels of CIFAR-10, in training and in scoring.

The plain loop has the same network, optimizer and augmentation, and decodes with Pillow; ours starts from a DataFrame of files. Both have
one thread for the network. How good both get takes hours, and is no case of `run.py`::

    OMP_NUM_THREADS=1 python tests/benchmarks/vision.py [EPOCHS [SEED ...]]
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import Data, public
from harness import Options, Report, Table, cached, local_session, measure, median, ratio, timed

CIFAR = "cifar10_subset/cifar10_jpg.zip"
SETTINGS = {"num_layers": 20, "image_shape": "3,32,32", "augmentation_type": "crop", "pad_size": 4, "mini_batch_size": 128}
# Of speed: few images, in turns, so that a burst of other work on the machine meets both.
SPEED_IMAGES, SCORED_IMAGES, ROUNDS = 1280, 1500, 3
MEMORY_IMAGES = 20_000
# K. He et al. train 164 epochs on 50,000 images; the rate falls after a half and three quarters.
QUALITY_EPOCHS, QUALITY_SEEDS = 100, (0, 1)
WEIGHT_DECAY, RATE, MOMENTUM = 1e-4, 0.1, 0.9


def compare_training(data: Data, options: Options) -> Report:
    """Images per second of an epoch."""
    found = measure(epochs_in_turn, threads=1, path=str(public(CIFAR)))
    plain, ours = (SPEED_IMAGES / median(found[name]) for name in ("plain", "ours"))
    table = Table(f"ResNet-20, {SPEED_IMAGES:,} images of 32 x 32, mini-batches of 128: images per second", ["", "images/s", "this/plain"])
    table.rows = [["plain torch, decoded beforehand", plain, 1.0], ["train phase of ours, decoding", ours, ratio(ours, plain)]]
    note = f"Medians of {ROUNDS} epochs in turns, a thread each; the network waited {found['wait']:.1%} of ours for its images."
    return Report([table], found, [note])


def compare_scoring(data: Data, options: Options) -> Report:
    """Images per second from a DataFrame of files to a column of predictions."""
    found = measure(scoring_in_turn, threads=1, path=str(public(CIFAR)))
    plain, ours = (SCORED_IMAGES / median(found[name]) for name in ("plain", "ours"))
    table = Table(f"ResNet-20, {SCORED_IMAGES:,} files of 32 x 32 scored: images per second", ["", "images/s", "this/plain"])
    table.rows = [["plain torch and Pillow", plain, 1.0], ["transform of a DataFrame, one task", ours, ratio(ours, plain)]]
    return Report([table], found, [f"Medians of {ROUNDS} in turns, after one of each; a thread for the network."])


def measure_memory(data: Data, options: Options) -> Report:
    """The most memory of a worker that holds 20,000 images."""
    found = measure(peak_of_worker, threads=1, path=str(public(CIFAR)), images=MEMORY_IMAGES)
    base = measure(peak_of_worker, threads=1, path=str(public(CIFAR)), images=128)
    table = Table(f"A worker with {MEMORY_IMAGES:,} images as bytes: MiB", ["", "bytes of images", "peak", "peak with 128 images", "more"])
    mebibytes = [value / 2**20 for value in (found["bytes"], found["peak"], base["peak"], found["peak"] - base["peak"])]
    table.rows.append(["ResNet-20, mini-batches of 128", *mebibytes])
    return Report([table], {"many": found, "few": base})


def read_files(path: str, part: str, most: int | None = None) -> tuple[list[bytes], np.ndarray]:
    """Files and classes of a part, evenly of all classes."""
    with gzip.open(Path(path).parent / "index.csv.gz", "rt") as text:
        rows = [row for row in csv.DictReader(text) if row["split"] == part]
    names = sorted({row["class"] for row in rows})
    order = np.random.default_rng(0).permutation(len(rows))[: most or len(rows)]
    with zipfile.ZipFile(path) as archive:
        files = [archive.read(rows[place]["path"]) for place in order]
    return files, np.array([names.index(rows[place]["class"]) for place in order], np.float32)


def pixels_of(files: list[bytes]) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files])


def epochs_in_turn(path: str) -> dict[str, Any]:
    """Seconds of epochs of both."""
    files, label = read_files(path, "train", SPEED_IMAGES)
    plain = Plain(seed=0)
    pixels = pixels_of(files)
    found: dict[str, Any] = {"plain": [], "ours": []}
    for turn in range(ROUNDS + 1):
        seconds, _ = timed(lambda: plain.epoch(pixels, label))
        history, wait = train_ours(files, label, epochs=1)
        if turn:
            found["plain"].append(seconds)
            found["ours"].append(history[0]["seconds"])
            found["wait"] = wait["share"]
    return found


def train_ours(
    files: list[bytes], label: np.ndarray, epochs: int, seed: int = 0, **more: Any
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """History of a training on arrays, and how long the network waited."""
    artifact, wait = fit(files, label, {"epochs": epochs, **more}, seed)
    return artifact.values["history"], wait


def fit(files: list[bytes], label: np.ndarray, given: dict[str, Any], seed: int = 0) -> tuple[Any, dict[str, float]]:
    from sparkml_algos import ImageClassifier
    from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.training.run import Alone, TrainingPlan, train

    values = ImageClassifier(**{**SETTINGS, "num_classes": 10, "learning_rate": RATE, **given}).hyperparameters()
    fields = [field for field in IMAGE_CLASSIFICATION.fields_for(Hyperparameters(**values)) if field.role in ("image", "label")]
    plan = TrainingPlan(IMAGE_CLASSIFICATION, [values], Decoder([Source(field, [field.role]) for field in fields]), seed=seed)
    results = dict(train(plan, Alone(), record_batches(fields, {"image": files, "label": label}, 500)))
    return results["model/0"], results["report/0"].values["input_wait"]


class Plain:
    """The loop one writes by hand."""

    def __init__(self, seed: int) -> None:
        import torch

        from sparkml_algos.networks.resnet import ResNet

        torch.manual_seed(seed)
        self.network = ResNet(20, 10).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
        self._random = np.random.default_rng(seed)

    def epoch(self, pixels: np.ndarray, label: np.ndarray) -> None:
        import torch
        from torch.nn import functional

        self.network.train()
        classes = torch.from_numpy(label).long()
        for rows in np.array_split(self._random.permutation(len(pixels)), -(-len(pixels) // SETTINGS["mini_batch_size"])):
            loss = functional.cross_entropy(self.network(normalised(self._augmented(pixels[rows]))), classes[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _augmented(self, pixels: np.ndarray) -> np.ndarray:
        """Padded by 4, cut out at random, half of them mirrored."""
        padded = np.pad(pixels, ((0, 0), (4, 4), (4, 4), (0, 0)), constant_values=127)
        found = np.empty_like(pixels)
        for row, (top, left) in enumerate(self._random.integers(0, 9, (len(pixels), 2))):
            part = padded[row, top : top + 32, left : left + 32]
            found[row] = part[:, ::-1] if self._random.random() < 0.5 else part
        return found

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        import torch

        self.network.eval()
        with torch.inference_mode():
            parts = [self.network(normalised(pixels[start : start + 32])).softmax(1) for start in range(0, len(pixels), 32)]
        return torch.cat(parts).numpy()


def normalised(pixels: np.ndarray) -> Any:
    import torch

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]) * 255, torch.tensor([0.229, 0.224, 0.225]) * 255
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)


def scoring_in_turn(path: str) -> dict[str, list[float]]:
    """Seconds from files to probabilities."""
    files, label = read_files(path, "test", SCORED_IMAGES)
    plain = Plain(seed=0)
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"image": files, "label": label}), Path(folder) / "images.parquet")
        session = local_session()
        frame = cached(session, folder).coalesce(1)
        from sparkml_algos import ImageClassifier

        few = frame.limit(128)
        model = ImageClassifier(**SETTINGS, epochs=1, num_classes=10, num_workers=1).fit(few)
        for turn in range(ROUNDS + 1):
            seconds = {
                "ours": timed(lambda: model.transform(frame).select("probability").write.format("noop").mode("overwrite").save())[0],
                "plain": timed(lambda: np.concatenate([plain.scores(pixels_of(files[at : at + 32])) for at in range(0, len(files), 32)]))[
                    0
                ],
            }
            for name, value in seconds.items():
                found[name] += [value] if turn else []
        session.stop()
    return found


def peak_of_worker(path: str, images: int) -> dict[str, int]:
    """Bytes of the images, and the most that the process had resident, in one short epoch of few steps."""
    files, label = read_files(path, "train", 128)
    files, label = (files * -(-images // 128))[:images], np.tile(label, -(-images // 128))[:images]
    size = sum(map(len, files))
    # One step a thousand images, so that the measurement is of what is held, and short.
    start = time.perf_counter()
    fit(files[:128], label[:128], {"epochs": 1})
    held = hold(files, label)
    return {"bytes": size, "peak": held, "seconds": round(time.perf_counter() - start)}


def hold(files: list[bytes], label: np.ndarray) -> int:
    """Peak of this process once a shard has all images and some mini-batches of them were decoded."""
    from sparkml_algos import ImageClassifier
    from sparkml_algos.algorithms.image_classification.preparation import Preparation
    from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.collectives.communicator import SingleProcess
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.rows.shard import Shard
    from sparkml_algos.training.job import Job
    from sparkml_algos.training.prepared import PreparedBatches

    of = Hyperparameters(**ImageClassifier(**SETTINGS, num_classes=10).hyperparameters())
    fields = [field for field in IMAGE_CLASSIFICATION.fields_for(of) if field.role in ("image", "label")]
    shard = Shard(record_batches(fields, {"image": files, "label": label}, 500), Decoder([Source(field, [field.role]) for field in fields]))
    job = Job(shard, SingleProcess())
    batches = PreparedBatches(job, 128, Preparation(of).for_training)
    for epoch in job.epochs(1):
        batches.steps(epoch)
        for step, _ in enumerate(batches.of_epoch(epoch)):
            if step == 20:
                break
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def accuracies(path: str, epochs: int, seeds: Sequence[int]) -> None:
    """Print the accuracy of both on the test part, seed by seed."""
    from sparkml_algos import ImageClassifier
    from sparkml_algos.algorithms.image_classification.prediction import load
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch

    start = time.perf_counter()
    files, label = read_files(path, "train")
    held, truth = read_files(path, "test")
    pixels, others = pixels_of(files), pixels_of(held)
    falls = [epochs // 2, epochs * 3 // 4]
    found: dict[str, Any] = {"epochs": epochs, "plain": [], "ours": []}
    for seed in seeds:
        given = {"epochs": epochs, "lr_scheduler_step": ",".join(map(str, falls))}
        artifact, _ = fit(files, label, given, seed)
        of = Hyperparameters(**ImageClassifier(**SETTINGS, num_classes=10).hyperparameters())
        told = load(artifact, of, "cpu")(Batch(image=pa.array(held, pa.binary())))["predicted_label"]
        found["ours"].append(float((told == truth).mean()))
        plain = Plain(seed)
        for epoch in range(epochs):
            for group in plain.optimizer.param_groups:
                group["lr"] = RATE * 0.1 ** sum(epoch >= fall for fall in falls)
            plain.epoch(pixels, label)
        found["plain"].append(float((plain.scores(others).argmax(1) == truth).mean()))
        print(json.dumps({**found, "hours": round((time.perf_counter() - start) / 3600, 2)}), flush=True)


CASES = {"training": compare_training, "scoring": compare_scoring, "memory": measure_memory}


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    accuracies(str(public(CIFAR)), *(given[:1] or [QUALITY_EPOCHS]), given[1:] or QUALITY_SEEDS)
