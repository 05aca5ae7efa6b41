"""The scripts of ``findings/`` keep their form; they run by hand, for they install packages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "findings"
SCRIPTS = sorted(path for path in FOLDER.glob("*.sh") if path.name != "common.sh")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_says_what_was_guessed_and_seen_and_pins_what_it_installs(script: Path) -> None:
    text = script.read_text()
    head = text[: text.index("install ")]
    assert all(re.search(rf"^# {word}: +\S", head, re.MULTILINE) for word in ("Guess", "Seen", "So"))
    [packages] = re.findall(r"^install (.+)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", package) for package in packages.split())
    assert "seen_as" in text and "sparkml_algos" not in text


def test_the_list_of_findings_is_complete() -> None:
    assert re.findall(r"^\| \[`(.+)`\]\(\1\)", (FOLDER / "README.md").read_text(), re.MULTILINE) == [path.name for path in SCRIPTS]
