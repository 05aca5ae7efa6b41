"""What is where in a street: `SemanticSegmenter` on photographs with masks, on a local Spark.

    python examples/semantic_segmentation.py [ARCHIVE [EPOCHS]]

takes a ZIP archive of CamVid in the folders ``train``, ``trainannot``, ``val``, ``valannot``, ``test`` and ``testannot``, PNGs of 480 × 360
whose masks have the classes 0 to 10 and 11 for what is none; without one it draws squares and discs itself, and takes a minute of two busy
cores. It prints the metrics on the images for the test, and draws some of them into ``examples/output/semantic_segmentation.png``, where
matplotlib is installed.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import SemanticSegmenter
from sparkml_algos.images.decoding import encode_jpeg, encode_png

LOGGING = Path(__file__).resolve().parents[1] / "spark-conf" / "log4j2.properties"
PICTURE = Path(__file__).resolve().parent / "output" / "semantic_segmentation.png"
SCHEMA = "id string, image binary, mask binary, part string"
NAMES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
# Class 11 is what is none.
LABEL_MAP = '{"map": {' + ", ".join(f'"{number}": {number}' for number in range(len(NAMES))) + ', "255": 11}}'


def main(archive: str | None, epochs: int) -> None:
    spark = local_spark()
    try:
        images = read(spark, Path(archive)) if archive else made(spark)
        size = {"base_size": 400, "crop_size": 256} if archive else {"base_size": 48, "crop_size": 48}
        segmenter = SemanticSegmenter(
            use_pretrained_model=False, small_backbone=True, algorithm="psp", mini_batch_size=8, epochs=epochs, optimizer="adam",
            learning_rate=0.003, mirror=True, label_map=LABEL_MAP if archive else None,
            validationIndicatorCol="held", num_workers=1, seed=1, **size,
        )  # fmt: skip
        model = segmenter.fit(images.where("part <> 'test'").withColumn("held", F.col("part") == "val"))
        print(f"Trained in {model.training_summary.seconds['total']:.0f} s: {model.training_summary.metrics}")
        test = images.where("part = 'test'")
        metrics = model.evaluate(test)
        print(f"mIoU {metrics['test:mIOU']:.3f}, pixel accuracy {metrics['test:pixel_accuracy']:.3f}")
        names = NAMES if archive else ["ground", "square", "disc"]
        print(", ".join(f"{name} {metrics[f'test:IOU_{number}']:.2f}" for number, name in enumerate(names)))
        draw(model.transform(test.orderBy("id").limit(2)).collect(), names, LABEL_MAP if archive else None)
    finally:
        spark.stop()


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos SemanticSegmenter")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


def read(spark: SparkSession, archive: Path) -> DataFrame:
    """Images with masks, and which part they belong to: train, val or test."""
    rows = []
    with zipfile.ZipFile(archive) as files:
        names = {(PurePosixPath(name).parent.name, PurePosixPath(name).name): name for name in files.namelist() if name.endswith(".png")}
        for (part, name), path in sorted(names.items()):
            if (f"{part}annot", name) in names:
                mask = files.read(names[f"{part}annot", name])
                rows.append((name, bytearray(files.read(path)), bytearray(mask), part))
    return spark.createDataFrame(rows, SCHEMA).cache()


def made(spark: SparkSession) -> DataFrame:
    """Squares and discs on a noisy ground."""
    random, rows = np.random.default_rng(0), []
    y, x = np.mgrid[:48, :48]
    for number in range(96):
        mask = np.zeros((48, 48), np.uint8)
        for label in random.permutation([1, 2]):
            size, (top, left) = random.integers(8, 16), random.integers(12, 36, 2)
            square = (abs(y - top) <= size) & (abs(x - left) <= size)
            mask[square if label == 1 else (y - top) ** 2 + (x - left) ** 2 <= size**2] = label
        colours = np.array([[90, 90, 90], [200, 120, 60], [60, 120, 200]]) * random.uniform(0.7, 1.2, (3, 1))
        image = np.clip(colours[mask] + random.normal(0, 12, (48, 48, 3)), 0, 255).astype(np.uint8)
        part = ("test", "val", "train", "train", "train", "train")[number % 6]
        rows.append((f"{number:03d}", bytearray(encode_jpeg(image)), bytearray(encode_png(mask)), part))
    return spark.createDataFrame(rows, SCHEMA).cache()


def draw(rows: list, names: list[str], label_map: str | None) -> None:
    """Images with what was found in them and what is right."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("No picture: pip install 'sparkml-algos[plot]'")
        return
    from sparkml_algos.images.decoding import decode_mask
    from sparkml_algos.plotting import plot_masks

    figure, axes = plt.subplots(len(rows), 1, figsize=(10, 4.2 * len(rows)), layout="constrained")
    for ax, row in zip(axes, rows, strict=True):
        truth = decode_mask(bytes(row.mask))
        plot_masks(bytes(row.image), bytes(row.predicted_mask), np.where(truth == 11, 255, truth) if label_map else truth, names, ax=ax)
    axes[0].set_title("found, and right")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100)
    print(f"Drawn: {PICTURE}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 60)
