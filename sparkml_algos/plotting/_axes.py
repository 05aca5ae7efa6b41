"""Where pictures are drawn, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparkml_algos.images.decoding import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that are told apart without seeing red and green.
BLUE, ORANGE, GREY = "#2f6db3", "#d1662c", "#8c8c8c"


def axes_for(ax: Axes | None, function: str, figsize: tuple[float, float] = (6, 4)) -> Axes:
    """The axes to draw on: those given, or of a new figure, `figsize` in inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed; `function` is who needs it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{function} needs matplotlib; install it with: pip install 'sparkml-algos[plot]'") from error
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def plain(
    ax: Axes, grid: Literal["both", "x", "y"] | None = "y", *, x: str | None = None, y: str | None = None, legend: bool = False
) -> Axes:
    """Without a frame, with light lines across one axis or ``both``; what its axes are called, and whether it says what is what."""
    if x is not None:
        ax.set_xlabel(x)
    if y is not None:
        ax.set_ylabel(y)
    if legend:
        ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, alpha=0.25)
        ax.set_axisbelow(True)
    return ax


def whole_numbers(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def over_time(ax: Axes, time: str, value: str, columns: int) -> Axes:
    """A series: times below, slanted, and above it in so many columns what is what."""
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns)
    ax.tick_params(axis="x", rotation=30)
    return plain(ax, x=time, y=value)


def named_bars(ax: Axes, names: Sequence[str], places: Sequence[int] | None = None, **text: Any) -> Axes:
    """Bars that lie below each other, the first one on top, each with its name at its left."""
    ax.set_yticks(range(len(names)) if places is None else places, names, **text)
    ax.invert_yaxis()
    return plain(ax, "x")


def slanted_names(ax: Axes, names: Sequence[str]) -> None:
    """Names below the x axis that have room beside each other."""
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")


def pixels_of(image: bytes | np.ndarray) -> np.ndarray:
    """An image that is a file, or pixels already."""
    return image if isinstance(image, np.ndarray) else decode(bytes(image))


def check_names(names: Sequence[str] | None, largest: float, what: str) -> None:
    """Raise a ValueError where the class of the largest number has no name, if there are names."""
    if names is not None and largest >= len(names):
        raise ValueError(f"{what} {largest:g}, and there are {len(names)} names")
