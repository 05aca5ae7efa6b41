"""The notes are what their sources say."""

from __future__ import annotations

import ast
import json

import nbformat
import pytest

from tests.notebooks.notes import EXAMPLES, FAMILIES, load_generator

GENERATOR = load_generator()


def test_each_note_is_what_its_source_generates() -> None:
    wanted = GENERATOR.generated()
    assert {path for pattern in ("*/*.ipynb", "*/*.zpln") for path in EXAMPLES.glob(pattern)} == set(wanted)
    differing = [path.name for path, text in wanted.items() if path.read_text() != text]
    assert differing == [], "write them with: python examples/notebooks/generate.py"


@pytest.mark.parametrize("folder", ["notebooks", "sparkmagic"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_notebook_is_valid_and_stored_without_outputs(family: str, folder: str) -> None:
    notebook = nbformat.read(EXAMPLES / folder / f"{family}.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_zeppelin_note_is_stored_without_results_and_each_paragraph_has_a_name(family: str) -> None:
    paragraphs = json.loads((EXAMPLES / "zeppelin" / f"{family}.zpln").read_text())["paragraphs"]
    assert len({paragraph["id"] for paragraph in paragraphs}) == len(paragraphs)
    assert all("results" not in paragraph and paragraph["config"]["results"] == {} for paragraph in paragraphs)


def test_cells_that_show_what_was_brought_need_no_spark_in_sparkmagic() -> None:
    cells = GENERATOR.read('# %% [markdown]\n# # Title\n# %%\nrows = f()\n# %% tags=["show"]\nrows = rows.toPandas()\nrows\n')
    code = ["".join(cell["source"]) for cell in GENERATOR.sparkmagic("x", cells)["cells"] if cell["cell_type"] == "code"]
    assert code[1:] == ["%%spark\nrows = f()", "%%spark -o rows -n -1\nrows.printSchema()", "rows", "%spark delete -s x"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cell_that_draws_leaves_no_value_that_would_be_shown_beside_the_picture(family: str) -> None:
    cells = GENERATOR.read((EXAMPLES / "notebooks" / "sources" / f"{family}.py").read_text())
    drawing = [ast.parse(cell.text) for cell in cells if cell.kind == "show" and "plot" in cell.text]
    assert drawing and all(isinstance(cell.body[-1], ast.Assign) for cell in drawing)


def test_a_picture_of_what_is_with_spark_is_drawn_there() -> None:
    cells = GENERATOR.read('# %% [markdown]\n# # Title\n# %% tags=["show"]\nax = plot(model)\n')
    assert "".join(GENERATOR.sparkmagic("x", cells)["cells"][3]["source"]).endswith("ax = plot(model)\n%matplot plt")
    assert GENERATOR.zeppelin("x", cells)["paragraphs"][1]["text"].endswith("ax = plot(model)\nz.show(plt)")


@pytest.mark.parametrize("source", ["a = 1\n", "# %% [raw]\n", '# %% tags=["hide"]\n'])
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="cell"):
        GENERATOR.read(source)
