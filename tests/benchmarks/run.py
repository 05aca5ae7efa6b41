"""Benchmarks: ``python tests/benchmarks/run.py [--only CASE ...] [--json FILE] [--sessions N]``.

Prints tables and writes everything measured as JSON. Run it on a machine that does nothing else; the load found at the start is noted
in the JSON. To add an algorithm, write a module with ``CASES`` (see `harness`) and name it in `MODULES`.
"""

from __future__ import annotations

import argparse
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

import boosting
import factorization_machines
import formats
import ingest
import ip_insights
import kmeans
import knn
import lda
import linear_learner
import networks
import pca
import random_cut_forest
import recordio
import workers
from data import REPOSITORY, Data
from harness import CORES, MeasurementFailed, Options, Report, Skipped

MODULES = {
    "kmeans": kmeans,
    "pca": pca,
    "linear_learner": linear_learner,
    "factorization_machines": factorization_machines,
    "knn": knn,
    "random_cut_forest": random_cut_forest,
    "xgboost": boosting,
    "lda": lda,
    "networks": networks,
    "ip_insights": ip_insights,
    "ingest": ingest,
    "formats": formats,
    "recordio": recordio,
    "workers": workers,
}
PACKAGES = ("sparkml-algos", "pyspark", "numpy", "scipy", "pyarrow", "torch", "xgboost")


def main() -> int:
    """Exit status 1 if a case failed; the others are run and written all the same."""
    names = {f"{module}/{case}": (module, case) for module, cases in MODULES.items() for case in cases.CASES}
    arguments = parse([*names, *(part for pair in names.values() for part in pair)])
    report: dict[str, Any] = {"environment": environment(), "results": {}, "seconds": {}}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-data-") as folder:
        data, options = Data(Path(folder)), Options(sessions=arguments.sessions)
        for name, (module, case) in names.items():
            if not arguments.only or {name, module, case} & set(arguments.only):
                print(f"== {name}", flush=True)
                case_start = time.perf_counter()
                report["results"][name] = run_case(MODULES[module].CASES[case], data, options)
                report["seconds"][name] = round(time.perf_counter() - case_start, 1)
                report["seconds"]["total"] = round(time.perf_counter() - start, 1)
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{report['seconds']['total']:.0f} seconds; written to {arguments.json}")
    return int(any("failed" in result for result in report["results"].values()))


def run_case(case: Callable[[Data, Options], Report], data: Data, options: Options) -> dict[str, Any]:
    """Print what a case found, and return it for the JSON."""
    try:
        found = case(data, options)
    except Skipped as reason:
        print(f"skipped: {reason}\n", flush=True)
        return {"skipped": str(reason)}
    except MeasurementFailed as error:
        print(f"failed: {error}\n", flush=True)
        return {"failed": str(error)}
    print(f"{found}\n", flush=True)
    return {"notes": found.notes, **found.values}


def parse(names: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Benchmarks of sparkml_algos.")
    parser.add_argument("--only", nargs="+", choices=sorted(set(names)), metavar="CASE", help=f"of {', '.join(sorted(set(names)))}")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "benchmarks.json", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--sessions", type=int, default=1, help="fresh sessions per engine in comparisons of fits; default: %(default)s")
    return parser.parse_args()


def environment() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "spark_cores": CORES,
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


if __name__ == "__main__":
    sys.exit(main())
