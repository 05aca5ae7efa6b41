"""The command ``python -m sparkml_algos.serve PATH [PATH …]``: an HTTP endpoint of saved models. Needs the extra ``serving``, no Spark."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

# Read by the libraries when they are first imported.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    for name in _THREADS:
        os.environ.setdefault(name, str(chosen.threads))
    logging.basicConfig(level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    from sparkml_algos.serving.contract import Options
    from sparkml_algos.serving.endpoint.hosting import Hosting, serve, token_of
    from sparkml_algos.serving.endpoint.settings import Capture, Settings

    def listed(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())

    capture = None
    if chosen.capture:
        capture = Capture(
            chosen.capture, chosen.capture_percentage, chosen.capture_only in (None, "input"), chosen.capture_only in (None, "output")
        )
    try:
        settings = Settings(
            name=chosen.name,
            variant=chosen.variant,
            max_bytes=chosen.max_bytes,
            max_rows=chosen.max_rows,
            max_waiting_rows=chosen.max_waiting_rows,
            max_waiting_bytes=chosen.max_waiting_bytes,
            timeout=chosen.timeout,
            token=token_of(chosen.token_file),
            capture=capture,
            models_root=chosen.models_root,
            watch=chosen.watch,
            options=Options(listed(chosen.outputs), chosen.libsvm_base, listed(chosen.columns), chosen.device, chosen.max_bytes),
        )
        hosting = Hosting(chosen.host, chosen.port, chosen.workers, chosen.certificate, chosen.key, chosen.drain)
        serve(_models(chosen.models), settings, hosting, lambda url: print(f"serving at {url}", flush=True))
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _models(given: Sequence[str]) -> dict[str, str] | list[str]:
    """``NAME=PATH`` or ``PATH``."""
    if not any("=" in model and not os.path.exists(model) for model in given):
        return list(given)
    pairs = [model.partition("=")[::2] if "=" in model else (os.path.basename(os.path.normpath(model)), model) for model in given]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("two of the models have one name")
    return dict(pairs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m sparkml_algos.serve", description="An HTTP endpoint of saved models.")
    parser.add_argument("models", nargs="+", metavar="[NAME=]PATH", help="local directory of a saved model or PipelineModel")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1; 0.0.0.0: all)")
    parser.add_argument("--port", type=int, default=8080, help="0: one that is free (8080)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer; they share the models' memory (1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a worker's arithmetic (1)")
    parser.add_argument("--name", default="sparkml-algos", help="what captured data and metrics call the endpoint")
    parser.add_argument("--variant", default="AllTraffic", help="and its variant")
    parser.add_argument("--max-bytes", type=int, default=6 * 1024 * 1024, help="of a body (6291456)")
    parser.add_argument("--max-rows", type=int, default=100_000, help="of a request (100000)")
    parser.add_argument("--max-waiting-rows", type=int, default=200_000, help="of all requests, before 503 (200000)")
    parser.add_argument("--max-waiting-bytes", type=int, default=1 << 28, help="of the bodies of all requests, before 503 (268435456)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds of a request (60)")
    parser.add_argument("--token-file", help="file with the bearer token to ask for; or the environment's SPARKML_ALGOS_SERVING_TOKEN")
    parser.add_argument("--certificate", help="file of a TLS certificate")
    parser.add_argument("--key", help="file of its key")
    parser.add_argument("--drain", type=float, default=0.0, help="seconds of new connections after SIGTERM (0)")
    parser.add_argument("--watch", type=float, default=0.0, help="look every so many seconds for new versions (0: SIGHUP alone)")
    parser.add_argument("--models-root", help="folder whose models POST /models may load")
    parser.add_argument("--capture", metavar="FOLDER", help="write requests and answers down")
    parser.add_argument("--capture-percentage", type=float, default=20.0, help="share of them (20)")
    parser.add_argument("--capture-only", choices=["input", "output"])
    parser.add_argument("--outputs", default="", help="what XGBoost answers in place of score, separated by commas")
    parser.add_argument("--columns", default="", help="of pipelines: the cells of a line of CSV, separated by commas")
    parser.add_argument("--libsvm-base", type=int, choices=[0, 1], default=0, help="index of the first feature in libsvm (0)")
    parser.add_argument("--device", default="cpu", help="where networks compute (cpu)")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    return parser


if __name__ == "__main__":
    # xgboost imports scikit-learn where there is one, and that pandas: together three quarters of the time that an endpoint of trees takes
    # to start. Nothing in this process, which is the endpoint's own, uses either.
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    main()
