"""Parts of texts are told apart, and their attributions are Shapley values that add up."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from sparkml_algos import BlazingTextClassifier
from sparkml_algos.explain import explain_text
from sparkml_algos.explain.text import explained, mixtures, units


@pytest.mark.parametrize(
    ("granularity", "text", "parts"),
    [
        ("token", "  a b\tc\nd ", ["a", "b", "c", "d"]),
        ("sentence", "One. Two is 3.5 large! “Three?” four", ["One.", "Two is 3.5 large!", "“Three?”", "four"]),
        ("sentence", "今天好。明天见！", ["今天好。", "明天见！"]),  # noqa: RUF001
        ("paragraph", "a b\nc\n\n \n d\n\ne", ["a b\nc", "d", "e"]),
        ("token", " ", []),
    ],
)
def test_parts_of_a_text(granularity, text, parts):
    assert [text[start:end] for start, end in units(text, granularity)] == parts


#: What parts are, as expressions that take time by the square of the length.
SLOW = {
    "token": re.compile(r"\S+"),
    "sentence": re.compile(r"\S.*?(?:[.!?…]+[\"'”’)\]]*(?=\s|\Z)|[。！？]+|\Z)", re.DOTALL),  # noqa: RUF001
    "paragraph": re.compile(r"\S.*?(?=\s*\n\s*\n|\s*\Z)", re.DOTALL),
}


@pytest.mark.parametrize("granularity", SLOW)
def test_parts_are_those_that_expressions_describe(granularity):
    random = np.random.default_rng(0)
    for length in random.integers(0, 14, 5000):
        text = "".join(random.choice(list("ab..!。\"')  \n\n\t"), length))
        assert units(text, granularity) == [found.span() for found in SLOW[granularity].finditer(text)], repr(text)


@pytest.mark.parametrize(
    ("granularity", "sign", "parts"),
    [("sentence", ".", 1), ("sentence", ".)", 1), ("sentence", '"', 1), ("paragraph", " ", 1), ("paragraph", "\n ", 2)],
)
def test_long_runs_of_signs_take_no_longer_than_other_texts(granularity, sign, parts):
    started = time.perf_counter()
    assert len(units("a" + sign * 200_000 + "b", granularity)) == parts
    assert time.perf_counter() - started < 5  # by the square of the length it were an hour


def test_a_part_that_is_left_out_leaves_the_blanks_around_it():
    found = dict(mixtures("x  yy z", "token", "[MASK]", None, 0))
    assert found[0] == "[MASK]  [MASK] [MASK]" and found[1] == "x  yy z"
    assert sorted(found.values())[:2] == ["[MASK]  [MASK] [MASK]", "[MASK]  [MASK] z"] and len(set(found.values())) == 8
    assert mixtures(None, "token", "", None, 0) == [(0, ""), (1, "")]


def test_of_a_sum_each_word_has_its_own_share():
    worth = {"good": 2.0, "bad": -3.0, "film": 0.25}
    text = "good film bad film"
    found = [
        {"place": place, "outputs": [sum(worth[word] for word in mixed.split()), 1.0]}
        for place, mixed in mixtures(text, "token", "", None, 3)
    ]
    parts, expected = explained(text, found[::-1], "token", None, 3)
    assert [(part, start) for part, start, _ in parts] == [("good", 0), ("film", 5), ("bad", 10), ("film", 14)]
    assert [values[0] for *_, values in parts] == pytest.approx([2.0, 0.25, -3.0, 0.25]) and expected == [0.0, 1.0]
    assert [values[1] for *_, values in parts] == pytest.approx([0.0] * 4)
    one = [{"place": 0, "outputs": [1.0]}, {"place": 1, "outputs": [5.0]}]
    assert explained("word", one, "token", None, 0) == ([("word", 0, [4.0])], [1.0])
    assert explained(None, one, "token", None, 0) == ([], [1.0])


@pytest.fixture(scope="module")
def texts(spark):
    rows = [(f"a {'good' if i % 2 else 'bad'} film number {i % 7}", str(i % 2)) for i in range(200)]
    return spark.createDataFrame(rows, "text string, label string")


def test_a_classifier_says_which_words_made_the_difference(spark, texts):
    model = BlazingTextClassifier(labelCol="label", epochs=10, learning_rate=0.5, num_workers=1, seed=1).fit(texts)
    some = spark.createDataFrame([("a good film",), ("a bad film",), ("",)], "text string")
    rows = {row["text"]: row for row in model.explain(some).collect()}
    scored = {row["text"]: row["probability"].toArray() for row in model.transform(some).collect()}
    for text, row in rows.items():
        total = [row["expected"][i] + sum(part["attribution"][i] for part in row["attributions"]) for i in range(2)]
        assert total == pytest.approx(scored[text], abs=1e-6)
    positive = model.labels.index("1")
    of_words = {part["partial_text"]: part["attribution"][positive] for part in rows["a good film"]["attributions"]}
    assert max(of_words, key=of_words.get) == "good" and rows[""]["attributions"] == []
    assert [part["start_idx"] for part in rows["a bad film"]["attributions"]] == [0, 2, 6]
    found = explain_text(model, some, num_samples=20, seed=2)
    top = found.top_tokens(2)
    assert found.labels == ("label0", "label1") and set(top["label0"]) == {"good", "bad"}
    with pytest.raises(ValueError, match="granularity is one of token, sentence, paragraph"):
        explain_text(model, some, granularity="letter")
    with pytest.raises(ValueError, match="column 'n' is bigint; strings are explained"):
        explain_text(model, spark.range(1).toDF("n"), text="n")
