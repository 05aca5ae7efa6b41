"""Benchmarks: ``python tests/benchmarks/run.py [--only CASE ...] [--into FOLDER] [--sessions N]``.

Prints tables and writes everything measured as JSON, a file for each module and in it an entry for each case, so that cases may be run one
at a time; an entry says on which machine, with which versions and when it was measured. Run it on a machine that does nothing else; the
load found at the start is noted too. ``--into docs/benchmarks`` replaces the figures that the README and the site show, which
``python tests/benchmarks/table.py`` then writes into the README. To add an algorithm, write a module with ``CASES`` (see `harness`) and
name it in `MODULES`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import blazingtext
import blazingtext_classifier
import boosting
import deepar
import endpoint
import export
import factorization_machines
import formats
import ingest
import ip_insights
import kmeans
import knn
import lda
import linear_learner
import networks
import ntm
import object2vec
import object_detection
import pca
import random_cut_forest
import recordio
import searches
import semantic_segmentation
import seq2seq
import trust
import vision
import workers
import xgboost
from data import REPOSITORY, Data
from harness import CORES, MeasurementFailed, Options, Report, Skipped

from sparkml_algos import __version__

MODULES = {
    "kmeans": kmeans,
    "pca": pca,
    "linear_learner": linear_learner,
    "factorization_machines": factorization_machines,
    "knn": knn,
    "random_cut_forest": random_cut_forest,
    "xgboost": boosting,
    "lda": lda,
    "ntm": ntm,
    "networks": networks,
    "seq2seq": seq2seq,
    "vision": vision,
    "semantic_segmentation": semantic_segmentation,
    "ip_insights": ip_insights,
    "blazingtext": blazingtext,
    "blazingtext_classifier": blazingtext_classifier,
    "object2vec": object2vec,
    "object_detection": object_detection,
    "deepar": deepar,
    "ingest": ingest,
    "formats": formats,
    "recordio": recordio,
    "trust": trust,
    "workers": workers,
    "endpoint": endpoint,
    "export": export,
    "tuning": searches,
}
PACKAGES = ("pyspark", "numpy", "scipy", "pyarrow", "scikit-learn", "faiss-cpu")


def main() -> int:
    """Exit status 1 if a case failed; the others are run and written all the same."""
    names = {f"{module}/{case}": (module, case) for module, cases in MODULES.items() for case in cases.CASES}
    arguments = parse([*names, *(part for pair in names.values() for part in pair)])
    failed, start = [], time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-data-") as folder:
        data, options = Data(Path(folder)), Options(sessions=arguments.sessions)
        for name, (module, case) in names.items():
            if arguments.only and not {name, module, case} & set(arguments.only):
                continue
            print(f"== {name}", flush=True)
            try:
                record(arguments.into / f"{module}.json", case, run_case(MODULES[module].CASES[case], data, options))
            except Skipped as reason:
                print(f"skipped: {reason}\n", flush=True)
            except MeasurementFailed as error:
                print(f"failed: {error}\n", flush=True)
                failed.append(name)
    print(f"{time.perf_counter() - start:.0f} seconds; written to {arguments.into}; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def run_case(case: Callable[[Data, Options], Report], data: Data, options: Options) -> dict[str, Any]:
    """Print what a case found, and return it for the JSON."""
    surroundings, start = environment(), time.perf_counter()
    found = case(data, options)
    print(f"{found}\n", flush=True)
    return {
        "environment": {**surroundings, "seconds": round(time.perf_counter() - start, 1)},
        "headlines": [dataclasses.asdict(headline) for headline in found.headlines],
        "tables": [dataclasses.asdict(table) for table in found.tables],
        "notes": found.notes,
        "values": found.values,
    }


def record(file: Path, case: str, found: dict[str, Any]) -> None:
    """Put what a case found into the file of its module, in place of what it had of that case."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cases = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**cases, case: found}, indent=1) + "\n")


def parse(names: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Benchmarks of sparkml_algos.")
    parser.add_argument("--only", nargs="+", choices=sorted(set(names)), metavar="CASE", help=f"of {', '.join(sorted(set(names)))}")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "build" / "benchmarks", metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--sessions", type=int, default=1, help="fresh sessions per engine in comparisons of fits; default: %(default)s")
    return parser.parse_args()


def environment() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "python": platform.python_version(),
        # xgboost is installed under more than one name.
        "packages": {"sparkml-algos": __version__, "xgboost": xgboost.__version__, **{name: version(name) for name in PACKAGES}},
        "machine": platform.machine(),
        "processor": _named_in("/proc/cpuinfo", "model name") or platform.processor(),
        "memory": _named_in("/proc/meminfo", "MemTotal"),
        "cpus": os.cpu_count(),
        "spark_cores": CORES,
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _named_in(file: str, name: str) -> str | None:
    """The value of the first line ``name: value`` of a file of Linux."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


if __name__ == "__main__":
    sys.exit(main())
