"""Cells in blood smears: `ObjectDetector` on images with boxes, on a local Spark.

    python examples/object_detection.py [FILE [MINUTES]]

takes the zip file of the BCCD dataset in the form of PASCAL VOC (364 images of 640 x 480; red and white cells and platelets), trains for
about as many minutes of one core, 2 by default, on its training and validation images, judges on its test images, and with matplotlib draws
one of them into ``examples/output/object_detection.png``. Without a file it makes images of squares and discs of its own, and takes a
minute.
"""

from __future__ import annotations

import io
import os
import sys
import xml.etree.ElementTree as ET
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, Row, SparkSession

from sparkml_algos import ObjectDetector
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.plotting import plot_detections

HERE = Path(__file__).resolve().parent
LOGGING = HERE.parent / "spark-conf" / "log4j2.properties"
CELLS, SHAPES = ["RBC", "WBC", "Platelets"], ["square", "disc"]
BOXES = "array<struct<class_id: int, left: float, top: float, width: float, height: float>>"
SCHEMA = f"name string, image binary, boxes {BOXES}, held boolean"
# Epochs in a minute of one core, about.
EPOCHS_A_MINUTE = 8


def main(file: str | None, minutes: float) -> None:
    spark = local_spark()
    try:
        images, test = read_cells(spark, file) if file else made_shapes(spark)
        epochs = max(2, round(EPOCHS_A_MINUTE * minutes)) if file else 10
        learner = ObjectDetector(
            base_network="resnet-50", base_width=0.25 if file else 0.125, image_shape=160 if file else 64, use_pretrained_model=0,
            optimizer="adam", learning_rate=0.002, lr_scheduler_step=f"{epochs * 3 // 5}, {epochs * 6 // 7}", lr_scheduler_factor=0.2,
            mini_batch_size=8, epochs=epochs, max_expansion=1.2, validationIndicatorCol="held", num_workers=1, seed=1,
        )  # fmt: skip
        model = learner.fit(images)
        print(f"Trained in {model.training_summary.seconds['total']:.0f} s: {model.training_summary.metrics}")
        print(model.evaluate(test))
        if find_spec("matplotlib"):
            draw(model.transform(test).first(), CELLS if file else SHAPES)
    finally:
        spark.stop()


def draw(row: Row, names: list[str]) -> None:
    """An image with what was found in it, and what is there."""
    ax = plot_detections(row.image, row.detections, row.boxes, names=names)
    picture = HERE / "output" / "object_detection.png"
    picture.parent.mkdir(exist_ok=True)
    ax.figure.savefig(picture, dpi=150)
    print(f"Drawn: {picture}")


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos ObjectDetector")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read_cells(spark: SparkSession, file: str) -> tuple[DataFrame, DataFrame]:
    """Images to train on, of which every tenth is held out, and those of the test."""
    with zipfile.ZipFile(file) as archive:
        members = {Path(name).stem: name for name in archive.namelist() if name.endswith(".jpg")}
        notes = {Path(name).stem: name for name in archive.namelist() if name.endswith(".xml")}

        def rows(part: str, held_every: int) -> list[tuple[str, bytearray, list[tuple[float, ...]], bool]]:
            (listed,) = (name for name in archive.namelist() if name.endswith(f"/{part}.txt"))
            names = [name for name in io.TextIOWrapper(archive.open(listed)).read().split() if name in members]
            return [
                (name, bytearray(archive.read(members[name])), boxes_of(archive.read(notes[name])), place % held_every == 0)
                for place, name in enumerate(sorted(names))
            ]

        train = spark.createDataFrame(rows("trainval", 10), SCHEMA).repartition(2).cache()
        return train, spark.createDataFrame(rows("test", 1), SCHEMA)


def boxes_of(notes: bytes) -> list[tuple[float, ...]]:
    """Class, left, top, width and height of the objects in a note of PASCAL VOC; a few have no extent and are left out."""
    found = []
    for one in ET.fromstring(notes).iter("object"):
        left, top, right, bottom = (float(one.findtext(f"bndbox/{edge}", "0")) for edge in ("xmin", "ymin", "xmax", "ymax"))
        if right > left and bottom > top:
            found.append((CELLS.index(one.findtext("name", "")), left, top, right - left, bottom - top))
    return found


def made_shapes(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Images of a square and a disc each."""
    random = np.random.default_rng(0)
    down, across = np.mgrid[0:20, 0:20] - 9.5
    rows = []
    for number in range(240):
        pixels = np.full((64, 64, 3), random.integers(60, 120), np.uint8)
        left, right, high, low = random.integers(0, 12), random.integers(32, 44), *random.integers(0, 44, 2)
        pixels[high : high + 20, left : left + 20] = random.integers(150, 256, 3)
        pixels[low : low + 20, right : right + 20][down**2 + across**2 <= 100] = random.integers(150, 256, 3)
        boxes = [(0, float(left), float(high), 20.0, 20.0), (1, float(right), float(low), 20.0, 20.0)]
        rows.append((f"made {number}", bytearray(encode_png(pixels)), boxes, number % 10 == 0))
    frame = spark.createDataFrame(rows, SCHEMA).repartition(2).cache()
    return frame, frame.where("held")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, float(sys.argv[2]) if len(sys.argv) > 2 else 2.0)
