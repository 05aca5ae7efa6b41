"""Python as Livy and Zeppelin run it: statements in one namespace, the value of the last one shown."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
from typing import Any


class Interpreter:
    """Runs statements one after the other.

    Parameters
    ----------
    namespace : dict of str to object
        What is there from the start, such as ``spark``.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = {"__name__": "__main__", **namespace}

    def run(self, code: str) -> str:
        """Run statements and return what they have printed; the value of an expression at their end is printed too."""
        statements = ast.parse(code).body
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            self._execute(ast.Module(statements[:-1], []), "exec")
            if statements:
                self._execute(ast.Interactive(statements[-1:]), "single")
        return shown.getvalue()

    def _execute(self, tree: ast.Module | ast.Interactive, mode: str) -> None:
        exec(compile(tree, "<statement>", mode), self.namespace)


def png(pyplot: Any) -> str:
    """The current figure of matplotlib's pyplot, which is closed, as PNG in base64."""
    image = io.BytesIO()
    pyplot.gcf().savefig(image, format="png")
    pyplot.close("all")
    return base64.b64encode(image.getvalue()).decode()
