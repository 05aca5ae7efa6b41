"""An image, and boxes around what was found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkml_algos.plotting._axes import axes_for, check_names, pixels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGES = ("left", "top", "width", "height")


def plot_detections(
    image: bytes | np.ndarray,
    detections: Sequence[Any],
    truth: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    least_score: float = 0.5,
    ax: Axes | None = None,
) -> Axes:
    """Draw an image with a box around each detection, in the colour of its class, and white dashed ones around what is there.

    Parameters
    ----------
    image : bytes or ndarray of uint8, shape (height, width, 3)
        A file such as a JPEG, or its pixels.
    detections : sequence of Row or mapping
        With ``class_id``, ``score``, ``left``, ``top``, ``width`` and ``height`` in pixels, as `ObjectDetectorModel.transform` gives them.
    truth : sequence of Row or mapping, optional
        Boxes of the same form, without scores.
    names : sequence of str, optional
        Of the classes, from 0 on; their numbers by default.
    least_score : float
        Detections of a lower score are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a detection is of a class without a name.

    Examples
    --------
    >>> row = model.transform(images).first()  # doctest: +SKIP
    >>> plot_detections(row.image, row.detections, row.boxes, names=["red cell", "white cell", "platelet"])  # doctest: +SKIP
    """
    pixels = pixels_of(image)
    shown = [_fields(one) for one in detections]
    shown = [one for one in shown if one["score"] >= least_score]
    check_names(names, max((int(one["class_id"]) for one in shown), default=-1), "there is a detection of class")
    ax = axes_for(ax, "plot_detections", (6, 6 * pixels.shape[0] / pixels.shape[1]))
    ax.imshow(pixels if pixels.ndim == 2 or pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray")
    for one in truth or ():
        _draw(ax, _fields(one), "white", "--")
    for one in reversed(shown):  # the most probable on top
        number = int(one["class_id"])
        _draw(ax, one, _colour(number), "-")
        text = f"{number if names is None else names[number]} {one['score']:.2f}"
        ax.text(one["left"], one["top"], text, color="white", fontsize="x-small", va="bottom", bbox={
            "facecolor": _colour(number), "edgecolor": "none", "pad": 1,
        })  # fmt: skip
    ax.set_axis_off()
    return ax


def _fields(box: Any) -> Mapping[str, Any]:
    return box if isinstance(box, Mapping) else box.asDict()


def _colour(number: int) -> tuple[float, float, float]:
    """Red, green and blue of a class, from 0 to 1."""
    from matplotlib import colormaps

    red, green, blue, _ = colormaps["tab10"](number % 10)
    return red, green, blue


def _draw(ax: Axes, box: Mapping[str, Any], edge: Any, style: str) -> None:
    from matplotlib.patches import Rectangle

    left, top, width, height = (float(box[name]) for name in _EDGES)
    ax.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=edge, linestyle=style, linewidth=1.5))
