"""Semantic segmentation as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, SemanticSegmenter, SemanticSegmenterModel, serving
from sparkml_algos.arrays.segmentation import confusion, mean_iou, pixel_accuracy
from sparkml_algos.formats import recordio_protobuf
from sparkml_algos.formats.content_types import RECORDIO_PROTOBUF
from sparkml_algos.images.decoding import decode_mask, encode_png
from sparkml_algos.networks.resnet import ResNet
from tests.serving.serving import asked, post
from tests.shapes import CLASSES, files

IMAGES, MASKS = files(40)


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [(i, bytearray(image), bytearray(mask), i % 4 == 0) for i, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True))]
    return spark.createDataFrame(rows, "id int, image binary, mask binary, held boolean").repartition(3).cache()


def segmenter(**settings: Any) -> SemanticSegmenter:
    small = {"small_backbone": True, "use_pretrained_model": False, "base_size": 48, "crop_size": 48, "mini_batch_size": 8}
    training = {"epochs": 16, "learning_rate": 0.05, "syncbn": True, "validationIndicatorCol": "held", "num_workers": 2, "mirror": True}
    return SemanticSegmenter(**{**small, **training, **settings})


@pytest.fixture(scope="module")
def model(data: DataFrame) -> SemanticSegmenterModel:
    return segmenter().fit(data)


@pytest.mark.generic
def test_masks_are_told_and_judged(data: DataFrame, model: SemanticSegmenterModel) -> None:
    scored = model.transform(data)
    assert scored.columns == [*data.columns, "predicted_mask"] and scored.schema["predicted_mask"].dataType.simpleString() == "binary"
    rows = scored.collect()
    counts = sum(confusion(decode_mask(bytes(row.mask)), decode_mask(bytes(row.predicted_mask)), CLASSES) for row in rows)
    metrics = model.evaluate(data)
    assert metrics["test:mIOU"] == pytest.approx(mean_iou(counts)) and metrics["test:mIOU"] > 0.7
    assert metrics["test:pixel_accuracy"] == pytest.approx(pixel_accuracy(counts))
    assert np.mean([metrics[f"test:IOU_{number}"] for number in range(CLASSES)]) == pytest.approx(metrics["test:mIOU"])
    held = model.evaluate(data.where("held"))
    assert model.training_summary.metrics["validation:mIOU"] == pytest.approx(held["test:mIOU"], abs=1e-6)
    assert model.numClasses == CLASSES == model.value("num_classes")
    assert model.summary.objectiveHistory[0] > model.summary.objectiveHistory[-1]
    assert 0 <= model.training_summary.input_wait["share"] <= 1


def test_probabilities_come_on_request(data: DataFrame, model: SemanticSegmenterModel) -> None:
    scored = model.copy().setProbabilityCol("scores").transform(data.limit(3))
    assert scored.schema["scores"].dataType.simpleString() == "struct<shape:array<bigint>,target:array<float>>"
    for row in scored.collect():
        probabilities = np.array(row.scores.target, np.float32).reshape(row.scores.shape)[0]
        np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)
        np.testing.assert_array_equal(probabilities.argmax(0), decode_mask(bytes(row.predicted_mask)))


def test_images_of_sparks_own_source_are_scored_alike(data: DataFrame, model: SemanticSegmenterModel, tmp_path: Path) -> None:
    for name, image in zip("ab", IMAGES[:2], strict=True):
        (tmp_path / f"{name}.jpg").write_bytes(image)
    files_, structs = (data.sparkSession.read.format(source).load(f"file://{tmp_path}") for source in ("binaryFile", "image"))
    of_files = model.copy().setImageCol("content").transform(files_).orderBy("path").select("predicted_mask").collect()
    of_structs = model.transform(structs).orderBy("image.origin").select("predicted_mask").collect()
    for one, other in zip(of_files, of_structs, strict=True):
        # Java decodes a JPEG to other last bits.
        assert np.mean(decode_mask(bytes(one[0])) == decode_mask(bytes(other[0]))) > 0.97


def test_training_goes_on_from_a_model(data: DataFrame, model: SemanticSegmenterModel, tmp_path: Path) -> None:
    more = segmenter(epochs=1, learning_rate=1e-6, validation_mini_batch_size=1).setInitialModel(model)
    more.save(str(tmp_path / "more"))
    found = SemanticSegmenter.load(str(tmp_path / "more")).fit(data)
    assert found.training_summary.metrics["validation:mIOU"] > 0.7
    with pytest.raises(InvalidParams, match="algorithm='psp' differs from the initial model's 'fcn'") as refused:
        segmenter(algorithm="psp", crop_size=40).setInitialModel(model).fit(data)
    assert "crop_size=40 differs" in str(refused.value)
    with pytest.raises(TypeError, match="SemanticSegmenter starts from a SemanticSegmenterModel, got str"):
        segmenter().setInitialModel("model")


@pytest.mark.slow
def test_the_backbone_starts_from_weights_that_are_given(data: DataFrame, tmp_path: Path) -> None:
    torch.manual_seed(0)
    known = ResNet(50, 10)
    path = tmp_path / "resnet50.pt"
    torch.save(known.state_dict(), path)
    settings = {"small_backbone": False, "use_pretrained_model": True, "epochs": 1, "learning_rate": 1e-12, "weight_decay": 1e-12}
    found = segmenter(**settings, pretrained_weights=f"file://{path}", num_workers=1, crop_size=24).fit(
        data.limit(4).drop("held").withColumn("held", F.col("id") % 2 == 0)
    )
    np.testing.assert_allclose(found.artifact.arrays["network/backbone.conv1.weight"], known.conv1.weight.detach().numpy(), atol=1e-7)
    with pytest.raises(InvalidParams, match="pretrained_weights"):
        segmenter(**settings).fit(data)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"imageCol": "id"}, "imageCol: column 'id' is int; it must be binary"),
        ({"maskCol": "nothing"}, "maskCol='nothing' is not a column"),
        ({"early_stopping": True, "validationIndicatorCol": None}, "early_stopping=True goes by the mIOU of rows for validation"),
        ({"lr_scheduler": "step"}, "lr_scheduler_step is required"),
        ({"optimizer": "adam", "momentum": 0.5}, "momentum goes with optimizer='sgd' alone"),
        ({"label_map": "[]"}, "label_map: it must be like"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(data: DataFrame, changed: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidParams, match=what):
        segmenter(**changed).fit(data)


def test_masks_that_do_not_fit_are_refused_by_row(data: DataFrame, model: SemanticSegmenterModel) -> None:
    wrong = encode_png(np.zeros((5, 6), np.uint8))
    spoiled = data.coalesce(1).withColumn("mask", F.when(F.col("id") != 7, F.col("mask")).otherwise(F.lit(bytearray(wrong))))
    with pytest.raises(InvalidDataError, match="mask column 'mask' is of 6 x 5 pixels, its image of 48 x 48, in row"):
        segmenter(num_workers=1).fit(spoiled)
    with pytest.raises(InvalidDataError, match="mask column 'mask' is of 6 x 5 pixels, its image of 48 x 48, in row"):
        model.evaluate(spoiled)


def test_images_that_are_none_are_refused_by_row(data: DataFrame, model: SemanticSegmenterModel) -> None:
    spoiled = data.coalesce(1).withColumn("image", F.when(F.col("id") != 7, F.col("image")).otherwise(F.encode(F.lit("none"), "utf-8")))
    with pytest.raises(InvalidDataError, match=r"image column 'image' is no image that can be used: .* in row"):
        segmenter(num_workers=1).fit(spoiled)
    with pytest.raises(Exception, match=r"is no image that can be used: .* in row"):
        model.transform(spoiled).select("predicted_mask").collect()


def test_label_maps_say_what_masks_mean(data: DataFrame, spark: SparkSession) -> None:
    swapped = {"map": {"0": 0, "1": 2, "2": 1}}
    settings = {"epochs": 1, "num_workers": 1}
    rows = [
        (i, bytearray(image), bytearray(encode_png((3 - decode_mask(mask)) % 3)))
        for i, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True))
    ]
    other = spark.createDataFrame(rows, "id int, image binary, mask binary").join(data.select("id", "held"), "id")
    one = segmenter(**settings).fit(data.orderBy("id").coalesce(1))
    same = segmenter(**settings, label_map=json.dumps(swapped)).fit(other.orderBy("id").coalesce(1))
    assert same.training_summary.metrics == pytest.approx(one.training_summary.metrics)
    assert same.evaluate(other) == pytest.approx(one.evaluate(data), nan_ok=True)


def test_a_process_without_spark_and_an_endpoint_answer_as_the_service_does(
    data: DataFrame, model: SemanticSegmenterModel, tmp_path: Path
) -> None:
    model.save(str(tmp_path / "model"))
    rows = model.transform(data.where("id < 3").orderBy("id")).collect()
    served = serving.load(tmp_path / "model")
    found = served(image=IMAGES[:3])
    assert found["mask"].to_pylist() == [bytes(row.predicted_mask) for row in rows]
    app = serving.app(tmp_path / "model")
    png, tensors, short = asked(
        app,
        post(IMAGES[0], "image/jpeg", "image/png"),
        post(IMAGES[0], "image/jpeg", RECORDIO_PROTOBUF),
        post(IMAGES[0], "application/x-image", "application/x-protobuf"),
    )
    assert png.status_code == tensors.status_code == 200 and png.headers["content-type"] == "image/png"
    assert png.content == bytes(rows[0].predicted_mask)
    record = recordio_protobuf.decode(tensors.content)
    assert len(record) == 1 and not record.labels
    shape = np.asarray(record.features["shape"].values).ravel().tolist()
    target = np.asarray(record.features["target"].values)
    assert shape == [1, CLASSES, 48, 48] and target.dtype == np.float32
    np.testing.assert_array_equal(target.reshape(shape)[0].argmax(0), decode_mask(png.content))
    assert short.content == tensors.content and short.headers["content-type"] == "application/x-protobuf"
    wrong, none = asked(app, post(b"none", "image/jpeg", "image/png"), post(IMAGES[0], "image/jpeg", "text/csv"))
    assert wrong.status_code == 400 and "no image that can be used" in wrong.json()["message"]
    assert none.status_code == 406
    from PIL import Image

    assert Image.open(io.BytesIO(png.content)).mode == "L"
