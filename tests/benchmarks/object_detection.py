"""Object detection against a plain loop of torch, its scoring, and how well cells in blood smears are found.

The plain loop has the same network, loss, optimizer and views of images, which it makes by itself between the steps.
"""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from data import Data, public
from harness import Options, Report, Table, exported, measure, median, ratio, table_of_exported, train_alone

FITS = 3
CELLS = ("RBC", "WBC", "Platelets")
MINI_BATCH, IMAGES = 8, 96
#: The variant for CPUs; of quality with as many epochs as some minutes have room for.
NETWORK = {
    **{"base_network": "resnet-50", "base_width": 0.25, "image_shape": 160, "use_pretrained_model": 0, "max_expansion": 1.2},
    **{"optimizer": "adam", "learning_rate": 0.002, "mini_batch_size": MINI_BATCH},
}
EPOCHS = 14


def compare_speed(data: Data, options: Options) -> Report:
    """Images per second of training, of our loop and of the plain one."""
    found = measure(loops_in_turn, folder=str(public("bccd")))
    ours, plain = (median(found[name]) for name in ("ours", "plain"))
    table = Table(
        f"{IMAGES} images of BCCD in steps of {MINI_BATCH}, one thread: images per CPU second of training", ["", "images/s", "this/plain"]
    )
    table.rows = [["plain loop", f"{plain:,.1f}", "1.00"], ["ours", f"{ours:,.1f}", ratio(ours, plain)]]
    wait = found["wait"]
    notes = [
        f"Medians of {FITS} in turns, after one of each.",
        f"Of the time of its epochs ours has waited {wait:.1%} for images (wall clock).",
    ]
    return Report([table], found, notes)


def compare_scoring(data: Data, options: Options) -> Report:
    """Images per second of the predictor, decoding and suppression included, and of the plain network."""
    found = measure(scored_in_turn, folder=str(public("bccd")))
    ours, plain = (median(found[name]) for name in ("ours", "plain"))
    table = Table(f"{IMAGES} images of BCCD, one thread: images per CPU second of scoring", ["", "images/s", "this/plain"])
    table.rows = [
        ["plain loop, decoded and through the network", f"{plain:,.1f}", "1.00"],
        ["ours, to detections", f"{ours:,.1f}", ratio(ours, plain)],
    ]
    return Report([table], found, [])


def measure_cells(data: Data, options: Options) -> Report:
    """mAP on the test images after a training of some minutes."""
    found = measure(cells, folder=str(public("bccd")), epochs=EPOCHS)
    table = Table(
        "BCCD, ResNet-50 with a quarter of its channels, images of 160 pixels", ["", "mAP@0.5", "COCO AP", "minutes of one thread"]
    )
    table.rows.append(
        [f"{EPOCHS} epochs", f"{found['test']['mAP']:.3f}", f"{found['test']['coco_AP']:.3f}", f"{found['seconds'] / 60:.1f}"]
    )
    return Report([table, table_of_exported(found["exported"])], found, [])


def read(folder: str, *parts: str) -> tuple[list[bytes], list[np.ndarray]]:
    """Files of images and their boxes, class, left, top, width and height, of some parts of the data."""
    boxes: dict[str, list[list[float]]] = {}
    with gzip.open(f"{folder}/boxes.csv.gz", "rt") as lines:
        next(lines)
        for line in lines:
            name, part, _, _, cell, *edges = line.strip().split(",")
            left, top, right, bottom = map(float, edges)
            there = boxes.setdefault(name, []) if part in parts else []
            if right > left and bottom > top:
                there.append([CELLS.index(cell), left, top, right - left, bottom - top])
    with zipfile.ZipFile(f"{folder}/bccd_voc.zip") as archive:
        members = {name.rpartition("/")[2]: name for name in archive.namelist()}
        names = sorted(boxes)
        return [archive.read(members[name]) for name in names], [np.array(boxes[name], np.float32).reshape(-1, 5) for name in names]


def hyperparameters(**given: Any) -> dict[str, Any]:
    from sparkml_algos.algorithms.object_detection.params import ObjectDetectorParams

    return {**{name: param.default for name, param in ObjectDetectorParams.declared.items()}, **NETWORK, **given}


def loops_in_turn(folder: str) -> dict[str, Any]:
    """Images per CPU second of our loop and of the plain one, a number for each turn; and the share of its time that ours has waited."""
    import torch

    torch.set_num_threads(1)
    images, boxes = (part[:IMAGES] for part in read(folder, "train"))
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(FITS + 1):
        speed, wait = _ours(images, boxes)
        found["ours"].append(speed)
        found["plain"].append(_plain(images, boxes))
    return {**{name: values[1:] for name, values in found.items()}, "wait": wait}


def _ours(images: list[bytes], boxes: list[np.ndarray]) -> tuple[float, float]:
    """Images per CPU second of the second of two epochs, and the share of both that was waited."""
    import sparkml_algos.algorithms.object_detection.network as module
    from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION

    marks = []
    learner = module.DetectorLearner

    class Timed(learner):  # type: ignore[misc, valid-type]
        def end_epoch(self, progress: Any) -> Any:
            marks.append(time.process_time())
            return super().end_epoch(progress)

    module.DetectorLearner = Timed
    try:
        _, report = train_alone(OBJECT_DETECTION, hyperparameters(epochs=2), image=images, boxes=boxes)
    finally:
        module.DetectorLearner = learner
    return len(images) / (marks[1] - marks[0]), report["input_wait"]["share"]


def _preparation(settings: Any) -> Any:
    from sparkml_algos.algorithms.object_detection.default_boxes import Matcher
    from sparkml_algos.algorithms.object_detection.preparing import Preparation

    return Preparation(Matcher(settings.boxes), len(settings.boxes), settings.side, NETWORK["max_expansion"], False)


def _plain(images: list[bytes], boxes: list[np.ndarray]) -> float:
    """What one writes by hand; images per CPU second of the second of two epochs."""
    import torch

    from sparkml_algos.algorithms.object_detection.augmentation import augmented
    from sparkml_algos.algorithms.object_detection.network import Detector, losses
    from sparkml_algos.algorithms.object_detection.preparing import corners_of
    from sparkml_algos.algorithms.object_detection.settings import settings_of
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.images.decoding import size_of
    from sparkml_algos.networks.images import IMAGENET_DEVIATION, IMAGENET_MEAN

    settings = settings_of(Hyperparameters(**hyperparameters()), len(CELLS))
    network, matcher = Detector(settings).to(memory_format=torch.channels_last), _preparation(settings).matcher
    optimizer = torch.optim.Adam(network.parameters(), lr=NETWORK["learning_rate"])
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    random = np.random.default_rng(0)
    for epoch in range(2):
        if epoch == 1:
            begin = time.process_time()
        for rows in _batches(random.permutation(len(images))):
            seen, labels, targets = [], [], []
            for row in rows:
                corners = corners_of(boxes[row], size_of(images[row]))
                image, there, kept = augmented(images[row], corners, settings.side, random, NETWORK["max_expansion"])
                label, target = matcher.targets(there, boxes[row][kept, 0].astype(np.int64))
                seen.append(torch.from_numpy(np.ascontiguousarray(image)))
                labels.append(torch.from_numpy(label))
                targets.append(torch.from_numpy(target))
            batch = (torch.stack(seen).permute(0, 3, 1, 2).float() - mean) / deviation
            label = torch.stack(labels)
            entropy, far = losses(*network(batch), label, torch.stack(targets))
            loss = (entropy + far) / max(1, int((label > 0).sum()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return len(images) / (time.process_time() - begin)


def _batches(order: np.ndarray) -> Iterator[np.ndarray]:
    return (order[start : start + MINI_BATCH] for start in range(0, len(order), MINI_BATCH))


def scored_in_turn(folder: str) -> dict[str, Any]:
    """Images per CPU second of the predictor and of a plain loop."""
    import torch
    from PIL import Image

    from sparkml_algos.algorithms.object_detection.network import Detector
    from sparkml_algos.algorithms.object_detection.prediction import TOGETHER, load
    from sparkml_algos.algorithms.object_detection.settings import settings_of
    from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.networks.images import IMAGENET_DEVIATION, IMAGENET_MEAN
    from sparkml_algos.networks.state import loaded
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.rows.images import Image as Kind
    from sparkml_algos.training.run import train_arrays

    torch.set_num_threads(1)
    images, boxes = (part[:IMAGES] for part in read(folder, "train"))
    of = Hyperparameters(**hyperparameters(epochs=4))
    artifact = train_arrays(OBJECT_DETECTION, vars(of), image=images, boxes=boxes)
    predictor = load(artifact, of, "cpu")
    settings = settings_of(of, len(CELLS))
    network = loaded(lambda: Detector(settings), artifact)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    batch = Batch(image=Kind().arrays(images)[""])

    def ours() -> None:
        assert len(predictor(batch)["detections"]) == IMAGES

    def plain() -> None:
        for start in range(0, IMAGES, TOGETHER):
            squares = []
            for data in images[start : start + TOGETHER]:
                with Image.open(io.BytesIO(data)) as image:
                    squares.append(np.asarray(image.convert("RGB").resize((settings.side, settings.side), Image.Resampling.BILINEAR)))
            with torch.inference_mode():
                pixels = (torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() - mean) / deviation
                scores, _ = network(pixels)
                scores.softmax(2).max(2)

    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(FITS + 1):
        for name, work in (("ours", ours), ("plain", plain)):
            begin = time.process_time()
            work()
            found[name].append(IMAGES / (time.process_time() - begin))
    return {name: values[1:] for name, values in found.items()}


def cells(folder: str, epochs: int) -> dict[str, Any]:
    """Figures on the test images, and seconds of training."""
    import torch

    from sparkml_algos.algorithms.object_detection.measures import figures, judged
    from sparkml_algos.algorithms.object_detection.prediction import load
    from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.arrays.ragged import Ragged
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.rows.images import Image
    from sparkml_algos.training.run import train_arrays

    torch.set_num_threads(1)
    images, boxes = read(folder, "train", "val")
    held = np.arange(len(images)) % 10 == 0
    settings = hyperparameters(epochs=epochs, lr_scheduler_step=f"{epochs * 3 // 5}, {epochs * 6 // 7}", lr_scheduler_factor=0.2)
    began = time.process_time()
    artifact = train_arrays(OBJECT_DETECTION, settings, image=images, boxes=boxes, validation=held, seed=1)
    seconds = time.process_time() - began
    files, there = read(folder, "test")
    of = Hyperparameters(**settings)
    objects = Ragged(np.concatenate(there), np.cumsum([0, *map(len, there)]))
    found = judged(load(artifact, of, "cpu"), of, Batch(image=Image().arrays(files)[""], boxes=objects))
    return {
        "test": figures(found, len(CELLS), of.average_precision),
        "seconds": seconds,
        "exported": exported("ObjectDetectorModel", artifact, settings, {"image": files, "label": there}),
        "history": artifact.values["history"],
    }


CASES = {"speed": compare_speed, "scoring": compare_scoring, "cells": measure_cells}
