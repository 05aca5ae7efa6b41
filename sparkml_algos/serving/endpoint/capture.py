"""Requests and answers written down, a line of JSON each, by a thread of its own."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import random
import threading
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sparkml_algos.serving.endpoint.metrics import Metrics
from sparkml_algos.serving.endpoint.settings import Capture


class Recorder:
    """Writes down a share of the requests of an endpoint.

    Parameters
    ----------
    capture : Capture
    endpoint, variant : str
    metrics : Metrics
    """

    def __init__(self, capture: Capture, endpoint: str, variant: str, metrics: Metrics) -> None:
        self._capture, self._metrics = capture, metrics
        self._folder = Path(capture.folder) / endpoint / variant
        self._name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._share = capture.percentage / 100
        self._random = random.Random()
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(capture.max_waiting)
        self._lock, self._bytes = threading.Lock(), 0
        self._thread: threading.Thread | None = None

    def draws(self) -> bool:
        """Whether this request is to be written down."""
        return self._random.random() < self._share

    def record(self, request: tuple[str, bytes], answer: tuple[str, bytes], inference_id: str | None, attributes: str | None) -> None:
        """Write down a request and its answer, content type and body of each; never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="sparkml-algos-capture", daemon=True)
            self._thread.start()
        item = {"request": request, "answer": answer, "id": inference_id, "attributes": attributes, "time": datetime.now(timezone.utc)}
        size = _size(item)
        with self._lock:
            fits = self._bytes + size <= self._capture.max_waiting_bytes
            self._bytes += size if fits else 0
        try:
            if not fits:
                raise queue.Full
            self._waiting.put_nowait(item)
        except queue.Full:
            self._metrics.add("not_captured")
            self._written(size if fits else 0)

    def close(self, timeout: float = 10.0) -> None:
        """Write down what waits."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=timeout)
                self._thread.join(timeout)
            self._thread = None

    def _write(self) -> None:
        while True:
            items = [self._waiting.get()]
            while not self._waiting.empty() and len(items) < 1000:
                items.append(self._waiting.get())
            size = sum(_size(item) for item in items if item is not None)
            lines: dict[Path, list[str]] = {}
            for item in items:
                if item is not None:
                    lines.setdefault(self._folder / item["time"].strftime("%Y/%m/%d/%H") / self._name, []).append(self._line(item))
            for path, texts in lines.items():
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with open(path, "a", encoding="utf-8") as file:
                        file.write("".join(texts))
                    self._metrics.add("captured", len(texts))
                except OSError:
                    self._metrics.add("not_captured", len(texts))
            self._written(size)
            if items[-1] is None:
                return

    def _written(self, size: int) -> None:
        with self._lock:
            self._bytes -= size

    def _line(self, item: dict[str, Any]) -> str:
        data = {}
        if self._capture.input:
            data["endpointInput"] = self._part(item["request"], "INPUT")
        if self._capture.output:
            data["endpointOutput"] = self._part(item["answer"], "OUTPUT")
        event = {"eventId": str(uuid.uuid4()), "inferenceTime": item["time"].strftime("%Y-%m-%dT%H:%M:%SZ")}
        if item["id"] is not None:
            event["inferenceId"] = item["id"]
        if item["attributes"] is not None:
            event["customAttributes"] = [item["attributes"]]
        return json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"}) + "\n"

    def _part(self, sent: tuple[str, bytes], mode: str) -> dict[str, str]:
        content_type, body = sent
        name = content_type.partition(";")[0].strip().lower()
        encoding = "CSV" if name in self._capture.csv_types else "JSON" if name in self._capture.json_types else "BASE64"
        try:
            text = body.decode() if encoding != "BASE64" else ""
        except UnicodeDecodeError:
            encoding, text = "BASE64", ""
        if encoding == "BASE64":
            text = base64.b64encode(body).decode()
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _size(item: dict[str, Any]) -> int:
    return len(item["request"][1]) + len(item["answer"][1])
