"""A progress bar on the driver, for fits that take long enough to wonder."""

from __future__ import annotations

import sys
import threading
import time
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
        self._bar: Any = None
        self._lock = threading.Lock()

    def update(self, progress: dict[str, Any]) -> None:
        """Show ``done`` of ``total`` epochs and whatever else the progress holds."""
        with self._lock:
            if self._bar is None:
                if time.monotonic() - self._start < SHOW_AFTER_SECONDS:
                    return
                from tqdm.auto import tqdm

                form = f"{{l_bar}}{{bar}}| {{n:g}}/{{total}} {self._unit} [{{elapsed}}<{{remaining}}{{postfix}}]"
                self._bar = tqdm(total=progress["total"], desc=self._title, bar_format=form)
            self._bar.n = round(min(progress["done"], progress["total"]), 1)
            self._bar.set_postfix({key: value for key, value in progress.items() if key not in ("done", "total")})

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"
