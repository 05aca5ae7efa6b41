"""The command ``python -m sparkml_algos.export MODEL TARGET``: a saved model as a graph of ONNX, as its library's file, or as a package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sparkml_algos.export import CannotExport, export, package, verify
from sparkml_algos.export.graph import FLOAT64, PRECISIONS


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a file and say how it compares; or look at a package."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    key = Path(chosen.key_file).read_bytes() if chosen.key_file else None
    try:
        if chosen.verify:
            print(json.dumps(verify(chosen.model, key), indent=1))
            return
        if chosen.target is None:
            parser.error("TARGET is missing: where to write to")
        widths = {name: int(width) for name, _, width in (one.partition("=") for one in chosen.width)}
        if chosen.package:
            name, _, version = chosen.package.partition("=")
            found = package(
                chosen.model, chosen.target, name=name, version=version or "1", key=key, precision=chosen.precision, widths=widths or None
            )
            print(found.report)
        else:
            print(export(chosen.model, chosen.target, precision=chosen.precision, widths=widths or None))
    except (CannotExport, ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m sparkml_algos.export", description="Write a saved model for programs that have no Spark.")
    parser.add_argument("model", metavar="MODEL", help="local directory of a saved model or PipelineModel; with --verify a package")
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="file.onnx; file.ubj or .json of XGBoost; file.pt2 of networks; of a package a folder or file.tar.gz",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default=FLOAT64, help="what the graph computes with (float64)")
    parser.add_argument(
        "--width", action="append", default=[], metavar="COLUMN=N", help="of pipelines: how many numbers a column of vectors has"
    )
    parser.add_argument("--package", metavar="NAME[=VERSION]", help="write a package for devices")
    parser.add_argument("--key-file", help="file with the key that packages are signed with")
    parser.add_argument("--verify", action="store_true", help="look whether a package is what was written, and show its manifest")
    return parser


if __name__ == "__main__":
    main()
