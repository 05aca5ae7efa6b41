"""The table of the README is what the benchmarks' JSON says, and says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.table import BEGIN, END, MEASURED, README, long_tables, readme_block, significant, with_block

ENVIRONMENT = {
    "packages": {"pyspark": "4.3.0"}, "processor": "Some CPU", "cpus": 2, "date": "2026-01-02 03:04:05", "load_at_start": 0.25,
}  # fmt: skip
LOSS = {"name": "loss", "theirs": 0.51, "ours": 0.5}
CASES = {
    "rows": {
        "environment": ENVIRONMENT,
        "headlines": [
            {"subject": "fit", "peer": "MLlib", "theirs": 12.34, "ours": 1.234, "unit": "s", "quality": LOSS},
            {"subject": "transform", "peer": "MLlib", "theirs": 200_000.0, "ours": 500_000.0, "unit": "rows/s", "quality": None},
        ],
        "tables": [{"title": "Fit | seconds", "columns": ["", "MLlib"], "rows": [["later", 12.34], ["none", None], ["rows", 60_000]]}],
        "notes": ["Medians."],
        "values": {},
    }
}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    (tmp_path / "some.json").write_text(json.dumps(CASES))
    return tmp_path


def test_the_readme_has_the_figures_of_the_json() -> None:
    text = README.read_text()
    assert with_block(text, readme_block()) == text, "python tests/benchmarks/table.py writes it anew"


def test_every_measured_case_says_where_and_when() -> None:
    for file in MEASURED.glob("*.json"):
        for case in json.loads(file.read_text()).values():
            assert {"environment", "headlines", "tables", "notes", "values"} <= set(case)
            assert {"date", "cpus", "processor", "packages", "load_at_start"} <= set(case["environment"])


def test_a_comparison_is_a_row_whose_ratio_says_how_many_times_quicker_ours_is(measured: Path) -> None:
    lines = readme_block(measured).splitlines()
    assert lines[2] == "| fit | MLlib: 12 s | 1.2 s | **10** | loss 0.5100, 0.5000 |"
    assert lines[3] == "| transform | MLlib: 200,000 rows/s | 500,000 rows/s | **2.5** |  |"
    assert lines[-1] == "Measured on 2 shared cores (Some CPU) with Spark 4.3.0, 2026-01-02."


def test_a_long_table_has_its_title_notes_and_circumstances(measured: Path) -> None:
    text = long_tables("some", measured)
    assert "**Fit | seconds**" in text and "| later | 12.34 |" in text and "| none |  |" in text and "| rows | 60,000 |" in text
    assert text.endswith("* Medians.\n* Measured 2026-01-02 03:04, Spark 4.3.0, load of the machine at the start 0.2.")
    assert long_tables("another", measured) == ""


def test_a_block_is_put_between_the_markers_and_nowhere_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_block(text, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="once each"):
        with_block("nothing", "new")


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.92456, 4, "0.9246"), (211_432.0, 2, "210,000"), (1.04, 2, "1.0"), (0.00513, 2, "0.0051"), (0.0, 2, "0.0")],
)
def test_figures_have_the_digits_that_mean_something(value: float, digits: int, shown: str) -> None:
    assert significant(value, digits) == shown
