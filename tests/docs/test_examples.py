"""The code of README and site runs as it is printed, and gives what is printed under it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.docs.pages import ROOT, fences, pages, run

PAGES = {str(page.relative_to(ROOT)): page for page in pages() if any(fence.language in ("python", "pycon") for fence in fences(page))}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs_and_gives_what_is_printed(
    name: str, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # As in a notebook: functions travel to the workers as code, not by the name of a module.
    wrong = run(PAGES[name], {"__name__": "__main__", "spark": spark})
    assert not wrong, "\n".join(wrong)
