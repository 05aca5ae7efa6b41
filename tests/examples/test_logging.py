"""What examples say of Spark's log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LOGGING = re.compile(r"^(?:HERE|LOGGING) = .*$", re.MULTILINE)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_its_settings_are_where_an_example_looks_for_them(path):
    names = {"Path": Path, "__file__": str(path)}
    exec("\n".join(LOGGING.findall(path.read_text())), names)
    assert names.get("LOGGING", path).is_file()


@pytest.mark.parametrize("path", sorted((EXAMPLES / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_and_where_a_notebook_does(path):
    for found in re.findall(r"[./]+[\w./-]*log4j2\.properties", path.read_text()):
        assert (path.parent / found).is_file()
