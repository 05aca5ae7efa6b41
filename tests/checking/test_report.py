"""What a check says, in a terminal, in a notebook, to a program."""

from __future__ import annotations

import pytest

from sparkml_algos.checking.report import ADVICE, RIGHT, UNKNOWN, WRONG, Finding, Report

RIGHT_ONE = Finding("Java", RIGHT, "17.0.15")
WRONG_ONE = Finding("speculation", WRONG, "spark.speculation is <true>", "set it to false")


def test_a_report_is_its_findings_in_order() -> None:
    report = Report("here", [RIGHT_ONE, WRONG_ONE])
    assert list(report) == [RIGHT_ONE, WRONG_ONE] and len(report) == 2 and report[1] is WRONG_ONE
    assert report.wrong == [WRONG_ONE] and report.of("Java") == [RIGHT_ONE]


@pytest.mark.parametrize(("status", "ok"), [(RIGHT, True), (ADVICE, True), (WRONG, False), (UNKNOWN, False)])
def test_all_is_well_where_nothing_is_wrong_and_all_could_be_seen(status: str, ok: bool) -> None:
    assert Report("here", [RIGHT_ONE, Finding("Arrow", status, "on")]).ok == ok


def test_it_prints_as_a_table_with_remedies_below_what_is_wrong() -> None:
    assert repr(Report("here", [RIGHT_ONE, WRONG_ONE])).splitlines() == [
        "here: 1 wrong of 2 items",
        "  right    Java         17.0.15",
        "  wrong    speculation  spark.speculation is <true>",
        "                        → set it to false",
    ]


def test_long_lines_are_wrapped_below_themselves() -> None:
    lines = repr(Report("here", [Finding("Java", WRONG, "word " * 60)])).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= 120
    assert {line.index("word") for line in lines[1:]} == {lines[1].index("word")}


def test_a_notebook_shows_a_table_in_which_nothing_is_html_by_chance() -> None:
    html = Report("here", [RIGHT_ONE, WRONG_ONE])._repr_html_()
    assert html.count("<tr>") == 3 and "spark.speculation is &lt;true&gt;" in html and "set it to false" in html


def test_all_right_is_said_so() -> None:
    assert repr(Report("here", [RIGHT_ONE])).startswith("here: all 1 items are right")
