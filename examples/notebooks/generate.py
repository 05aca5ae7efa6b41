"""Makes the notes for Jupyter, SparkMagic and Zeppelin from one source for each family of algorithms.

    python examples/notebooks/generate.py    writes what differs from the sources

A source, ``sources/NAME.py``, is Python in percent format, which editors know as cells: ``# %% [markdown]`` is text, ``# %%`` is code for
where Spark is, and ``# %% tags=["show"]`` is code that shows a table or a picture. Where lines of such a cell read ``name =
name.toPandas()``, the rest of it needs no Spark: in SparkMagic it runs on the machine of the browser, on what ``-o name`` has brought.

The sources have no session of their own, for Livy and Zeppelin give one: in Jupyter, the first cell makes it and the last one stops it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent

_MARKER = re.compile(r"^# %%(?: \[(?P<kind>markdown)\])?(?: tags=\[\"(?P<tag>\w+)\"\])?$")
_TO_PANDAS = re.compile(r"^(\w+) = \1\.toPandas\(\)\n?", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a source: ``markdown``, ``code`` or ``show``, and its text."""

    kind: str
    text: str

    @property
    def brought(self) -> list[str]:
        """DataFrames of Spark that it takes as those of pandas."""
        return _TO_PANDAS.findall(self.text)

    @property
    def without_spark(self) -> str:
        """Its text for where the DataFrames are of pandas already."""
        return _TO_PANDAS.sub("", self.text)

    @property
    def ends_with_name(self) -> str | None:
        """The variable that is its last line, which notebooks show."""
        last = ast.parse(self.text).body[-1]
        return last.value.id if isinstance(last, ast.Expr) and isinstance(last.value, ast.Name) else None


def read(source: str) -> list[Cell]:
    """The cells of a source in percent format.

    Raises
    ------
    ValueError
        If it does not begin with a cell, or a marker is not one of the three.
    """
    cells: list[tuple[str, list[str]]] = []
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith("# %%"):
            found = _MARKER.match(line)
            if not found or found["tag"] not in (None, "show"):
                raise ValueError(f"line {number} is no marker of a cell: {line}")
            cells.append((found["kind"] or found["tag"] or "code", []))
        elif not cells:
            raise ValueError("a source begins with a cell")
        else:
            cells[-1][1].append(line)
    return [Cell(kind, _text(kind, lines)) for kind, lines in cells]


def _text(kind: str, lines: list[str]) -> str:
    if kind == "markdown":
        lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
    return "\n".join(lines).strip("\n")


# ------------------------------------------------------------------------------------------------------------------- Jupyter

_JUPYTER_START = """import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers run the Python of this kernel
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
logging = Path("../../spark-conf/log4j2.properties").resolve().as_uri()  # Spark's warnings would fill the page
spark = (
    SparkSession.builder.master("local[2]")
    .appName("{name}")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.ui.showConsoleProgress", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={{logging}}")
    .getOrCreate()
)"""


def jupyter(name: str, cells: list[Cell]) -> dict[str, Any]:
    """A notebook with a Spark of its own."""
    found = [_notebook_cell(cell.kind, cell.text) for cell in cells]
    start = _notebook_cell("code", _JUPYTER_START.format(name=name))
    return _notebook([found[0], start, *found[1:], _notebook_cell("code", "spark.stop()")])


# ----------------------------------------------------------------------------------------------------------------- SparkMagic

_SPARKMAGIC_TEXT = """This notebook runs on your machine and Spark on a cluster, behind **Livy**. Cells that begin with `%%spark` are sent
there; `-o name` brings a DataFrame back as one of pandas, and cells without `%%spark` run here. A picture that needs a model is drawn there
and sent as an image, which is what `%matplot plt` asks for. Set `LIVY_URL` before you start Jupyter, or change it here."""

_SPARKMAGIC_START = """import os

livy = os.environ.get("LIVY_URL", "http://localhost:8998")
%load_ext sparkmagic.magics
%spark add -s {name} -l python -u {{livy}}"""


def sparkmagic(name: str, cells: list[Cell]) -> dict[str, Any]:
    """A notebook whose Spark is behind Livy."""
    found = [_notebook_cell("markdown", cells[0].text), _notebook_cell("markdown", _SPARKMAGIC_TEXT)]
    found.append(_notebook_cell("code", _SPARKMAGIC_START.format(name=name)))
    for cell in cells[1:]:
        found += [_notebook_cell(kind, text) for kind, text in _sparkmagic_cells(cell)]
    return _notebook([*found, _notebook_cell("code", f"%spark delete -s {name}")])


def _sparkmagic_cells(cell: Cell) -> list[tuple[str, str]]:
    if cell.kind == "markdown":
        return [("markdown", cell.text)]
    if cell.kind == "code":
        return [("code", f"%%spark\n{cell.text}")]
    if not cell.brought:
        return [("code", f"%%spark\n{_with_pyplot(cell.text)}\n%matplot plt")]
    return [*(("code", f"%%spark -o {name} -n -1\n{name}.printSchema()") for name in cell.brought), ("code", cell.without_spark)]


# ------------------------------------------------------------------------------------------------------------------- Zeppelin


def zeppelin(name: str, cells: list[Cell]) -> dict[str, Any]:
    """A note for Zeppelin's Spark interpreter, which gives the session."""
    title = cells[0].text.splitlines()[0].lstrip("# ")
    paragraphs = [_paragraph(name, number, *_zeppelin_paragraph(cell)) for number, cell in enumerate(cells)]
    return {
        "paragraphs": paragraphs,
        "name": title,
        "id": _identifier(name),
        "defaultInterpreterGroup": "spark",
        "noteParams": {},
        "noteForms": {},
        "angularObjects": {},
        "config": {"isZeppelinNotebookCronEnable": False, "looknfeel": "default", "personalizedMode": "false"},
        "info": {},
    }


def _zeppelin_paragraph(cell: Cell) -> tuple[str, str]:
    if cell.kind == "markdown":
        return "md", cell.text
    text = cell.text
    if cell.kind == "show" and (name := cell.ends_with_name):
        text = f"{text.removesuffix(name)}z.show({name})"
    elif cell.kind == "show" and "plot" in text:
        text = f"{_with_pyplot(text)}\nz.show(plt)"
    return "spark.pyspark", text


def _paragraph(name: str, number: int, interpreter: str, text: str) -> dict[str, Any]:
    is_text = interpreter == "md"
    return {
        "text": f"%{interpreter}\n\n{text}",
        "id": f"paragraph_{number:03d}_{_identifier(name)}",
        "config": {
            "editorHide": is_text,
            "editorSetting": {"language": "markdown" if is_text else "python", "editOnDblClick": is_text},
            "colWidth": 12.0,
            "enabled": True,
            "results": {},
        },
        "settings": {"params": {}, "forms": {}},
        "status": "READY",
    }


# -------------------------------------------------------------------------------------------------------------------- files


def _with_pyplot(text: str) -> str:
    return text if "import matplotlib.pyplot as plt" in text else f"import matplotlib.pyplot as plt\n{text}"


def _notebook(cells: list[dict[str, Any]]) -> dict[str, Any]:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    numbered = [{"id": f"cell-{number:02d}", **cell} for number, cell in enumerate(cells)]
    return {"cells": numbered, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def _notebook_cell(kind: str, text: str) -> dict[str, Any]:
    lines = {"metadata": {}, "source": text.splitlines(keepends=True)}
    if kind == "markdown":
        return {"cell_type": "markdown", **lines}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **lines}


def _identifier(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:9].upper()


FORMS = {"notebooks/{}.ipynb": jupyter, "sparkmagic/{}.ipynb": sparkmagic, "zeppelin/{}.zpln": zeppelin}


def names() -> list[str]:
    """The families that have a source."""
    return sorted(path.stem for path in (HERE / "sources").glob("*.py"))


def generated() -> dict[Path, str]:
    """What each file is to hold."""
    found = {}
    for name in names():
        cells = read((HERE / "sources" / f"{name}.py").read_text())
        for pattern, form in FORMS.items():
            found[EXAMPLES / pattern.format(name)] = json.dumps(form(name, cells), indent=1, ensure_ascii=False) + "\n"
    return found


def main() -> None:
    for path, text in generated().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(path.relative_to(EXAMPLES.parent))


if __name__ == "__main__":
    main()
