"""The process behind the tests' Livy server: one Spark, a namespace for each session, a line of JSON for each statement.

Reads ``{"session": 0, "code": "…"}`` from its standard input and answers with the output of the statement as Livy gives it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from typing import Any

import matplotlib

matplotlib.use("Agg")

from pyspark.sql import SparkSession

from tests.notebooks.interpreter import Interpreter, png

_MAGIC = re.compile(r"^%(\w+) +(\w+) *$")


def output(interpreter: Interpreter, code: str) -> dict[str, Any]:
    """The output of a statement: what it prints, or the picture that ``%matplot plt``, its last line, asks for; or the error."""
    *before, last = code.rstrip().split("\n")
    magic = _MAGIC.match(last)
    try:
        if not last.startswith("%"):
            return _ok({"text/plain": interpreter.run(code).rstrip("\n")})
        if not magic or magic[1] != "matplot":
            raise ValueError(f"unknown magic command {last!r}")
        interpreter.run("\n".join(before))
        return _ok({"image/png": png(interpreter.namespace[magic[2]])})
    except Exception as error:
        lines = traceback.format_exc().splitlines(keepends=True)
        return {"status": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}


def _ok(data: dict[str, str]) -> dict[str, Any]:
    return {"status": "ok", "data": data}


def main() -> None:
    # Whatever else writes to the standard output, such as the JVM, must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    builder = SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "2").config("spark.ui.showConsoleProgress", "false").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    sessions: dict[int, Interpreter] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        interpreter = sessions.setdefault(asked["session"], Interpreter({"spark": spark, "sc": spark.sparkContext}))
        print(json.dumps(output(interpreter, asked["code"])), file=answers, flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
