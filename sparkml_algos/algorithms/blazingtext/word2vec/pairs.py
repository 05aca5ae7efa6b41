"""Pairs of words whose similarity people have judged, from files or a DataFrame."""

from __future__ import annotations

import re

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkml_algos.algorithms.blazingtext.word2vec.similarity import Pair

# What may stand between the words and the score of a line.
_BETWEEN = re.compile(r"[\t,; ]+")


def read_pairs(session: SparkSession, path: str) -> list[list[Pair]]:
    """The pairs of a file, or of each file of a folder.

    Lines that do not end in a number, such as titles, are left out, and of more than three parts the first two and the last one count.

    Raises
    ------
    ValueError
        If no line is a pair.
    """
    lines = session.read.text(path).select(F.input_file_name().alias("file"), "value").collect()
    sets: dict[str, list[Pair]] = {}
    for line in lines:
        if (pair := _pair(line.value)) is not None:
            sets.setdefault(line.file, []).append(pair)
    if not sets:
        raise ValueError(
            f"word_pairs_path: no line of {path} is two words and a number, with tabs, commas, semicolons or blanks between them"
        )
    return [sets[name] for name in sorted(sets)]


def pairs_of(dataframe: DataFrame) -> list[list[Pair]]:
    """The pairs of a DataFrame, a set for each value of its column ``set``, or one.

    Raises
    ------
    ValueError
        If a column is missing, there is no row, or a value is null.
    """
    wanted = ["word1", "word2", "score"]
    missing = [name for name in wanted if name not in dataframe.columns]
    if missing:
        raise ValueError(f"pairs of words need the columns {', '.join(wanted)}; the dataset has {', '.join(dataframe.columns)}")
    set_of = F.col("set").cast("string") if "set" in dataframe.columns else F.lit("")
    score = F.expr("try_cast(score AS double)").alias("score")  # null of what is no number, whatever the session makes of it elsewhere
    rows = dataframe.select(F.col("word1").cast("string"), F.col("word2").cast("string"), score, set_of.alias("set")).collect()
    if not rows or any(value is None for row in rows for value in row):
        raise ValueError(
            "pairs of words: there are none" if not rows else "pairs of words: a word, score or set is null, or a score no number"
        )
    sets: dict[str, list[Pair]] = {}
    for row in rows:
        sets.setdefault(row.set, []).append((row.word1, row.word2, row.score))
    return [sets[name] for name in sorted(sets)]


def _pair(line: str) -> Pair | None:
    parts = _BETWEEN.split(line.strip())
    if len(parts) < 3:
        return None
    try:
        return parts[0], parts[1], float(parts[-1])
    except ValueError:
        return None
