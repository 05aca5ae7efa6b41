"""Reading and writing RecordIO-protobuf files, beside Parquet's.

The formats write the same cached DataFrame and read what they wrote into Spark's ``noop`` sink, in turns, in one session:
``recordio-protobuf`` is the JVM's data source, ``recordio-python`` the one in Python that takes its place where the JVM bridge is absent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data import Data
from harness import Options, Report, Table, cached, local_session, measure, median, ratio, timed

from sparkml_algos import register_recordio

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORMATS = ("recordio-protobuf", "parquet", "recordio-python")
# Formats take turns; the first turn, which pays for a cold JVM, is not counted.
TURNS = 6
NOTES = [
    f"Medians of {TURNS - 1} turns after a first. All rates are in MB of the uncompressed RecordIO-protobuf files, so that "
    "ratios are those of seconds; 'files' is what each format takes on disk, Parquet with snappy.",
    "write: from Spark's cache; read: the features column into the noop sink; count: rows only, whose number Parquet has in its footer.",
]


def report_recordio(name: str, data: Data, options: Options) -> Report:
    """Seconds and MB/s of writing, reading and counting, by format."""
    dataset = data.get(name)
    found = measure(turns, path=dataset.path)
    megabytes = found["recordio-protobuf"]["megabytes"][0]
    columns = ["format", "files, MB", "write, s", "MB/s", "read, s", "MB/s", "count, s"]
    table = Table(f"Files of {dataset.name}, {dataset.rows:,} x {dataset.features}: {megabytes:,.0f} MB as RecordIO-protobuf", columns)
    values = {}
    for format_, figures in found.items():
        middle = {what: median(seconds[1:]) for what, seconds in figures.items()}
        table.rows.append(
            [
                format_,
                middle["megabytes"],
                middle["write"],
                megabytes / middle["write"],
                middle["read"],
                megabytes / middle["read"],
                middle["count"],
            ]
        )
        values[format_] = {"turns": figures, "median": middle}
    ours, parquet = (values[format_]["median"] for format_ in FORMATS[:2])
    values["ratio"] = {what: ratio(parquet[what], ours[what]) for what in ("write", "read", "count")}
    ratios = values["ratio"]
    table.rows.append(["Parquet/ours", None, ratios["write"], None, ratios["read"], None, ratios["count"]])
    return Report([table], values, NOTES)


def turns(path: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of each turn by format and action, and the size of the files."""
    session = local_session()
    if register_recordio(session):
        raise RuntimeError("the JVM bridge is not built: python -m sparkml_algos.jvm build")
    session.dataSource.register(python_source())
    frame = cached(session, path)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in FORMATS}
    with tempfile.TemporaryDirectory(prefix="benchmark-recordio-") as folder:
        for turn in range(TURNS):
            for name in FORMATS if turn % 2 else FORMATS[::-1]:
                for what, figure in _turn(session, frame, name, Path(folder) / name):
                    found[name].setdefault(what, []).append(figure)
    return found


def python_source() -> type:
    """The data source in Python under a name of its own, which the JVM's leaves free."""
    from sparkml_algos.sources.recordio import RecordIODataSource

    class UnderItsOwnName(RecordIODataSource):
        @classmethod
        def name(cls) -> str:
            return FORMATS[2]

    return UnderItsOwnName


def _turn(session: SparkSession, frame: DataFrame, format_: str, folder: Path) -> list[tuple[str, float]]:
    write = timed(lambda: frame.write.format(format_).mode("overwrite").save(str(folder)))[0]
    files = session.read.format(format_).load(str(folder))
    read = timed(lambda: files.write.format("noop").mode("overwrite").save())[0]
    count = timed(files.count)[0]
    size = sum(os.path.getsize(file) for file in folder.glob("part-*")) / 1e6
    return [("write", write), ("read", read), ("count", count), ("megabytes", size)]


CASES: dict[str, Callable[[Data, Options], Report]] = {name: partial(report_recordio, name) for name in ("mnist", "counts")}
