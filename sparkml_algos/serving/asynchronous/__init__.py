"""Invocations that are answered later: requests wait in a folder, and answers come into another."""

from sparkml_algos.serving.asynchronous.queue import Invocation, Queue
from sparkml_algos.serving.asynchronous.worker import Worker

__all__ = ["Invocation", "Queue", "Worker"]
