"""Image classification on Spark: images as its sources give them, transform, evaluate, other starts, what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import ImageClassifier, ImageClassifierModel, InvalidDataError, serving
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.formats.content_types import ContentType
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.networks.resnet import ResNet
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.servable import load_servable
from tests.toys.shapes import CLASSES, shapes

SMALL = {"num_layers": 20, "image_shape": "3,16,16", "epochs": 1, "mini_batch_size": 32, "learning_rate": 0.05, "num_workers": 1}
PIXELS, LABEL = shapes(80, 16, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files whose names have their class."""
    found = tmp_path_factory.mktemp("shapes")
    for number, (image, label) in enumerate(zip(PIXELS, LABEL, strict=True)):
        path = found / f"{label:.0f}" / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_png(image))
    return found


@pytest.fixture(scope="module")
def files(spark: SparkSession, folder: Path) -> DataFrame:
    """As the source binaryFile gives them."""
    found = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    return labelled(found, "path").cache()


@pytest.fixture(scope="module")
def structs(spark: SparkSession, folder: Path) -> DataFrame:
    """As the source image gives them."""
    found = spark.read.format("image").option("recursiveFileLookup", "true").load(str(folder))
    return labelled(found, "image.origin").cache()


def labelled(frame: DataFrame, path: str) -> DataFrame:
    number = F.regexp_extract(path, r"(\d+)\.png$", 1).cast("int")
    return frame.withColumn("label", F.regexp_extract(path, r"(\d)/\d+\.png$", 1).cast("int")).withColumn("id", number)


@pytest.fixture(scope="module")
def model(files: DataFrame) -> ImageClassifierModel:
    return ImageClassifier(imageCol="content", **SMALL).fit(files)


def probabilities(frame: DataFrame) -> np.ndarray:
    return np.array([row.probability.toArray() for row in frame.orderBy("id").select("probability").collect()])


def test_files_and_structs_train_and_score_alike(files: DataFrame, structs: DataFrame, model: ImageClassifierModel) -> None:
    of_structs = model.copy({model.imageCol: "image"}).transform(structs)
    np.testing.assert_allclose(probabilities(of_structs), probabilities(model.transform(files)), atol=1e-5)
    again = ImageClassifier(**SMALL).fit(structs)
    assert again.numClasses == model.numClasses == CLASSES
    assert again.training_summary.rows == 80


def test_what_is_appended_and_told(files: DataFrame, model: ImageClassifierModel) -> None:
    rows = model.transform(files).select("prediction", "probability").collect()
    assert all(row.prediction == row.probability.argmax() if hasattr(row.probability, "argmax") else True for row in rows)
    assert model.value("num_classes") == CLASSES and model.served_epoch == 1
    wait = model.training_summary.input_wait
    assert wait["seconds"] >= 0 and 0 <= wait["share"] <= 1 and wait["threads"] >= 1
    assert "waited for images" in str(model.training_summary)


def test_evaluation_is_what_the_output_says(files: DataFrame, model: ImageClassifierModel) -> None:
    rows = model.transform(files).select("label", "prediction", "probability").collect()
    metrics = model.evaluate(files)
    assert metrics["test:accuracy"] == pytest.approx(np.mean([row.label == row.prediction for row in rows]))
    assert metrics["test:cross_entropy"] == pytest.approx(-np.mean([np.log(row.probability[row.label]) for row in rows]), rel=1e-4)


def test_a_model_is_saved_and_scores_without_spark(files: DataFrame, model: ImageClassifierModel, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    expected = probabilities(model.transform(files))
    np.testing.assert_allclose(probabilities(loaded.transform(files)), expected, atol=1e-5)
    served = serving.load(tmp_path / "model")
    np.testing.assert_allclose(served(image=list(PIXELS))["probability"], expected, atol=1e-5)


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "application/x-image"])
def test_an_endpoint_answers_an_image(model: ImageClassifierModel, tmp_path: Path, content_type: str) -> None:
    import json

    model.save(str(tmp_path / "model"))
    served, kind = load_servable(tmp_path / "model", Options()), ContentType.parse(content_type)

    def answer(body: bytes, accept: str) -> bytes:
        request, wanted = served.decode(body, kind), ContentType.parse(accept)
        found = [served.score(work.columns, work.variant) for work in served.work(request, wanted)]
        return served.respond(request, found, wanted)

    image = encode_png(PIXELS[0])
    bare = json.loads(answer(image, "application/json"))
    assert len(bare) == CLASSES and sum(bare) == pytest.approx(1)
    assert json.loads(answer(image, "application/jsonlines")) == {"prediction": bare}
    with pytest.raises(ValueError, match=r"is no image that can be used|cannot be used"):
        answer(b"hello", "application/json")


def test_several_labels_are_an_array(files: DataFrame) -> None:
    frame = files.withColumn("labels", F.array(F.col("label") % 2, 1 - F.col("label") % 2, F.lit(1)))
    fitted = ImageClassifier(imageCol="content", labelCol="labels", multi_label=1, **SMALL).fit(frame)
    scored = fitted.transform(frame)
    assert dict(scored.dtypes)["prediction"] == "array<int>" and fitted.numClasses == 3
    for row in scored.select("prediction", "probability").collect():
        assert row.prediction == np.flatnonzero(row.probability.toArray() > 0.5).tolist()
    assert set(fitted.evaluate(frame)) == {"test:accuracy", "test:cross_entropy"}
    ids = files.withColumn("labels", F.array(F.col("label")))
    of_ids = ImageClassifier(imageCol="content", labelCol="labels", multi_label=1, label_format="class-id", num_classes=5, **SMALL).fit(ids)
    assert of_ids.numClasses == 5


def test_training_goes_on_from_an_earlier_model(files: DataFrame, model: ImageClassifierModel, tmp_path: Path) -> None:
    learner = ImageClassifier(imageCol="content", **{**SMALL, "learning_rate": 0.0}).setInitialModel(model)
    learner.save(str(tmp_path / "learner"))
    for estimator in (learner, ImageClassifier.load(str(tmp_path / "learner"))):
        again = estimator.fit(files)
        np.testing.assert_array_equal(again.artifact.arrays["network/fc.weight"], model.artifact.arrays["network/fc.weight"])
    with pytest.raises(ValueError, match="num_layers=32 differs from the initial model's 20"):
        learner.copy({learner.num_layers: 32}).fit(files)
    with pytest.raises(ValueError, match="top_k=5 is more than the 4 classes of the initial model"):
        learner.copy({learner.top_k: 5}).fit(files)
    with pytest.raises(InvalidDataError, match=r"label column 'label' is 4, expected an integer from 0 to 3 \(num_classes=4\), in row \d+"):
        learner.fit(files.withColumn("label", F.col("label") + 1))
    with pytest.raises(TypeError, match="ImageClassifier starts from a ImageClassifierModel, got str"):
        learner.setInitialModel("model")


def test_labels_are_of_the_classes_of_the_model_that_training_goes_on_from() -> None:
    known = ImageClassifierModel()
    known.artifact = Artifact(values={"classes": 4})
    known._take_what_was_found()
    for several in (0, 1):
        learner = ImageClassifier(**SMALL, multi_label=several)
        (free,) = (field.kind for field in learner.fields() if field.role == "label")
        (bound,) = (field.kind for field in learner.setInitialModel(known).fields() if field.role == "label")
        assert bound.classes == 4 != free.classes


@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_weights_of_a_file_start_a_training(spark: SparkSession, tmp_path: Path, form: str) -> None:
    """With 224 x 224 pixels, as the service has it: few images."""
    state = ResNet(18, 1000).state_dict()
    path = tmp_path / f"weights.{form}"
    if form == "torch":
        torch.save(state, path)
    else:
        from tests.networks.test_pretrained import safetensors_file

        path.write_bytes(safetensors_file(state))
    rows = [(bytearray(encode_png(np.full((224, 224, 3), 30 * number, np.uint8))), number % 2) for number in range(4)]
    frame = spark.createDataFrame(rows, "image binary, label int").coalesce(1)
    learner = ImageClassifier(
        num_layers=18, use_pretrained_model=1, pretrained_weights=str(path), epochs=1, learning_rate=0.0, mini_batch_size=4, num_workers=1
    )
    found = learner.fit(frame).artifact.arrays
    np.testing.assert_array_equal(found["network/layer3.0.conv1.weight"], state["layer3.0.conv1.weight"].numpy())
    assert found["network/fc.weight"].shape == (2, 512)


REFUSED = {
    "shape": ({"image_shape": "224"}, "image_shape must be channels,height,width"),
    "asynchronous": ({"kv_store": "dist_async"}, "kv_store='dist_async' is not supported"),
    "resize": ({"resize": 8}, "resize=8 must be at least the larger of height and width"),
    "frequency": ({"checkpoint_frequency": 2}, "checkpoint_frequency=2 keeps no state of 1 epochs"),
    "weighted": ({"use_weighted_loss": 1}, "use_weighted_loss=1 needs multi_label=1"),
    "stopping": ({"early_stopping": True}, "early_stopping=True needs rows to validate on"),
    "precision": ({"precision_dtype": "float16"}, "precision_dtype='float16' needs use_gpu=True"),
    "pipe": ({"input_mode": "Pipe"}, "num_classes is required with input_mode='Pipe'"),
    "no file": (
        {"use_pretrained_model": 1, "num_layers": 50, "image_shape": "3,224,224"},
        r"use_pretrained_model=1 needs pretrained_weights, a file with weights of a ResNet-50 .*torch\.save",
    ),
    "no such file": (
        {"use_pretrained_model": 1, "num_layers": 50, "image_shape": "3,224,224", "pretrained_weights": "/nowhere/w.pth"},
        "pretrained_weights='/nowhere/w.pth' cannot be read",
    ),
    "shallow": ({"use_pretrained_model": 1, "pretrained_weights": "w"}, r"use_pretrained_model=1 needs num_layers of 18, 34"),
    "ids": ({"multi_label": 1, "label_format": "class-id"}, "num_classes is required with label_format='class-id'"),
    "unused file": ({"pretrained_weights": "w"}, "pretrained_weights needs use_pretrained_model=1"),
    "padding": ({"pad_size": 4}, "pad_size needs an augmentation_type"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_before_training(files: DataFrame, what: str) -> None:
    given, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        ImageClassifier(imageCol="content", **{**SMALL, **given}).fit(files)


def test_a_broken_image_is_told_by_column_and_row(files: DataFrame, model: ImageClassifierModel) -> None:
    bad = files.withColumn("content", F.when(F.col("id") == 7, F.expr("substring(content, 1, 100)")).otherwise(F.col("content")))
    with pytest.raises(InvalidDataError, match=r"image column 'content' is no image that can be used: .* in row \d+ of worker 0's shard"):
        ImageClassifier(imageCol="content", **SMALL).fit(bad)
    with pytest.raises(Exception, match=r"an image cannot be used: .* in row \d+ of its task"):
        model.transform(bad).collect()
    with pytest.raises(Exception, match=r"an image cannot be used: .* in row \d+ of its partition"):
        model.evaluate(bad)


def test_a_column_of_texts_is_refused(files: DataFrame) -> None:
    with pytest.raises(ValueError, match="imageCol: column 'path' is string; it must be binary, as the source binaryFile gives it"):
        ImageClassifier(imageCol="path", **SMALL).fit(files)


def test_two_workers_and_a_validation_column(files: DataFrame) -> None:
    frame = files.withColumn("held", F.col("id") % 4 == 0)
    fitted = ImageClassifier(imageCol="content", validationIndicatorCol="held", **{**SMALL, "num_workers": 2}).fit(frame)
    assert fitted.training_summary.validation_rows == 20 and fitted.training_summary.rows == 60
    assert set(fitted.training_summary.history[0]) >= {"train:loss", "train:accuracy", "validation:loss", "validation:accuracy"}
    assert io.StringIO(str(fitted.summary.totalIterations)).read() == "1"
