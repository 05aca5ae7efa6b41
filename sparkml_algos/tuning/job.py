"""A tuning job: its trials, where it stands, and what the service would say of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sparkml_algos.html_tables import facts_table, rows_table
from sparkml_algos.tuning.ranges import as_text
from sparkml_algos.tuning.trial import TERMINAL, Objective, Trial, pareto_front

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from sparkml_algos.tuning.store import Store


class TuningJob:
    """A search, while it runs and afterwards.

    Attributes
    ----------
    name : str
    config : dict
        The service's ``HyperParameterTuningJobConfig``.
    facts : dict
        What searches that start from this one must know: algorithm, static hyperparameters; and seed, tags, the scaling of each range. Of a
        search over several Estimators ``definitions``, as the service has them; of one with several objectives ``objectives``.
    trials : list of Trial
        In order of their numbers.
    status : str
        ``InProgress``, ``Completed``, ``Failed``, ``Stopping`` or ``Stopped``.
    completion : str or None
        Which criterion ended it.
    """

    def __init__(self, name: str, config: Mapping[str, Any], facts: Mapping[str, Any], parents: Sequence[TuningJob] = ()) -> None:
        self.name, self.config, self.facts = name, dict(config), dict(facts)
        self.parents = list(parents)
        self.trials: list[Trial] = []
        self.status = "InProgress"
        self.completion: str | None = None
        self.failure: str | None = None
        self.error: BaseException | None = None  # what it has failed of
        self.created = time.time()
        self.ended: float | None = None
        self.converged: float | None = None
        self.finished: list[int] = []  # numbers, in the order in which trials ended
        self.model: Any = None
        self._stop, self._done = threading.Event(), threading.Event()

    # -- what it found

    def objectives(self, definition: str = "") -> list[Objective]:
        """What is sought, of a definition if there are several; the first decides which trial is the best."""
        if self.definitions:
            described = self.definitions[definition or next(iter(self.definitions))]["TuningObjective"]
            return [Objective.from_json(described)]
        return [Objective.from_json(one) for one in self.facts.get("objectives") or [self.config["HyperParameterTuningJobObjective"]]]

    @property
    def definitions(self) -> dict[str, dict[str, Any]]:
        """By name, the service's ``TrainingJobDefinitions`` of a search over several Estimators; else empty."""
        return {one["DefinitionName"]: one for one in self.facts.get("definitions", [])}

    def ranges(self, definition: str = "") -> dict[str, Any]:
        """The service's ``ParameterRanges``, of a definition if there are several."""
        if self.definitions:
            return self.definitions[definition or next(iter(self.definitions))]["HyperParameterRanges"]
        return self.config["ParameterRanges"]

    @property
    def larger_is_better(self) -> bool:
        return self.objectives()[0].larger_is_better

    @property
    def objective_metric(self) -> str:
        """Of several the first; of several Estimators that of the first."""
        return self.objectives()[0].metric

    @property
    def best(self) -> Trial | None:
        """The best trial, of equals the first; None before any has succeeded. Of several objectives the first decides, and of trials that
        are equal in it those that no other is better than."""
        front = {trial.number for trial in self.pareto_front} if self.facts.get("objectives") else set()
        sign = -1 if self.larger_is_better else 1
        return min(
            (trial for trial in self.trials if trial.succeeded),
            key=lambda trial: (sign * trial.value, trial.number not in front, trial.number),
            default=None,
        )

    @property
    def pareto_front(self) -> list[Trial]:
        """The trials of which no other is at least as good in every objective and better in one, by the first objective, the best first.

        Of trials with the same objectives the first is in it. With a single objective it is the best trial.
        """
        return pareto_front([trial for trial in self.trials if trial.succeeded], self.objectives())

    @property
    def overall_best(self) -> Trial | None:
        """The best of this search and those that it started from, of a warm start with identical data; else None."""
        if self.facts.get("warm_start_type") != "IdenticalDataAndAlgorithm":
            return None
        sign = -1 if self.larger_is_better else 1
        known = [trial for job in [self, *self.parents] for trial in [job.best] if trial]
        return min(known, key=lambda trial: sign * trial.value, default=None)

    # -- while it runs

    def stop(self) -> None:
        """Let no more trials begin; those that are running end in their time."""
        if self.status == "InProgress":
            self.status = "Stopping"
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> TuningJob:
        """Return once it is over.

        Raises
        ------
        TimeoutError
        Exception
            What the search has failed of.
        """
        if not self._done.wait(timeout):
            raise TimeoutError(f"tuning job {self.name} is still running")
        if self.error is not None:
            raise self.error
        return self

    def end(self, status: str, error: BaseException | None = None) -> None:
        """It is over; those who wait for that go on once it `let_go`, when all is told, kept and recorded."""
        self.status, self.ended, self.error = status, time.time(), error
        self.failure = None if error is None else str(error)

    def let_go(self) -> None:
        """Let those who wait go on."""
        self._done.set()

    # -- as tables

    def rows(self) -> list[dict[str, Any]]:
        """A dictionary per trial: its tuned hyperparameters, and what became of it."""
        found = []
        for trial in self.trials:
            elapsed = None if trial.ended is None or trial.started is None else trial.ended - trial.started
            found.append(
                {
                    **trial.setting,
                    "TrainingJobName": trial.name,
                    **({"TrainingJobDefinitionName": trial.definition} if self.definitions else {}),
                    "TrainingJobStatus": trial.status,
                    "FinalObjectiveValue": trial.objective,
                    **{one.metric: trial.objectives.get(one.metric) for one in self.objectives()[1:]},
                    "TrainingStartTime": _time(trial.started),
                    "TrainingEndTime": _time(trial.ended),
                    "TrainingElapsedTimeSeconds": elapsed,
                }
            )
        return found

    def analytics(self) -> pd.DataFrame:
        """A row per trial, as a leaderboard: the best first, those without an objective last.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        names = list(dict.fromkeys(name for row in self.rows() for name in row))
        frame = pd.DataFrame(self.rows(), columns=names)
        if frame.empty:
            return frame
        return frame.sort_values("FinalObjectiveValue", ascending=not self.larger_is_better, kind="stable").reset_index(drop=True)

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """The same rows in Spark, in order of the trials; values of a categorical range that are not numbers are strings.

        Parameters
        ----------
        spark : SparkSession
        """
        rows = self.rows()
        tuned = list(dict.fromkeys(name for trial in self.trials for name in trial.setting))
        types = {name: _spark_type([row.get(name) for row in rows]) for name in tuned}
        types |= {"TrainingJobName": "string"} | ({"TrainingJobDefinitionName": "string"} if self.definitions else {})
        types |= {"TrainingJobStatus": "string", "FinalObjectiveValue": "double"}
        types |= {one.metric: "double" for one in self.objectives()[1:]}
        types |= {"TrainingStartTime": "timestamp", "TrainingEndTime": "timestamp", "TrainingElapsedTimeSeconds": "double"}
        values = [tuple(_spark_value(row.get(name), type_) for name, type_ in types.items()) for row in rows]
        return spark.createDataFrame(values, ", ".join(f"`{name}` {type_}" for name, type_ in types.items()))

    def describe(self) -> dict[str, Any]:
        """What the service answers to ``DescribeHyperParameterTuningJob``, and as ``ResolvedScalingTypes`` what scaling ranges have."""
        statuses = Counter(trial.status for trial in self.trials)
        retryable = sum(trial.status == "Failed" and trial.retryable for trial in self.trials)
        objectives = Counter(trial.objective_status for trial in self.trials)
        ended = self.ended or time.time()
        found: dict[str, Any] = {
            "HyperParameterTuningJobName": self.name,
            "HyperParameterTuningJobConfig": self.config,
            "HyperParameterTuningJobStatus": self.status,
            "CreationTime": _time(self.created),
            "TrainingJobStatusCounters": {
                "Completed": statuses["Completed"],
                "InProgress": statuses["InProgress"],
                "RetryableError": retryable,
                "NonRetryableError": statuses["Failed"] - retryable,
                "Stopped": statuses["Stopped"],
            },
            "ObjectiveStatusCounters": {name: objectives[name] for name in ("Succeeded", "Pending", "Failed")},
            "TuningJobCompletionDetails": {"NumberOfTrainingJobsObjectiveNotImproving": self._not_improving()},
            "ConsumedResources": {"RuntimeInSeconds": int(ended - self.created)},
        }
        if self.ended is not None:
            found["HyperParameterTuningEndTime"] = _time(self.ended)
        if self.definitions:
            found["TrainingJobDefinitions"] = self.facts["definitions"]
        if "scaling" in self.facts:
            found["ResolvedScalingTypes"] = self.facts["scaling"]
        if self.converged is not None:
            found["TuningJobCompletionDetails"]["ConvergenceDetectedTime"] = _time(self.converged)
        for key, trial in (("BestTrainingJob", self.best), ("OverallBestTrainingJob", self.overall_best)):
            if trial:
                found[key] = self.summary(trial)
        return found | ({"FailureReason": self.failure} if self.failure else {})

    def training_job_summaries(self) -> list[dict[str, Any]]:
        """What the service says of each trial."""
        return [self.summary(trial) for trial in self.trials]

    def summary(self, trial: Trial) -> dict[str, Any]:
        """What the service says of a trial."""
        found: dict[str, Any] = {
            "TrainingJobName": trial.name,
            "TuningJobName": self.name,
            "CreationTime": _time(trial.created),
            "TrainingStartTime": _time(trial.started),
            "TrainingEndTime": _time(trial.ended),
            "TrainingJobStatus": trial.status,
            "TunedHyperParameters": {name: as_text(value) for name, value in trial.setting.items()},
            "ObjectiveStatus": trial.objective_status,
        }
        if trial.objective is not None:
            objective = {**self.objectives(trial.definition)[0].to_json(), "Value": trial.objective}
            found["FinalHyperParameterTuningJobObjectiveMetric"] = objective
        if trial.definition:
            found["TrainingJobDefinitionName"] = trial.definition
        return found | ({"FailureReason": trial.reason} if trial.reason else {})

    def importances(self, seed: int = 0, *, definition: str | None = None, metric: str | None = None) -> dict[str, float]:
        """How much each hyperparameter has to do with the objective, the most important first; shares of 1.

        By functional analysis of variance of a forest over the trials, as Optuna has it.

        Parameters
        ----------
        seed : int
        definition : str, optional
            Of a search over several Estimators whose; by default that of the best trial.
        metric : str, optional
            Which of several objectives; by default the first.

        Raises
        ------
        ImportError
            If Optuna or scikit-learn is not installed.
        ValueError
            If fewer than two trials have succeeded, or there is no such definition or objective.
        """
        from sparkml_algos.tuning.importances import importances

        trials = self.trials_of(definition)
        known = [one.metric for one in self.objectives()]
        if metric not in (None, *known):
            raise ValueError(f"{metric!r} is no objective; {', '.join(map(repr, known))} are")
        return importances([(trial.units, trial.objectives.get(metric or known[0], trial.value)) for trial in trials], seed)

    def trials_of(self, definition: str | None = None) -> list[Trial]:
        """The trials with an objective of one Estimator, by default of that of the best trial.

        Parameters
        ----------
        definition : str, optional

        Raises
        ------
        ValueError
            If there is no such definition.
        """
        if definition is None:
            definition = self.best.definition if self.best else ""
        elif definition not in (self.definitions or {""}):
            raise ValueError(f"{definition!r} is no definition; {', '.join(map(repr, self.definitions)) or 'there are none'}")
        return [trial for trial in self.trials if trial.succeeded and trial.definition == definition]

    def _not_improving(self) -> int:
        from sparkml_algos.tuning.rules import Course

        course = Course(self.larger_is_better)
        for number in self.finished:
            course.see(self.trials[number].objective if self.trials[number].succeeded else None)
        return course.not_improving

    def __repr__(self) -> str:
        best = self.best
        said = "" if best is None else f", best {self.objective_metric}={best.objective:.6g} of {best.name} {best.setting}"
        return f"TuningJob {self.name}: {self.status}, {len(self.trials)} trials{said}"

    def _repr_html_(self) -> str:
        """Tables for notebooks: how it stands, and its trials."""
        best = self.best
        facts = [("status", self.status), ("trials", str(len(self.trials)))]
        facts += [] if best is None else [(f"best {self.objective_metric}", f"{best.objective:.6g}")]
        facts += [("best Estimator", best.definition)] if best is not None and best.definition else []
        return f"<div><b>TuningJob {self.name}</b>{facts_table(facts)}{rows_table(self.rows()) if self.trials else ''}</div>"

    # -- at rest

    def save_trial(self, store: Store | None, trial: Trial) -> None:
        """Keep how a trial stands."""
        if store is not None:
            store.append({"trial": asdict(trial)})

    @classmethod
    def attach(cls, store: Store) -> TuningJob:
        """A job from what is kept of it; one that was running when its driver ended is `Stopped`.

        Raises
        ------
        FileNotFoundError
        """
        job = cls.from_events(store.events())
        if job is None:
            raise FileNotFoundError(f"{store.path} holds no tuning job")
        return job

    def beginning(self, with_parents: bool = True) -> dict[str, Any]:
        """The first event of a job: what it is, and what it started from, whose own parents do not count."""
        described = {"name": self.name, "config": self.config, "facts": self.facts, "created": self.created}
        parents = [parent.events(with_parents=False) for parent in self.parents] if with_parents else []
        return {"job": {**described, **({"parents": parents} if parents else {})}}

    def ending(self) -> dict[str, Any]:
        """The last event of a job: what has become of it."""
        return {"end": {"status": self.status, "ended": self.ended, "completion": self.completion, "failure": self.failure}}

    def events(self, with_parents: bool = True) -> list[dict[str, Any]]:
        """All that is kept of a job, as a store has it."""
        trials = [*(self.trials[number] for number in self.finished), *(trial for trial in self.trials if not trial.is_over)]
        ended = [self.ending()] if self.ended is not None else []
        return [self.beginning(with_parents), *({"trial": asdict(trial)} for trial in trials), *ended]

    @classmethod
    def from_events(cls, events: Iterable[dict[str, Any]]) -> TuningJob | None:
        """A job from what is kept of it, see `attach`; None if nothing is."""
        job: TuningJob | None = None
        trials: dict[int, Trial] = {}
        finished: dict[int, Trial] = {}  # in the order in which they ended
        ended: dict[str, Any] = {}
        for event in events:
            if "job" in event and job is None:
                described = event["job"]
                parents = [one for one in map(cls.from_events, described.get("parents", [])) if one is not None]
                job = cls(described["name"], described["config"], described["facts"], parents)
                job.created = described["created"]
            elif job is not None and "trial" in event:
                trial = Trial(**event["trial"])
                trials[trial.number], ended = trial, {}  # a search that was over may have gone on
                finished.pop(trial.number, None)
                finished |= {trial.number: trial} if trial.is_over else {}
            elif job is not None and "end" in event:
                ended = event["end"]
        if job is not None:
            job.trials, job.finished = [trials[number] for number in sorted(trials)], list(finished)
            job.status = ended["status"] if ended.get("status") in TERMINAL else "Stopped"
            job.ended, job.completion, job.failure = (ended.get(name) for name in ("ended", "completion", "failure"))
            job._done.set()
        return job


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _spark_type(values: Sequence[Any]) -> str:
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return "boolean" if known else "string"
    if all(isinstance(value, int) for value in known):
        return "long"
    return "double" if all(isinstance(value, (int, float)) for value in known) else "string"


def _spark_value(value: Any, type_: str) -> Any:
    if value is None:
        return None
    return {"double": float, "string": str}.get(type_, lambda same: same)(value)
