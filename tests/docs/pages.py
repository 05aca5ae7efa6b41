"""The pages that people read, and the code in them.

Fences of ``python`` run as they are, those of ``pycon`` as doctests whose output is compared; all of a page in their order and in one
namespace, in which ``spark`` is a session. A fence under ``<!-- not run: REASON -->`` is only compiled.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Fence:
    """A block of code: its language, the line of its first line in the page, and why it is not run, if it is not."""

    language: str
    code: str
    line: int
    not_run: str | None = None


def pages() -> list[Path]:
    """README and site, without what the site is built with."""
    return [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if not path.name.startswith("_"))]


def fences(page: Path) -> Iterator[Fence]:
    """Every block of code of a page that names its language."""
    # A fence of four shows how a page is written; its lines stay counted.
    text = re.sub(r"^````.*?^````$", lambda shown: "\n" * shown[0].count("\n"), page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Fence(found["language"], found["code"], line, found["reason"])


def run(page: Path, namespace: dict[str, Any]) -> list[str]:
    """Run the code of a page; what its doctests have got wrong."""
    runner, wrong = doctest.DocTestRunner(optionflags=FLAGS), []
    for fence in fences(page):
        if fence.language == "python":
            code = compile("\n" * (fence.line - 1) + fence.code, str(page), "exec")
            if not fence.not_run:
                exec(code, namespace)
        elif fence.language == "pycon" and not fence.not_run:
            test = doctest.DocTestParser().get_doctest(fence.code, namespace, page.name, str(page), fence.line - 1)
            runner.run(test, out=wrong.append, clear_globs=False)
            namespace.update(test.globs)
    return wrong
