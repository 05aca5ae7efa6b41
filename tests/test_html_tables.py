"""Tables for notebooks: what they hold, and that they keep to themselves."""

from __future__ import annotations

import re

import pytest

from sparkml_algos.html_tables import FIRST_ROWS, LAST_ROWS, facts_table, folded, rows_table, shares_table
from sparkml_algos.training.summary import TrainingSummary

HISTORY = [{"epoch": epoch, "train:<rmse>": 1 / epoch} for epoch in range(1, 101)]
SECONDS = {"ingest": 1.0, "train": 3.0, "total": 4.0}
SUMMARY = TrainingSummary(2, 1000, [500, 500], {"features": {"num_features": 3}}, "barrier", 0, SECONDS, history=HISTORY)


def cells(html: str) -> list[list[str]]:
    """The text of each cell, line by line."""
    lines = re.findall(r"<tr>(.*?)</tr>", html)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line)] for line in lines]


def test_facts_are_escaped() -> None:
    assert cells(facts_table([("a<b>", "x & y")])) == [["a&lt;b&gt;", "x &amp; y"]]


def test_shares_have_bars_as_long_as_they_are() -> None:
    html = shares_table({"ingest": 1.0, "train": 3.0}, 4.0)
    assert [line[:2] for line in cells(html)] == [["ingest", "1.000"], ["train", "3.000"], ["total", "4.000"]]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)em", html)]
    assert widths[1] == pytest.approx(3 * widths[0])


def test_shares_of_nothing_have_no_bars() -> None:
    assert "width:0.00em" in shares_table({"train": 0.0}, 0.0)


def test_a_long_history_shows_its_first_and_last_rows() -> None:
    shown = cells(rows_table(HISTORY))
    assert shown[0] == ["epoch", "train:&lt;rmse&gt;"]
    assert [line[0] for line in shown[1 : FIRST_ROWS + 1]] == ["1", "2", "3"]
    assert shown[FIRST_ROWS + 1] == ["88 more"]
    assert shown[-1] == ["100", "0.01"] and len(shown) == FIRST_ROWS + LAST_ROWS + 2


def test_a_short_history_is_shown_whole_and_what_a_row_lacks_is_empty() -> None:
    assert cells(rows_table([{"epoch": 1}, {"epoch": 2, "rmse": 0.5}])) == [["epoch", "rmse"], ["1", ""], ["2", "0.5"]]


def test_a_summary_shows_facts_and_folds_up_times_and_history() -> None:
    html = SUMMARY._repr_html_()
    assert ["rows", "1,000"] in cells(html)
    assert folded("time: 4.00 seconds", shares_table({"ingest": 1.0, "train": 3.0}, 4.0)) in html
    assert folded("history: 100 entries", rows_table(HISTORY)) in html


def test_tables_take_nothing_from_outside_and_keep_the_colours_of_the_page() -> None:
    html = SUMMARY._repr_html_()
    assert not re.search(r"https?:|src=|href=|<script|<style|class=", html)
    assert not re.search(r"(?<!background-)color:", html)
