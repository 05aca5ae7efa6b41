"""Classes of small photos: `ImageClassifier` on the files of a zip archive, on a local Spark with two workers.

    python examples/image_classification.py [PHOTOS.zip [EPOCHS [IMAGES]]]

takes an archive with files ``train/CLASS/NAME.jpg`` and ``test/CLASS/NAME.jpg`` of 32 x 32 pixels, such as CIFAR-10 as images; without
one it draws circles, squares and crosses, which takes a minute of two busy cores. EPOCHS is 6 and IMAGES 1,500 by default, which takes some
minutes; a good model of CIFAR-10 takes 100 epochs over all images, and hours without a GPU. With matplotlib some test images and what
they were taken for are drawn into ``examples/output/classes_of_images.png``.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import ImageClassifier

HERE = Path(__file__).resolve().parent
LOGGING = HERE.parent / "spark-conf" / "log4j2.properties"
SHAPES = ["circle", "square", "cross"]
SHOWN = 24


def main(path: str | None, epochs: int, most: int) -> None:
    spark = local_spark()
    try:
        photos = (from_archive(spark, path, most) if path else drawn(spark)).cache()
        classes = sorted(row["name"] for row in photos.select("name").distinct().collect())
        numbers = F.create_map(*(part for number, name in enumerate(classes) for part in (F.lit(name), F.lit(number))))
        photos = photos.withColumn("label", numbers[F.col("name")])
        train, test = photos.where("part = 'train'"), photos.where("part = 'test'")
        learner = ImageClassifier(
            num_layers=20, image_shape="3,32,32", augmentation_type="crop", pad_size=4, epochs=epochs, mini_batch_size=64 if path else 16,
            lr_scheduler_step=f"{max(1, epochs // 2)},{max(2, epochs * 3 // 4)}", num_workers=2, seed=1,
        )  # fmt: skip
        model = learner.fit(train)
        summary = model.training_summary
        print(f"Trained on {summary.rows:,} images in {summary.seconds['total']:.1f} s: {summary.metrics}")
        print(f"The network waited {summary.input_wait['share']:.1%} of that for images to be decoded.")
        print(f"Test images: {model.evaluate(test)}")
        scored = model.transform(test).withColumn("said", F.element_at(F.array(*map(F.lit, classes)), F.col("prediction").cast("int") + 1))
        scored.groupBy("name", "said").count().orderBy(F.desc("count")).show(8)
        if find_spec("matplotlib"):
            draw(scored)
    finally:
        spark.stop()


def draw(scored: DataFrame) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    rows = scored.orderBy(F.hash("image")).limit(SHOWN).collect()
    figure, axes = plt.subplots(3, SHOWN // 3, figsize=(12, 5))
    for ax, row in zip(axes.flat, rows, strict=False):
        ax.imshow(Image.open(io.BytesIO(row["image"])))
        ax.set_title(row["said"], fontsize=9, color="black" if row["said"] == row["name"] else "crimson")
    for ax in axes.flat:
        ax.axis("off")
    target = HERE / "output" / "classes_of_images.png"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=120, bbox_inches="tight")
    print(f"Drawn: {target}")


def local_spark() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[2]")
        .appName("sparkml-algos image classification")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOGGING.as_uri()}")
        .getOrCreate()
    )


SCHEMA = "part string, name string, image binary"


def from_archive(spark: SparkSession, path: str, most: int) -> DataFrame:
    """As many training images as asked for, of all classes, and a third as many test images."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png"))]
        rows = []
        for part, count in (("train", most), ("test", most // 3)):
            of_part = [name for name in names if name.startswith(f"{part}/")]
            chosen = np.random.default_rng(0).permutation(len(of_part))[:count]
            rows += [(part, of_part[place].split("/")[1], bytearray(archive.read(of_part[place]))) for place in chosen]
    return spark.createDataFrame(rows, SCHEMA).repartition(2)


def drawn(spark: SparkSession) -> DataFrame:
    """Shapes of any colour and place on noise."""
    return spark.createDataFrame(list(shapes(480)), SCHEMA).repartition(2)


def shapes(count: int) -> Iterator[tuple[str, str, bytearray]]:
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        pixels, shape = random.integers(0, 60, (32, 32, 3)).astype(np.uint8), SHAPES[number % len(SHAPES)]
        down, across = np.mgrid[:32, :32] - random.uniform(11, 21, 2)[:, None, None]
        radius = random.uniform(6, 10)
        within = {
            "circle": down**2 + across**2 < radius**2,
            "square": np.maximum(abs(down), abs(across)) < 0.85 * radius,
            "cross": (np.minimum(abs(down), abs(across)) < 0.3 * radius) & (np.maximum(abs(down), abs(across)) < radius),
        }[shape]
        pixels[within] = random.integers(110, 256, 3)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        yield "train" if number % 4 else "test", shape, bytearray(file.getvalue())


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0] if given else None, int(given[1]) if len(given) > 1 else 6, int(given[2]) if len(given) > 2 else 1500)
