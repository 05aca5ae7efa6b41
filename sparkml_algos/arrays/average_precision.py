"""How well objects in images were found: average precision as PASCAL VOC has it and as COCO has it.

Of all detections of a class, the best first, some are hits: they overlap an object of their class, to which no better detection belongs,
enough. After each detection precision is the share of hits so far, and recall the share of objects that are hit. Average precision is the
area below precision as a function of recall, where precision at a recall is the best at that recall or a larger one: as a sum over all
recalls (VOC since 2010), as the mean over eleven recalls (VOC until 2009) or over 101 (COCO).

Detections and objects of single images are matched first (`matched`), where they are; what that gives is put together row after row, and
read by the other functions.

References
----------
M. Everingham et al., "The PASCAL visual object classes (VOC) challenge", IJCV 88, 2010. T.-Y. Lin et al., "Microsoft COCO: common objects
in context", ECCV 2014, and https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

#: The ways of taking the area.
AREA, ELEVEN_POINTS, COCO_POINTS = "area", "11_points", "101_points"
#: COCO's thresholds of the overlap, and the areas of objects in pixels that it looks at alone: all, small, medium, large.
COCO_OVERLAPS = np.linspace(0.5, 0.95, 10)
COCO_AREAS = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
ALL_AREAS = COCO_AREAS[:1]
#: Detections of an image and class that COCO looks at, at most.
COCO_MOST = 100

#: What `matched` gives, by name.
Matches = Mapping[str, np.ndarray]

_CLASS = "class_id"


def matched(
    detections: Sequence[np.ndarray],
    objects: Sequence[np.ndarray],
    overlaps: Sequence[float] | np.ndarray,
    sizes: Sequence[tuple[float, float]] = ALL_AREAS,
    most: int | None = None,
) -> dict[str, np.ndarray]:
    """Which detections hit an object, image by image.

    A detection, the best of its class first, takes of the objects of its class that are not taken the one that it overlaps most, if it
    does so enough. Where only objects of some size are looked at, the others are taken where nothing else is, and what takes one, or takes
    none and is of another size itself, is neither a hit nor a miss.

    Parameters
    ----------
    detections : sequence of ndarray, shape (detections, 6)
        Of each image: class, score, left, top, width, height.
    objects : sequence of ndarray, shape (objects, 5)
        Of each image: class, left, top, width, height, in the same unit.
    overlaps : sequence of float
        Intersections over union that are enough.
    sizes : sequence of (float, float)
        Smallest and largest area of the objects that are looked at.
    most : int, optional
        Detections of an image and a class that are looked at, the best ones.

    Returns
    -------
    dict of str to ndarray
        For each detection ``class_id``, ``score``, ``rank`` (place in its image and class), ``hit`` and ``ignored`` (detections, sizes ·
        overlaps; bits, eight in a byte); for each object ``of`` (its class) and ``counts`` (objects, sizes; whether it is of that size).
    """
    bounds = np.minimum(np.asarray(overlaps, np.float64), 1 - 1e-10)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (_CLASS, "score", "rank", "hit", "ignored", "of", "counts")}
    for found, there in zip(detections, objects, strict=True):
        found, there = np.asarray(found, np.float64).reshape(-1, 6), np.asarray(there, np.float64).reshape(-1, 5)
        is_outside = _outside(there[:, 3] * there[:, 4], sizes)
        parts["of"].append(there[:, 0].astype(np.int64))
        parts["counts"].append(~is_outside.T)
        for number in np.unique(found[:, 0]):
            own = found[found[:, 0] == number]
            own = own[np.argsort(-own[:, 1], kind="stable")][:most]
            of_class = there[:, 0] == number
            hit, ignored = _of_class(own[:, 2:], there[of_class, 1:], is_outside[:, of_class], bounds, sizes)
            parts[_CLASS].append(np.full(len(own), int(number)))
            parts["score"].append(own[:, 1])
            parts["rank"].append(np.arange(len(own)))
            parts["hit"].append(np.packbits(hit.reshape(len(own), -1), axis=1))
            parts["ignored"].append(np.packbits(ignored.reshape(len(own), -1), axis=1))
    bits = -(-len(sizes) * len(bounds) // 8)
    empty = {
        **{_CLASS: np.empty(0, np.int64), "score": np.empty(0), "rank": np.empty(0, np.int64), "of": np.empty(0, np.int64)},
        **{"hit": np.empty((0, bits), np.uint8), "ignored": np.empty((0, bits), np.uint8), "counts": np.empty((0, len(sizes)), bool)},
    }
    return {name: np.concatenate([empty[name], *part]).astype(empty[name].dtype) for name, part in parts.items()}


def together(parts: Sequence[Matches]) -> dict[str, np.ndarray]:
    """The matches of all images; at least one part."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def average_precisions(
    found: Matches, classes: int, sizes: int = 1, overlaps: int = 1, points: str = AREA, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and recall of each class.

    Parameters
    ----------
    found : dict of str to ndarray
        What `matched` has given for all images.
    classes, sizes, overlaps : int
        How many there are.
    points : {"area", "11_points", "101_points"}
    most : int, optional
        Detections of an image and class that are looked at.

    Returns
    -------
    (ndarray, ndarray), shape (sizes, overlaps, classes) each
        Average precision, and the largest recall; NaN where there is no object.
    """
    precisions, recalls = (np.full((sizes, overlaps, classes), np.nan) for _ in range(2))
    looked_at = slice(None) if most is None else found["rank"] < most
    numbers, scores = found[_CLASS][looked_at], found["score"][looked_at]
    hits, ignored = (
        np.unpackbits(found[name][looked_at], axis=1, count=sizes * overlaps).reshape(-1, sizes, overlaps).astype(bool)
        for name in ("hit", "ignored")
    )
    for number in range(classes):
        there = found["counts"][found["of"] == number].sum(0, dtype=np.int64)
        own = np.flatnonzero(numbers == number)
        order = own[np.argsort(-scores[own], kind="stable")]
        for size in np.flatnonzero(there).tolist():
            for overlap in range(overlaps):
                counts = ~ignored[order, size, overlap]
                is_hit = hits[order, size, overlap][counts]
                precision, recall = _of_hits(is_hit, int(there[size]), points)
                precisions[size, overlap, number], recalls[size, overlap, number] = precision, recall
    return precisions, recalls


def mean(values: np.ndarray) -> float:
    """The mean over what there is an object of; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def coco_figures(found: Matches, classes: int) -> dict[str, float]:
    """The twelve figures of COCO, of matches with `COCO_OVERLAPS`, `COCO_AREAS` and `COCO_MOST`.

    Returns
    -------
    dict of str to float
        ``AP`` (the mean over `COCO_OVERLAPS`), ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl`` (of small, medium and large objects), ``AR1``,
        ``AR10``, ``AR100`` (recalls with so many detections of an image and class at most), ``ARs``, ``ARm``, ``ARl``; NaN where there is
        no such object.
    """
    shape = classes, len(COCO_AREAS), len(COCO_OVERLAPS), COCO_POINTS
    by_most = {most: average_precisions(found, *shape, most=most) for most in (1, 10, COCO_MOST)}
    precisions, recalls = by_most[COCO_MOST]
    figures = {"AP": mean(precisions[0]), "AP50": mean(precisions[0, 0]), "AP75": mean(precisions[0, 5])}
    figures |= {f"AP{name}": mean(precisions[place]) for place, name in enumerate("sml", 1)}
    figures |= {f"AR{most}": mean(of_most[1][0]) for most, of_most in by_most.items()}
    return figures | {f"AR{name}": mean(recalls[place]) for place, name in enumerate("sml", 1)}


def _outside(areas: np.ndarray, sizes: Sequence[tuple[float, float]]) -> np.ndarray:
    """Which areas are not of a size, shape (sizes, areas)."""
    low, high = np.asarray(sizes, np.float64).T[:, :, None]
    return (areas < low) | (areas > high)


def _of_class(
    found: np.ndarray, there: np.ndarray, is_outside: np.ndarray, bounds: np.ndarray, sizes: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Hits, and what is neither hit nor miss, of the detections of a class in an image, shape (detections, sizes, overlaps) each."""
    shape = len(found), len(sizes), len(bounds)
    hits, takes_outside = np.zeros(shape, bool), np.zeros(shape, bool)
    shares = _shares(found, there)
    is_taken = np.zeros((len(sizes), len(bounds), len(there)), bool)
    # Objects that are looked at come before others, and of equal overlaps the last one counts, as in COCO's own program.
    before = np.where(is_outside, 0.0, 2.0)[:, None, :]
    for place in np.flatnonzero((shares >= bounds.min()).any(1)).tolist() if shares.size else ():
        may = (shares[place] >= bounds[:, None])[None] & ~is_taken
        worth = np.where(may, shares[place] + before, -1.0)
        best = worth.shape[2] - 1 - worth[:, :, ::-1].argmax(2)
        takes = np.take_along_axis(may, best[:, :, None], 2)[:, :, 0]
        outside = np.take_along_axis(is_outside, best, 1)
        hits[place], takes_outside[place] = takes & ~outside, takes & outside
        size, overlap = np.nonzero(takes)
        is_taken[size, overlap, best[size, overlap]] = True
    own_outside = _outside(found[:, 2] * found[:, 3], sizes).T[:, :, None]
    return hits, takes_outside | ~(hits | takes_outside) & own_outside


def _shares(found: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Intersections over union, shape (detections, objects), from left, top, width and height as they are: what rounding has made of a
    right edge would decide where an overlap is as much as the threshold."""
    one, other = found[:, None, :], there[None, :, :]
    wide = np.minimum(one[..., 0] + one[..., 2], other[..., 0] + other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 1] + one[..., 3], other[..., 1] + other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    covered = one[..., 2] * one[..., 3] + other[..., 2] * other[..., 3] - shared
    return np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)


def _of_hits(is_hit: np.ndarray, there: int, points: str) -> tuple[float, float]:
    """Average precision and recall of detections, the best first, of so many objects."""
    if not len(is_hit):
        return 0.0, 0.0
    so_far = np.cumsum(is_hit, dtype=np.float64)
    recall, precision = so_far / there, so_far / np.arange(1, len(is_hit) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if points == AREA:
        steps = np.diff(recall, prepend=0.0)
        return float(steps @ best), float(recall[-1])
    at = np.arange(11) / 10 if points == ELEVEN_POINTS else np.linspace(0, 1, 101)
    places = np.searchsorted(recall, at, side="left")
    return float(np.append(best, 0.0)[places].mean()), float(recall[-1])
