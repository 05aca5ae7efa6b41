"""The notes of the examples: where they are, how they are made, run and read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
GENERATOR = EXAMPLES / "notebooks" / "generate.py"
FAMILIES = sorted(path.stem for path in (EXAMPLES / "notebooks" / "sources").glob("*.py"))

#: Trains and deploys five times; training, endpoints and monitors have tests of their own.
LONG = "retraining"


def short_of(families: list[str]) -> list[object]:
    """Families of which the longest is slow."""
    return [pytest.param(family, marks=pytest.mark.slow) if family == LONG else family for family in families]


def some_of(families: list[str]) -> list[object]:
    """Families of which all but the first are slow: for forms that start a Spark of their own, whose notes are generated from the same
    sources as Zeppelin's."""
    return [families[0], *(pytest.param(family, marks=pytest.mark.slow) for family in families[1:])]


def load_generator() -> ModuleType:
    """The script that makes the notes, as a module."""
    spec = importlib.util.spec_from_file_location("generate_notes", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a kernel of their own, in a folder; the first error ends it and is raised."""
    return NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """The text cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    """All outputs of a kind: ``stdout``, ``stderr`` or a media type such as ``image/png``."""
    found = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    streams = [output.text for output in found if output.output_type == "stream" and output.name == kind]
    return streams + [output.data[kind] for output in found if kind in output.get("data", {})]
