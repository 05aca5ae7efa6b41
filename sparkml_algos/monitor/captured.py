"""What an endpoint was asked and answered, and what turned out to be true, as rows."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

logger = logging.getLogger("sparkml_algos.monitor")

#: What is done about lines that are no records: they are told and left out, or nothing is read.
Corrupt = Literal["warn", "refuse"]
# Where a line lies that could not be read.
_BROKEN = "_broken"
_SIDE = "struct<observedContentType:string,mode:string,data:string,encoding:string>"
_CAPTURED = (
    f"captureData struct<endpointInput:{_SIDE},endpointOutput:{_SIDE},batchTransformOutput:{_SIDE}>,"
    "eventMetadata struct<eventId:string,inferenceId:string,inferenceTime:string>,eventVersion string"
)
_TRUTH = "groundTruthData struct<data:string,encoding:string>,eventMetadata struct<eventId:string>,eventVersion string"
# What a record must have to be one.
_IS_CAPTURED = "coalesce(r.captureData.endpointInput, r.captureData.endpointOutput, r.captureData.batchTransformOutput) is not null"
_IS_TRUTH = "r.groundTruthData.data is not null"
_HOUR = r"/(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]*$"
_LINES = r"\r?\n"
_DURATION = re.compile(r"(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
# JSON as texts, by name and in lists.
_NAMED, _LISTED = "map<string,string>", "array<string>"
# What lists of rows are called, and what a row is there and how it begins: of a single row, scores may be its numbers.
_ROWS: tuple[tuple[str, type, str], ...] = (
    ("instances", object, ""), ("predictions", object, ""), ("scores", dict, r"^\{"), ("projections", dict, r"^\{"),
)  # fmt: skip
_IS_NESTED = r"^[\[{]"
# What numbers without names are called in a row.
_FEATURES = "features"
# Digits of a column's name that has none but its place.
_DIGITS = 20
ID, TIME, ROW, TRUTH = "inference_id", "inference_time", "row", "ground_truth"


def read_captured(
    spark: SparkSession,
    path: str,
    input_columns: Sequence[str] | None = None,
    output_columns: Sequence[str] | None = None,
    *,
    corrupt: Corrupt = "warn",
) -> DataFrame:
    """Read captured requests: JSON lines, a request each, in folders of hours.

    Parameters
    ----------
    spark : SparkSession
    path : str
        A file or folder that Spark reads.
    input_columns, output_columns : sequence of str, optional
        Names of what was asked and answered, in the order of the CSV, or of the features of JSON, or names of what is to be taken of JSON.
        By default they are found in the first request: the names of JSON; of CSV, and of features without names, the places, with zeros
        before them to 20 digits, those of answers with ``output_`` before them.
    corrupt : {"warn", "refuse"}
        What is done about lines that are no captured requests, such as one that was cut off when a disk was full: how many there are, and
        the file and the line of the first, is logged as a warning, and they are left out; or nothing is read. They are looked for at once,
        in all lines.

    Returns
    -------
    DataFrame
        A row for each row of each request, which are the lines of CSV and of JSON Lines, and the instances and predictions of JSON:
        ``inference_id`` (the event's where the request had none), ``inference_time``, ``row`` (within the request), and the columns, as
        strings; `statistics` sees what strings say.

    Raises
    ------
    ValueError
        If there is no request, the data of the first are neither CSV nor JSON, or lines that are no requests are refused.
    """
    record = _records(spark, path, _CAPTURED, _IS_CAPTURED, "captured requests", corrupt)
    answer = F.coalesce(F.col("r.captureData.endpointOutput"), F.col("r.captureData.batchTransformOutput"))
    parts = record.select(F.col("r.captureData.endpointInput").alias("i"), answer.alias("o"), F.col("r.eventMetadata").alias("m"))
    first = parts.first()
    if first is None:
        raise ValueError(f"there is no captured request in {path}")
    asked = _names(first["i"], "") if input_columns is None else list(input_columns)
    answered = _names(first["o"], "output_") if output_columns is None else list(output_columns)
    if same := [name for name in asked if name in answered]:
        raise ValueError(f"input and output columns are both called {', '.join(map(repr, same))}")
    lined = parts.select(
        "m", *(_lines(side).alias(f"{side}l") for side in "io"), *(F.col(f"{side}.encoding").alias(f"{side}e") for side in "io")
    )
    lines = lined.select("m", "ie", "oe", F.posexplode(F.arrays_zip("il", "ol")).alias(ROW, "l"))
    # Taken apart once, and not once for each column.
    apart = lines.select(
        F.coalesce("m.inferenceId", "m.eventId").alias(ID),
        F.to_timestamp("m.inferenceTime").alias(TIME),
        F.col(ROW),
        *_apart("i", len(asked)),
        *_apart("o", len(answered)),
    )
    return apart.select(ID, TIME, ROW, *_fields("i", asked), *_fields("o", answered))


def read_ground_truth(spark: SparkSession, path: str, *, corrupt: Corrupt = "warn") -> DataFrame:
    """Read ground truth: JSON lines, a label or several each, in folders of the hours that they were collected in.

    Parameters
    ----------
    spark : SparkSession
    path : str
    corrupt : {"warn", "refuse"}
        As of `read_captured`.

    Returns
    -------
    DataFrame
        ``inference_id``, ``row``, ``ground_truth`` (a string) and ``collected``, the hour of the folder, in UTC; null where it is not in
        one.

    Raises
    ------
    ValueError
        If lines that are no labels are refused.
    """
    record = _records(spark, path, _TRUTH, _IS_TRUTH, "labels", corrupt)
    year, month, day, hour = (F.regexp_extract("file", _HOUR, i) for i in range(1, 5))
    # Folders are of hours in UTC, whatever the zone of the session is.
    begins = F.concat(F.concat_ws("-", year, month, day), F.lit("T"), hour, F.lit(":00:00Z"))
    at = F.to_timestamp(F.when(F.col("file").rlike(_HOUR), begins))
    lines = F.split("r.groundTruthData.data", _LINES)
    return record.select(F.col("r.eventMetadata.eventId").alias(ID), at.alias("collected"), F.posexplode(lines).alias(ROW, TRUTH)).select(
        ID, ROW, F.trim(TRUTH).alias(TRUTH), "collected"
    )


@dataclass(frozen=True)
class Merged:
    """Predictions with their truth.

    Attributes
    ----------
    rows : DataFrame
        Predictions that have a truth, with the column ``ground_truth``.
    without_truth, without_prediction : int
        Predictions and labels that have no counterpart.
    """

    rows: DataFrame
    without_truth: int
    without_prediction: int


def merge_ground_truth(captured: DataFrame, ground_truth: DataFrame) -> Merged:
    """Join predictions and truth by the inference id and, where a request had several rows, by the row.

    Parameters
    ----------
    captured : DataFrame
        Rows with ``inference_id``, and ``row`` where a request has several, as `read_captured` gives them.
    ground_truth : DataFrame
        Rows with ``inference_id``, ``ground_truth`` and, if there is one in both, ``row``; of several for one id the latest by
        ``collected`` wins, and of those collected together, or without that column, the greatest.

    Returns
    -------
    Merged

    Raises
    ------
    ValueError
        If a column is missing.
    """
    for frame, names, what in ((captured, [ID], "captured"), (ground_truth, [ID, TRUTH], "ground_truth")):
        if missing := [name for name in names if name not in frame.columns]:
            raise ValueError(f"{what} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}")
    keys = [ID, ROW] if ROW in captured.columns and ROW in ground_truth.columns else [ID]
    latest = [F.col(name).desc_nulls_last() for name in ("collected", TRUTH) if name in ground_truth.columns]
    numbered = ground_truth.where(F.col(ID).isNotNull()).withColumn("_n", F.row_number().over(Window.partitionBy(*keys).orderBy(*latest)))
    truth = numbered.where(F.col("_n") == 1).select(*keys, TRUTH)
    kept = captured.drop(TRUTH)
    both = kept.select(*keys, F.lit(1).alias("_p")).join(truth.select(*keys, F.lit(1).alias("_t")), keys, "full")
    (lacking,) = both.agg(
        F.count(F.when(F.col("_t").isNull(), 1)).alias("t"), F.count(F.when(F.col("_p").isNull(), 1)).alias("p")
    ).collect()
    return Merged(kept.join(truth, keys, "inner"), lacking["t"], lacking["p"])


def window(at: datetime, start_offset: str, end_offset: str) -> tuple[datetime, datetime]:
    """The time that an execution looks at.

    Parameters
    ----------
    at : datetime
        When it is scheduled.
    start_offset, end_offset : str
        Durations of ISO 8601, such as ``-PT7H`` and ``-P8D``.

    Returns
    -------
    (datetime, datetime)

    Raises
    ------
    ValueError
        If a duration is none, or the end is not after the start.
    """
    start, end = at + duration(start_offset), at + duration(end_offset)
    if end <= start:
        raise ValueError(f"the window ends before it starts: {start_offset!r} to {end_offset!r}")
    return start, end


def duration(text: str) -> timedelta:
    """A duration of ISO 8601 in weeks, days, hours, minutes and seconds; negative with a minus before it."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()[1:]):
        raise ValueError(f"not a duration such as -PT7H or -P8D: {text!r}")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] else length


def _records(spark: SparkSession, path: str, schema: str, condition: str, what: str, corrupt: Corrupt) -> DataFrame:
    """The lines of files as structs ``r``, with their ``file``; those that are broken, or not of the condition, are told or refused."""
    if corrupt not in ("warn", "refuse"):
        raise ValueError(f"corrupt is 'warn' or 'refuse', not {corrupt!r}")
    lines = spark.read.option("recursiveFileLookup", "true").text(path).withColumn("file", F.input_file_name())
    read, whole = _parsed(lines, schema), F.expr(f"r.{_BROKEN} is null and {condition}")
    found = sorted(read.where(~whole).groupBy("file").count().collect())
    if found:
        file = unquote(found[0]["file"])
        of_file = spark.read.text(file, wholetext=True).select(F.posexplode(F.split("value", _LINES)).alias("place", "value"))
        place = _parsed(of_file, schema).where(~whole).agg(F.min("place")).first()
        told = f"{sum(row['count'] for row in found):,} lines in {path} are no {what}, in {len(found):,} files"
        if place is not None and place[0] is not None:
            told += f"; the first is line {place[0] + 1} of {file}"
        if corrupt == "refuse":
            raise ValueError(told)
        logger.warning("%s; they are left out", told)
    return read.where(whole)


def _parsed(lines: DataFrame, schema: str) -> DataFrame:
    """Lines of JSON as structs, in place of ``value``; what cannot be read is in their field of broken lines."""
    there = lines.where(F.length(F.trim("value")) > 0)
    record = F.from_json("value", f"{schema},{_BROKEN} string", {"columnNameOfCorruptRecord": _BROKEN})
    return there.select(*(name for name in lines.columns if name != "value"), record.alias("r"))


def _lines(side: str) -> Column:
    """What one side of a request has for each row, none if it was not captured; what is stored as base64 is decoded."""
    data = F.when(F.col(f"{side}.encoding") == "BASE64", F.unbase64(f"{side}.data").cast("string")).otherwise(F.col(f"{side}.data"))
    lines = F.filter(F.split(data, _LINES), lambda line: F.length(F.trim(line)) > 0)
    document = F.from_json(data, _NAMED)
    lists = [(F.from_json(F.try_element_at(document, F.lit(name)), _LISTED), begins) for name, _, begins in _ROWS]
    lists.append((F.when(F.ltrim(data).startswith("["), F.from_json(data, _LISTED)), _IS_NESTED))
    read = F.coalesce(*(F.when((F.size(rows) == 0) | F.get(rows, F.lit(0)).rlike(begins), rows) for rows, begins in lists))
    return F.coalesce(F.when(F.col(f"{side}.encoding") == "JSON", read), lines, F.array().cast(_LISTED))


def _names(side: Row | None, prefix: str) -> list[str]:
    """Names of the columns of a side of the first request."""
    if side is None:
        return []
    data, encoding = str(side["data"] or ""), side["encoding"]
    line = next((line for line in data.splitlines() if line.strip()), "")
    if encoding == "CSV":
        return _places(len(next(csv.reader([line]), [])), prefix)
    if encoding == "JSON":
        try:
            row = _first_row(data, line)
        except ValueError:
            row = None
        listed = _features(row)
        if listed is not None:
            return _places(len(listed), prefix)
        if row is not None:
            return list(row) if isinstance(row, dict) else _places(1, prefix)
    raise ValueError(f"the first request has data of encoding {encoding}, which are not lines of CSV or JSON; name the columns")


def _places(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{i:0{_DIGITS}d}" for i in range(count)]


def _first_row(data: str, line: str) -> Any:
    """Of JSON, the first of a list of rows, or the first line."""
    try:
        read = json.loads(data)
    except ValueError:
        return json.loads(line)
    lists: list[tuple[Any, Any]] = [(read, dict | list)]
    if isinstance(read, dict):
        lists = [(read[name], kind) for name, kind, _ in _ROWS if name in read]
    for rows, kind in lists:
        if isinstance(rows, list) and (not rows or isinstance(rows[0], kind)):
            return next(iter(rows), None)
    return read


def _features(row: Any) -> list[Any] | None:
    """Those of a row that have no names, as the service's instances may have them."""
    if isinstance(row, dict):
        within = row.get("data", row)
        row = within.get(_FEATURES) if isinstance(within, dict) else None
        row = row.get("values") if isinstance(row, dict) else row
    return row if isinstance(row, list) else None


def _apart(side: str, count: int) -> tuple[Column, Column]:
    """What a row has by name, and what it has by place."""
    row, is_json = F.col(f"l.{side}l"), F.col(f"{side}e") == "JSON"
    cells = F.from_csv(row, ", ".join(f"c{i} string" for i in range(max(1, count))))
    entries = F.from_json(row, _NAMED)
    within = F.coalesce(F.from_json(F.try_element_at(entries, F.lit("data")), _NAMED), entries)
    features = F.try_element_at(within, F.lit(_FEATURES))
    values = F.try_element_at(F.from_json(features, _NAMED), F.lit("values"))
    listed = F.from_json(F.coalesce(values, features, F.when(F.ltrim(row).startswith("["), row)), _LISTED)
    # A row may be a text or a number, too.
    of_json = F.coalesce(listed, F.when(entries.isNull(), F.array(row)))
    of_csv = F.array(*(F.trim(cells[f"c{i}"]) for i in range(max(1, count))))
    return F.when(is_json, within).alias(f"{side}n"), F.when(is_json, of_json).otherwise(of_csv).alias(f"{side}p")


def _fields(side: str, names: Sequence[str]) -> list[Column]:
    return [F.coalesce(F.try_element_at(f"{side}n", F.lit(name)), F.get(f"{side}p", F.lit(i))).alias(name) for i, name in enumerate(names)]
