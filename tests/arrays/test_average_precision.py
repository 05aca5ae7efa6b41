"""Average precision, against COCO's own program and against the definition."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from sparkml_algos.arrays.average_precision import (
    ALL_AREAS,
    AREA,
    COCO_AREAS,
    COCO_MOST,
    COCO_OVERLAPS,
    ELEVEN_POINTS,
    average_precisions,
    coco_figures,
    matched,
    mean,
    together,
)

CLASSES = 3
IN_ORDER = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def made_up(seed, images=12):
    """Objects of all sizes, and detections: most of them near an object, of mostly the right class, and some anywhere."""
    random = np.random.default_rng(seed)
    detections, objects = [], []
    for _ in range(images):
        count = random.integers(0, 9)
        sizes = np.exp(random.uniform(np.log(6), np.log(180), (count, 2)))
        there = np.column_stack([random.integers(0, CLASSES, count), random.uniform(0, 300, (count, 2)), sizes])
        near = there[random.integers(0, count, 3 * count)] if count else np.empty((0, 5))
        moved = near[:, 1:] + random.normal(0, 0.1, (len(near), 4)) * np.tile(near[:, 3:], 2)
        classes = np.where(random.random(len(near)) < 0.8, near[:, 0], random.integers(0, CLASSES, len(near)))
        anywhere = np.column_stack([random.uniform(0, 300, (4, 2)), random.uniform(5, 200, (4, 2))])
        boxes = np.concatenate([moved, anywhere])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
        scores = random.random(len(boxes)).round(2)  # some are equal
        detections.append(np.column_stack([np.append(classes, random.integers(0, CLASSES, 4)), scores, boxes]))
        objects.append(there)
    return detections, objects


def by_cocos_program(detections, objects):
    """COCO's twelve figures, by the program of its makers."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        annotations = [
            {"image_id": image, "category_id": int(row[0]), "bbox": row[1:].tolist(), "area": float(row[3] * row[4]), "iscrowd": 0}
            for image, rows in enumerate(objects, 1)
            for row in rows
        ]
        truth.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, len(objects) + 1)],
            "categories": [{"id": number} for number in range(CLASSES)],
            "annotations": [{"id": place, **one} for place, one in enumerate(annotations, 1)],
        }
        truth.createIndex()
        found = truth.loadRes(
            [
                {"image_id": image, "category_id": int(row[0]), "score": float(row[1]), "bbox": row[2:].tolist()}
                for image, rows in enumerate(detections, 1)
                for row in rows
            ]
        )
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats == -1, np.nan, evaluation.stats)


@pytest.mark.parametrize("seed", range(5))
def test_the_twelve_figures_are_those_of_cocos_program(seed):
    detections, objects = made_up(seed)
    figures = coco_figures(matched(detections, objects, COCO_OVERLAPS, COCO_AREAS, COCO_MOST), CLASSES)
    wanted = by_cocos_program(detections, objects)
    assert list(figures) == IN_ORDER and 0.05 < figures["AP"] < 0.95
    np.testing.assert_allclose(list(figures.values()), wanted, atol=1e-6, rtol=0)


def test_more_detections_than_are_looked_at_and_images_of_nothing():
    random = np.random.default_rng(9)
    many = np.column_stack([np.zeros(150), random.random(150), random.uniform(0, 50, (150, 2)), random.uniform(20, 60, (150, 2))])
    detections, objects = [many, many[:3], many[:0]], [many[:4, [0, 2, 3, 4, 5]], many[:0, :5], many[:2, [0, 2, 3, 4, 5]]]
    figures = coco_figures(matched(detections, objects, COCO_OVERLAPS, COCO_AREAS, COCO_MOST), CLASSES)
    np.testing.assert_allclose(list(figures.values()), by_cocos_program(detections, objects), atol=1e-6, rtol=0)


def by_definition(detections, objects, overlap, points):
    """Average precision of each class, detection after detection."""
    found = []
    for number in range(CLASSES):
        there = [rows[rows[:, 0] == number, 1:] for rows in objects]
        total = sum(map(len, there))
        rows = [(row[1], image, row[2:]) for image, rows in enumerate(detections) for row in rows if row[0] == number]
        free, hits = [list(range(len(one))) for one in there], []
        for _, image, box in sorted(rows, key=lambda row: -row[0]):
            best, most = None, overlap
            for place in free[image]:
                share = overlap_of(box, there[image][place])
                if share >= most:
                    best, most = place, share
            hits.append(best is not None)
            if best is not None:
                free[image].remove(best)
        recalls = [sum(hits[: n + 1]) / total for n in range(len(hits))]
        precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]

        def best_from(recall, recalls=recalls, precisions=precisions):
            return max((p for r, p in zip(recalls, precisions, strict=True) if r >= recall), default=0.0)

        if points == ELEVEN_POINTS:
            found.append(sum(best_from(tenth / 10) for tenth in range(11)) / 11)
        else:
            found.append(sum(best_from(k / total) / total for k in range(1, sum(hits) + 1)))
    return found


def overlap_of(one, other):
    wide = max(0.0, min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1]))
    return wide * high / (one[2] * one[3] + other[2] * other[3] - wide * high)


@pytest.mark.parametrize("points", [AREA, ELEVEN_POINTS])
@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.75])
def test_voc_average_precision_is_that_of_its_definition(overlap, points):
    detections, objects = made_up(3)
    for rows in detections:  # without equal scores, of which the definition does not say which comes first
        rows[:, 1] += np.random.default_rng(len(rows)).random(len(rows)) * 1e-3
    precisions, _ = average_precisions(matched(detections, objects, [overlap]), CLASSES, points=points)
    np.testing.assert_allclose(precisions[0, 0], by_definition(detections, objects, overlap, points), rtol=1e-9)


def test_perfect_detections_are_worth_one_and_none_are_worth_nothing():
    _, objects = made_up(1)
    perfect = [np.insert(rows, 1, 0.9, axis=1) for rows in objects]
    for points in (AREA, ELEVEN_POINTS):
        assert average_precisions(matched(perfect, objects, [0.5]), CLASSES, points=points)[0].tolist() == [[[1.0] * CLASSES]]
    nothing = [rows[:0] for rows in perfect]
    assert average_precisions(matched(nothing, objects, [0.5]), CLASSES)[0].tolist() == [[[0.0] * CLASSES]]


def test_a_class_of_which_there_is_nothing_has_no_average_precision():
    found = matched([np.array([[0, 0.9, 0, 0, 5, 5], [2, 0.8, 0, 0, 5, 5]])], [np.array([[0, 0, 0, 5, 5]])], [0.5])
    precisions, recalls = average_precisions(found, CLASSES)
    assert precisions[0, 0, 0] == 1 and np.isnan(precisions[0, 0, 1:]).all() and np.isnan(recalls[0, 0, 2])
    assert mean(precisions) == 1 and np.isnan(mean(precisions[..., 1:]))


def test_a_second_detection_of_an_object_is_a_miss():
    twice = [np.array([[0, 0.9, 0, 0, 10, 10], [0, 0.8, 0, 0, 10, 10]])]
    found = matched(twice, [np.array([[0, 0, 0, 10, 10], [0, 50, 50, 10, 10]])], [0.5])
    assert np.unpackbits(found["hit"], axis=1, count=1).ravel().tolist() == [1, 0]


def test_matches_of_parts_are_those_of_the_whole():
    detections, objects = made_up(2)
    whole = matched(detections, objects, COCO_OVERLAPS, COCO_AREAS)
    parts = [matched(detections[part], objects[part], COCO_OVERLAPS, COCO_AREAS) for part in (slice(0, 5), slice(5, 5), slice(5, None))]
    for name, array in together(parts).items():
        np.testing.assert_array_equal(array, whole[name])
    empty = matched([], [], [0.5], ALL_AREAS)
    assert average_precisions(empty, 2)[0].shape == (1, 1, 2)
