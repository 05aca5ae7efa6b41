"""Runs packages of models on a device, over HTTP: python runner.py FOLDER [FOLDER …]; --help tells more. Needs onnxruntime alone."""

import argparse
import csv
import hashlib
import hmac
import io
import json
import math
import random
import re
import threading
import time
import urllib.request
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(string)": np.object_}
TYPES["tensor(uint8)"] = np.uint8
CSV, JSON = "text/csv", "application/json"
NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # of models and files: never a path
MAX_BYTES, SECONDS = 64 << 20, 60  # of a request, and how long it may keep us waiting


def plain(value):
    """As JSON has it: what is no number is null."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Model:
    def __init__(self, folder, key):
        manifest = (Path(folder) / "manifest.json").read_bytes()
        self.manifest = json.loads(manifest)
        if self.manifest["signed"] or key:
            wanted = hmac.new(key or b"", manifest, "sha256").hexdigest()
            if not key or not hmac.compare_digest(wanted, (Path(folder) / "signature").read_text().strip()):
                raise ValueError(f"{folder}: the signature is not that of the key")
        if not all(NAME.fullmatch(name) for name in (self.manifest["name"], *self.manifest["files"])):
            raise ValueError(f"{folder}: the manifest has a name that is none")
        files = {name: (Path(folder) / name).read_bytes() for name in self.manifest["files"]}
        for name, digest in self.manifest["files"].items():
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise ValueError(f"{folder}: {name} is not the one that was packed")
        self.session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
        example = json.loads(files["example.json"])  # whether this device computes what ours did
        for found, expected in zip(self.predict(example["instances"]), example["predictions"], strict=True):
            for name, value in expected.items():
                if found[name] != value and not np.allclose(np.array(found[name], float), np.array(value, float), 1e-3, 1e-4, True):
                    raise ValueError(f"{folder}: {name} is {found[name]} on this device, expected {value}")

    def predict(self, instances):
        feeds = {}
        for one in self.session.get_inputs():
            rows = [row[one.name] if isinstance(row, dict) else row for row in instances]
            if len(one.shape) == 2 and isinstance(one.shape[1], str):  # lists of any length
                longest, fill = max(map(len, rows), default=0), "" if one.type == "tensor(string)" else -1
                rows = [list(row) + [fill] * (longest - len(row)) for row in rows]
            feeds[one.name] = np.array(rows, TYPES[one.type])
        names = [one.name for one in self.session.get_outputs()]
        found = (plain(array.tolist()) for array in self.session.run(None, feeds))
        return [dict(zip(names, row, strict=True)) for row in zip(*found, strict=True)]

    def parse(self, body, kind):
        if kind != CSV:
            return json.loads(body)["instances"]
        inputs, lines = self.session.get_inputs(), list(filter(None, csv.reader(io.StringIO(body.decode(), newline=""))))
        if len(inputs) == 1 and len(inputs[0].shape) == 2:
            return [[float(cell or "nan") for cell in line] for line in lines]
        texts = [one.type == "tensor(string)" for one in inputs]
        cells = [[cell if text else float(cell or "nan") for cell, text in zip(line, texts, strict=True)] for line in lines]
        return [dict(zip([one.name for one in inputs], line, strict=True)) for line in cells]


class Capture:
    def __init__(self, chosen):
        self.chosen, self.lock, self.name = chosen, threading.Lock(), uuid.uuid4().hex
        if chosen.capture and chosen.upload:
            threading.Thread(target=self.upload, daemon=True).start()

    def record(self, model, kind, body, answer):
        if not self.chosen.capture or random.random() * 100 >= self.chosen.percentage:
            return
        sides = {"endpointInput": ("INPUT", kind, body), "endpointOutput": ("OUTPUT", JSON, answer)}
        data = {
            side: {"observedContentType": of, "mode": mode, "data": text.decode(), "encoding": "CSV" if of == CSV else "JSON"}
            for side, (mode, of, text) in sides.items()
        }
        now = datetime.now(timezone.utc)
        event = {"eventId": str(uuid.uuid4()), "inferenceTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        with self.lock:
            path = Path(self.chosen.capture) / model / "AllTraffic" / now.strftime("%Y/%m/%d/%H") / f"{self.name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"}) + "\n")

    def upload(self):
        while True:
            time.sleep(self.chosen.every)
            with self.lock:
                self.name = uuid.uuid4().hex  # files of other names are complete
            for path in sorted(Path(self.chosen.capture).rglob("*.jsonl")):
                url = f"{self.chosen.upload.rstrip('/')}/{path.relative_to(self.chosen.capture).as_posix()}"
                try:
                    if path.stem != self.name:
                        urllib.request.urlopen(urllib.request.Request(url, path.read_bytes(), method="PUT"), timeout=60).close()
                        path.unlink()
                except Exception as error:  # whatever the other side does: the next file, and the next time
                    print(f"{path} stays here: {error}", flush=True)


class Handler(BaseHTTPRequestHandler):
    models: dict
    key: bytes | None
    capture: Capture
    timeout = SECONDS

    def answer(self, status, value):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models, name = self.models, self.path.removeprefix("/models").strip("/")
        if self.path != "/ping" and name and name not in models:
            return self.answer(404, {"error": f"no model {name}"})
        known = models[name].manifest if name in models else {"models": sorted(models)}
        self.answer(200, b"" if self.path == "/ping" else known)

    def do_DELETE(self):
        gone = self.models.pop(self.path.removeprefix("/models/"), None)
        self.answer(200 if gone else 404, {})

    def do_POST(self):
        length = self.headers["Content-Length"] or "0"
        if not length.isdecimal() or int(length) > MAX_BYTES:
            return self.answer(413 if length.isdecimal() else 400, {"error": f"a request has {MAX_BYTES} bytes at most"})
        models, body = self.models, self.rfile.read(int(length))
        kind = (self.headers["Content-Type"] or JSON).partition(";")[0].strip().lower()
        try:
            if self.path == "/models":
                model = Model(json.loads(body)["url"], self.key)
                models[model.manifest["name"]] = model
                return self.answer(200, model.manifest)
            name = next(iter(models), "") if self.path == "/invocations" else self.path.removeprefix("/models/").removesuffix("/invoke")
            if name not in models:
                return self.answer(404, {"error": f"no model {name}"})
            answer = json.dumps({"predictions": models[name].predict(models[name].parse(body, kind))}).encode()
        except Exception as error:
            return self.answer(400, {"error": f"{type(error).__name__}: {error}"})
        self.answer(200, answer)
        self.capture.record(name, kind, body, answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="unpacked packages")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--key-file", help="file with the key that packages are signed with")
    parser.add_argument("--capture", help="folder for requests and answers, JSON Lines")
    parser.add_argument("--percentage", type=float, default=20.0, help="share of them (20)")
    parser.add_argument("--upload", help="URL below which files of captured requests are PUT, and removed here")
    parser.add_argument("--every", type=float, default=300.0, help="seconds between uploads (300)")
    chosen = parser.parse_args()
    Handler.key = Path(chosen.key_file).read_bytes() if chosen.key_file else None
    Handler.models = {model.manifest["name"]: model for model in (Model(folder, Handler.key) for folder in chosen.folders)}
    Handler.capture = Capture(chosen)
    server = ThreadingHTTPServer((chosen.host, chosen.port), Handler)
    print(f"serving {', '.join(Handler.models)} at http://{chosen.host}:{server.server_port}", flush=True)
    server.serve_forever()
