"""The command ``python -m sparkml_algos.check``: what a machine has, then a session that it starts and checks."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence

from sparkml_algos.checking.report import UNKNOWN, WRONG, Finding, Report, in_a_line
from sparkml_algos.version import __version__

_ENDS = "Ends with 0 if nothing is wrong, else with 1."


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the report, and end this process with 0 or 1: at once, for a session that hangs would keep it."""
    report = run(_parser().parse_args(arguments))
    print(report, flush=True)
    sys.stderr.flush()
    os._exit(0 if report.ok else 1)


def run(chosen: argparse.Namespace) -> Report:
    """What the options of the command line ask for."""
    title = f"sparkml_algos {__version__}"
    if importlib.util.find_spec("pyspark") is None:
        found = f"{sys.executable} has no pyspark"
        remedy = "pip install 'sparkml-algos[spark]', or start this through spark-submit, with Spark's own"
        return Report(title, [Finding("Spark", WRONG, found, remedy), Finding("session", UNKNOWN, "there is none without Spark")])

    from sparkml_algos.checking import jvm
    from sparkml_algos.checking.session import check
    from sparkml_algos.checking.steps import Steps

    steps = Steps(chosen.seconds)
    if not chosen.connect:
        steps.add("Java", jvm.java_here)
        if any(finding.status == WRONG for finding in steps.findings):
            not_started = Finding("session", UNKNOWN, "none is started without the right Java", "mend that first")
            return Report(title, [*steps.findings, not_started])
    try:
        spark = steps.answer(lambda: _session(chosen))
    except Exception as error:
        found = f"does not start: {in_a_line(error)}"
        remedy = "see what Spark says above; the master, or the server of Spark Connect, may not be reached from here"
        return Report(title, [*steps.findings, Finding("session", WRONG, found, remedy)])
    report = check(
        spark,
        num_workers=chosen.num_workers,
        launch=chosen.launch,
        communicator=chosen.communicator,
        use_gpu=chosen.use_gpu,
        checkpoint_dir=chosen.checkpoint_dir,
        seconds=chosen.seconds,
    )
    steps.add("session", lambda: spark.stop())
    return report


def _session(chosen: argparse.Namespace):  # noqa: ANN202 - a session of either kind
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("sparkml_algos.check")
    if chosen.connect:
        builder = builder.remote(chosen.connect)
    elif chosen.master:
        builder = builder.master(chosen.master)
    for setting in chosen.conf:
        key, _, value = setting.partition("=")
        builder = builder.config(key, value)
    if not chosen.connect:
        # The table is to be read, not what Spark says meanwhile.
        builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
    return builder.getOrCreate()


def _workers(text: str) -> int | str:
    if text == "auto" or text.isdecimal() and int(text) > 0:
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 1")


def _setting(text: str) -> str:
    if text.partition("=")[0].startswith("spark.") and "=" in text:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no setting: spark.NAME=VALUE")


def _parser() -> argparse.ArgumentParser:
    described = "Checks whether models can be trained here: starts a Spark session and inspects it item by item."
    parser = argparse.ArgumentParser(prog="python -m sparkml_algos.check", description=f"{described} {_ENDS}")
    parser.add_argument("--master", help="of the session; default: what Spark's own settings name, else local[*]")
    parser.add_argument("--connect", metavar="URL", help="a server of Spark Connect instead: sc://host:15002")
    parser.add_argument("--conf", metavar="KEY=VALUE", action="append", default=[], type=_setting, help="a setting; may be repeated")
    parser.add_argument("--num-workers", default="auto", type=_workers, metavar="N", help="workers to train with; default: auto")
    parser.add_argument("--launch", default="auto", choices=["auto", "barrier", "gang"], help="how to start them; default: auto")
    parser.add_argument("--communicator", default="auto", choices=["auto", "tcp", "gloo", "nccl", "horovod"], help="default: auto")
    parser.add_argument("--use-gpu", action="store_true", help="workers are to train on GPUs")
    parser.add_argument("--checkpoint-dir", metavar="PATH", help="where checkpoints are to be written")
    parser.add_argument("--seconds", type=float, default=120.0, help="for starting the session, and again for the check; default: 120")
    return parser
