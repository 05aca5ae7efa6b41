"""Object detection as a Spark ML Estimator: what the generic checks do not know about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos import InvalidDataError, InvalidParams, ObjectDetector, ObjectDetectorModel, serving
from sparkml_algos.networks.resnet import ResNet
from tests.toys.scenes import scenes

IMAGES, BOXES = scenes(60, 2)
TYPES = "id int, image binary, boxes array<struct<class_id: int, left: float, top: float, width: float, height: float>>, held boolean"


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    rows = [
        (place, bytearray(image), [(int(box[0]), *map(float, box[1:])) for box in boxes], place % 5 == 0)
        for place, (image, boxes) in enumerate(zip(IMAGES, BOXES, strict=True))
    ]
    frame = spark.createDataFrame(rows, TYPES).repartition(3)
    corner = (
        "named_struct('class', box.class_id, 'xmin', box.left, 'ymin', box.top, 'xmax', box.left + box.width, 'ymax', box.top + box.height)"
    )
    frame = frame.withColumn("corners", F.expr(f"transform(boxes, box -> {corner})"))
    parts = "array(float(box.class_id), box.left / 64, box.top / 64, box.width / 64, box.height / 64)"
    return frame.withColumn("fractions", F.expr(f"transform(boxes, box -> {parts})")).cache()


def learner(**settings: Any) -> ObjectDetector:
    network = {"base_network": "resnet-50", "base_width": 0.125, "image_shape": 64, "use_pretrained_model": 0}
    training = {"optimizer": "adam", "learning_rate": 0.003, "mini_batch_size": 8, "epochs": 2, "max_expansion": 1.3}
    return ObjectDetector(**{**network, **training, "validationIndicatorCol": "held", "num_workers": 2, **settings})


@pytest.fixture(scope="module")
def model(data: DataFrame) -> ObjectDetectorModel:
    return learner().fit(data)


@pytest.mark.generic
def test_detections_are_structs_that_explode(data: DataFrame, model: ObjectDetectorModel) -> None:
    found = model.transform(data).select("id", F.explode("detections").alias("found")).select("id", "found.*")
    assert found.columns == ["id", "class_id", "score", "left", "top", "width", "height"]
    rows = found.collect()
    assert {row.id for row in rows} == set(range(60)) and {row.class_id for row in rows} <= {0, 1}
    assert all(0.01 <= row.score <= 1 and row.width > 0 and row.left >= 0 and row.left + row.width <= 64.001 for row in rows)
    assert model.numClasses == model.value("num_classes") == 2 and 1 <= model.served_epoch <= 2


@pytest.mark.generic
def test_metrics_are_those_of_training_and_of_coco(data: DataFrame, model: ObjectDetectorModel) -> None:
    held = model.evaluate(data.where("held"))
    summary = model.training_summary
    assert held["test:mAP"] == pytest.approx(summary.metrics["validation:mAP"], abs=1e-3)
    names = {"test:mAP", "test:AP_0", "test:AP_1", "test:coco_AP", "test:coco_AP50", "test:coco_AR100"}
    assert names <= set(held) and 0 <= held["test:coco_AP"] <= held["test:coco_AP50"] + 1e-9
    assert held["test:mAP"] == pytest.approx((held["test:AP_0"] + held["test:AP_1"]) / 2)
    assert model.summary.objectiveHistory[0] > model.summary.objectiveHistory[-1]
    easier = model.copy().setOverlapThreshold(0.2)
    assert easier.evaluate(data.where("held"))["test:mAP"] >= held["test:mAP"]
    eleven = model.copy().setAveragePrecision("11_points").evaluate(data.where("held"))
    assert eleven["test:mAP"] != held["test:mAP"] or held["test:mAP"] in (0, 1)


def test_boxes_in_other_forms_give_the_same_model(data: DataFrame) -> None:
    one = learner(num_workers=1, epochs=1, validationIndicatorCol=None)
    ordered = data.coalesce(1).orderBy("id")
    models = [one.copy().setBoxesCol(name).fit(ordered) for name in ("boxes", "corners")]
    models.append(one.copy().setBoxesCol("fractions").setBoxUnits("fractions").fit(ordered))
    for other in models[1:]:
        for name, array in models[0].artifact.arrays.items():
            np.testing.assert_allclose(other.artifact.arrays[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.classic
def test_images_of_sparks_source_are_taken(data: DataFrame, model: ObjectDetectorModel, spark: SparkSession, tmp_path: Path) -> None:
    for place in range(4):
        (tmp_path / f"{place}.png").write_bytes(IMAGES[place])
    read = spark.read.format("image").load(str(tmp_path))
    files = spark.read.format("binaryFile").load(str(tmp_path)).withColumnRenamed("content", "image").withColumn("name", F.col("path"))
    expected = {row.name.rpartition("/")[2]: row.detections for row in model.transform(files).collect()}
    for row in model.transform(read).collect():
        assert len(row.detections) == len(expected[row.image.origin.rpartition("/")[2]])
        for one, other in zip(row.detections, expected[row.image.origin.rpartition("/")[2]], strict=True):
            np.testing.assert_allclose(list(one), list(other), rtol=1e-4, atol=1e-4)


def test_a_process_without_spark_finds_the_same(data: DataFrame, model: ObjectDetectorModel, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    served = serving.load(tmp_path / "model")(image=IMAGES[:5])
    expected = [row.detections for row in model.transform(data).where("id < 5").orderBy("id").collect()]
    for ours, theirs in zip(served["detections"].to_pylist(), expected, strict=True):
        np.testing.assert_allclose([list(one.values()) for one in ours], [list(one) for one in theirs], rtol=1e-4, atol=1e-3)
    assert ObjectDetectorModel.load(str(tmp_path / "model")).numClasses == 2


def test_training_goes_on_from_a_model(data: DataFrame, model: ObjectDetectorModel, tmp_path: Path) -> None:
    same = learner(use_pretrained_model=1, learning_rate=1e-9, optimizer="sgd", epochs=1).setInitialModel(model)
    same.save(str(tmp_path / "learner"))
    again = ObjectDetector.load(str(tmp_path / "learner")).fit(data)
    name = "network/heads.0.weight"
    piped = same.copy({same.input_mode: "Pipe"}).fit(data)
    for found in (again, piped):
        assert found.numClasses == 2
        np.testing.assert_allclose(found.artifact.arrays[name], model.artifact.arrays[name], atol=1e-5)
    with pytest.raises(InvalidParams, match=r"base_width=0\.25 differs from the initial model's 0\.125"):
        same.copy().setBaseWidth(0.25).fit(data)


@pytest.mark.slow
def test_the_base_starts_with_the_weights_of_a_file(data: DataFrame, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = ResNet(50).state_dict()
    torch.save({**weights, "fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}, tmp_path / "resnet50.pth")
    options = {"base_width": 1.0, "use_pretrained_model": 1, "epochs": 1, "learning_rate": 1e-9, "optimizer": "sgd", "mini_batch_size": 4}
    found = learner(**options, pretrained_weights=f"file://{tmp_path}/resnet50.pth", num_workers=1).fit(data.where("id < 4"))
    np.testing.assert_allclose(found.artifact.arrays["network/base.layer3.4.conv2.weight"], weights["layer3.4.conv2.weight"], atol=1e-6)


@pytest.mark.parametrize(
    "changed, what",
    [
        ({"imageCol": "id"}, "imageCol: column 'id' is int; it must be binary"),
        ({"boxesCol": "image"}, "boxesCol: column 'image' is binary; it must be an array of structs of class_id, left, top"),
        ({"use_pretrained_model": 1, "base_width": 1.0}, "use_pretrained_model=1 needs pretrained_weights"),
        ({"early_stopping": True, "validationIndicatorCol": None}, "early_stopping=True watches the mAP of rows for validation"),
        ({"kv_store": "dist_async"}, "kv_store='dist_async' is not supported"),
        ({"momentum": 0.5}, "momentum goes with optimizer='sgd' alone"),
        ({"input_mode": "Pipe"}, "num_classes is required with input_mode='Pipe'"),
        ({"image_shape": 20}, "image_shape must be an int >= 32, got 20"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(data: DataFrame, changed: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidParams, match=what):
        learner(**changed).fit(data)


def test_rows_that_cannot_be_are_named(data: DataFrame, model: ObjectDetectorModel) -> None:
    outside = data.withColumn(
        "boxes", F.expr("transform(boxes, box -> named_struct('class_id', 0, 'left', 64, 'top', 0, 'width', 5, 'height', 5))")
    )
    with pytest.raises(
        InvalidDataError, match=r"box 0, at left 64, top 0 of 5 x 5, has nothing within its image, which is 64 wide.* in row \d+"
    ):
        learner().fit(outside)
    with pytest.raises(InvalidDataError, match="has nothing within its image"):
        model.evaluate(outside)
    with pytest.raises(InvalidDataError, match=r"box \d, has class_id 1, expected a whole number from 0 to 0, in row \d+"):
        learner(num_classes=1).fit(data)
    cut = data.coalesce(1).withColumn("image", F.when(F.col("id") != 7, F.col("image")).otherwise(F.expr("substring(image, 1, 300)")))
    with pytest.raises(InvalidDataError, match=r"image column 'image' is no image that can be used: .* in row \d+ of worker \d"):
        learner().fit(cut)
    with pytest.raises(Exception, match=r"is no image that can be used: .* in row \d+"):
        model.transform(cut.orderBy("id")).select("detections").collect()


def test_the_endpoint_answers_as_the_service_does(model: ObjectDetectorModel, tmp_path: Path) -> None:
    from sparkml_algos.formats.content_types import ContentType
    from sparkml_algos.serving.servable import load_servable

    model.save(str(tmp_path / "model"))
    served = load_servable(tmp_path / "model")
    rows = serving.load(tmp_path / "model")(image=IMAGES[:1])["prediction"][0]

    def answer(body: bytes, content_type: str, accept: str = "application/json") -> Any:
        wanted = served.response_type(ContentType.parse(content_type), ContentType.parse(accept))
        request = served.decode(body, ContentType.parse(content_type))
        return json.loads(
            served.respond(request, [served.score(work.columns, work.variant) for work in served.work(request, wanted)], wanted)
        )

    for content_type in ("image/png", "image/jpeg", "application/x-image"):
        found = answer(IMAGES[0], content_type)
        assert list(found) == ["prediction"]
        np.testing.assert_allclose(found["prediction"], rows, rtol=1e-6)
    annotated = answer(IMAGES[0], "image/png", "application/json;annotation=1")
    assert annotated["image_size"] == [{"width": 64, "height": 64, "depth": 3}] and len(annotated["annotations"]) == len(rows)
    first = annotated["annotations"][0]
    assert list(first) == ["class_id", "score", "left", "top", "width", "height"]
    assert (first["class_id"], first["score"]) == (rows[0][0], pytest.approx(rows[0][1]))
    assert [first["left"], first["top"]] == pytest.approx((rows[0][2:4] * 64).tolist())
