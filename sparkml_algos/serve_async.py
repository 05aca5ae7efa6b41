"""The command ``python -m sparkml_algos.serve_async MODEL FOLDER``: answers the requests that wait in a folder. Needs no Spark."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer until a signal ends it, after the request that it is at."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(chosen.threads))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from sparkml_algos.serving.asynchronous import Queue, Worker
    from sparkml_algos.serving.contract import Options
    from sparkml_algos.serving.servable import load_servable

    def listed(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())

    try:
        model = load_servable(chosen.model, Options(listed(chosen.outputs), columns=listed(chosen.columns)))
        queue = Queue(chosen.folder)
        worker = Worker(queue, model, notify_url=chosen.notify_url, include_response=chosen.include_response)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    print(f"answering the requests in {queue.folder}", flush=True)
    done = worker.run(once=chosen.once)
    print(f"answered {done} requests", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m sparkml_algos.serve_async", description="Answer requests that wait in a folder.")
    parser.add_argument("model", help="local directory of a saved model or PipelineModel")
    parser.add_argument("folder", help="of the queue; see sparkml_algos.serving.asynchronous.Queue")
    parser.add_argument("--once", action="store_true", help="end when no request waits")
    parser.add_argument("--threads", type=int, default=1, help="of its arithmetic (1)")
    parser.add_argument("--notify-url", help="gets each notification by POST")
    parser.add_argument("--include-response", action="store_true", help="notifications hold small answers")
    parser.add_argument("--outputs", default="", help="what XGBoost answers in place of score, separated by commas")
    parser.add_argument("--columns", default="", help="of pipelines: the cells of a line of CSV, separated by commas")
    return parser


if __name__ == "__main__":
    main()
