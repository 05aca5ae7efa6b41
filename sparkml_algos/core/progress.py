"""A progress bar on the driver, for fits that take long enough to wonder."""

from __future__ import annotations

import sys
import threading
import time
from html import escape
from typing import Any

# Shorter fits are over before a bar helps.
SHOW_AFTER_SECONDS = 2.0


class ProgressBar:
    """Shows epochs done and the latest metrics, in a terminal or a notebook.

    Parameters
    ----------
    title : str
    mode : {"auto", "on", "off"}
        ``auto`` shows the bar in a terminal and in a notebook, and nothing where output goes to a file or a pipe.
    unit : str
        What progress is counted in; see `Algorithm.unit`.
    """

    def __init__(self, title: str, mode: str = "auto", unit: str = "epochs") -> None:
        self._title, self._unit = title, unit
        self.enabled = mode == "on" or mode == "auto" and (sys.stderr.isatty() or _in_notebook())
        self._start = time.monotonic()
        self._bar: _InTerminal | _InNotebook | None = None
        self._lock = threading.Lock()

    def update(self, progress: dict[str, Any]) -> None:
        """Show ``done`` of ``total`` epochs and whatever else the progress holds."""
        with self._lock:
            if self._bar is None:
                if time.monotonic() - self._start < SHOW_AFTER_SECONDS:
                    return
                kind = _InNotebook if _in_notebook() else _InTerminal
                self._bar = kind(self._title, self._unit, progress["total"], self._start)
            done = round(min(progress["done"], progress["total"]), 1)
            self._bar.expect(progress["total"])
            self._bar.show(done, {key: value for key, value in progress.items() if key not in ("done", "total")})

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None


class _InTerminal:
    """One line of stderr, drawn again and again."""

    def __init__(self, title: str, unit: str, total: float, start: float) -> None:
        from tqdm import tqdm

        form = f"{{l_bar}}{{bar}}| {{n:g}}/{{total}} {unit} [{{elapsed}}<{{remaining}}{{postfix}}]"
        self._bar = tqdm(total=total, desc=title, bar_format=form)

    def expect(self, total: float) -> None:
        """Let the end be there."""
        self._bar.total = total

    def show(self, done: float, facts: dict[str, Any]) -> None:
        self._bar.n = done
        self._bar.set_postfix(facts)

    def close(self) -> None:
        self._bar.close()


class _InNotebook:
    """One output of the cell, replaced again and again. It needs no widgets, whose state a saved notebook would lose."""

    def __init__(self, title: str, unit: str, total: float, start: float) -> None:
        from IPython.display import HTML, display

        self._title, self._unit, self._total, self._start, self._html = title, unit, total, start, HTML
        self._output = display(HTML(self._line(0, {})), display_id=True)

    def expect(self, total: float) -> None:
        """Let the end be there."""
        self._total = total

    def show(self, done: float, facts: dict[str, Any]) -> None:
        self._output.update(self._html(self._line(done, facts)))

    def close(self) -> None:
        """Nothing to do: where the training has ended stays to be seen."""

    def _line(self, done: float, facts: dict[str, Any]) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        said = [f"{done:g}/{self._total:g} {self._unit}", f"{minutes:02d}:{seconds:02d}", *(f"{k}={_short(v)}" for k, v in facts.items())]
        bar = f'<progress value="{done:g}" max="{self._total:g}" style="width:14em;vertical-align:middle"></progress>'
        return f"<div><b>{escape(self._title)}</b> {bar} {escape(', '.join(said))}</div>"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, or of what is built upon it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)
