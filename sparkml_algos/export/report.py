"""What is said of a file that was written."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from sparkml_algos.export.comparison import Difference


@dataclass(frozen=True)
class Report:
    """What was written, and how it compares with ours.

    Attributes
    ----------
    path : Path
    model : str
        Name of the model's class.
    precision : str
    bytes : int
        Of the file.
    rows : int
        That both have answered; 0 of the library's own format, which is the model itself.
    tolerance : float or None
        What the largest difference had to stay below; None where it is reported alone: with 16 and 8 bits.
    differences : list of Difference
    quality : dict of str to (float, float)
        Of ours and of the file; with labels, and of clusters.
    """

    path: Path
    model: str
    precision: str
    bytes: int
    rows: int = 0
    tolerance: float | None = None
    differences: list[Difference] = field(default_factory=list)
    quality: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def largest(self) -> float:
        """The largest difference of all outputs that are numbers; 0 where there are none."""
        return max((one.largest for one in self.differences if one.differing is None), default=0.0)

    @property
    def differing(self) -> int:
        """Rows of which a choice differs, of the output with the most such."""
        return max((one.differing or 0 for one in self.differences), default=0)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.model}, {self.precision}, {self.bytes:,} bytes"]
        if self.rows:
            lines.append(f"{self.rows} rows beside ours:")
        for one in self.differences:
            others = f"others in {one.differing} rows" + (f", {one.mean:.2%} of all" if one.differing else "")
            apart = others if one.differing is not None else f"largest difference {one.largest:.2g}"
            lines.append(f"  {one.output}: {apart}")
        lines += [f"  {name}: {ours:.6g} ours, {theirs:.6g} the file" for name, (ours, theirs) in self.quality.items()]
        return "\n".join(lines)


def written(target: Path, content: bytes) -> None:
    """A file with this content, there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=target.suffix, delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, target)
