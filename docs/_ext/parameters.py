"""``{parameters} KMeans`` and ``{algorithms}``: tables of what the classes declare, so that no page can say otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from pyspark.ml import Model
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sparkml_algos
from sparkml_algos.arrays.hyperparameters import ColumnParam, DeclaredParam, Hyperparameter, JobParam, OwnHyperparameter
from sparkml_algos.names import EXPORTS

KINDS = {
    "hyperparameters": lambda param: isinstance(param, Hyperparameter),
    "columns": lambda param: isinstance(param, ColumnParam),
    "job": lambda param: isinstance(param, JobParam),
    "settings": lambda param: type(param) is DeclaredParam,
}


class Parameters(SphinxDirective):
    """Name, values, default and meaning of the Params of a class, of one kind: ``hyperparameters`` (default), ``columns``, ``job``, or
    ``settings`` that are none of these; ``only`` some of them, by name."""

    required_arguments = 1
    option_spec: ClassVar = {"kind": lambda text: directives.choice(text, KINDS), "only": str.split}

    def run(self) -> list[nodes.Node]:
        kind = self.options.get("kind", "hyperparameters")
        declared = {name: p for name, p in getattr(sparkml_algos, self.arguments[0]).declared.items() if KINDS[kind](p)}
        only = self.options.get("only", list(declared))
        if not only or not set(only) <= set(declared):
            raise self.error(f"{self.arguments[0]} declares {', '.join(declared) or 'nothing'} as {kind}, not {', '.join(only)}")
        rows = [row(name, declared[name]) for name in only]
        return parsed(self, table(["name", "takes", "default", "what it does"], rows))


class Outputs(SphinxDirective):
    """What `transform` of a Model appends."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        model = getattr(sparkml_algos, self.arguments[0])
        rows = []
        for output in model.outputs:
            param = model.declared[output.param]
            column = f"`{param.default}`" if param.default else "where it is named"
            rows.append([column, f"`{output.type}`", f"`{output.param}`", param.doc.removeprefix("Output column: ")])
        return parsed(self, table(["column", "type", "named by", "what it holds"], rows))


class Algorithms(SphinxDirective):
    """The pages beside this one, the classes that each is about, and what it says first they are for."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for page, classes in pages().items():
            text = Path(self.env.doc2path(f"algorithms/{page}")).read_text()
            says = re.search(r"^## What for\n\n(.+?[.:])\s", text, re.DOTALL | re.MULTILINE)[1].replace("\n", " ").rstrip(":")
            rows.append([f"[](/algorithms/{page}.md)", ", ".join(f"{{py:class}}`~sparkml_algos.{name}`" for name in classes), says])
        return parsed(self, table(["page", "classes", "what for"], rows))


def pages() -> dict[str, list[str]]:
    """Classes with Params that users fit or transform with, by the page of their folder: what is exported and is no Model."""
    found: dict[str, list[str]] = {}
    for name, module in EXPORTS.items():
        _, room, *rest = module.split(".")
        if room in ("algorithms", "features") and not issubclass(getattr(sparkml_algos, name), Model):
            found.setdefault(rest[0], []).append(name)
    return dict(sorted(found.items()))


def row(name: str, param: DeclaredParam) -> list[str]:
    default = "required" if param.required else "" if param.default is None else f"`{param.default!r}`"
    says = param.doc if not isinstance(param, OwnHyperparameter) else f"{param.doc} *Not of the service.*"
    aliases = f" Also {', '.join(f'`{alias}`' for alias in param.aliases)}." if param.aliases else ""
    return [f"`{name}`", param.describe(), default, says + aliases]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "{.params}"
    for line in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"


def parsed(directive: SphinxDirective, lines: Iterator[str]) -> list[nodes.Node]:
    """Nodes of lines of Markdown."""
    node = nodes.container()
    directive.state.nested_parse(StringList(list(lines), source=directive.get_source_info()[0]), directive.content_offset, node)
    return node.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("parameters", Parameters)
    app.add_directive("outputs", Outputs)
    app.add_directive("algorithms", Algorithms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
