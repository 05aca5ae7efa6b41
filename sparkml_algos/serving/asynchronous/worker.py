"""What answers the requests of a queue."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

from sparkml_algos.serving.asynchronous.queue import MAX_INLINE_BYTES, MAX_PAYLOAD_BYTES, Queue, Waiting, put
from sparkml_algos.serving.bodies import UNREADABLE
from sparkml_algos.serving.contract import Servable
from sparkml_algos.serving.endpoint.negotiation import Refused, content_type_of, response_type_of
from sparkml_algos.serving.files.transform import answering

logger = logging.getLogger(__name__)

# Seconds between looks at an empty queue.
PAUSE = 0.5
_NOTIFY_SECONDS = 10.0
# What failures are, in the numbers of HTTP.
INVALID, TOO_LATE, FAILED, EXPIRED = 400, 408, 500, 410


class Worker:
    """Answers requests one after the other, each in a process of its own, which is ended when its time is over.

    The model is loaded once; processes share its memory.

    Parameters
    ----------
    queue : Queue
    model : Servable
    notify_url : str, optional
        Gets each notification by POST, too.
    include_response : bool
        Whether notifications hold answers of up to 128,000 bytes that are text.

    Raises
    ------
    ValueError
        If the address is another kind.
    """

    def __init__(self, queue: Queue, model: Servable, *, notify_url: str | None = None, include_response: bool = False) -> None:
        if notify_url is not None and not notify_url.startswith(("http://", "https://")):
            raise ValueError(f"notify_url begins with http:// or https://, not {notify_url!r}")
        self._queue, self._model = queue, model
        self._url, self._includes = notify_url, include_response
        self._stopped = False

    def stop(self) -> None:
        """Take no further request."""
        self._stopped = True

    def run(self, *, once: bool = False) -> int:
        """Answer requests until `stop`, or, with `once`, until none waits; how many it were."""
        done = 0
        self._queue.give_back()
        while not self._stopped:
            taken = self._queue.take()
            if taken is None:
                if self._queue.give_back():
                    continue
                if once:
                    break
                time.sleep(PAUSE)
                continue
            self._answer(*taken)
            done += 1
        return done

    def _answer(self, waiting: Waiting, mine: Path) -> None:
        name, began = waiting.inference_id, time.time()
        failure = None if self._is_answered(name) else self._failure(waiting, began)
        if failure is not None and self._is_answered(name):  # in the moment in which its time was over
            failure = None
        if failure is not None:
            status, reason = failure
            put(self._queue.failure(name), json.dumps({"inferenceId": name, "status": status, "error": reason}).encode())
        self._notify(waiting, failure, began)
        self._queue.done(mine)

    def _is_answered(self, name: str) -> bool:
        """Whether the answer is there, perhaps by a worker that was lost before it could say so."""
        return self._queue.output(name).exists()

    def _failure(self, waiting: Waiting, now: float) -> tuple[int, str] | None:
        """Why there is no answer; None where there is one."""
        if now - waiting.submitted > waiting.ttl_seconds:
            return EXPIRED, f"it has waited for more than ttl_seconds={waiting.ttl_seconds}"
        return self._by_process(waiting)

    def _by_process(self, waiting: Waiting) -> tuple[int, str] | None:
        """Why there is no answer; None where there is one."""
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=self._compute, args=(waiting, sender), daemon=True)
        process.start()
        sender.close()
        try:
            if not receiver.poll(waiting.timeout_seconds):
                process.kill()
                return TOO_LATE, f"it took more than timeout_seconds={waiting.timeout_seconds}"
            return receiver.recv()
        except EOFError:
            process.join()
            return FAILED, f"the process that computed it ended with code {process.exitcode}"
        finally:
            receiver.close()
            process.join()

    def _compute(self, waiting: Waiting, sender: Any) -> None:
        """Runs in the process of one request."""
        failure = None
        try:
            try:
                answer = self._answer_to(waiting)
            except (*UNREADABLE, OSError, Refused) as error:
                failure = (INVALID, str(error))
            else:
                put(self._queue.output(waiting.inference_id), answer)
            sender.send(failure)
        except Exception as error:
            logger.exception("request %s", waiting.inference_id)
            sender.send((FAILED, f"{type(error).__name__}: {error}"))

    def _answer_to(self, waiting: Waiting) -> bytes:
        path = Path(waiting.input_location)
        size = path.stat().st_size
        if size > MAX_PAYLOAD_BYTES:
            raise ValueError(f"{path} has {size} bytes, more than {MAX_PAYLOAD_BYTES}")
        if not path.is_file():
            raise ValueError(f"{path} is no file")
        content_type = content_type_of(self._model, waiting.content_type)
        accept = response_type_of(self._model, content_type, waiting.accept or "")
        return answering(self._model)(_first(path, size), content_type, accept)

    def _notify(self, waiting: Waiting, failure: tuple[int, str] | None, began: float) -> None:
        name = waiting.inference_id
        line: dict[str, Any] = {
            "inferenceId": name,
            "invocationStatus": "Completed" if failure is None else "Failed",
            "requestParameters": {"inputLocation": waiting.input_location, "contentType": waiting.content_type},
            "responseParameters": {"outputLocation": str(self._queue.output(name))},
            "secondsWaited": round(began - waiting.submitted, 3),
            "secondsWorked": round(time.time() - began, 3),
        }
        if waiting.custom_attributes is not None:
            line["customAttributes"] = waiting.custom_attributes
        if failure is not None:
            line["failureReason"] = failure[1]
            line["responseParameters"] = {"failureLocation": str(self._queue.failure(name))}
        elif self._includes and os.path.getsize(self._queue.output(name)) <= MAX_INLINE_BYTES:
            line["response"] = self._queue.output(name).read_bytes().decode(errors="replace")
        self._queue.notify(line)
        if self._url is not None:
            body = urllib.request.Request(self._url, json.dumps(line).encode(), {"Content-Type": "application/json"})
            try:
                urllib.request.urlopen(body, timeout=_NOTIFY_SECONDS).close()
            except Exception as error:  # whatever the other side does, a worker goes on
                logger.warning("%s was not told that %s is done: %s", self._url, name, error)


def _first(path: Path, size: int) -> bytes:
    """What a file had when it was looked at, should it grow."""
    with open(path, "rb") as file:
        return file.read(size)
