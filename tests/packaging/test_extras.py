"""What is installed by default brings nothing large, and what is left out is missed with the extra that brings it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_xgboost_is_asked_for_and_then_comes_without_cuda_where_it_can() -> None:
    requirements = requires("sparkml-algos")
    assert not [line for line in requirements if "xgboost" in line.partition(";")[0] and "extra ==" not in line]
    cpu = [line for line in requirements if line.startswith("xgboost-cpu")]
    assert cpu and all("platform_machine == 'x86_64'" in line.replace('"', "'") for line in cpu)


def test_the_xgboost_classes_say_which_extra_they_need() -> None:
    program = "import sys; sys.modules['xgboost'] = None; import sparkml_algos; sparkml_algos.XGBoostClassifier"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ModuleNotFoundError: the XGBoost classes need the xgboost library" in done.stderr and "sparkml-algos[xgboost]" in done.stderr


def test_other_classes_need_no_xgboost() -> None:
    program = "import sys; sys.modules['xgboost'] = None; from sparkml_algos import KMeans, LDA; KMeans(k=2), LDA(num_topics=2)"
    subprocess.run([sys.executable, "-c", program], check=True)


# Of which each is what an extra brings; what Spark needs is not among them.
LIBRARIES = [
    "xgboost",
    "torch",
    "PIL",
    "faiss",
    "numba",
    "matplotlib",
    "sklearn",
    "fastapi",
    "uvicorn",
    "optuna",
    "mlflow",
    "onnx",
    "onnxruntime",
    "horovod",
]
LOOK_AROUND = """
import inspect, pydoc, sys
from importlib.machinery import PathFinder
find, missing = PathFinder.find_spec, sys.argv[1:]
PathFinder.find_spec = lambda name, *places: None if name.partition(".")[0] in missing else find(name, *places)
import sparkml_algos
from sparkml_algos import *
members = {name for name, _ in inspect.getmembers(sparkml_algos)}
assert set(sparkml_algos.__all__) <= members and KMeans is sparkml_algos.KMeans
described = pydoc.render_doc(sparkml_algos, renderer=pydoc.plaintext)
assert "class ImageClassifier(" in described and "class KMeans(" in described
print("XGBoostClassifier" in members, "class XGBoostClassifier(" in described)
"""


@pytest.mark.parametrize(("missing", "has_trees"), [([], True), (LIBRARIES, False)], ids=["all extras", "no extra"])
def test_a_person_who_looks_around_in_the_package_meets_no_error(missing: list[str], has_trees: bool) -> None:
    done = subprocess.run([sys.executable, "-c", LOOK_AROUND, *missing], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(has_trees)] * 2


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-spark3.5.txt"])
def test_both_builds_of_xgboost_are_pinned_to_one_version(name: str) -> None:
    lines = [line.partition(";")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert pins["xgboost"] == pins["xgboost-cpu"]
