"""What a check found: violations in the service's file, metrics, a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkml_algos.html_pages import page, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SCHEMA = "subject string, check string, description string, observed double, expected double, threshold double"
_VIOLATIONS_FILE = "constraint_violations.json"


@dataclass(frozen=True)
class Violation:
    """Something that is not as it must be.

    Attributes
    ----------
    subject : str
        The column, metric, or facet and measure.
    check : str
        The service's ``constraint_check_type``.
    description : str
    observed, expected, threshold : float or None
        What was found, what the baseline has, and what may be.
    keys : dict of str to str
        Further keys of the service's entry.
    """

    subject: str
    check: str
    description: str
    observed: float | None = None
    expected: float | None = None
    threshold: float | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The entry of the service's file, with three numbers more."""
        answer: dict[str, Any] = dict(self.keys) or {"feature_name": self.subject}
        answer |= {"constraint_check_type": self.check, "description": self.description}
        numbers = {"observed": self.observed, "expected": self.expected, "threshold": self.threshold}
        return answer | {key: value for key, value in numbers.items() if value is not None and math.isfinite(value)}


@dataclass(frozen=True)
class MonitorReport:
    """What a check found.

    Attributes
    ----------
    kind : str
        ``DataQuality``, ``ModelQuality``, ``ModelBias`` or ``ModelExplainability``.
    violations : tuple of Violation
    metrics : dict of str to float
        By the service's names of metrics.
    version : str or None
        Of the service's file, which that of data quality lacks.
    plots : dict of str to str
        Drawings by the title they have on the page.
    """

    kind: str
    violations: tuple[Violation, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    version: str | None = None
    plots: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations

    @property
    def status(self) -> str:
        """The service's status of such an execution."""
        return "Completed" if self.ok else "CompletedWithViolations"

    def to_dict(self) -> dict[str, Any]:
        """The service's ``constraint_violations.json``."""
        version = {} if self.version is None else {"version": self.version}
        return {**version, "violations": [violation.to_dict() for violation in self.violations]}

    def save_json(self, path: str | Path) -> None:
        """Write ``constraint_violations.json``.

        Parameters
        ----------
        path : str or Path
            Of the file, or of a directory that is there.
        """
        target = Path(path) / _VIOLATIONS_FILE if Path(path).is_dir() else Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def to_dataframe(self, spark: SparkSession) -> DataFrame:
        """A row for every violation.

        Parameters
        ----------
        spark : SparkSession

        Returns
        -------
        DataFrame
            Columns ``subject``, ``check``, ``description``, ``observed``, ``expected``, ``threshold``.
        """
        rows = [(one.subject, one.check, one.description, one.observed, one.expected, one.threshold) for one in self.violations]
        return spark.createDataFrame(rows, _SCHEMA)

    def to_html(self, title: str | None = None) -> str:
        """A page of its own: violations, metrics and drawings.

        Parameters
        ----------
        title : str, optional

        Returns
        -------
        str
        """
        parts = [f'<p class="{"" if self.ok else "bad"}">{escape(self.status)}: {len(self.violations)} violations.</p>']
        if self.violations:
            parts.append(table(("", "check", "what", "observed", "threshold"), [
                (one.subject, one.check, one.description, one.observed, one.threshold) for one in self.violations
            ]))  # fmt: skip
        parts += [f"<h3>{escape(name)}</h3>{drawn}" for name, drawn in self.plots.items()]
        if self.metrics:
            parts += ["<h2>Metrics</h2>", table(("metric", "value"), list(self.metrics.items()))]
        return page(title or f"Monitoring: {self.kind}", "\n".join(parts))

    def save_html(self, path: str | Path, title: str | None = None) -> None:
        """Write the page of `to_html`.

        Parameters
        ----------
        path : str or Path
        title : str, optional
        """
        Path(path).write_text(self.to_html(title), encoding="utf-8")
