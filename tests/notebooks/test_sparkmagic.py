"""The SparkMagic notebooks run, with sparkmagic itself, against a server that speaks Livy's REST."""

from __future__ import annotations

import nbformat
import pytest

from tests.notebooks import figures
from tests.notebooks.livy import LivyServer
from tests.notebooks.notes import EXAMPLES, FAMILIES, execute, outputs, some_of, texts


@pytest.mark.parametrize("family", some_of(FAMILIES))
def test_a_notebook_shows_what_its_text_says(family: str, livy: LivyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVY_URL", livy.url)
    # sparkmagic 0.23 guesses the format of what may be a date, and pandas says so.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:Could not infer format:UserWarning")
    folder = EXAMPLES / "sparkmagic"
    notebook = execute(nbformat.read(folder / f"{family}.ipynb", as_version=4), folder)
    assert outputs(notebook, "stderr") == []  # where an error of a statement goes; it ends nothing
    figures.check(texts(notebook), outputs(notebook, "stdout"))
    assert len(outputs(notebook, "image/png")) >= 2
    assert livy.answer("GET", "/sessions", {})[1]["sessions"] == []


def test_a_statement_that_fails_says_why(livy: LivyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVY_URL", livy.url)
    start = f"%load_ext sparkmagic.magics\n%spark add -s failing -l python -u {livy.url}"
    cells = [start, "%%spark\nprint(1)\n1 / 0", "%spark delete -s failing"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    execute(notebook, EXAMPLES / "sparkmagic")
    assert any("division by zero" in text for text in outputs(notebook, "stderr"))
