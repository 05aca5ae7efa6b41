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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import Data, labelled_mnist, public
from harness import (
    CORES,
    Options,
    Report,
    Table,
    cached,
    exported,
    local_session,
    measure,
    median,
    ratio,
    table_of_exported,
    timed,
    train_alone,
)

CIFAR = "cifar10_subset/cifar10_jpg.zip"
SETTINGS = {"num_layers": 20, "image_shape": "3,32,32", "augmentation_type": "crop", "pad_size": 4, "mini_batch_size": 128}
# Of digits: two epochs are enough, the second at a tenth of the rate.
DIGITS = {
    **{"image_shape": "1,28,28", "augmentation_type": None, "pad_size": 0, "mini_batch_size": 64, "epochs": 2},
    **{"optimizer": "nag", "learning_rate": 0.05, "lr_scheduler_step": "1"},
}
# Of speed: few images, in turns, so that a burst of other work on the machine meets both.
SPEED_IMAGES, SCORED_IMAGES, SCALED_IMAGES, EXPORTED_IMAGES, ROUNDS = 1280, 1500, 1280, 2000, 3
SCALED_EPOCHS = 2
MEMORY_IMAGES = 20_000
# K. He et al. train 164 epochs on 50,000 images; the rate falls after a half and three quarters. In fewer epochs, on fewer images,
# small steps and a larger weight decay get further.
QUALITY_EPOCHS, QUALITY_SEEDS = 32, (0, 1)
QUALITY: dict[str, Any] = {"mini_batch_size": 64, "weight_decay": 5e-4}
RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4


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


def compare_scaling(data: Data, options: Options) -> Report:
    """The train phase with one worker and with two, in turns; and what two plain loops beside each other lose, which share the machine."""
    found = measure(train_phases, threads=1, path=str(public(CIFAR)))
    one, two, own = (median(found[name]) for name in ("1", f"{CORES}", f"{CORES}, syncbn=False"))
    beside = CORES * ratio(median(found["plain alone"]), median(found["plain beside another"]))
    table = Table(
        f"Train phase of {SCALED_EPOCHS} epochs of {SCALED_IMAGES:,} images of 32 x 32, ResNet-20, mini-batches of 128: seconds",
        ["", "1 worker", f"{CORES} workers", "scaling", f"{CORES} plain loops that exchange nothing"],
    )
    table.rows = [["syncbn=True", one, two, ratio(one, two), beside], ["syncbn=False", one, own, ratio(one, own), beside]]
    notes = [f"Medians of {ROUNDS} fits each, in turns, after one of each; a thread each. Plain loops have steps of 64 images."]
    return Report([table], {**found, "scaling": ratio(one, two), "scaling, syncbn=False": ratio(one, own), "beside": beside}, notes)


def measure_digits(data: Data, options: Options) -> Report:
    """The accuracy of a short training on the digits of MNIST as files of PNG."""
    found = measure(digits, threads=CORES)
    table = Table("MNIST as 60,000 files, ResNet-20: the 10,000 for the test", ["", "accuracy", "minutes of CPU"])
    table.rows.append([f"{DIGITS['epochs']} epochs", f"{found['accuracy']:.4f}", found["seconds"] / 60])
    notes = ["Once, seed 0; minutes of training and scoring together, of all threads."]
    return Report([table, table_of_exported(found["exported"])], found, notes)


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
    from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION

    artifact, report = train_alone(IMAGE_CLASSIFICATION, hyperparameters(**given), seed=seed, image=files, label=label)
    return artifact, report["input_wait"]


def hyperparameters(**given: Any) -> dict[str, Any]:
    from sparkml_algos import ImageClassifier

    return ImageClassifier(**{**SETTINGS, "num_classes": 10, "learning_rate": RATE, **given}).hyperparameters()


class Plain:
    """The loop one writes by hand."""

    def __init__(self, seed: int, weight_decay: float = WEIGHT_DECAY) -> None:
        import torch

        from sparkml_algos.networks.resnet import ResNet

        torch.manual_seed(seed)
        self.network = ResNet(20, 10).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), RATE, MOMENTUM, weight_decay=weight_decay)
        self._random = np.random.default_rng(seed)

    def epoch(self, pixels: np.ndarray, label: np.ndarray, mini_batch_size: int = SETTINGS["mini_batch_size"]) -> None:
        import torch
        from torch.nn import functional

        self.network.train()
        classes = torch.from_numpy(label).long()
        for rows in np.array_split(self._random.permutation(len(pixels)), -(-len(pixels) // mini_batch_size)):
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


def train_phases(path: str) -> dict[str, list[float]]:
    """Seconds of the train phase by number of workers, and of plain loops over a half of each mini-batch, alone and beside another."""
    from sparkml_algos import ImageClassifier

    files, label = read_files(path, "train", SCALED_IMAGES)
    settings = {"1": (1, True), f"{CORES}": (CORES, True), f"{CORES}, syncbn=False": (CORES, False)}
    found: dict[str, list[float]] = {name: [] for name in (*settings, "plain alone", "plain beside another")}
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"image": files, "label": label}), Path(folder) / "images.parquet")
        session = local_session()
        frame = cached(session, folder)
        learner = ImageClassifier(**SETTINGS, num_classes=10, learning_rate=RATE, epochs=SCALED_EPOCHS)
        for _ in range(ROUNDS + 1):
            for name, (workers, syncbn) in settings.items():
                model = learner.copy().setParams(num_workers=workers, syncbn=syncbn).fit(frame)
                found[name].append(model.training_summary.seconds["train"])
        session.stop()
    for _ in range(ROUNDS + 1):
        for name, count in (("plain alone", 1), ("plain beside another", CORES)):
            with ProcessPoolExecutor(count, get_context("spawn")) as pool:
                found[name].append(max(pool.map(plain_epoch, [path] * count)))
    return {name: seconds[1:] for name, seconds in found.items()}


def plain_epoch(path: str) -> float:
    """Seconds of the second of two plain epochs over some images, half a mini-batch a step."""
    files, label = read_files(path, "train", SCALED_IMAGES // CORES)
    plain, pixels = Plain(seed=0), pixels_of(files)
    plain.epoch(pixels, label, SETTINGS["mini_batch_size"] // CORES)
    return timed(lambda: plain.epoch(pixels, label, SETTINGS["mini_batch_size"] // CORES))[0]


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


def digits() -> dict[str, Any]:
    """Accuracy on the test part, and seconds of the processor."""
    from sparkml_algos.algorithms.image_classification.prediction import load
    from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.images.decoding import encode_png
    from sparkml_algos.rows.batch import Batch

    def read(part: str) -> tuple[list[bytes], np.ndarray]:
        parts = [(255 * rows.reshape(-1, 28, 28), label) for rows, label in labelled_mnist(part)]
        pixels, label = (np.concatenate(column) for column in zip(*parts, strict=True))
        return [encode_png(image) for image in pixels.round().astype(np.uint8)], label

    (files, label), (others, truth) = read("train"), read("test")
    given, began = hyperparameters(**DIGITS), time.process_time()
    artifact, _ = train_alone(IMAGE_CLASSIFICATION, given, image=files, label=label)
    told = load(artifact, Hyperparameters(**given), "cpu")(Batch(image=pa.array(others, pa.binary())))["predicted_label"]
    seconds = time.process_time() - began
    some = {"image": others[:EXPORTED_IMAGES], "label": truth[:EXPORTED_IMAGES]}
    return {
        "accuracy": float((told == truth).mean()),
        "seconds": seconds,
        "exported": exported("ImageClassifierModel", artifact, given, some),
        "history": artifact.values["history"],
    }


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
    from sparkml_algos.algorithms.image_classification.preparation import Preparation
    from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.collectives.communicator import SingleProcess
    from sparkml_algos.rows.decoder import Decoder, record_batches
    from sparkml_algos.rows.fields import Source
    from sparkml_algos.rows.shard import Shard
    from sparkml_algos.training.job import Job
    from sparkml_algos.training.prepared import PreparedBatches

    of = Hyperparameters(**hyperparameters())
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
    """Print the accuracy of both on the test part, seed by seed; both train beside each other, a thread each."""
    start = time.perf_counter()
    found: dict[str, Any] = {"epochs": epochs, "ours": [], "plain": []}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for seed in seeds:
            both = {name: pool.submit(train, path, epochs, seed) for name, train in (("ours", our_accuracy), ("plain", plain_accuracy))}
            for name, accuracy in both.items():
                found[name].append(accuracy.result())
            print(json.dumps({**found, "hours": round((time.perf_counter() - start) / 3600, 2)}), flush=True)


def our_accuracy(path: str, epochs: int, seed: int) -> float:
    from sparkml_algos.algorithms.image_classification.prediction import load
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.rows.batch import Batch

    given = {**QUALITY, "epochs": epochs, "lr_scheduler_step": ",".join(map(str, falls(epochs)))}
    artifact, _ = fit(*read_files(path, "train"), given, seed)
    files, label = read_files(path, "test")
    told = load(artifact, Hyperparameters(**hyperparameters()), "cpu")(Batch(image=pa.array(files, pa.binary())))["predicted_label"]
    return float((told == label).mean())


def plain_accuracy(path: str, epochs: int, seed: int) -> float:
    import torch

    torch.set_num_threads(1)
    files, label = read_files(path, "train")
    pixels, plain = pixels_of(files), Plain(seed, QUALITY["weight_decay"])
    for epoch in range(epochs):
        for group in plain.optimizer.param_groups:
            group["lr"] = RATE * 0.1 ** sum(epoch >= fall for fall in falls(epochs))
        plain.epoch(pixels, label, QUALITY["mini_batch_size"])
    files, label = read_files(path, "test")
    return float((plain.scores(pixels_of(files)).argmax(1) == label).mean())


def falls(epochs: int) -> tuple[int, int]:
    """The epochs before which the rate falls to a tenth."""
    return epochs * 3 // 5, epochs * 9 // 10


CASES = {
    "training": compare_training,
    "scoring": compare_scoring,
    "scaling": compare_scaling,
    "memory": measure_memory,
    "digits": measure_digits,
}


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    accuracies(str(public(CIFAR)), *(given[:1] or [QUALITY_EPOCHS]), given[1:] or QUALITY_SEEDS)
