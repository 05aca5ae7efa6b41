"""The notebooks run, and show what their text says; so does the progress bar within one."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import figures
from tests.notebooks.notes import EXAMPLES, FAMILIES, execute, outputs, some_of, texts

# Of what is written beside the output. The JVM and native libraries may have a word to say when they start.
ALARMING = re.compile(r"Warning\b|Traceback|\bWARN\b|\bERROR\b")


@pytest.mark.parametrize("family", some_of(FAMILIES))
def test_a_notebook_shows_what_its_text_says(family: str) -> None:
    folder = EXAMPLES / "notebooks"
    notebook = execute(nbformat.read(folder / f"{family}.ipynb", as_version=4), folder)
    figures.check(texts(notebook), outputs(notebook, "stdout"))
    assert len(outputs(notebook, "image/png")) >= 2
    assert any("numFeatures" in table for table in outputs(notebook, "text/html"))
    assert not [text for text in outputs(notebook, "stderr") if ALARMING.search(text)]


PROGRESS = """
import threading
from sparkml_algos.core import progress

progress.SHOW_AFTER_SECONDS = 0.0
bar = progress.ProgressBar("KMeans <k=10>")

def told():  # by the thread that hears the workers
    for epoch in (1, 2):
        bar.update({"done": epoch, "total": 4, "train:msd": 7.25})

thread = threading.Thread(target=told)
thread.start()
thread.join()
bar.close()
"""


def test_the_progress_bar_of_a_notebook_is_one_output_that_stays(tmp_path: Path) -> None:
    notebook = execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRESS)]), tmp_path)
    (html,) = outputs(notebook, "text/html")
    assert '<progress value="2" max="4"' in html and "2/4 epochs" in html and "train:msd=7.25" in html
    assert "KMeans &lt;k=10&gt;" in html
    assert outputs(notebook, "stderr") == []
