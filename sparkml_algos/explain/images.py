"""Attributions of images: which parts of an image have moved a predictor's answer."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from sparkml_algos.cluster.jobs import described
from sparkml_algos.cluster.shipping import ensure_importable
from sparkml_algos.core.columns import column
from sparkml_algos.explain.attribution import outputs_of
from sparkml_algos.explain.kernel import Coalitions, coalitions
from sparkml_algos.explain.superpixels import COMPACTNESS, NUM_SEGMENTS, superpixels
from sparkml_algos.images.decoding import UnreadableImage, decode
from sparkml_algos.rows.kinds import InvalidRows

# Images that a predictor is given at a time.
_BATCH = 64
# Of the numbers of `monotonically_increasing_id`, those that count the rows of a partition.
_ROW_BITS = 33
_ROW, _ID, _PLACE, _FOUND = (f"_sparkml_algos_{name}" for name in ("row", "id", "place", "found"))
SEGMENTS, ATTRIBUTIONS, EXPECTED = "segments", "attributions", "expected"
_EXPLAINED = f"struct<{SEGMENTS}:array<array<int>>,{ATTRIBUTIONS}:array<array<double>>,{EXPECTED}:array<double>>"
Baseline = Sequence[int] | np.ndarray | Literal["noise"]


@dataclass(frozen=True)
class ImageExplanation:
    """Attributions of the parts of an image.

    Attributes
    ----------
    segments : ndarray of int64, shape (height, width)
        To which part a pixel belongs.
    attributions : ndarray of float64, shape (parts, outputs)
        They add up to the outputs less the expected ones.
    expected : ndarray of float64, shape (outputs,)
        Outputs of the image with every part left out.
    """

    segments: np.ndarray
    attributions: np.ndarray
    expected: np.ndarray

    def heat_map(self, output: int = 0) -> np.ndarray:
        """The attribution of the part that each pixel belongs to.

        Parameters
        ----------
        output : int

        Returns
        -------
        ndarray of float64, shape (height, width)
        """
        return self.attributions[self.segments, output]


def explain_image(
    predict: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    num_segments: int = NUM_SEGMENTS,
    compactness: float = COMPACTNESS,
    num_samples: int | None = None,
    baseline: Baseline = "noise",
    seed: int = 0,
) -> ImageExplanation:
    """Say how much each part of an image has moved the answer of a predictor, by kernel SHAP.

    Parameters
    ----------
    predict : callable
        Gives from images of shape (images, height, width, 3), uint8, numbers of shape (images,) or (images, outputs).
    image : ndarray of uint8, shape (height, width, 3)
    num_segments, compactness : int, float
        Of the parts; see `superpixels`.
    num_samples : int, optional
        Mixtures: 2 · parts + 2,048, at most 2^parts − 2; fewer are quicker.
    baseline : sequence of int, ndarray, or "noise"
        What stands for a part that is left out: a colour of three numbers, an image of the same shape, or white noise.
    seed : int
        Of the noise and the mixtures.

    Returns
    -------
    ImageExplanation

    Raises
    ------
    ValueError
        If the image or the baseline has another shape.
    """
    segments = superpixels(image, num_segments, compactness)
    chosen = _coalitions(int(segments.max()) + 1, num_samples, seed)
    behind = _behind(image.shape, baseline, seed)
    masks = _masks(chosen)
    outputs = []
    for start in range(0, len(masks), _BATCH):
        mixed = np.stack([_mixed(image, behind, segments, mask) for mask in masks[start : start + _BATCH]])
        outputs.append(np.asarray(predict(mixed), np.float64).reshape(len(mixed), -1))
    found = np.concatenate(outputs)
    return ImageExplanation(segments, chosen.attributions(found[2:], found[0], found[1]), found[0])


def explain_images(
    model: Any,
    dataset: DataFrame,
    *,
    image: str | None = None,
    output: str | None = None,
    num_segments: int = NUM_SEGMENTS,
    compactness: float = COMPACTNESS,
    num_samples: int | None = None,
    baseline: Sequence[int] | Literal["noise"] = "noise",
    seed: int = 0,
) -> DataFrame:
    """The same of a column of images, for any Model that reads them.

    Parameters
    ----------
    model : Model or PipelineModel
        Whatever has `transform` and reads a column of images as files have them, JPEG or PNG.
    dataset : DataFrame
        The rows to explain.
    image : str, optional
        Column of the images, binary; by default the model's `imageCol`.
    output : str, optional
        Column of `transform` that is explained, a number or a Vector; by default ``probability``, or ``prediction`` where there is none.
    num_segments, compactness, num_samples, baseline, seed
        See `explain_image`; a baseline is a colour or noise.

    Returns
    -------
    DataFrame
        The rows with ``segments`` (the part of each pixel, row by row), ``attributions`` (of each part an array of a number for each
        output) and ``expected``. It is computed when it is read, each time anew unless it is cached.

    Raises
    ------
    ValueError
        If a column is missing or not binary.
    ImportError
        If Pillow, which reads images, is not installed where they are scored.

    Notes
    -----
    Each image becomes as many images as there are mixtures, as PNG, which the model scores on the executors. Rows without an image are left
    out; one that cannot be decoded is an error that names its row and partition, where the explanations are read.
    """
    name = image if image is not None else _image_column(model)
    if name not in dataset.columns:
        raise ValueError(f"there is no column {name!r}; the columns are {', '.join(dataset.columns)}")
    type_ = dataset.schema[name].dataType
    if not isinstance(type_, BinaryType):
        raise ValueError(f"column {name!r} is {type_.simpleString()}; images are binary, as files have them")
    parts = _Parts(num_segments, compactness, num_samples, baseline if isinstance(baseline, str) else tuple(baseline), seed)
    parts.check()
    spark = dataset.sparkSession
    ensure_importable(spark)
    with described(spark, "explain images"):
        last = F.udf(lambda encoded, number: parts.count(bytes(encoded), name, number) - 1, "int")
        mix = F.udf(lambda encoded, place: parts.mixture(bytes(encoded), place), "binary")
        solve = F.udf(lambda encoded, found: parts.explained(bytes(encoded), found), _EXPLAINED)
        # Rows are numbered before those without an image are left out, so that a message names them as they are.
        numbered = dataset.select(F.monotonically_increasing_id().alias(_ID), F.struct(*map(column, dataset.columns)).alias(_ROW), "*")
        rows = numbered.where(column(name).isNotNull())
        placed = rows.withColumn(_PLACE, F.explode(F.sequence(F.lit(0), last(column(name), _ID))))
        kept = [mix(column(name), column(_PLACE)).alias(name) if one == name else column(one) for one in dataset.columns]
        scored = model.transform(placed.select(_ID, _ROW, _PLACE, *kept))
        outputs = outputs_of(scored, dataset, output, model)
        found = F.collect_list(F.struct(column(_PLACE).alias("place"), F.array(*outputs).alias("outputs")))
        solved = scored.groupBy(_ID).agg(F.first(_ROW).alias(_ROW), found.alias(_FOUND))
        told = solved.select(_ROW, solve(F.col(_ROW)[name], _FOUND).alias(_FOUND))
        return told.select(f"{_ROW}.*", *(f"{_FOUND}.{part}" for part in (SEGMENTS, ATTRIBUTIONS, EXPECTED)))


@dataclass(frozen=True)
class _Parts:
    """What is done with the images of a column; what is known of an image is kept while its mixtures are made."""

    num_segments: int
    compactness: float
    num_samples: int | None
    baseline: tuple[int, ...] | str
    seed: int

    def check(self) -> None:
        """Raise a ValueError if a setting is not what it may be."""
        tile = np.zeros((8, 8, 3), np.uint8)
        superpixels(tile, self.num_segments, self.compactness)
        _behind(tile.shape, self.baseline, self.seed)  # type: ignore[arg-type]

    def count(self, encoded: bytes, name: str, number: int) -> int:
        """Mixtures of an image, and the two that are none.

        Parameters
        ----------
        encoded : bytes
        name : str
            Of its column.
        number : int
            That Spark has given its row: the partition, and the row in it in the lower bits.

        Raises
        ------
        InvalidRows
            Naming the row, if it is no image.
        """
        try:
            return len(_known(self, encoded)[3])
        except UnreadableImage as error:
            partition, row = number >> _ROW_BITS, number & (1 << _ROW_BITS) - 1
            raise InvalidRows(f"column {name!r} is no image that can be used: {error}, in row {row} of partition {partition}") from None

    def mixture(self, encoded: bytes, place: int) -> bytes:
        """The image with parts left out: 0 is without all of them, 1 the image as it is, from 2 on mixtures."""
        image, segments, behind, masks, _ = _known(self, encoded)
        return encoded_png(_mixed(image, behind, segments, masks[place]))

    def explained(self, encoded: bytes, found: Sequence[Any]) -> tuple[list[Any], list[Any], list[float]]:
        """Parts and their attributions out of the outputs of the mixtures."""
        _, segments, _, _, chosen = _known(self, encoded)
        outputs = np.array([one["outputs"] for one in sorted(found, key=lambda one: one["place"])], np.float64)
        return segments.tolist(), chosen.attributions(outputs[2:], outputs[0], outputs[1]).tolist(), outputs[0].tolist()


@functools.lru_cache(maxsize=2)
def _known(parts: _Parts, encoded: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Coalitions]:
    image = decoded(encoded)
    segments = superpixels(image, parts.num_segments, parts.compactness)
    chosen = _coalitions(int(segments.max()) + 1, parts.num_samples, parts.seed)
    return image, segments, _behind(image.shape, parts.baseline, parts.seed), _masks(chosen), chosen  # type: ignore[arg-type]


def decoded(encoded: bytes) -> np.ndarray:
    """An image out of a file, as models see it; shape (height, width, 3), uint8."""
    _pillow()
    return decode(encoded)


def encoded_png(image: np.ndarray) -> bytes:
    """An image as PNG, which loses nothing."""
    target = io.BytesIO()
    _pillow().fromarray(image).save(target, "PNG", compress_level=1)
    return target.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("explain_images needs Pillow to read images; install it with: pip install Pillow") from error
    return Image


def _coalitions(features: int, samples: int | None, seed: int) -> Coalitions:
    return coalitions(features, None if samples is None else max(samples, 2 * features), seed)


def _masks(chosen: Coalitions) -> np.ndarray:
    """What is left in: nothing, everything, and mixtures; shape (2 + mixtures, parts)."""
    parts = len(chosen.of_row)
    return np.concatenate([np.zeros((1, parts), bool), np.ones((1, parts), bool), chosen.left_in])


def _mixed(image: np.ndarray, behind: np.ndarray, segments: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[segments][:, :, None], image, behind)


def _behind(shape: tuple[int, ...], baseline: Baseline, seed: int) -> np.ndarray:
    """What stands for parts that are left out, shape (height, width, 3)."""
    if isinstance(baseline, str):
        if baseline != "noise":
            raise ValueError(f"baseline is a colour, an image or 'noise', not {baseline!r}")
        return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    given = np.asarray(baseline)
    if given.shape not in ((3,), shape) or not np.issubdtype(given.dtype, np.integer) or given.min() < 0 or given.max() > 255:
        raise ValueError(f"baseline is a colour of three whole numbers from 0 to 255, or an image of shape {shape}, not {given.shape}")
    return np.broadcast_to(given.astype(np.uint8), shape)


def _image_column(model: Any) -> str:
    if not hasattr(model, "getImageCol"):
        raise ValueError(f"{type(model).__name__} has no imageCol; image names the column to explain")
    return model.getImageCol()
