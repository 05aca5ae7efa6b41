"""Tells whoever records searches of the trials of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkml_algos.core import recording
from sparkml_algos.tuning.listeners import TuningListener
from sparkml_algos.tuning.search import NOT_BEGUN

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.sql import DataFrame

    from sparkml_algos.tuning.job import TuningJob
    from sparkml_algos.tuning.trial import Trial


class RecordedTrials(TuningListener):
    """Hands trials on as they end, those first that were over before the search went on from its store; not those that have not begun,
    for they do when a search that was stopped goes on.

    Parameters
    ----------
    record : recording.Search
    """

    def __init__(self, record: recording.Search) -> None:
        self._record = record

    def on_search_start(self, job: TuningJob, tuner: Estimator, dataset: DataFrame) -> None:
        for trial in job.trials:
            if trial.is_over:
                self.on_trial_end(job, trial)

    def on_trial_end(self, job: TuningJob, trial: Trial) -> None:
        if trial.reason == NOT_BEGUN:
            return
        objective = {} if trial.objective is None or trial.objectives else {job.objective_metric: trial.objective}
        self._record.trial(
            trial.number,
            trial.name,
            {**trial.setting, **({"definition": trial.definition} if trial.definition else {})},
            status=trial.status,
            reason=trial.reason,
            metrics={**trial.metrics, **trial.objectives, **objective},
            series={} if trial.objectives else {job.objective_metric: trial.series},
            started=trial.started or trial.created,
            ended=trial.ended,
            seconds=trial.seconds,
        )
