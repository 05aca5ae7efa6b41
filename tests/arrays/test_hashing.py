"""Hashes that are the same everywhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkml_algos.arrays.hashing import xxhash64

RANDOM = np.random.default_rng(0)
# Of every length up to three stripes, in characters of one to four bytes.
TEXTS = ["".join(RANDOM.choice(list("abcÄé€😀 09"), size)) for size in range(100)]


def test_texts_have_the_hash_that_spark_gives_them(spark: SparkSession) -> None:
    rows = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string").select("id", F.xxhash64("text")).collect()
    assert [hashed for _, hashed in sorted(map(tuple, rows))] == xxhash64(pa.array(TEXTS)).tolist()


# From the specification's own checks, without a seed.
@pytest.mark.parametrize(("text", "expected"), [("", 0xEF46DB3751D8E999), ("a", 0xD24EC4F1A98C6E5B), ("abc", 0x44BC2CF5AD770999)])
def test_known_texts_have_their_known_hash(text: str, expected: int) -> None:
    assert xxhash64(pa.array([text]), seed=0).view(np.uint64)[0] == expected


def test_a_text_alone_has_the_hash_that_it_has_among_others() -> None:
    assert [xxhash64(pa.array([text]))[0] for text in TEXTS[:40]] == xxhash64(pa.array(TEXTS[:40])).tolist()


def test_a_part_of_an_array_has_the_hashes_of_that_part() -> None:
    whole = pa.array(TEXTS)
    np.testing.assert_array_equal(xxhash64(whole[7:20]), xxhash64(whole)[7:20])
    assert len(xxhash64(whole[:0])) == 0
