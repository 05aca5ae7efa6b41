"""``{benchmarks} kmeans``, ``{comparisons}``: tables of what was measured, from ``docs/benchmarks``."""

from __future__ import annotations

from docutils import nodes
from parameters import parsed
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tests.benchmarks import table


class Benchmarks(SphinxDirective):
    """Every table of a module of the benchmarks."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(table.MEASURED / f"{self.arguments[0]}.json"))
        found = table.long_tables(self.arguments[0]) or "Not measured on this version."
        return parsed(self, iter(found.splitlines()))


class RemainingBenchmarks(SphinxDirective):
    """A section for every other module that was measured; the arguments are those that the page has."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        names = [name for name in table.measured() if name not in self.arguments[0].split()]
        lines = [line for name in names for line in (f"**{name.replace('_', ' ')}**", "", *table.long_tables(name).splitlines(), "")]
        return parsed(self, iter(lines))


class Comparisons(SphinxDirective):
    """The table of the README."""

    def run(self) -> list[nodes.Node]:
        for file in table.MEASURED.glob("*.json"):
            self.env.note_dependency(str(file))
        return parsed(self, iter(table.readme_block().splitlines()))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("benchmarks", Benchmarks)
    app.add_directive("remaining-benchmarks", RemainingBenchmarks)
    app.add_directive("comparisons", Comparisons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
