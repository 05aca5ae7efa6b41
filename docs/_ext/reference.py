"""Writes a page of the reference for each name that the package exports, and leaves out what people do not call by that page."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from docutils import nodes
from parameters import parsed
from pyspark.ml import Model
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sparkml_algos
from sparkml_algos.names import EXPORTS

PACKAGE = "sparkml_algos"
FOLDER = Path(__file__).parents[1] / "reference" / "generated"


# What an algorithm tells the framework, and how that looks at Params: for `adding`, not for users.
HOOKS = {
    "algorithm", "decoder", "facts", "fields", "hyperparameters", "inputs", "is_given", "label_classes", "model_class", "only",
    "only_one_worker", "own_outputs", "problems", "shard_key", "title", "value",
}  # fmt: skip


def write_pages(app: Sphinx) -> None:
    """Before the sources are read; only what has changed, so that a second build is quick."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.rst": page(name) for name in EXPORTS}
    for left in {path.name for path in FOLDER.iterdir()} - set(wanted):
        (FOLDER / left).unlink()
    for name, text in wanted.items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def page(name: str) -> str:
    """reStructuredText of a class with its members, or of a function."""
    is_class = inspect.isclass(getattr(sparkml_algos, name))
    directive = f".. autoclass:: {name}\n   :members:\n   :inherited-members:\n" if is_class else f".. autofunction:: {name}\n"
    return f"{name}\n{'=' * len(name)}\n\n.. currentmodule:: {PACKAGE}\n\n{directive}"


class Exports(SphinxDirective):
    """A table of everything that is exported, with a link to the page of each."""

    def run(self) -> list[nodes.Node]:
        groups: dict[str, list[str]] = {"Estimators and transformers": [], "Models": [], "Beside them": []}
        for name, module in EXPORTS.items():
            has_params = module.split(".")[1] in ("algorithms", "features")
            groups[list(groups)[2 if not has_params else issubclass(getattr(sparkml_algos, name), Model)]].append(name)
        lines = []
        for title, names in groups.items():
            lines += [f"**{title}**", "", "| name | |", "| --- | --- |"]
            lines += [f"| {{py:obj}}`~{PACKAGE}.{name}` | {summary(name)} |" for name in names] + [""]
        pages = ["```{toctree}", ":hidden:", "", *(f"generated/{name}" for name in EXPORTS), "```"]
        return parsed(self, iter([*lines, *pages]))


def summary(name: str) -> str:
    """The first sentence about it."""
    return inspect.getdoc(getattr(sparkml_algos, name)).partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def is_left_out(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Of the members of a class: what Spark or Python gives it, hooks, Params, and the ``setX`` and ``getX`` that each Param has."""
    if what != "class":
        return None
    function = getattr(member, "fget", None) or inspect.unwrap(getattr(member, "__func__", member))
    module = getattr(function, "__module__", None) or ""
    if not module.startswith(PACKAGE) or not (inspect.isfunction(function) or inspect.isclass(member)):
        return True
    accessor = name[:3] in ("set", "get") and name[3:4].isupper()
    return True if accessor or name in HOOKS else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("exports", Exports)
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", is_left_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
