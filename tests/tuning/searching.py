"""Jobs and lanes for tests of searches, without any cluster."""

from __future__ import annotations

from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import ContinuousParameter, ranges_to_json

RANGES = {"x": ContinuousParameter(0, 1)}
ERROR = {"MetricName": "validation:error", "Type": "Minimize"}


def job_of(objective=ERROR, ranges=RANGES, facts=None):
    """A job of a single Estimator."""
    config = {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges_to_json(ranges)}
    return TuningJob("job", config, facts or {"algorithm": "A", "static": {}})


def job_of_several(names, ranges=RANGES):
    """A job over several Estimators, all with the same ranges."""
    definition = {"TuningObjective": ERROR, "HyperParameterRanges": ranges_to_json(ranges)}
    return TuningJob("job", {}, {"definitions": [{**definition, "DefinitionName": name} for name in names]})


def answer(number, metrics, series=(), stopped=False, epochs=0):
    """What a worker answers to a task."""
    figures = {"metrics": {}, "last": metrics, "epochs": epochs, "series": list(series), "was_stopped": stopped}
    figures |= {"trained": epochs, "waits": False}
    return [{"trial": number, **figures, "rows": 1, "seconds": 0.1}]


def work(search, evaluate, lane=0):
    """A lane that does tasks until there are no more; `evaluate(setting, number)` gives the metrics of a trial. The numbers it did."""
    done = []
    while not (task := search.next(lane)).end:
        number, _, setting = task.settings[0]
        done.append(number)
        search.take(lane, answer(number, evaluate(setting, number)))
    return done
