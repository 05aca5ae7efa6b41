"""Pictures of searches."""

from __future__ import annotations

import pytest

from sparkml_algos.plotting import plot_tuning
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.ranges import CategoricalParameter, ContinuousParameter, ranges_to_json
from sparkml_algos.tuning.trial import Trial

RANGES = {"eta": ContinuousParameter(0.01, 1.0), "booster": CategoricalParameter(["gbtree", "dart"])}


@pytest.fixture
def job():
    objective = {"MetricName": "validation:auc", "Type": "Maximize"}
    found = TuningJob("job", {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges_to_json(RANGES)}, {})
    for number, (value, status) in enumerate([(0.5, "Completed"), (0.7, "Stopped"), (None, "Failed"), (0.6, "Completed")]):
        setting = {"eta": 0.1 * (number + 1), "booster": ["gbtree", "dart"][number % 2]}
        found.trials.append(Trial(number, f"job-{number}", setting, {"eta": 0.2 * number, "booster": 0.25}, status, value))
    return found


def test_the_history_has_the_best_so_far_and_what_failed(job):
    lines = {line.get_label(): list(map(float, line.get_ydata())) for line in plot_tuning(job).get_lines()}
    assert lines["best so far"] == [0.5, 0.7, 0.7]
    assert lines["completed"] == [0.5, 0.6]
    assert lines["stopped early"] == [0.7]
    assert len(lines["failed"]) == 1


def test_each_trial_with_an_objective_is_a_line_through_the_ranges(job):
    ax = plot_tuning(job, "parallel")
    assert len(ax.get_lines()) == 3
    assert [label.get_text() for label in ax.get_xticklabels()] == ["eta", "booster", "validation:auc"]


@pytest.mark.parametrize(("parameter", "scale"), [("eta", "linear"), ("booster", "linear")])
def test_a_slice_is_over_the_values_of_one(job, parameter, scale):
    ax = plot_tuning(job, "slice", parameter)
    assert (ax.get_xlabel(), ax.get_xscale()) == (parameter, scale)
    assert len(ax.collections[0].get_offsets()) == 3


def test_what_cannot_be_drawn_is_refused(job):
    with pytest.raises(ValueError, match="'depth' is not tuned"):
        plot_tuning(job, "slice", "depth")
    with pytest.raises(ValueError, match="kind must be one of"):
        plot_tuning(job, "pie")
    job.trials = []
    with pytest.raises(ValueError, match="no trial"):
        plot_tuning(job)


def several(facts):
    objective = {"MetricName": "validation:auc", "Type": "Maximize"}
    return TuningJob("job", {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges_to_json(RANGES)}, facts)


def test_the_front_of_two_objectives_is_drawn_in_order():
    job = several({"objectives": [{"MetricName": "auc", "Type": "Maximize"}, {"MetricName": "loss", "Type": "Minimize"}]})
    for number, (auc, loss) in enumerate([(0.9, 0.5), (0.7, 0.2), (0.6, 0.4), (0.8, 0.3)]):
        job.trials.append(Trial(number, f"job-{number}", {}, {}, "Completed", auc, objectives={"auc": auc, "loss": loss}))
    lines = {line.get_label(): line.get_xydata().tolist() for line in plot_tuning(job, "pareto").get_lines()}
    assert lines == {"none is better": [[0.7, 0.2], [0.8, 0.3], [0.9, 0.5]], "another is better": [[0.6, 0.4]]}
    job.facts = {}
    with pytest.raises(ValueError, match="kind 'pareto' draws two"):
        plot_tuning(job, "pareto")


def test_of_several_estimators_the_ranges_of_one_are_drawn():
    definition = {"TuningObjective": {"MetricName": "auc", "Type": "Maximize"}, "HyperParameterRanges": ranges_to_json(RANGES)}
    job = several({"definitions": [{**definition, "DefinitionName": name} for name in ("trees", "line")]})
    for number, name in enumerate(["trees", "line", "line"]):
        units = {"eta": 0.5, "booster": 0.25} if name == "trees" else {"wd": 0.5}
        job.trials.append(Trial(number, f"job-{number}", {"wd": 0.1}, units, "Completed", number / 10, definition=name))
    assert len(plot_tuning(job, "history").get_lines()) == 2
    assert len(plot_tuning(job, "parallel").get_lines()) == 2  # of the best one's
    ticks = plot_tuning(job, "parallel", definition="trees").get_xticklabels()
    assert [label.get_text() for label in ticks] == ["eta", "booster", "auc"]
    with pytest.raises(ValueError, match="'forest' is no definition; 'trees', 'line'"):
        plot_tuning(job, "parallel", definition="forest")
