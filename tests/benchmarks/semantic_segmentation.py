"""Semantic segmentation against a plain loop of torch, and its quality on CamVid.

The plain loop has the same network, optimizer and crops; it decodes and cuts with Pillow in a ``DataLoader`` of torch.
"""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from data import Data, public
from harness import Options, Report, Table, exported, measure, median, ratio, table_of_exported, train_alone

FITS = 3
STEPS = 12
CLASSES = 11
LABEL_MAP = '{"map": {' + ", ".join(f'"{number}": {number}' for number in range(CLASSES)) + ', "255": 11}}'
NETWORK = {
    **{"use_pretrained_model": False, "small_backbone": True, "algorithm": "psp", "base_size": 400, "crop_size": 256, "mini_batch_size": 8},
    **{"mirror": True, "label_map": LABEL_MAP, "num_classes": CLASSES},
}
# Of quality.
TRAINING = {**NETWORK, "crop_size": 224, "mini_batch_size": 4, "optimizer": "adam", "learning_rate": 0.002, "epochs": 160}


def compare_speed(data: Data, options: Options) -> Report:
    """Images per second of the training loop, and of the plain one."""
    found = measure(loops_in_turn, threads=1, folder=str(public("camvid_subset")))
    ours, plain = median(found["ours"]), median(found["plain"])
    table = Table(f"CamVid, crops of 256, {STEPS} steps of 8, one thread: images per second", ["", "images/s", "this/plain loop"])
    table.rows = [["plain loop", f"{plain:,.2f}", "1.00"], ["ours", f"{ours:,.2f}", ratio(ours, plain)]]
    notes = [
        f"Medians of {FITS} in turns, after one of each; CPU seconds, with decoding.",
        f"Of the time in steps the network waited {found['waited']:.1%} for images.",
    ]
    return Report([table], found, notes)


def measure_quality(data: Data, options: Options) -> Report:
    """The metrics on the images for the test of a network that is trained to its end on a fifth of the images."""
    found = measure(trained, threads=1, folder=str(public("camvid_subset")))
    table = Table("CamVid, 74 images to train on, 24 to test on", ["", "mIoU", "pixel accuracy", "minutes of training"])
    cells = [f"{found['mIOU']:.3f}", f"{found['pixel_accuracy']:.3f}", f"{found['seconds'] / 60:.1f}"]
    table.rows.append([f"small backbone, psp, {TRAINING['epochs']} epochs, one thread", *cells])
    return Report([table, table_of_exported(found["exported"])], found, [])


def read(folder: str, part: str) -> tuple[list[bytes], list[bytes]]:
    """Images and masks of a part."""
    with zipfile.ZipFile(Path(folder) / "camvid_subset.zip") as files:
        names = sorted(name for name in files.namelist() if name.endswith(".png"))
        return tuple([files.read(name) for name in names if f"/{kind}/" in f"/{name}"] for kind in (part, f"{part}annot"))  # type: ignore[return-value]


def hyperparameters(**given: Any) -> dict[str, Any]:
    from sparkml_algos.algorithms.semantic_segmentation.params import SemanticSegmenterParams

    return {**{name: param.default for name, param in SemanticSegmenterParams.declared.items()}, **given}


def loops_in_turn(folder: str) -> dict[str, Any]:
    """Images per CPU second of our loop and of the plain one, a number for each turn."""
    import torch

    torch.set_num_threads(1)
    images, masks = read(folder, "train")
    found: dict[str, Any] = {"ours": [], "plain": []}
    for _ in range(FITS + 1):
        rate, found["waited"] = ours(images, masks)
        found["ours"].append(rate)
        found["plain"].append(plain_loop(images, masks))
    return {name: values[1:] if isinstance(values, list) else values for name, values in found.items()}


def ours(images: list[bytes], masks: list[bytes]) -> tuple[float, float]:
    """Images per CPU second of the last `STEPS` steps, and the share of the time that was waited."""
    import sparkml_algos.algorithms.semantic_segmentation.network as module
    from sparkml_algos.algorithms.semantic_segmentation.training import SEMANTIC_SEGMENTATION

    plain, counted, marks = module.SegmentationLearner, [0], []

    class Timed(plain):  # type: ignore[misc, valid-type]
        def begin_step(self, progress: Any) -> None:
            if progress.step in (STEPS, 2 * STEPS):
                marks.append((time.process_time(), counted[0]))
            super().begin_step(progress)

        def gradient(self, batch: Any) -> Any:
            counted[0] += len(batch)
            return super().gradient(batch)

    module.SegmentationLearner = Timed
    try:
        _, report = train_alone(SEMANTIC_SEGMENTATION, hyperparameters(**NETWORK, epochs=3), image=images, mask=masks)
    finally:
        module.SegmentationLearner = plain
    (begin, before), (end, after) = marks
    return (after - before) / (end - begin), report["input_wait"]["share"]


def plain_loop(images: list[bytes], masks: list[bytes]) -> float:
    """What one writes by hand; images per CPU second."""
    import torch
    from PIL import Image
    from torch.nn import functional
    from torch.utils.data import DataLoader, Dataset

    from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationNetwork
    from sparkml_algos.algorithms.semantic_segmentation.settings import Settings

    side, base, rows = NETWORK["crop_size"], NETWORK["base_size"], NETWORK["mini_batch_size"]
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    random = np.random.default_rng(0)

    class Streets(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
            image, mask = Image.open(io.BytesIO(images[row])).convert("RGB"), Image.open(io.BytesIO(masks[row]))
            scale = base * random.uniform(0.5, 2.0) / max(image.size)
            width, height = (round(length * scale) for length in image.size)
            image, mask = image.resize((width, height), Image.Resampling.BILINEAR), mask.resize((width, height), Image.Resampling.NEAREST)
            pixels, labels = (
                np.zeros((max(height, side), max(width, side), 3), np.uint8),
                np.full((max(height, side), max(width, side)), 255, np.uint8),
            )
            pixels[:height, :width], labels[:height, :width] = np.asarray(image), np.asarray(mask)
            top, left = random.integers(len(pixels) - side + 1), random.integers(pixels.shape[1] - side + 1)
            pixels, labels = pixels[top : top + side, left : left + side], labels[top : top + side, left : left + side]
            labels = np.where(labels >= CLASSES, 255, labels)
            if random.random() < 0.5:
                pixels, labels = pixels[:, ::-1], labels[:, ::-1]
            return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(labels.astype(np.int64))

    network = SegmentationNetwork(Settings("small", str(NETWORK["algorithm"]), CLASSES, True)).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)
    count, begin, steps = 0, 0.0, 0
    while True:
        for pixels, labels in DataLoader(Streets(), rows, shuffle=True):
            if steps == STEPS:
                begin, count = time.process_time(), 0
            if steps == 2 * STEPS:
                return count / (time.process_time() - begin)
            scores, auxiliary = network((pixels - mean) / deviation)
            loss = sum(
                weight * functional.cross_entropy(functional.interpolate(one, size=(side, side), mode="bilinear"), labels, ignore_index=255)
                for one, weight in ((scores, 1.0), (auxiliary, 0.4))
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            count, steps = count + len(pixels), steps + 1


def trained(folder: str) -> dict[str, Any]:
    """Metrics on the test, and seconds of training."""
    import pyarrow as pa
    import torch

    from sparkml_algos.algorithms.semantic_segmentation.prediction import load_judge
    from sparkml_algos.algorithms.semantic_segmentation.training import SEMANTIC_SEGMENTATION
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.arrays.segmentation import intersection_over_union, mean_iou, pixel_accuracy
    from sparkml_algos.rows.batch import Batch
    from sparkml_algos.training.run import train_arrays

    torch.set_num_threads(1)
    settings = hyperparameters(**TRAINING)
    (images, masks), (others, truths) = read(folder, "train"), read(folder, "val")
    marked = np.arange(len(images) + len(others)) >= len(images)
    began = time.perf_counter()
    artifact = train_arrays(SEMANTIC_SEGMENTATION, settings, image=images + others, mask=masks + truths, validation=marked, seed=1)
    seconds = time.perf_counter() - began
    judge = load_judge(artifact, Hyperparameters(**settings), "cpu")
    asked = dict(zip(("image", "mask"), read(folder, "test"), strict=True))
    batch = Batch(**{role: pa.array(part, pa.binary()) for role, part in asked.items()})
    counts = judge(batch)["confusion"]
    single = intersection_over_union(counts).tolist()
    return {"mIOU": mean_iou(counts), "pixel_accuracy": pixel_accuracy(counts), "classes": single, "seconds": seconds,
            "exported": exported("SemanticSegmenterModel", artifact, settings, {"image": asked["image"], "label": asked["mask"]}),
            "history": artifact.values["history"]}  # fmt: skip


CASES = {"speed": compare_speed, "quality": measure_quality}
