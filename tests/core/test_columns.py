"""A name means the column that it means to Spark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType

from sparkml_algos.core.columns import existing, find, parts, twice
from sparkml_algos.rows.lists import Sentence, Tokens, words_of

pytestmark = pytest.mark.generic


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    inner = "named_struct('x', 1.5D, 'y.z', 2.5D, 'Deep', named_struct('er', 3.5D))"
    return spark.range(1).select(
        F.expr(inner).alias("s"),
        F.expr(f"array({inner})").alias("list"),
        F.expr("map('key', 4.5D)").alias("map"),
        F.expr(f"map('key', {inner})").alias("structs"),
        F.lit(5.5).alias("s.x.y"),
        F.lit(6.5).alias("a `tick`"),
        F.lit(7.5).alias("Capital"),
    )


@pytest.fixture
def case_sensitive(spark: SparkSession) -> Iterator[None]:
    spark.conf.set("spark.sql.caseSensitive", "true")
    yield
    spark.conf.unset("spark.sql.caseSensitive")


@pytest.mark.parametrize("name", [
    "s", "s.x", "S.X", "s.`y.z`", "`s`.deep.er", "list.x", "list.Deep.er", "map.key", "structs.key.x", "`a ``tick```", "capital", "`s.x.y`",
])  # fmt: skip
def test_a_name_means_what_it_means_to_spark(frame: DataFrame, name: str) -> None:
    (expected,) = frame.select(F.col(name)).schema.fields
    found = find(frame, name)
    assert found.type == expected.dataType or found.type == ArrayType(DoubleType()) == ArrayType(expected.dataType.elementType)
    assert frame.select(found.column).first() == frame.select(F.col(name)).first()


@pytest.mark.parametrize(("name", "value"), [("s.x.y", 5.5), ("S.x.Y", 5.5), ("a `tick`", 6.5), ("CAPITAL", 7.5)])
def test_a_column_of_this_very_name_comes_before_what_is_within_others(frame: DataFrame, name: str, value: float) -> None:
    assert frame.select(find(frame, name).column).first()[0] == value


@pytest.mark.parametrize("name", ["t", "s.t", "t.x", "s.x.t", "map.key.x", "list.t", "", ".", "s.", "s..x", "`s", "s.`x"])
def test_a_name_without_meaning_is_not_found(frame: DataFrame, name: str) -> None:
    assert find(frame, name) is None


def test_a_key_of_a_map_has_one_case(frame: DataFrame) -> None:
    assert frame.select(find(frame, "Map.KEY").column).first()[0] is None


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        (["1 AS id", "2 AS id"], "id"),
        (["1 AS id", "2 AS ID"], "Id"),
        (["named_struct('a', 1, 'A', 2) AS s"], "s.a"),
        (["named_struct('a', 1) AS s", "named_struct('a', 1) AS S"], "s.a"),
    ],
)
def test_a_name_of_several_columns_is_ambiguous(spark: SparkSession, columns: list[str], name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is ambiguous: 2 columns of the dataset have this name"):
        find(spark.range(1).selectExpr(*columns), name)


@pytest.mark.usefixtures("case_sensitive")
def test_where_case_counts_names_that_differ_in_it_are_others(spark: SparkSession) -> None:
    frame = spark.range(1).selectExpr("1 AS id", "2 AS ID", "named_struct('a', 3, 'A', 4) AS s")
    assert [frame.select(find(frame, name).column).first()[0] for name in ("id", "ID", "s.a", "s.A")] == [1, 2, 3, 4]
    assert [find(frame, name) for name in ("Id", "S.a")] == [None, None]
    assert (existing(frame, "iD"), existing(frame, "ID")) == (None, "ID")
    assert twice(frame, ["a", "A", "b", "b"]) == ["b", "b"]


def test_where_case_does_not_count_names_that_differ_in_it_are_the_same(frame: DataFrame) -> None:
    assert (existing(frame, "CAPITAL"), existing(frame, "s.x")) == ("Capital", None)
    assert twice(frame, ["a", "A", "b", "c"]) == ["a", "A"]


@pytest.mark.parametrize("kind", [Tokens(), Sentence()], ids=["tokens", "sentence"])
def test_a_text_has_the_same_words_to_spark_and_without(spark: SparkSession, kind: Tokens | Sentence) -> None:
    expected = {
        "a b": ["a", "b"],
        "\ta  b\r\n": ["a", "b"],
        " \x0ba\x0c ": ["a"],
        "10\u00a0km\u3000weit\x85\x1f": ["10\u00a0km\u3000weit\x85\x1f"],
        "": [],
        " \n\t": [],
    }
    frame = spark.createDataFrame([(text,) for text in expected], "text string")
    found = frame.select("text", parts(kind, "text", [find(frame, "text")])[0].alias("words"))
    assert {row.text: row.words for row in found.collect()} == expected
    assert kind.arrays(list(expected))[""].to_pylist() == list(map(words_of, expected)) == list(expected.values())
