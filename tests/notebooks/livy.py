"""A server that speaks Livy's REST, as far as SparkMagic does: sessions of PySpark, and statements in them.

All sessions share one process with one Spark, each with names of its own; Livy starts an application for each.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PATH = re.compile(r"^/sessions(?:/(?P<session>\d+)(?:/(?P<what>log|statements)(?:/(?P<statement>\d+))?)?)?$")


class LivyServer:
    """Starts the process and answers on an address of this machine, until `stop`.

    Parameters
    ----------
    folder : Path
        Where statements run.

    Attributes
    ----------
    url : str
    """

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.notebooks.livy_session"]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._sessions: dict[int, dict[str, Any]] = {}
        self._statements: dict[int, list[dict[str, Any]]] = {}
        self._waiting: queue.Queue[tuple[int, dict[str, Any]] | None] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"livy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._server.serve_forever, self._work)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the process, once it has done what it is doing, and close the address."""
        self._waiting.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and content of the answer to a request."""
        found = _PATH.match(path.partition("?")[0])
        if not found:
            return 404, {"msg": f"there is no {path}"}
        if found["session"] is None:
            return self._create(body) if method == "POST" else (200, {"from": 0, "sessions": list(self._sessions.values())})
        session = int(found["session"])
        if session not in self._sessions:
            return 404, {"msg": f"Session '{session}' not found."}
        if method == "DELETE":
            del self._sessions[session]
            return 200, {"msg": "deleted"}
        if found["what"] is None:
            return 200, self._sessions[session]
        if found["what"] == "log":
            return 200, {"id": session, "from": 0, "total": 0, "log": []}
        if method == "POST":
            return self._submit(session, body["code"])
        statements = self._statements[session]
        if found["statement"] is None:
            return 200, {"total_statements": len(statements), "statements": statements}
        return 200, statements[int(found["statement"])]

    def _create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body.get("kind") != "pyspark":
            return 400, {"msg": f"sessions are of kind pyspark, not {body.get('kind')!r}"}
        number = len(self._statements)
        session = {"id": number, "kind": "pyspark", "state": "idle", "appId": None, "owner": None, "proxyUser": None}
        session |= {"appInfo": {}, "log": []}
        self._sessions[number], self._statements[number] = session, []
        return 201, session

    def _submit(self, session: int, code: str) -> tuple[int, dict[str, Any]]:
        number = len(self._statements[session])
        statement = {"id": number, "code": code, "state": "waiting", "output": None, "progress": 0.0}
        self._statements[session].append(statement)
        self._waiting.put((session, statement))
        return 201, statement

    def _work(self) -> None:
        while (found := self._waiting.get()) is not None:
            session, statement = found
            statement["state"] = "running"
            print(json.dumps({"session": session, "code": statement["code"]}), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
            statement.update(output={"execution_count": statement["id"], **answer}, progress=1.0, state="available")


class _Handler(BaseHTTPRequestHandler):
    livy: LivyServer

    def do_GET(self) -> None:
        self._answer({})

    def do_DELETE(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}"))

    def _answer(self, body: dict[str, Any]) -> None:
        status, content = self.livy.answer(self.command, self.path, body)
        sent = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
