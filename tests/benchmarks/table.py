"""The tables that README and site show, made from what ``run.py --into docs/benchmarks`` has written and from nothing else.

``python tests/benchmarks/table.py`` writes the one of the README between its markers; `tests/docs/test_tables.py` says when it was
forgotten. Imports the standard library alone: the site is built with it too.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
MEASURED = REPOSITORY / "docs" / "benchmarks"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- benchmarks: written by tests/benchmarks/table.py -->", "<!-- end of benchmarks -->"

Case = dict[str, Any]


def main() -> int:
    """Write the block of the README anew."""
    README.write_text(with_block(README.read_text(), readme_block()))
    print(f"{README}: {len(list(headlines()))} comparisons from {MEASURED}")
    return 0


def measured(folder: Path = MEASURED) -> dict[str, dict[str, Case]]:
    """Cases by module, as they were measured; modules in alphabetical order."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def headlines(folder: Path = MEASURED) -> Iterator[Case]:
    """Every comparison with a peer."""
    for cases in measured(folder).values():
        for case in cases.values():
            yield from case["headlines"]


def readme_block(folder: Path = MEASURED) -> str:
    """What stands between the markers of the README."""
    rows = [
        [
            line["subject"],
            f"{line['peer']}: {amount(line['theirs'], line['unit'])}",
            amount(line["ours"], line["unit"]),
            f"**{significant(times(line), 2)}**",
            quality(line["quality"]),
        ]
        for line in headlines(folder)
    ]
    table = markdown(["", "peer", "here", "times quicker", "result, peer and here"], rows, numbers=(2, 3))
    return f"{table}\n\n{circumstances(folder)}" if rows else "Nothing has been measured."


def circumstances(folder: Path = MEASURED) -> str:
    """Machine, versions and days of all cases, in a sentence."""
    found = [case["environment"] for cases in measured(folder).values() for case in cases.values()]
    machines = sorted({f"{one['cpus']} shared cores ({one['processor']})" for one in found})
    sparks = sorted({one["packages"]["pyspark"] for one in found})
    days = sorted({one["date"][:10] for one in found})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Measured on {' and '.join(machines)} with Spark {' and '.join(sparks)}, {when}."


def long_tables(module: str, folder: Path = MEASURED) -> str:
    """All tables of a module's cases as Markdown, each with its notes and what it was measured on; empty if nothing was."""
    parts = []
    for case in measured(folder).get(module, {}).values():
        for table in case["tables"]:
            parts.append(f"**{table['title']}**\n\n{markdown(table['columns'], [list(map(format_cell, row)) for row in table['rows']])}")
        on = case["environment"]
        load = f"load of the machine at the start {on['load_at_start']:.1f}"
        notes = [*case["notes"], f"Measured {on['date'][:16]}, Spark {on['packages']['pyspark']}, {load}."]
        parts.append("\n".join(f"* {note}" for note in notes))
    return "\n\n".join(parts)


def with_block(text: str, block: str) -> str:
    """A text with something else between its markers.

    Raises
    ------
    ValueError
        If it does not have each marker once.
    """
    if (text.count(BEGIN), text.count(END)) != (1, 1):
        raise ValueError(f"{BEGIN} and {END} have to be there once each")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.partition(END)[2]}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] | None = None) -> str:
    """A table; the columns of numbers, by default all but the first, are aligned to the right."""
    aligned = range(1, len(columns)) if numbers is None else numbers
    lines = [columns, ["---:" if place in aligned else "---" for place in range(len(columns))], *rows]
    return "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def times(line: Case) -> float:
    """How many times quicker ours is."""
    quotient = line["theirs"] / line["ours"]
    return quotient if line["unit"] == "s" else 1 / quotient


def amount(value: float, unit: str) -> str:
    return f"{significant(value, 2)} s" if unit == "s" else f"{significant(value, 2)} {unit}"


def quality(found: dict[str, Any] | None) -> str:
    return f"{found['name']} {significant(found['theirs'], 4)}, {significant(found['ours'], 4)}" if found else ""


def significant(value: float, digits: int) -> str:
    """A number with as many significant digits, and without an exponent."""
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    return f"{round(value, places):,.{max(places, 0)}f}"


def format_cell(cell: str | float | None) -> str:
    """A figure with as many digits as can be read at a glance."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


if __name__ == "__main__":
    sys.exit(main())
