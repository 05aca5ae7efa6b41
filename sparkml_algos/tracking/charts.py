"""Charts of answers against what is true, as JSON and as pages that need nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkml_algos import html_pages

# Points of a curve that are kept; a curve of more is thinned.
MOST_POINTS = 1000
MOST_CLASSES = 100


@dataclass(frozen=True)
class Chart:
    """A chart: what its files are called, what is in the JSON, and the page."""

    name: str
    content: dict[str, Any]
    html: str


def confusion_matrix(y_true: Any, y_pred: Any, title: str) -> Chart:
    """How often which label, a row each, was taken for which."""
    true, predicted = _same_length(y_true, y_pred)
    labels = sorted({*true.tolist(), *predicted.tolist()}, key=lambda label: (str(type(label)), label))
    if len(labels) > MOST_CLASSES:
        raise ValueError(f"a confusion matrix has at most {MOST_CLASSES} labels, these are {len(labels)}")
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, ([place[label] for label in true.tolist()], [place[label] for label in predicted.tolist()]), 1)
    content = {"type": "ConfusionMatrix", "version": 0, "title": title, "labels": labels, "confusionMatrix": counts.tolist()}
    table = html_pages.table(
        ["true \\ predicted", *map(str, labels)], [[str(label), *row] for label, row in zip(labels, counts.tolist(), strict=True)]
    )
    return Chart(_file(title), content, html_pages.page(title, table))


def roc_curve(y_true: Any, y_score: Any, title: str) -> Chart:
    """True by false positives, from the highest score down."""
    true, false, total, thresholds = _counts(*_same_length(y_true, y_score), 1)
    if not 0 < total < true[-1] + false[-1]:
        raise ValueError("a ROC curve needs rows of both classes")
    rates = np.concatenate([[0.0], true / total]), np.concatenate([[0.0], false / false[-1]])
    area = float(np.sum(np.diff(rates[1]) * (rates[0][1:] + rates[0][:-1]) / 2))
    kept = _thinned(len(thresholds) + 1)
    content = {
        "type": "ROCCurve",
        "version": 0,
        "title": title,
        "falsePositiveRate": rates[1][kept].tolist(),
        "truePositiveRate": rates[0][kept].tolist(),
        "areaUnderCurve": area,
    }
    points = list(zip(content["falsePositiveRate"], content["truePositiveRate"], strict=True))
    drawing = html_pages.curves({f"area {area:.4g}": points, "guessing": [(0.0, 0.0), (1.0, 1.0)]}, "false positives", "true positives")
    return Chart(_file(title), content, html_pages.page(title, drawing))


def precision_recall(y_true: Any, scores: Any, positive_label: Any, title: str, no_skill: float | None) -> Chart:
    """Precision by recall, from the highest score down."""
    true, false, total, thresholds = _counts(*_same_length(y_true, scores), 1 if positive_label is None else positive_label)
    if not total:
        raise ValueError("a curve of precision needs rows of the positive class")
    precision, recall = true / (true + false), true / total
    average = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))
    share = float(total / (true[-1] + false[-1])) if no_skill is None else float(no_skill)
    kept = _thinned(len(thresholds))
    content = {
        "type": "PrecisionRecallCurve",
        "version": 0,
        "title": title,
        "precision": precision[kept].tolist(),
        "recall": recall[kept].tolist(),
        "averagePrecisionScore": average,
        "noSkill": share,
    }
    points = list(zip(content["recall"], content["precision"], strict=True))
    drawing = html_pages.curves({f"average {average:.4g}": points, "guessing": [(0.0, share), (1.0, share)]}, "recall", "precision")
    return Chart(_file(title), content, html_pages.page(title, drawing))


def _same_length(true: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(true).reshape(-1), np.asarray(other).reshape(-1)
    if len(first) != len(second) or not len(first):
        raise ValueError(f"there must be as many predictions as labels, and some: {len(first)} labels, {len(second)} predictions")
    return first, second


def _counts(true: np.ndarray, scores: np.ndarray, positive: Any) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """True and false positives at each different score, from the highest down; and how many rows are positive."""
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    sorted_scores, is_positive = scores[order].astype(np.float64), true[order] == positive
    ends = np.concatenate([np.flatnonzero(np.diff(sorted_scores)), [len(scores) - 1]])
    hits = np.cumsum(is_positive)[ends]
    return hits, ends + 1 - hits, int(is_positive.sum()), sorted_scores[ends]


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.int64))


def _file(title: str) -> str:
    return re.sub(r"[^\w-]+", "-", title).strip("-").lower() or "chart"
