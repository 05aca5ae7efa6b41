"""What type checkers see of the package is what it exports, and importing it costs next to nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import sparkml_algos
from sparkml_algos.names import EXPORTS

STUB = Path(sparkml_algos.__file__).with_name("__init__.pyi")
HEAVY = {"torch", "xgboost", "pandas", "pyspark", "numpy", "scipy", "pyarrow", "matplotlib", "sklearn"}
# The package, its names and its version.
OWN_MODULES = 3


def test_type_checkers_see_every_exported_name_from_its_module() -> None:
    seen = {
        alias.asname: node.module
        for node in ast.walk(ast.parse(STUB.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert seen.pop("__version__") == "sparkml_algos.version"
    lacking = [f"from {module} import {name} as {name}" for name, module in EXPORTS.items() if seen.get(name) != module]
    assert not lacking, f"{STUB.name} lacks:\n" + "\n".join(lacking)
    assert set(seen) == set(EXPORTS), f"{STUB.name} has names that are not exported"


def test_importing_the_package_imports_nothing_else_that_takes_time() -> None:
    program = "import sys; before = set(sys.modules); import sparkml_algos; print(*set(sys.modules) - before)"
    imported = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert len([name for name in imported if name.partition(".")[0] == "sparkml_algos"]) == OWN_MODULES
    assert not {name.partition(".")[0] for name in imported} & HEAVY


def test_the_package_says_that_it_has_types() -> None:
    assert STUB.with_name("py.typed").exists()
