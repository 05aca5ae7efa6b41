"""Endpoints of saved models beside a plain FastAPI application with the bare library.

Both answer JSON requests of one row with 100 numbers, each in a process on the first core; what asks them has the second. The latencies
are those at a rate of 500 requests a second, counted from when each was due; the requests a second are those of eight connections that ask
anew as soon as they are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from data import REPOSITORY, Data
from harness import Headline, Options, Report, Table, measure, ratio

FEATURES = 100
CENTERS, ROWS, ROUNDS = 10, 20_000, 100
RATE, SECONDS, CONNECTIONS = 500, 10, 8
BATCH = 64
SAVED = REPOSITORY / "tests" / "saved"
MODELS = {"kmeans": "KMeansModel", "linear": "LinearLearnerBinaryClassifierModel", "xgboost": "XGBoostClassificationModel"}
TITLES = {"kmeans": "k-means, 10 centres", "linear": "logistic regression", "xgboost": "100 trees of depth 6"}
PLAIN = """
import sys, numpy as np, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

kind, folder, port = sys.argv[1:]
application = FastAPI()

class Instance(BaseModel):
    features: list[float]

class Body(BaseModel):
    instances: list[Instance]

rows = np.load(folder + "/rows.npy")
if kind == "xgboost":
    import xgboost
    booster = xgboost.Booster({"nthread": 1}, model_file=folder + "/model.ubj")
    answers = lambda given: [{"score": float(score)} for score in booster.inplace_predict(given)]
elif kind == "kmeans":
    from sklearn.cluster import KMeans
    model = KMeans(10, n_init=1).fit(rows)
    def answers(given):
        distances = model.transform(given)
        return [{"closest_cluster": float(row.argmin()), "distance_to_cluster": float(row.min())} for row in distances]
else:
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    answers = lambda given: [{"score": float(p), "predicted_label": int(p > 0.5)} for p in model.predict_proba(given)[:, 1]]

@application.post("/invocations")
async def invocations(body: Body):
    return {"predictions": answers(np.array([instance.features for instance in body.instances], np.float32))}

uvicorn.run(application, port=int(port), log_level="error", access_log=False)
"""


def models_of(folder: Path, kind: str) -> Path:
    """A model with 100 features, in the layout of those that are kept for the tests."""
    from sparkml_algos.arrays.artifact import Artifact
    from sparkml_algos.arrays.saved import read_local

    random = np.random.default_rng(0)
    rows = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    np.save(folder / "rows.npy", rows[:2000])
    metadata, artifact = read_local(SAVED / MODELS[kind])
    arrays, values = dict(artifact.arrays), dict(artifact.values)
    if kind == "kmeans":
        arrays["centers"] = random.normal(size=(CENTERS, FEATURES))
    elif kind == "linear":
        arrays |= {"weights": random.normal(size=(1, FEATURES)), "bias": np.zeros(1)}
    else:
        import xgboost

        label = rows[:, :10].sum(axis=1) > 0
        booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6}, xgboost.DMatrix(rows, label), ROUNDS)
        booster.save_model(folder / "model.ubj")
        arrays["model"] = np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)
        values["digest"] = hashlib.sha256(arrays["model"]).hexdigest()
    path = folder / "model"
    write_model(path, metadata, Artifact(arrays, values))
    return path


def write_model(path: Path, metadata: dict[str, Any], artifact: Any) -> None:
    """A model with 100 features in the layout of saved ones."""
    import pyarrow.parquet as pq

    metadata["sparkml_algos"]["facts"]["training_summary"] = {"num_features": FEATURES}
    for part in ("metadata", "data"):
        (path / part).mkdir(parents=True)
    (path / "metadata" / "part-0").write_text(json.dumps(metadata))
    pq.write_table(artifact.to_table(), path / "data" / "part-0.parquet")


def body_of(rows: int) -> bytes:
    values = np.random.default_rng(1).normal(size=(rows, FEATURES)).astype(np.float32).tolist()
    return json.dumps({"instances": [{"features": row} for row in values]}).encode()


@contextlib.contextmanager
def running(command: list[str], port: int, core: int = 0) -> Iterator[float]:
    """A server on a core; the seconds until its first answer."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    process = subprocess.Popen(["taskset", "-c", str(core), *command], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                asked(port, body_of(1))
                break
            if process.poll() is not None or time.perf_counter() - started > 60:
                raise RuntimeError(f"{' '.join(command)} does not answer")
            time.sleep(0.01)
        yield time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def asked(port: int, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers), timeout=10) as answer:
        return answer.read()


async def load(port: int, body: bytes, seconds: float, rate: float | None) -> dict[str, float]:
    """Ask at a rate, or as fast as answers come; milliseconds and requests a second."""
    head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    free: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[float] = []

    async def ask(due: float) -> None:
        reader, writer = await free.get()
        writer.write(request)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        await reader.readexactly(int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        latencies.append(time.perf_counter() - due)
        free.put_nowait((reader, writer))

    async def one_after_the_other(until: float) -> None:
        while time.perf_counter() < until:
            await ask(time.perf_counter())

    started = time.perf_counter()
    if rate is None:
        await asyncio.gather(*(one_after_the_other(started + seconds) for _ in range(CONNECTIONS)))
    else:
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(started + number / rate)))
        await asyncio.gather(*tasks)
    took = time.perf_counter() - started
    p50, p99 = (float(value) for value in np.quantile(latencies, [0.5, 0.99]) * 1e3)
    return {"p50": p50, "p99": p99, "rate": len(latencies) / took}


def serve(kind: str) -> dict[str, float]:
    """Everything measured of one kind of model."""
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = models_of(folder, kind)
        ours = [sys.executable, "-m", "sparkml_algos.serve", str(path), "--port", "18080", "--log-level", "error"]
        theirs = [sys.executable, "-c", PLAIN, kind, name, "18081"]
        one, many = body_of(1), body_of(BATCH)
        with running(ours, 18080) as start:
            asyncio.run(load(18080, one, 2, None))
            at_rate = asyncio.run(load(18080, one, SECONDS, RATE))
            fastest = asyncio.run(load(18080, one, SECONDS / 2, None))
            batches = asyncio.run(load(18080, many, SECONDS / 2, None))
        without_http, scored = without_a_server(path, many)
        with running(theirs, 18081):
            asyncio.run(load(18081, one, 2, None))
            plain = asyncio.run(load(18081, one, SECONDS / 2, None))
        return {
            "start": start, "p50": at_rate["p50"], "p99": at_rate["p99"], "ours": fastest["rate"], "theirs": plain["rate"],
            "rows": BATCH * batches["rate"], "rows without HTTP": BATCH * without_http, "rows scored": BATCH * scored,
        }  # fmt: skip


def without_a_server(path: Path, body: bytes) -> tuple[float, float]:
    """How often a second a request is read, answered and written by the model alone, and how often what it asks is scored."""
    from sparkml_algos.formats.content_types import ContentType
    from sparkml_algos.serving.files.transform import answering
    from sparkml_algos.serving.servable import load_servable

    model, json_type = load_servable(path), ContentType.parse("application/json")
    answer, asks = answering(model), list(model.work(model.decode(body, json_type), json_type))

    def rate(call: Callable[[], Any]) -> float:
        count, started = 0, time.perf_counter()
        while (took := time.perf_counter() - started) < SECONDS / 5:
            call()
            count += 1
        return count / took

    calls: list[Callable[[], Any]] = [
        lambda: answer(body, json_type, json_type),
        lambda: [model.score(one.columns, one.variant) for one in asks],
    ]
    for call in calls:
        rate(call)
    whole, scored = map(rate, calls)
    return whole, scored


def endpoints(kind: str, data: Data, options: Options) -> Report:
    """One kind of model."""
    found = measure(serve, kind=kind)
    columns = ["model", "start, s", "p50, ms", "p99, ms", "requests/s", "plain FastAPI", "times"]
    batches = Table(f"requests of {BATCH} rows, rows/s", ["model", "endpoint", "without HTTP", "endpoint/without HTTP", "scored alone"])
    batches.rows.append(
        [TITLES[kind], found["rows"], found["rows without HTTP"], ratio(found["rows"], found["rows without HTTP"]), found["rows scored"]]
    )
    ours, theirs = found["ours"], found["theirs"]
    row = [TITLES[kind], found["start"], found["p50"], found["p99"], ours, theirs, ratio(ours, theirs)]
    notes = [
        f"start: from the command to the first answer; p50 and p99 at {RATE} requests/s",
        "without HTTP: JSON read, scored and written by the model alone, a request after the other; scored alone: what was read before",
    ]
    headline = Headline(f"HTTP requests, {TITLES[kind]}, a row of {FEATURES}", "FastAPI and the bare library", theirs, ours, "rows/s")
    return Report([Table("endpoints, one process on one core", columns, [row]), batches], found, notes, [headline])


CASES = {f"endpoint-{kind}": partial(endpoints, kind) for kind in MODELS}
