"""A worker that takes one training after the other, on rows that it reads once."""

from __future__ import annotations

import numpy as np
import pytest

from sparkml_algos.arrays.evaluation import AreaUnderCurve, NumbersError
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.recurring import FOLD
from sparkml_algos.training.run import Alone, TrainingPlan, train, train_arrays
from sparkml_algos.training.trials import Stop, Task, TrialsPlan, run_trials

pytest.importorskip("xgboost")

from sparkml_algos import LinearLearnerRegressor, XGBoostClassifier, XGBoostRegressor

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(300, 4)).astype(np.float32)
LABEL = (ROWS @ [1, -1, 0.5, 0] + RANDOM.normal(size=300) > 0).astype(float)
FOLDS = np.arange(300) % 3


def batches(estimator, fold=None, **columns):
    """The rows as they come to a worker, of which it may see those of some folds only; and what decodes them."""
    given = {"features": ROWS, "label": LABEL, **columns}
    fields = [field for field in estimator.fields() if field.role in given]
    found = []
    for batch, start in zip(record_batches(fields, given, 100), range(0, 300, 100), strict=True):
        numbers = FOLDS[start : start + 100].astype(np.int32)
        found.append(batch.append_column(FOLD, numbers) if fold is None else batch.filter(numbers != fold))
    return found, Decoder([Source(field, [field.role]) for field in fields])


def answers(estimator, tasks, folds=0, measure=None, series=None, survives=False, **columns):
    """What a worker answers to tasks, and the models that it keeps."""
    rows, decoder = batches(estimator, **columns)
    plan = TrainingPlan(estimator.algorithm(), [estimator.hyperparameters()], decoder, seed=1)
    waiting, heard = [*tasks, Task(end=True)], []

    def on_ask(answer):
        heard.append(answer)
        return Task.from_dict(waiting.pop(0).to_dict()).to_dict()

    kept = dict(run_trials(TrialsPlan(plan, folds, measure, series, survives), Alone(on_ask=on_ask), iter(rows)))
    return heard[1:], {name: model for name, model in kept.items() if name.startswith("model/")}


def test_a_fold_is_held_out_and_scored():
    estimator = XGBoostClassifier(num_round=3, seed=1)
    measure = AreaUnderCurve(output_of(estimator, "rawPredictionCol"), bins=0)
    ((one,), (two,)), kept = answers(estimator, [Task([(0, 0, {"max_depth": 2})], 0), Task([(1, 0, {})], 1, keeps=True)], 3, measure)
    rows, decoder = batches(estimator, fold=1)
    alone = dict(train(TrainingPlan(estimator.algorithm(), [estimator.hyperparameters()], decoder, seed=1), Alone(), iter(rows)))
    np.testing.assert_array_equal(kept["model/1"].arrays["model"], alone["model/0"].arrays["model"])
    assert kept.keys() == {"model/1"}
    assert (one["rows"], two["rows"]) == (200, 200)
    from sklearn.metrics import roc_auc_score

    raw = estimator.algorithm().load(kept["model/1"], plain(estimator), "cpu")(batch_of(estimator, FOLDS == 1))[measure.output]
    assert two["measured"] == pytest.approx(roc_auc_score(LABEL[FOLDS == 1], raw[:, 1]), abs=1e-12)


@pytest.mark.parametrize("options", [{}, {"early_stopping_rounds": 2}])
def test_rounds_whose_metrics_nobody_sees_are_not_measured_and_change_nothing(options):
    estimator = XGBoostRegressor(num_round=5, seed=1, eta=0.9, **options)
    measure = NumbersError(output_of(estimator, "predictionCol"))
    ((seen,), (unseen,)), kept = answers(estimator, [Task([(0, 0, {})], 0, keeps=True), Task([(1, 0, {})], 0)], 3, measure)
    names = ("measured", "metrics", "epochs")
    assert {name: seen[name] for name in names} == {name: unseen[name] for name in names}
    assert all("train:rmse" in epoch for epoch in kept["model/0"].values["history"])


def test_all_rows_are_trained_on_as_without_folds():
    estimator = XGBoostRegressor(num_round=3, seed=1)
    _, kept = answers(estimator, [Task([(5, 0, {"eta": 0.5})], None, keeps=True)], 3)
    alone = train_arrays(estimator.algorithm(), {**estimator.hyperparameters(), "eta": 0.5}, ROWS, label=LABEL, seed=1)
    np.testing.assert_array_equal(kept["model/5"].arrays["model"], alone.arrays["model"])


def test_a_training_without_hope_is_stopped_where_it_runs():
    estimator = XGBoostRegressor(num_round=9, seed=1, eval_metric="rmse")
    stop = Stop("validation:rmse", {4: 0.0}, larger_is_better=False)
    ((one,),), _ = answers(estimator, [Task([(0, 0, {})], stop=stop)], series="validation:rmse", validation=FOLDS == 0)
    assert one["was_stopped"]
    assert (one["epochs"], len(one["series"])) == (4, 4)
    assert one["last"]["validation:rmse"] == one["series"][-1]


def test_a_training_that_fails_is_an_answer_and_the_next_goes_on():
    estimator = XGBoostRegressor(num_round=2, seed=1)
    tasks = [Task([(0, 0, {"monotone_constraints": "(1,1,1,1,1,1,1)"})]), Task([(1, 0, {})])]
    ((failed,), (fine,)), _ = answers(estimator, tasks, survives=True)
    assert failed["trial"] == 0 and failed["error"]
    assert "error" not in fine
    with pytest.raises(Exception, match="onstraint"):
        answers(estimator, tasks)


def test_models_are_kept_until_they_are_to_be_forgotten():
    estimator = XGBoostRegressor(num_round=1, seed=1)
    tasks = [Task([(i, 0, {})], keeps=True, forget=[i - 1] if i != 2 else []) for i in range(4)]
    _, kept = answers(estimator, tasks)
    assert kept.keys() == {"model/1", "model/3"}


@pytest.mark.parametrize(
    ("estimator", "series", "changes"),
    [
        (XGBoostRegressor(num_round=6, seed=1, eval_metric="rmse", subsample=0.5), "train:rmse", {"eta": 0.9}),
        (
            LinearLearnerRegressor(epochs=6, mini_batch_size=20, early_stopping_patience=99, seed=1),
            "train:objective_loss",
            {"learning_rate": 0.5},
        ),
    ],
    ids=["trees", "line"],
)
def test_a_training_that_waits_ends_as_one_that_does_not(estimator, series, changes):
    tasks = [Task([(0, 0, {})], keeps=True, until=2), Task([(1, 0, changes)], until=3), Task([(0, 0, {})], keeps=True)]
    ((first,), (other,), (last,)), kept = answers(estimator, tasks, series=series)
    alone = train_arrays(estimator.algorithm(), estimator.hyperparameters(), ROWS, label=LABEL, seed=1)
    for name, array in alone.arrays.items():
        np.testing.assert_array_equal(kept["model/0"].arrays[name], array)
    assert kept.keys() == {"model/0"}
    assert [(one["epochs"], one["trained"], one["waits"]) for one in (first, other, last)] == [(2, 2, True), (3, 3, True), (6, 4, False)]
    assert last["series"][:2] == first["series"] and first["last"][series] == first["series"][-1]


def test_a_lane_with_nothing_to_do_asks_again(monkeypatch):
    slept = []
    monkeypatch.setattr("sparkml_algos.training.trials.time.sleep", slept.append)
    heard, _ = answers(XGBoostRegressor(num_round=2, seed=1), [Task(), Task(), Task([(0, 0, {})])])
    assert (heard[:2], heard[2][0]["epochs"], len(slept)) == ([[], []], 2, 2)


def test_one_that_is_forgotten_begins_anew():
    estimator = XGBoostRegressor(num_round=6, seed=1)
    waits = Task([(0, 0, {})], until=2)
    _, (again,) = answers(estimator, [waits, Task([(0, 0, {})], until=4, forget=[0])])[0]
    assert (again["epochs"], again["trained"]) == (4, 4)


def test_one_that_waits_is_stopped_where_it_has_no_hope():
    estimator = XGBoostRegressor(num_round=9, seed=1, eval_metric="rmse")
    stop = Stop("train:rmse", {4: 0.0}, larger_is_better=False)
    (_, (one,)), kept = answers(estimator, [Task([(0, 0, {})], until=2, stop=stop), Task([(0, 0, {})], keeps=True)], series="train:rmse")
    assert (one["was_stopped"], one["waits"], one["epochs"], list(kept)) == (True, False, 4, ["model/0"])


def test_a_row_of_no_fold_is_refused():
    with pytest.raises(Exception, match="of fold 2; there are 2 folds"):
        answers(XGBoostRegressor(num_round=1), [Task([(0, 0, {})], 0)], 2, NumbersError("prediction"))


def output_of(estimator, param):
    return next(output.field for output in estimator.model_class().outputs if output.param == param)


def plain(estimator):
    from sparkml_algos.arrays.hyperparameters import Hyperparameters

    return Hyperparameters(**estimator.hyperparameters())


def batch_of(estimator, chosen):
    from sparkml_algos.rows.batch import Batch

    return Batch(features=ROWS[chosen])
