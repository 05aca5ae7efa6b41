"""Runs a note paragraph by paragraph, as Zeppelin's interpreters ``spark.pyspark`` and ``md`` do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from tests.notebooks.interpreter import Interpreter, png


@dataclass(frozen=True)
class Result:
    """Of a paragraph: its interpreter, its text, and what it shows, of Zeppelin's types TEXT, TABLE and HTML."""

    interpreter: str
    text: str
    output: str


class ZeppelinContext:
    """What ``z`` is in a paragraph, as far as notes use it: it shows DataFrames of pandas as tables and pictures as images."""

    def show(self, shown: Any) -> None:
        """Print a DataFrame of pandas, or matplotlib's pyplot, in the form that Zeppelin displays."""
        if getattr(shown, "__name__", "") == "matplotlib.pyplot":
            print(f"%html <img src='data:image/png;base64,{png(shown)}'>")
            return
        rows = [shown.columns, *shown.itertuples(index=False)]
        print("%table " + "\n".join("\t".join(map(str, row)) for row in rows))


def run(note: Path, spark: SparkSession, data: Path) -> list[Result]:
    """Run all paragraphs in one namespace with ``spark``, ``sc`` and ``z``; `data` is where a person has put the folder of the data, and
    says so in the first cells.

    Raises
    ------
    Exception
        Whatever a paragraph raises.
    ValueError
        If a paragraph names no interpreter that there is.
    """
    interpreter = Interpreter({"spark": spark, "sc": spark.sparkContext, "z": ZeppelinContext()})
    results = []
    for paragraph in json.loads(note.read_text())["paragraphs"]:
        name, _, text = paragraph["text"].partition("\n")
        if name not in ("%md", "%spark.pyspark"):
            raise ValueError(f"there is no interpreter {name!r}")
        text = text.replace('"../data"', repr(str(data)))
        results.append(Result(name, text, interpreter.run(text) if name == "%spark.pyspark" else text))
    return results
