"""Every algorithm has its page, every page what a page has, and what README and site link to is there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from pyspark.ml import Model

import sparkml_algos
from sparkml_algos.names import EXPORTS
from tests.docs.pages import DOCS, ROOT, fences, pages

HEADINGS = ("What for", "Example", "Hyperparameters", "Columns", "Output", "Cost", "Differences from the service")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Folder, and so page, of each class that is fitted or transforms.
DOCUMENTED = {
    name: module.split(".")[2]
    for name, module in EXPORTS.items()
    if module.split(".")[1] in ("algorithms", "features") and not issubclass(getattr(sparkml_algos, name), Model)
}
PATHS = [*sorted({ROOT / "jvm-bridge" / "README.md", ROOT / "tests" / "cluster" / "README.md", *pages()})]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_an_exported_algorithm_has_a_page_that_uses_it(name: str) -> None:
    page = DOCS / "algorithms" / f"{DOCUMENTED[name]}.md"
    assert page.exists(), f"{name} is exported but has no page {page.relative_to(ROOT)}; its template is in docs/adding.md, 'Its page'"
    for path in (page, ROOT / "README.md"):
        assert re.search(rf"\b{name}\b", path.read_text()), f"{path.relative_to(ROOT)} does not mention {name}"


@pytest.mark.parametrize("page", sorted(set(DOCUMENTED.values())))
def test_a_page_of_an_algorithm_has_every_heading_an_example_and_tables_of_declarations(page: str) -> None:
    path = DOCS / "algorithms" / f"{page}.md"
    if not path.exists():
        pytest.skip("another test says so")
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(HEADINGS)
    assert any(fence.language == "pycon" and "sparkml_algos" in fence.code and not fence.not_run for fence in fences(path))
    shown = re.findall(r"^```\{parameters\} (\w+)$", text, re.MULTILINE)
    assert shown and all(DOCUMENTED[name] == page for name in shown)


@pytest.mark.parametrize("page", sorted(set(DOCUMENTED.values())))
def test_what_a_page_says_of_a_model_it_has(page: str) -> None:
    path = DOCS / "algorithms" / f"{page}.md"
    classes = [getattr(sparkml_algos, name) for name, module in EXPORTS.items() if module.split(".")[2] == page]
    models = [cls for cls in classes if issubclass(cls, Model)]
    for attribute in set(re.findall(r"`model\.(\w+)", path.read_text())):
        assert any(hasattr(model, attribute) for model in models), f"no model of {path.relative_to(ROOT)} has {attribute}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(path: Path) -> None:
    for target in LINK.findall(re.sub(r"```.*?```|`[^`\n]+`", "", path.read_text(), flags=re.DOTALL)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = path if not file else DOCS / file.lstrip("/") if file.startswith("/") else path.parent / file
        assert found.exists(), f"{target} is not there"
        if anchor:
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(found.read_text())}
            assert anchor in anchors, f"{file or 'the page'} has no heading {anchor}"


def test_what_an_example_is_not_run_for_is_said() -> None:
    for page in pages():
        assert all(fence.not_run is None or len(fence.not_run.split()) > 2 for fence in fences(page)), page


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    newest = re.search(r"^## (\S+?)(?:,|$)", (DOCS / "changelog.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == sparkml_algos.__version__


COMMAND = re.compile(r"(?:bash|python) (-m )?([\w./-]+)")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_command_on_a_page_runs_is_there(path: Path) -> None:
    for fence in fences(path):
        if fence.language != "bash":
            continue
        for line in fence.code.splitlines():
            found = COMMAND.match(re.sub(r"^(?:export )?(?:\w+=\S+ )*", "", line))
            if found and found[1]:
                assert find_spec(found[2]), f"{line}: there is no module {found[2]}"
            elif found:
                assert (ROOT / found[2]).is_file(), f"{line}: there is no {found[2]}"


def test_the_readme_begins_with_the_two_commands() -> None:
    first = next(fence for fence in fences(ROOT / "README.md") if fence.language == "bash")
    assert [line.partition("  #")[0].strip() for line in first.code.splitlines()] == ["bash examples/quickstart.sh", "bash tests/run.sh"]
