"""What was found, item by item, as a table for terminals and for notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import overload

#: As it should be; training works, and there is something better; training, or what was asked for, does not work; not to be seen.
RIGHT, ADVICE, WRONG, UNKNOWN = "right", "advice", "wrong", "unknown"

_COLORS = {RIGHT: "#2e7d32", ADVICE: "#b26a00", WRONG: "#c62828", UNKNOWN: "#616161"}
_WIDTH = 120


@dataclass(frozen=True)
class Finding:
    """What was found out about one item.

    Parameters
    ----------
    item : str
        What was looked at: ``Python``, ``speculation`` …
    status : {"right", "advice", "wrong", "unknown"}
    found : str
        What there is, or why that could not be seen.
    remedy : str
        How to mend it, or what would be better; empty where all is right.
    """

    item: str
    status: str
    found: str
    remedy: str = ""


def in_a_line(error: BaseException) -> str:
    """Type and first words of an exception, of which Spark's have hundreds of lines."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


class Report(Sequence[Finding]):
    """The findings of one check, in the order of the items; prints as a table.

    Parameters
    ----------
    title : str
        What was checked.
    findings : sequence of Finding

    Attributes
    ----------
    title : str
    ok : bool
        Whether nothing is wrong, and everything could be seen.
    wrong : list of Finding
    """

    def __init__(self, title: str, findings: Sequence[Finding]) -> None:
        self.title, self._findings = title, tuple(findings)

    @property
    def ok(self) -> bool:
        return all(finding.status in (RIGHT, ADVICE) for finding in self)

    @property
    def wrong(self) -> list[Finding]:
        return [finding for finding in self if finding.status == WRONG]

    def of(self, item: str) -> list[Finding]:
        """The findings about one item."""
        return [finding for finding in self if finding.item == item]

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...

    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        return self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __repr__(self) -> str:
        return "\n".join([f"{self.title}: {self._verdict()}", *self._lines()])

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows = "".join(
            f'<tr><td style="color:{_COLORS[finding.status]};font-weight:bold">{finding.status}</td>'
            f'<td style="text-align:left">{escape(finding.item)}</td><td style="text-align:left">{escape(finding.found)}</td>'
            f'<td style="text-align:left">{escape(finding.remedy)}</td></tr>'
            for finding in self
        )
        head = "".join(f'<th style="text-align:left">{name}</th>' for name in ("", "item", "found", "how to mend it"))
        return f"<b>{escape(self.title)}: {self._verdict()}</b><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _verdict(self) -> str:
        counts = {status: sum(finding.status == status for finding in self) for status in (WRONG, UNKNOWN, ADVICE)}
        said = [f"{count} {status}" for status, count in counts.items() if count]
        return f"{', '.join(said) or 'all'} of {len(self)} items" if said else f"all {len(self)} items are right"

    def _lines(self) -> Iterator[str]:
        item_width = max((len(finding.item) for finding in self), default=0)
        indent = " " * (len(UNKNOWN) + item_width + 6)
        for finding in self:
            head = f"  {finding.status:<{len(UNKNOWN)}}  {finding.item:<{item_width}}  "
            yield textwrap.fill(finding.found, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)
            if finding.remedy:
                yield textwrap.fill(
                    finding.remedy, _WIDTH, initial_indent=f"{indent}→ ", subsequent_indent=f"{indent}  ", break_on_hyphens=False
                )
