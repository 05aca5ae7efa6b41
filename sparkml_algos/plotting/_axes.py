"""Where pictures are drawn, and how they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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


def plain(ax: Axes, grid: Literal["both", "x", "y"] | None = "y") -> Axes:
    """Without a frame, with light lines across one axis or ``both``."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, alpha=0.25)
        ax.set_axisbelow(True)
    return ax


def whole_numbers(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
