"""Graphs of networks for images: every network and head, sizes that differ from call to call, what 8 bits cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import sparkml_algos
from sparkml_algos import serving
from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
from sparkml_algos.algorithms.object_detection.network import Detector
from sparkml_algos.algorithms.object_detection.settings import RESNET50, VGG16, settings_of
from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION
from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationNetwork
from sparkml_algos.algorithms.semantic_segmentation.settings import DEEPLAB, FCN, PSP, Settings
from sparkml_algos.algorithms.semantic_segmentation.training import SEMANTIC_SEGMENTATION
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.saved import read_metadata
from sparkml_algos.export import CannotExport, export
from sparkml_algos.export.algorithms.detection import ObjectDetector
from sparkml_algos.export.translation import SINGLE
from sparkml_algos.images.decoding import decode, decode_mask, encode_png
from sparkml_algos.networks.resnet import ResNet
from sparkml_algos.rows.images import views
from sparkml_algos.training.run import train_arrays
from tests.export.models import saved_as, varied
from tests.export.test_algorithms import exact
from tests.saved.expected import SAVED
from tests.shapes import files
from tests.toys.scenes import scenes
from tests.toys.shapes import CLASSES, shapes


def settings_like(name: str, **changed: Any) -> dict[str, Any]:
    """Hyperparameters of the model that is kept for the tests, some of them others; those it is older than are as they are by default."""
    metadata, estimator = read_metadata(SAVED / name), getattr(sparkml_algos, name.removesuffix("Model"))
    defaults = {key: param.default for key, param in estimator.declared.items()}
    return {**defaults, **metadata["defaultParamMap"], **metadata["paramMap"], **changed}


def run(path: Path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path))
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))


# --------------------------------------------------------------------------------------------------------------- classification


@pytest.mark.parametrize(("depth", "shape"), [(18, "3,40,32"), (50, "3,32,32"), (32, "1,12,12")])
def test_residual_networks_of_every_kind(depth: int, shape: str, tmp_path: Path) -> None:
    arrays = varied(lambda: ResNet(depth, 5, int(shape[0])), tuple(map(int, shape.split(","))))
    settings = {"num_layers": depth, "image_shape": shape, "num_classes": 5}
    exact(saved_as(tmp_path / "model", "ImageClassifierModel", Artifact(arrays, {"classes": 5}), **settings), tmp_path)


def test_8_bits_say_what_they_cost_a_classifier(tmp_path: Path) -> None:
    changed = {"image_shape": "3,16,16", "epochs": 8, "mini_batch_size": 32, "learning_rate": 0.05, "num_classes": CLASSES}
    pixels, label = shapes(400, 16, seed=0)
    settings = settings_like("ImageClassifierModel", **changed)
    artifact = train_arrays(IMAGE_CLASSIFICATION, settings, image=[encode_png(image) for image in pixels], label=label)
    path = saved_as(tmp_path / "model", "ImageClassifierModel", artifact, **changed)
    others, truth = shapes(200, 16, seed=1)
    rows = {"image": [encode_png(image) for image in others], "label": truth}
    reports = {name: export(path, tmp_path / f"{name}.onnx", precision=name, rows=rows) for name in ("float32", "int8")}
    (ours, same), (_, small) = (report.quality["accuracy"] for report in reports.values())
    assert ours > 0.4 and abs(same - ours) <= 0.005 and abs(small - ours) <= 0.05
    assert reports["int8"].bytes < 0.5 * reports["float32"].bytes and 0 < reports["int8"].largest < 0.5


def test_several_labels_tell_their_quality(tmp_path: Path) -> None:
    path = saved_as(tmp_path / "model", "ImageClassifierModel", multi_label=1)
    rows = {"image": [encode_png(np.full((8, 8, 3), 20 * place, np.uint8)) for place in range(12)], "label": np.eye(3)[np.arange(12) % 3]}
    ours, theirs = export(path, tmp_path / "model.onnx", rows=rows).quality["accuracy"]
    assert ours == theirs == np.mean((serving.load(path)(image=rows["image"])["probability"] > 0.5) == rows["label"])


# ----------------------------------------------------------------------------------------------------------------- segmentation


def segmenter(folder: Path, backbone: str, algorithm: str, classes: int = 4) -> Path:
    arrays = varied(lambda: SegmentationNetwork(Settings(backbone, algorithm, classes, True)), (3, 64, 64))
    settings = {"small_backbone": backbone == "small", "algorithm": algorithm, "num_classes": classes, "auxiliary_loss_weight": 0.4}
    settings |= {} if backbone == "small" else {"backbone": backbone}
    return saved_as(folder, "SemanticSegmenterModel", Artifact(arrays, {"num_classes": classes}), **settings)


@pytest.mark.parametrize(("backbone", "algorithm"), [("small", FCN), ("small", PSP), ("small", DEEPLAB), ("resnet-50", FCN)])
def test_masks_of_every_head(backbone: str, algorithm: str, tmp_path: Path) -> None:
    path = segmenter(tmp_path / "model", backbone, algorithm)
    assert {one.output for one in exact(path, tmp_path).differences} == {"mask", "probability"}
    if backbone != "small":
        return
    random = np.random.default_rng(3)
    for height, width in ((16, 16), (9, 70), (65, 30)):
        images = random.integers(0, 255, (2, height, width, 3)).astype(np.uint8)
        found = run(tmp_path / "model.onnx", image=images)
        ours = serving.load(path)(image=list(images))
        assert found["mask"].shape == (2, height, width) and found["probability"].shape == (2, 4, height, width)
        expected = ours["probability"].field("target").flatten().to_numpy().reshape(found["probability"].shape)
        np.testing.assert_allclose(found["probability"], expected, atol=SINGLE)
        assert np.mean(found["mask"] == np.stack([decode_mask(mask) for mask in views(ours["mask"])])) > 0.999


def test_a_graph_of_masks_that_is_not_equal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparkml_algos.export.algorithms import segmentation

    path, right = segmenter(tmp_path / "model", "small", FCN), segmentation.SemanticSegmenter.outputs

    def wrong(self: Any, graph: Any, inputs: Any) -> dict[str, str]:
        found = right(self, graph, inputs)
        return {**found, "mask": graph.cast(graph("ArgMin", found["probability"], axis=1, keepdims=0), np.uint8)}

    monkeypatch.setattr(segmentation.SemanticSegmenter, "outputs", wrong)
    with pytest.raises(CannotExport, match="choices in 8 of 8 rows"):
        export(path, tmp_path / "model.onnx")


def test_masks_tell_the_quality_of_both_and_8_bits_cost_little(tmp_path: Path) -> None:
    changed = {"epochs": 12, "base_size": 48, "crop_size": 48, "mini_batch_size": 8, "algorithm": FCN, "num_classes": 3}
    images, masks = files(64, seed=1)
    settings = settings_like("SemanticSegmenterModel", **changed, label_map=None, validation_label_map=None)
    artifact = train_arrays(SEMANTIC_SEGMENTATION, settings, image=images, mask=masks)
    path = saved_as(tmp_path / "model", "SemanticSegmenterModel", artifact, **changed)
    others, truth = files(16, seed=7)
    rows = {"image": others, "label": truth}
    reports = {name: export(path, tmp_path / f"{name}.onnx", precision=name, rows=rows) for name in ("float64", "int8")}
    (ours, same), (_, small) = (report.quality["mIOU"] for report in reports.values())
    assert ours > 0.6 and abs(same - ours) < 1e-3 and abs(small - ours) < 0.05
    assert reports["int8"].bytes < 0.4 * reports["float64"].bytes
    (mask,) = (one for one in reports["int8"].differences if one.output == "mask")
    assert 0 < mask.mean < 0.05 and f"{mask.mean:.2%} of all" in str(reports["int8"])
    with pytest.raises(ValueError, match="must be of one size"):
        export(path, tmp_path / "model.onnx", rows={"image": [others[0], encode_png(decode(others[1])[:20])]})


# -------------------------------------------------------------------------------------------------------------------- detection

DETECTORS = {
    "vgg": {"base_network": VGG16, "base_width": 0.125, "image_shape": 75},
    "resnet": {"base_network": RESNET50, "base_width": 0.0625, "image_shape": 64},
    "a side of many maps": {"base_network": RESNET50, "base_width": 0.0625, "image_shape": 97},
}
SUPPRESSIONS = {
    "by class": {"nms_threshold": 0.45, "nms_topk": 100},
    "across classes": {"nms_threshold": 0.3, "force_suppress": True, "nms_topk": 60, "score_threshold": 0.1},
    "all there are": {"nms_threshold": 1.0, "nms_topk": 1_000_000, "score_threshold": 0.0},
    "nothing": {"score_threshold": 1.0},
}


def detector(folder: Path, kind: str, classes: int = 3, **changed: Any) -> Path:
    settings = settings_like("ObjectDetectorModel", **DETECTORS[kind], **changed)
    side = DETECTORS[kind]["image_shape"]
    arrays = varied(lambda: Detector(settings_of(Hyperparameters(**settings), classes)), (3, side, side))
    return saved_as(folder, "ObjectDetectorModel", Artifact(arrays, {"num_classes": classes}), **DETECTORS[kind], **changed)


# All boxes of one detector alone: they are compared pair by pair.
DETECTIONS = [(kind, name) for kind in DETECTORS for name in SUPPRESSIONS if kind == "resnet" or name != "all there are"]


@pytest.mark.parametrize(("kind", "suppression"), DETECTIONS)
def test_detections_of_every_base_and_suppression(kind: str, suppression: str, tmp_path: Path) -> None:
    path = detector(tmp_path / "model", kind, **{"score_threshold": 0.01, **SUPPRESSIONS[suppression]})
    exact(path, tmp_path)


def test_detections_are_those_of_the_model(tmp_path: Path) -> None:
    path = detector(tmp_path / "model", "resnet", nms_topk=100, score_threshold=0.2)
    images = [decode(image) for image in scenes(4, 3)[0]]
    exact(path, tmp_path)
    found = run(tmp_path / "model.onnx", image=np.stack(images))["prediction"]
    ours = list(serving.load(path)(image=images)["prediction"])
    assert sum(map(len, ours)) > 40
    for row, expected in zip(found, ours, strict=True):
        kept = row[row[:, 0] >= 0]
        assert len(kept) == len(expected) and (row[len(kept) :, 0] == -1).all()
        apart = np.abs(kept[:, None] - expected[None]).max(axis=2)  # their order is that of scores, which may be equal but for rounding
        assert apart.min(axis=0).max() < SINGLE and apart.min(axis=1).max() < SINGLE
        np.testing.assert_allclose(kept[:, 1], expected[:, 1], atol=SINGLE)


def test_a_graph_that_suppresses_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, right = detector(tmp_path / "model", "resnet", nms_topk=100, score_threshold=0.01), ObjectDetector._not_suppressed
    monkeypatch.setattr(
        ObjectDetector,
        "_not_suppressed",
        lambda self, graph, scores, *rest: graph("Mul", right(self, graph, scores, *rest), graph.filled(scores, 0.0, 100)),
    )
    with pytest.raises(CannotExport, match="choices in 8 of 8 rows"):
        export(path, tmp_path / "model.onnx")


def test_boxes_tell_the_quality_of_both_and_8_bits_cost_little(tmp_path: Path) -> None:
    changed = {"base_network": RESNET50, "base_width": 0.125, "image_shape": 64, "epochs": 15, "mini_batch_size": 8, "max_expansion": 1.0}
    changed |= {"optimizer": "adam", "learning_rate": 0.003, "nms_topk": 100, "score_threshold": 0.01}
    images, boxes = scenes(96, 0)
    artifact = train_arrays(OBJECT_DETECTION, settings_like("ObjectDetectorModel", **changed), image=images, boxes=boxes)
    path = saved_as(tmp_path / "model", "ObjectDetectorModel", artifact, **changed)
    others, truth = scenes(24, 9)
    rows = {"image": others, "label": truth}
    reports = {name: export(path, tmp_path / f"{name}.onnx", precision=name, rows=rows) for name in ("float32", "int8")}
    (ours, same), (_, small) = (report.quality["mAP"] for report in reports.values())
    assert ours > 0.3 and abs(same - ours) < 0.01 and abs(small - ours) < 0.1
    assert reports["int8"].bytes < 0.6 * reports["float32"].bytes
