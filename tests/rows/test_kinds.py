"""Every kind of column comes out of Arrow as itself, and what it cannot be is refused by column and row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows import columns
from sparkml_algos.rows.boxes import Boxes
from sparkml_algos.rows.categories import Categories
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Field, Source
from sparkml_algos.rows.identities import Ipv4, Name
from sparkml_algos.rows.kinds import Bytes, ClassLabel, Flag, InvalidRows, InvalidValue, Key, Kind, Number, Text, Time
from sparkml_algos.rows.lists import Sentence, TokenIds, Tokens
from sparkml_algos.rows.series import Series
from sparkml_algos.rows.vectors import Vector

BOX = np.array([[1, 2, 3, 4, 5], [0, 1, 1, 1, 1]], np.float32)
#: Of each kind, values of three rows, and the same as JSON has them.
VALUES: dict[Kind, tuple[Any, Any]] = {
    Number(): (np.array([1, 2.5, -3], np.float32), [1, 2.5, -3]),
    ClassLabel(3): (np.array([0, 2, 1], np.float32), [0, 2, 1]),
    Flag(): (np.array([True, False, True]), [True, False, True]),
    Key(): (np.array([2**62, -1, 0]), [2**62, -1, 0]),
    Time(): (
        np.array(["2020-02-29T12:00", "1969-12-31", "2020-01-01"], "datetime64[us]"),
        ["2020-02-29T12:00", "1969-12-31", "2020-01-01"],
    ),
    Text(): (["one", "", "three"], ["one", "", "three"]),
    Ipv4(): (["192.0.2.10", "0.0.0.0", " 255.255.255.255 "], ["192.0.2.10", "0.0.0.0", "255.255.255.255"]),
    Name(): (["user 1", "", "17"], ["user 1", "", 17]),
    Bytes(): ([b"a", b"\0\1", b"bc"], ["YQ==", "AAE=", "YmM="]),
    TokenIds(9): ([[3, 0], [7], [3]], [[3, 0], 7, [3]]),
    Tokens(): ([["a", "b"], [], ["a"]], ["a b", "", ["a"]]),
    Sentence(): ([["a", "b"], ["c"], ["a"]], ["a b", ["c"], "a"]),
    Series(): ([[1.0, np.nan], [], [3.0]], [[1, None], [], [3]]),
    Boxes(2): ([BOX, BOX[:0], BOX[:1]], None),
    Vector(): (np.arange(6, dtype=np.float32).reshape(3, 2), None),
}
kinds = pytest.mark.parametrize("kind", VALUES, ids=lambda kind: type(kind).__name__)


def decoder(kind: Kind) -> Decoder:
    return Decoder([Source(Field("it", kind, ""), ["mine"])])


def decoded(kind: Kind, values: Any, rows: int = 2) -> list[Any]:
    """The rows of some batches, as Python has them."""
    read = decoder(kind)
    return [value for part in record_batches([Field("it", kind, "")], {"it": values}, rows) for value in plain(read(part).it)]


def plain(column: Any) -> list[Any]:
    if isinstance(column, Ragged):
        return [np.asarray(row).tolist() for row in column]
    return column.to_pylist() if isinstance(column, pa.Array) else column.tolist()


def equal(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return repr(one) == repr(other)  # NaN is as good as NaN


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind not in (Name(), Ipv4())], ids=lambda kind: type(kind).__name__)
def test_values_come_back_as_they_were(kind: Kind) -> None:
    values, _ = VALUES[kind]
    assert equal(decoded(kind, values), [row if isinstance(row, (str, bytes)) else np.asarray(row).tolist() for row in values])


@pytest.mark.parametrize("kind", [kind for kind, (_, json) in VALUES.items() if json], ids=lambda kind: type(kind).__name__)
def test_a_json_request_has_the_same_values(kind: Kind) -> None:
    values, json = VALUES[kind]
    assert equal(decoded(kind, kind.from_json(json)), decoded(kind, values))


def test_boxes_of_a_json_request_are_objects() -> None:
    box = {"class_id": 1, "left": 2, "top": 3, "width": 4, "height": 5}
    assert decoded(Boxes(), Boxes().from_json([[box], []])) == [[[1, 2, 3, 4, 5]], []]


@kinds
def test_rows_can_be_taken_and_joined(kind: Kind) -> None:
    (part,) = record_batches([Field("it", kind, "")], {"it": VALUES[kind][0]})
    batch = decoder(kind)(part)
    taken = columns.take(batch.it, np.array([2, 0]))
    assert equal(plain(taken), [plain(batch.it)[2], plain(batch.it)[0]])
    assert equal(plain(columns.concat([taken, columns.take(batch.it, slice(1, 2))])), [plain(batch.it)[row] for row in (2, 0, 1)])
    assert columns.nbytes(taken) > 0 and columns.length(taken) == 2


@kinds
def test_a_batch_without_rows_has_the_form_of_others(kind: Kind) -> None:
    (part,) = record_batches([Field("it", kind, "")], {"it": VALUES[kind][0]})
    read = decoder(kind)
    some = read(part).it
    assert plain(read.empty().it) == [] and type(read.empty().it) is type(some)
    assert equal(plain(columns.concat([some, read.empty().it])), plain(some))


@kinds
def test_a_null_is_refused_by_column_and_row(kind: Kind) -> None:
    (part,) = record_batches([Field("it", kind, "")], {"it": VALUES[kind][0]})
    column = part.column(0)
    nulls = pa.RecordBatch.from_arrays([pa.concat_arrays([column[:2], pa.nulls(1, column.type)])], names=[part.schema.names[0]])
    with pytest.raises(InvalidRows, match=r"it column 'mine' is null (or has a null among its words )?in row 2"):
        decoder(kind)(nulls)


@kinds
def test_the_numbers_of_rows_depend_on_the_rows_alone(kind: Kind) -> None:
    (part,) = record_batches([Field("it", kind, "")], {"it": VALUES[kind][0]})
    rows = decoder(kind)(part).it
    found = columns.row_hashes(rows)
    assert len(set(found.tolist())) > 1
    assert columns.row_hashes(columns.take(rows, np.array([2, 0]))).tolist() == [found[2], found[0]]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Boxes(), [BOX * [1, 1, 1, 0, 1]], "it column 'mine', box 0, has width 0, expected a number > 0, in row 0"),
        (Boxes(), [BOX[:0], BOX * [1.5, 1, 1, 1, 1]], "box 0, has class_id 1.5, expected a whole number from 0, in row 1"),
        (Boxes(1), [BOX[1:], BOX[:1]], "has class_id 1, expected a whole number from 0 to 0, in row 1"),
        (Boxes(), [BOX * [1, np.nan, 1, 1, 1]], "has left nan, expected a number, in row 0"),
        (Boxes(most=1, hint="width=7"), [BOX[:1], BOX], r"it column 'mine' has 2 boxes, expected 1 at most \(width=7\), in row 1"),
        (Boxes(of_fractions=True), [BOX[:0], [[0, 0.5, 0, 0.6, 1]]], "box 0, has its right edge at 1.1, expected a fraction of the image"),
        (Boxes(of_fractions=True), [[[0, 0, -0.5, 1, 1]]], "box 0, has its top edge at -0.5, expected a fraction of the image from 0 to 1"),
        (Series(), [[1.0], [1.0, np.inf]], "it column 'mine', step 1, is inf as a 32-bit float in row 1"),
        (Series(min_length=2), [[1.0, 2.0], [1.0]], "it column 'mine' has 1 steps, at least 2 are needed, in row 1"),
        (Tokens(), [["a"], ["a", None]], "it column 'mine', token 1, is null in row 1"),
        (TokenIds(), [[1], [2, -1]], "it column 'mine', token 1, is -1, expected a token id 0 or more, in row 1"),
        (TokenIds(3, hint="size=3"), [[1], [3]], r"it column 'mine', token 0, is 3, expected a token id from 0 to 2 \(size=3\), in row 1"),
        (TokenIds(), [[1], []], "it column 'mine' is empty, expected at least one token id, in row 1"),
        (TokenIds(), [[1], [1, None]], "it column 'mine', token 1, is null in row 1"),
        (Sentence(), [["a"], []], "it column 'mine' is empty, expected at least one word, in row 1"),
        (Sentence(), [["a"], ["b", None]], "it column 'mine', word 1, is null in row 1"),
        (Sentence(), [[1], [2, -1]], "it column 'mine', word 1, is -1, expected an id >= 0, in row 1"),
        (Bytes(), [b"a", b""], r"it column 'mine' is empty \(0 bytes\) in row 1"),
        (Number(0, 1), [0.5, 2], "it column 'mine' is 2, expected a number from 0 to 1, in row 1"),
        (ClassLabel(2, "set num_class"), [0, 2], r"it column 'mine' is 2, expected 0 or 1 \(set num_class\), in row 1"),
    ],
)
def test_a_bad_value_is_refused_by_column_and_row(kind: Kind, values: Any, message: str) -> None:
    with pytest.raises(InvalidRows, match=message):
        decoded(kind, values)


def test_moments_with_a_time_zone_are_in_utc() -> None:
    there = pa.array([0], pa.timestamp("us", "Asia/Tokyo"))
    assert decoder(Time())(pa.RecordBatch.from_pydict({"it": there})).it == np.datetime64(0, "us")


class TestFacts:
    def test_words_are_counted_over_all_workers(self) -> None:
        kind = Tokens(counts_words=True)
        of_one, of_other = ([["a", "b"], ["a"]], [["b"], ["c"]])
        found = [self.facts(kind, values) for values in (of_one, of_other)]
        assert kind.merge(found) == {"vocabulary": {"a": 2, "b": 2, "c": 1}}

    def test_rows_that_are_read_again_are_not_counted_again(self) -> None:
        kind = Tokens(counts_words=True)
        read, (part,) = decoder(kind), record_batches([Field("it", kind, "")], {"it": [["a"]]})
        for reading in (read, read.again):
            reading(part)
        assert read.facts == {"it": {"vocabulary": {"a": 1}}}

    def test_the_largest_class_is_that_of_all_workers(self) -> None:
        assert ClassLabel(9).merge([{"largest": 3}, {"largest": -1}, {"largest": 7}]) == {"largest": 7}

    def test_workers_without_rows_learn_the_number_of_features(self) -> None:
        read = decoder(Vector())
        read.merge([{"it": {"num_features": 4}}, {}])
        assert read.num_features == 4 and read.empty().it.shape == (0, 4)

    def test_numbers_of_features_that_differ_are_refused(self) -> None:
        with pytest.raises(InvalidRows, match="rows differ in their number of features: 2 on worker 0, 3 on worker 2"):
            Vector().merge([{"num_features": 2}, {}, {"num_features": 3}])

    @staticmethod
    def facts(kind: Kind, values: Any) -> dict[str, Any]:
        read = decoder(kind)
        for part in record_batches([Field("it", kind, "")], {"it": values}):
            read(part)
        return read.facts["it"]


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 5], "has the index 5, expected one from 0 to 4"),
        ([-1, 2], "has the index -1, expected one from 0 to 4"),
        ([1], "has 1 indices of 2 values"),
    ],
    ids=str,
)
def test_indices_beyond_a_vector_are_refused(indices, message):
    parts = {
        "": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32())),
        "indices": pa.array([[3], indices], pa.list_(pa.int32())),
        "size": pa.array([5, 5], pa.int32()),
    }
    with pytest.raises(InvalidValue, match=message) as refused:
        Vector().reader("features", ["f"]).read(parts)
    assert refused.value.row == 1


@pytest.mark.parametrize(
    ("category", "message"),
    [(1_700_000_000, "is 1700000000, expected a whole number from 0 to 4194303; number categories from 0 on"), (-1, "is -1, .* 0 or more")],
)
def test_numbers_that_are_no_categories_are_refused_before_they_are_counted(category, message):
    with pytest.raises(InvalidValue, match=message):
        Categories().reader("cat", ["item"]).read({"": pa.array([[0], [category]], pa.list_(pa.int64()))})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 0.5, True, "1"])
def test_json_that_is_no_category_is_refused(value):
    with pytest.raises(ValueError, match="is no category"):
        Categories().from_json([[0], [value]])
