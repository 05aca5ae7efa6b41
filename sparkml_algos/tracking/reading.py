"""What there is to read of a run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sparkml_algos.tracking import limits, store
from sparkml_algos.tracking.recorder import KIND
from sparkml_algos.tracking.store import PREFIX

_STATUS = {"RUNNING": "InProgress", "SCHEDULED": "InProgress", "FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Stopped"}
PARAMETER, DISPLAY = f"{PREFIX}parameter.", f"{PREFIX}display_name"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class MetricSummary:
    """A metric over all of its steps.

    Attributes
    ----------
    name : str
    last, min, max, avg, std : float
        `last` is that of the largest step, of several the latest; `std` is of the population. NaN counts for `last` and `count` only.
    count : int
    timestamp : datetime
        Of the last one.
    """

    name: str
    last: float
    min: float
    max: float
    avg: float
    std: float
    count: int
    timestamp: datetime


class Readable:
    """A run of a store, as it was when it was last fetched.

    Attributes
    ----------
    run_id, experiment_id, tracking_uri : str
    """

    run_id: str
    experiment_id: str
    tracking_uri: str
    _entity: Any

    def _fetched(self) -> Any:
        entity = self._entity  # another thread, which logs, may set it to None at any time
        if entity is None:
            entity = self._entity = store.client_of(self.tracking_uri).get_run(self.run_id)
        return entity

    @property
    def run_name(self) -> str:
        return str(self._fetched().info.run_name)

    @property
    def display_name(self) -> str:
        return str(self._fetched().data.tags.get(DISPLAY, self.run_name))

    @property
    def experiment_name(self) -> str:
        return str(store.client_of(self.tracking_uri).get_experiment(self.experiment_id).name)

    @property
    def description(self) -> str | None:
        return self._fetched().data.tags.get("mlflow.note.content")

    @property
    def kind(self) -> str:
        """``training``, ``tuning``, ``trial``, ``validation``, or ``run`` of one that people made."""
        return str(self._fetched().data.tags.get(KIND, "run"))

    @property
    def parent_id(self) -> str | None:
        return self._fetched().data.tags.get(PARENT)

    @property
    def status(self) -> str:
        """``InProgress``, ``Stopping``, ``Completed``, ``Failed`` or ``Stopped``."""
        entity = self._fetched()
        status = _STATUS[entity.info.status]
        return "Stopping" if status == "InProgress" and entity.data.tags.get(f"{PREFIX}stopping") == "true" else status

    @property
    def message(self) -> str | None:
        """Why it has failed, or was stopped."""
        return self._fetched().data.tags.get(f"{PREFIX}message")

    @property
    def started(self) -> datetime:
        return _time(self._fetched().info.start_time)

    @property
    def ended(self) -> datetime | None:
        end = self._fetched().info.end_time
        return _time(end) if end else None

    @property
    def seconds(self) -> float | None:
        """From its start to its end."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    @property
    def artifact_uri(self) -> str:
        return str(self._fetched().info.artifact_uri)

    @property
    def parameters(self) -> dict[str, str | int | float]:
        """By name; what reads as a number is one."""
        data = self._fetched().data
        return {
            data.tags.get(f"{PREFIX}name.{name}", name): limits.typed(data.tags.get(f"{PARAMETER}{name}", text))
            for name, text in data.params.items()
        }

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        data = self._fetched().data
        return {data.tags.get(f"{PREFIX}name.{name}", name): value for name, value in data.metrics.items()}

    @property
    def tags(self) -> dict[str, str]:
        """Those that people gave."""
        return {name: value for name, value in self._fetched().data.tags.items() if not name.startswith((PREFIX, "mlflow."))}

    @property
    def facts(self) -> dict[str, str]:
        """What the product keeps of it: versions, cluster, rows, commit."""
        tags = self._fetched().data.tags
        hidden = tuple(f"{PREFIX}{part}" for part in ("parameter.", "name.", "input.", "output.", "edge.", "display_name", "stopping"))
        found = {
            name.removeprefix(PREFIX): value for name, value in tags.items() if name.startswith(PREFIX) and not name.startswith(hidden)
        }
        code = {"mlflow.source.git.commit": "commit", "mlflow.source.name": "source", "mlflow.user": "user"}
        return found | {shown: tags[name] for name, shown in code.items() if name in tags}

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The datasets that were read: name, digest, source, context."""
        datasets = getattr(self._fetched().inputs, "dataset_inputs", None) or []
        found = []
        for one in datasets:
            context = next((tag.value for tag in one.tags if tag.key == "mlflow.data.context"), None)
            facts = json.loads(one.dataset.profile) if one.dataset.profile else {}
            found.append(
                {"name": one.dataset.name, "digest": one.dataset.digest, "context": context, "source": one.dataset.source, **facts}
            )
        return found

    @property
    def input_artifacts(self) -> dict[str, dict[str, Any]]:
        """By name, ``value`` and ``media_type``."""
        return self._artifacts("input")

    @property
    def output_artifacts(self) -> dict[str, dict[str, Any]]:
        """By name, ``value`` and ``media_type``."""
        return self._artifacts("output")

    def _artifacts(self, side: str) -> dict[str, dict[str, Any]]:
        start = f"{PREFIX}{side}."
        tags = self._fetched().data.tags
        found = [json.loads(value) for name, value in tags.items() if name.startswith(start)]
        return {one["name"]: {"value": one["value"], "media_type": one["media_type"]} for one in found}

    def metric_history(self, name: str) -> list[tuple[int, float]]:
        """Step and value of a metric, in the order of steps; of equal steps as they were logged."""
        found = store.client_of(self.tracking_uri).get_metric_history(self.run_id, store.stored_name(name))
        return [(one.step, one.value) for one in sorted(found, key=lambda one: (one.step, one.timestamp))]

    def metric_summary(self, name: str) -> MetricSummary:
        """A metric over all of its steps.

        Raises
        ------
        KeyError
            If the run has no such metric.
        """
        found = store.client_of(self.tracking_uri).get_metric_history(self.run_id, store.stored_name(name))
        if not found:
            raise KeyError(f"run {self.run_name} has no metric {name!r}; it has {', '.join(sorted(self.metrics)) or 'none'}")
        last = max(found, key=lambda one: (one.step, one.timestamp))
        values = [one.value for one in found if not math.isnan(one.value)] or [math.nan]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        return MetricSummary(name, last.value, min(values), max(values), mean, deviation, len(found), _time(last.timestamp))

    @property
    def metric_summaries(self) -> dict[str, MetricSummary]:
        """Of every metric; a request for each."""
        return {name: self.metric_summary(name) for name in self.metrics}


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
