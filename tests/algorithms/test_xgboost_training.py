"""XGBoost on arrays: against the library by itself, and against itself on other paths."""

from __future__ import annotations

import os
import re
import signal
import time

import numpy as np
import pytest
import scipy.sparse as sp
import xgboost as xgb
from sklearn import metrics as reference

from sparkml_algos import InvalidParams, XGBoostRegressor
from sparkml_algos.algorithms.xgboost import training
from sparkml_algos.algorithms.xgboost.objectives import CLASSIFICATION, LABEL_RANGES, RANKING, REGRESSION
from sparkml_algos.algorithms.xgboost.prediction import loaded
from sparkml_algos.algorithms.xgboost.training import XGBOOST
from sparkml_algos.collectives.communicator import CommunicationError
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training.run import TrainingPlan
from sparkml_algos.training.run import train as run_plan
from tests.boosting import (
    GROUP,
    HALF,
    HELD,
    LIBRARY,
    RANDOM,
    ROWS,
    SCORE,
    SMALL,
    TARGET,
    TASKS,
    THIRD,
    WEIGHT,
    alone,
    fit,
    outputs,
    same_trees,
    settings,
)
from tests.decoding import decoder_of, record_batches
from tests.gang import ProcessGang, process_gang

# -------------------------------------------------------------------------------------------------- against the library itself


@pytest.mark.parametrize(
    ("own", "params"),
    [
        ({}, {}),
        (
            {"learning_rate": 0.1, "reg_lambda": 3, "reg_alpha": 0.5, "min_split_loss": 2},
            {"eta": 0.1, "lambda": 3, "alpha": 0.5, "gamma": 2},
        ),
        ({"max_bin": 16, "min_child_weight": 20}, {"max_bin": 16, "min_child_weight": 20}),
        (
            {"subsample": 0.5, "colsample_bytree": 0.6, "colsample_bylevel": 0.8, "colsample_bynode": 0.8, "seed": 7},
            {"subsample": 0.5, "colsample_bytree": 0.6, "colsample_bylevel": 0.8, "colsample_bynode": 0.8, "seed": 7},
        ),
        ({"grow_policy": "lossguide", "max_leaves": 5, "max_depth": 0}, {"grow_policy": "lossguide", "max_leaves": 5, "max_depth": 0}),
        (
            {"monotone_constraints": "(1,0,0,0,-1)", "interaction_constraints": "[[0,1],[2,3,4]]"},
            {"monotone_constraints": "(1,0,0,0,-1)", "interaction_constraints": "[[0,1],[2,3,4]]"},
        ),
        ({"tree_method": "exact"}, {"tree_method": "exact"}),
        ({"tree_method": "approx", "sketch_eps": 0.1}, {"tree_method": "approx", "max_bin": 10}),
        (
            {"booster": "dart", "rate_drop": 0.5, "one_drop": 1, "sample_type": "weighted", "normalize_type": "forest", "skip_drop": 0.2},
            {"booster": "dart", "rate_drop": 0.5, "one_drop": 1, "sample_type": "weighted", "normalize_type": "forest", "skip_drop": 0.2},
        ),
        ({"base_score": 3, "max_delta_step": 1}, {"base_score": 3, "max_delta_step": 1}),
        ({"updater": "grow_histmaker,prune", "gamma": 1}, {"updater": "grow_histmaker,prune", "gamma": 1}),
    ],
    ids=lambda options: "-".join(options) if isinstance(options, dict) else None,
)
def test_the_trees_are_those_of_the_library_with_the_same_parameters(own, params):
    matrix = xgb.DMatrix(ROWS, TARGET)
    same_trees(fit("regressor", TARGET, **own), xgb.train({**LIBRARY, **params}, matrix, 8))


def test_a_linear_booster_is_that_of_the_library():
    own = {"booster": "gblinear", "updater": "coord_descent", "lambda": 0.1, "alpha": 0.01, "num_round": 20, "max_depth": 6}
    params = {**own, "eta": 0.3, "nthread": 1, "base_score": 0.5}
    params = {name: value for name, value in params.items() if name not in ("num_round", "max_depth")}
    artifact = fit("regressor", TARGET, **own)
    booster = xgb.train(params, xgb.DMatrix(ROWS, TARGET), 20)
    np.testing.assert_allclose(outputs(artifact)["prediction"], booster.predict(xgb.DMatrix(ROWS)), rtol=1e-6)


@pytest.mark.parametrize("objective", [*REGRESSION, *CLASSIFICATION, *RANKING])
def test_every_objective_trains_and_predicts_as_the_library_does(objective):
    task, label, params, fields, plan = "regressor", TARGET, {}, {}, {}
    if objective in CLASSIFICATION:
        task, label = "classifier", THIRD if objective.startswith("multi") else HALF
        params = {"num_class": 3} if objective.startswith("multi") else {}
    elif objective in RANKING:
        task, label, fields, plan = "ranker", HALF, {"qid": GROUP}, {"group": GROUP}
    elif objective == "reg:logistic":
        label = (1 / (1 + np.exp(-TARGET))).astype(np.float32)
    elif objective in LABEL_RANGES:
        label = np.abs(TARGET) + 0.1
    if objective == "survival:aft":
        fields = {"label_lower_bound": label, "label_upper_bound": label}
    artifact = fit(task, label, objective=objective, **params, **plan)
    booster = alone({"objective": objective, **params}, label, **fields)
    same_trees(artifact, booster)
    expected = booster.inplace_predict(ROWS)
    found = outputs(artifact)["probability" if objective in ("binary:logistic", "multi:softprob") else "prediction"]
    if objective == "binary:logitraw":
        expected = expected > 0
    np.testing.assert_allclose(found[:, 1] if objective == "binary:logistic" else found, expected, rtol=1e-5, atol=1e-7)
    assert all(np.isfinite(value) for name, value in artifact.values.items() if name.startswith("train:"))


def test_the_power_of_a_tweedie_loss_and_the_weight_of_positives_reach_the_library():
    label = np.abs(TARGET)
    artifact = fit("regressor", label, objective="reg:tweedie", tweedie_variance_power=1.2)
    same_trees(artifact, alone({"objective": "reg:tweedie", "tweedie_variance_power": 1.2}, label))
    same_trees(fit("classifier", HALF, scale_pos_weight=4), alone({"objective": "binary:logistic", "scale_pos_weight": 4}, HALF))


def test_weights_and_base_margins_reach_the_library():
    artifact = fit("regressor", TARGET, weight=WEIGHT, base_margin=SCORE)
    booster = alone({}, TARGET, weight=WEIGHT, base_margin=SCORE)
    same_trees(artifact, booster)
    margins = SCORE.astype(np.float32)
    expected = booster.inplace_predict(ROWS, base_margin=margins)
    np.testing.assert_array_equal(outputs(artifact, base_margin=margins)["prediction"], expected)
    assert not np.allclose(outputs(artifact)["prediction"], expected)


def test_base_margins_of_a_booster_with_dropout_are_added_once():
    artifact = fit("regressor", TARGET, booster="dart", rate_drop=0.5, base_margin=SCORE)
    margins = SCORE.astype(np.float32)
    leaves = outputs(artifact)["prediction"] - 0.5
    np.testing.assert_allclose(outputs(artifact, base_margin=margins)["prediction"], margins + leaves, rtol=1e-5, atol=1e-5)


def test_rows_of_weight_zero_do_not_count():
    weight = np.where(HELD, 0, 1)
    same_trees(fit("regressor", TARGET, weight=weight), alone({}, TARGET[~HELD], ROWS[~HELD]))


# -------------------------------------------------------------------------------------------------------------- missing values


def holes(value) -> np.ndarray:
    rows = ROWS.copy()
    rows[RANDOM.random(rows.shape) < 0.3] = value
    return rows


def test_not_a_number_is_missing():
    rows = holes(np.nan)
    artifact = fit("regressor", TARGET, rows)
    booster = alone({}, TARGET, rows)
    same_trees(artifact, booster)
    np.testing.assert_array_equal(outputs(artifact, rows)["prediction"], booster.inplace_predict(rows))


def test_a_value_may_stand_for_missing_ones():
    rows = holes(-999)
    artifact = fit("regressor", TARGET, rows, missing=-999)
    booster = alone({}, TARGET, rows, missing=-999)
    same_trees(artifact, booster)
    expected = booster.inplace_predict(rows, missing=-999)
    np.testing.assert_array_equal(outputs(artifact, rows, missing=-999.0)["prediction"], expected)
    assert not np.array_equal(outputs(artifact, rows)["prediction"], expected)


@pytest.mark.parametrize("density", [0.03, 0.4], ids=["stays sparse", "becomes dense"])
def test_what_a_sparse_row_does_not_store_is_missing_and_a_stored_zero_is_not(density):
    random = np.random.default_rng(1)
    rows = sp.random(2000, 30, density, "csr", random_state=random, dtype=np.float32)
    rows.data[::5] = 0
    label = np.asarray(rows.sum(axis=1)).ravel() + (rows.getnnz(axis=1) > 1)
    dense = np.full(rows.shape, np.nan, np.float32)
    dense[rows.nonzero()] = 0
    for start, row in enumerate(rows):
        dense[start, row.indices] = row.data
    artifact = fit("regressor", label, rows)
    same_trees(artifact, alone({}, label, dense))
    np.testing.assert_array_equal(outputs(artifact, rows)["prediction"], outputs(artifact, dense)["prediction"])


# ------------------------------------------------------------------------------------------------------------------- explaining


def test_contributions_add_up_to_the_raw_score_and_leaves_are_the_library_s():
    for task, label, params in (
        ("regressor", TARGET, {}),
        ("classifier", HALF, {}),
        ("classifier", THIRD, {"objective": "multi:softprob", "num_class": 3}),
    ):
        found = outputs(fit(task, label, **params))
        classes = params.get("num_class", 1)
        contributions = found["contributions"].reshape(2000, classes, 6)
        np.testing.assert_allclose(contributions.sum(axis=2).squeeze(), found.margin, atol=1e-4)
        np.testing.assert_array_equal(found["leaf"], found._booster.predict(xgb.DMatrix(ROWS), pred_leaf=True))
        assert found["leaf"].shape == (2000, 8 * classes)


# ---------------------------------------------------------------------------------------------------------------------- ranking


def test_rows_are_ranked_within_their_groups_in_whatever_order_they_come():
    relevance = np.clip(np.round(SCORE), 0, 4).astype(np.float32)
    order = RANDOM.permutation(2000)
    names = GROUP[order] * 10**12 - 5 * 10**12
    weight = 1.0 + GROUP[order] % 3
    artifact = fit("ranker", relevance[order], ROWS[order], group=names, weight=weight, objective="rank:ndcg", eval_metric="ndcg,ndcg@5")
    by_group = np.argsort(names, kind="stable")
    rows, label = ROWS[order][by_group], relevance[order][by_group]
    matrix = xgb.QuantileDMatrix(rows, label, qid=GROUP, weight=1.0 + np.arange(100) % 3)
    log = {}
    params = {**LIBRARY, "objective": "rank:ndcg", "eval_metric": ["ndcg", "ndcg@5"]}
    booster = xgb.train(params, matrix, 8, evals=[(matrix, "train")], evals_result=log, verbose_eval=False)
    same_trees(artifact, booster)
    assert [epoch["train:ndcg@5"] for epoch in artifact.values["history"]] == pytest.approx(log["train"]["ndcg@5"])
    assert artifact.values["train:ndcg"] == pytest.approx(log["train"]["ndcg"][-1])


def test_a_group_has_one_weight():
    with pytest.raises(InvalidRows, match="rows of one group have the weights 1 and 2; a group has one weight in ranking"):
        fit("ranker", HALF, group=GROUP, weight=WEIGHT)


# ---------------------------------------------------------------------------------------------------------- metrics, early stopping


def test_metrics_of_each_round_are_those_of_scikit_learn():
    artifact = fit("classifier", HALF, weight=WEIGHT, validation=HELD, eval_metric="auc,f1,accuracy,logloss,error@0.7")
    history, booster = artifact.values["history"], loaded(artifact)
    for number in (0, 7):
        probability = booster.inplace_predict(ROWS, iteration_range=(0, number + 1))
        for channel, rows in (("train", ~HELD), ("validation", HELD)):
            label, score, weight = HALF[rows], probability[rows], WEIGHT[rows]
            assert {name: value for name, value in history[number].items() if name.startswith(channel)} == pytest.approx(
                {
                    f"{channel}:auc": reference.roc_auc_score(label, score, sample_weight=weight),
                    f"{channel}:f1": reference.f1_score(label, score > 0.5, average="macro", sample_weight=weight),
                    f"{channel}:accuracy": reference.accuracy_score(label, score > 0.5, sample_weight=weight),
                    f"{channel}:logloss": reference.log_loss(label, score, sample_weight=weight),
                    f"{channel}:error@0.7": np.average((score > 0.7) != label, weights=weight),
                },
                rel=1e-4,
            )


def test_metrics_of_many_classes_and_of_numbers_are_those_of_scikit_learn():
    artifact = fit("classifier", THIRD, objective="multi:softmax", num_class=3, eval_metric="f1,accuracy,merror")
    predicted = outputs(artifact)["prediction"]
    assert artifact.values["train:f1"] == pytest.approx(reference.f1_score(THIRD, predicted, average="macro"), rel=1e-5)
    assert artifact.values["train:accuracy"] == pytest.approx(1 - artifact.values["train:merror"])
    assert artifact.values["train:accuracy"] == pytest.approx((predicted == THIRD).mean())
    artifact = fit("regressor", TARGET, eval_metric="mse,rmse,mae")
    assert artifact.values["train:mse"] == pytest.approx(reference.mean_squared_error(TARGET, outputs(artifact)["prediction"]), rel=1e-5)
    assert artifact.values["train:mse"] == pytest.approx(artifact.values["train:rmse"] ** 2)


def test_metrics_are_by_the_objective_where_none_is_named():
    assert set(fit("regressor", TARGET).values["history"][0]) == {"epoch", "seconds", "train:rmse"}
    assert "train:mlogloss" in fit("classifier", THIRD, objective="multi:softprob", num_class=3).values


@pytest.mark.parametrize("params", [{}, {"booster": "dart", "rate_drop": 0.3}], ids=["trees", "dart"])
def test_early_stopping_serves_the_best_round(params):
    noise = RANDOM.normal(0, 3, 2000).astype(np.float32)
    own = {"num_round": 100, "early_stopping_rounds": 5, "eval_metric": "mae,rmse", **params}
    artifact = fit("regressor", TARGET + noise, validation=HELD, **own)
    history = [epoch["validation:rmse"] for epoch in artifact.values["history"]]
    best = int(np.argmin(history))
    assert artifact.values["best_iteration"] == best == len(history) - 6
    assert loaded(artifact).num_boosted_rounds() == best + 1
    error = (outputs(artifact)["prediction"] - TARGET - noise)[HELD]
    assert np.sqrt((error**2).mean()) == pytest.approx(history[best], rel=1e-5) == artifact.values["validation:rmse"]


def test_early_stopping_watches_the_training_rows_where_none_are_marked():
    artifact = fit("regressor", TARGET, num_round=50, eta=0, early_stopping_rounds=3)
    assert len(artifact.values["history"]) == 4 and artifact.values["best_iteration"] == 0


def test_rows_marked_for_validation_are_not_trained_on():
    artifact = fit("regressor", TARGET, validation=HELD)
    same_trees(artifact, alone({}, TARGET[~HELD], ROWS[~HELD]))
    with pytest.raises(InvalidRows, match="no row is marked for validation"):
        fit("regressor", TARGET, validation=np.zeros(2000, bool))


# ------------------------------------------------------------------------------------------------------- warm start, checkpoints


def test_a_warm_start_is_the_training_going_on():
    whole, first = fit("regressor", TARGET), fit("regressor", TARGET, num_round=3)
    resumed = fit("regressor", TARGET, num_round=5, initial_model=loaded(first))
    same_trees(resumed, loaded(whole))


def test_a_warm_start_reads_the_values_and_not_the_bins_of_other_rows():
    initial = alone({"max_bin": 7}, TARGET[:500], ROWS[:500], rounds=3)
    artifact = fit("regressor", TARGET, initial_model=initial, num_round=2, max_bin=32)
    expected = xgb.train({**LIBRARY, "max_bin": 32}, xgb.DMatrix(ROWS, TARGET), 2, xgb_model=initial)
    same_trees(artifact, expected)


def test_early_stopping_after_a_warm_start_keeps_the_trees_it_started_from():
    noise = RANDOM.normal(0, 3, 2000).astype(np.float32)
    initial = loaded(fit("regressor", TARGET, num_round=3))
    artifact = fit("regressor", TARGET + noise, validation=HELD, num_round=60, early_stopping_rounds=3, initial_model=initial)
    assert loaded(artifact).num_boosted_rounds() == 3 + artifact.values["best_iteration"] + 1


def test_refreshing_trees_is_what_the_library_does():
    initial = alone({}, TARGET[:1000], ROWS[:1000])
    own = {"process_type": "update", "updater": "refresh", "refresh_leaf": 1}
    artifact = fit("regressor", TARGET, initial_model=initial, **own)
    expected = xgb.train({**LIBRARY, **own}, xgb.DMatrix(ROWS, TARGET), 8, xgb_model=initial)
    same_trees(artifact, expected)
    frozen = fit("regressor", TARGET, initial_model=initial, **{**own, "refresh_leaf": 0})
    np.testing.assert_allclose(outputs(frozen)["prediction"], initial.inplace_predict(ROWS), rtol=1e-5)


def test_an_initial_model_of_other_features_is_refused():
    with pytest.raises(InvalidRows, match="initial_model takes 5 features, the rows have 3"):
        fit("regressor", TARGET, ROWS[:, :3], initial_model=alone({}, TARGET))


@pytest.mark.parametrize("params", [{}, {"booster": "dart", "rate_drop": 0.3, "early_stopping_rounds": 50}], ids=["trees", "dart"])
def test_a_training_that_was_cut_off_goes_on_where_it_was(tmp_path, monkeypatch, params):
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1.0)  # after each round
    whole = fit("regressor", TARGET, **{**params, "rate_drop": 0} if params else {})
    params = {**params, "rate_drop": 0} if params else {}
    told = []

    class CutOff(Exception):
        pass

    update = xgb.Booster.update

    def cut_off(self, matrix, number):
        if number == 5 and not told:
            told.append(number)
            raise CutOff
        update(self, matrix, number)

    monkeypatch.setattr(xgb.Booster, "update", cut_off)
    with pytest.raises(CutOff):
        fit("regressor", TARGET, checkpoint_dir=str(tmp_path), **params)
    numbers = []
    monkeypatch.setattr(xgb.Booster, "update", lambda self, matrix, number: (numbers.append(number), update(self, matrix, number)))
    resumed = fit("regressor", TARGET, checkpoint_dir=str(tmp_path), **params)
    assert numbers == [5, 6, 7] and len(resumed.values["history"]) == 8
    same_trees(resumed, loaded(whole))


def test_checkpoints_take_a_small_share_of_the_time(tmp_path, monkeypatch):
    saves = []

    def slow(self, epochs_done, state):
        saves.append(epochs_done)
        time.sleep(0.05)

    monkeypatch.setattr("sparkml_algos.training.checkpoint.CheckpointStore.save", slow)
    start = time.monotonic()
    fit("regressor", TARGET, num_round=150, checkpoint_dir=str(tmp_path))
    rest = time.monotonic() - start - 0.05 * len(saves)
    assert len(saves) >= 1 and 0.05 * (len(saves) - 1) <= rest / 10


# ----------------------------------------------------------------------------------------------------------------------- workers


def deal(communicator, task, label, rows, params, plan, part):
    """Train on this worker's share of the rows."""
    chosen = np.arange(len(rows)) % communicator.size == communicator.rank if part == "even" else np.full(len(rows), communicator.rank == 0)
    if part == "groups":
        chosen = plan["group"] % communicator.size == communicator.rank
    mine = {name: value[chosen] for name, value in plan.items()}
    return fit(task, label[chosen], rows[chosen], communicator, **params, **mine)


def test_three_workers_learn_what_one_learns():
    held = {"validation": HELD, "weight": WEIGHT}
    params = {"num_round": 30, "eval_metric": "f1,accuracy,logloss", "max_bin": 64}
    one = fit("classifier", HALF, **params, **held)
    three = process_gang(3)(deal, "classifier", HALF, ROWS, params, held, "even")[0]
    scores = [outputs(artifact)["probability"][HELD, 1] for artifact in (one, three)]
    areas = [reference.roc_auc_score(HALF[HELD], score) for score in scores]
    assert areas[1] == pytest.approx(areas[0], rel=0.01)
    predicted = scores[1] > 0.5
    assert three.values["validation:accuracy"] == pytest.approx(np.average(predicted == HALF[HELD], weights=WEIGHT[HELD]), rel=1e-5)
    expected = reference.f1_score(HALF[HELD], predicted, average="macro", sample_weight=WEIGHT[HELD])
    assert three.values["validation:f1"] == pytest.approx(expected, rel=1e-5)


def test_workers_without_rows_take_part():
    exact = np.round(ROWS * 4) / 4
    for task, label, plan in (("regressor", np.round(TARGET), {}), ("ranker", HALF, {"group": GROUP})):
        params = {"num_round": 3, "early_stopping_rounds": 3}
        found = process_gang(2)(deal, task, label, exact, params, {**plan, "validation": HELD}, "all on one")
        same_trees(found[0], loaded(fit(task, label, exact, validation=HELD, **params, **plan)))


def test_groups_on_their_workers_are_ranked_as_on_one():
    one = fit("ranker", HALF, group=GROUP, eval_metric="ndcg")
    two = process_gang(2)(deal, "ranker", HALF, ROWS, {"eval_metric": "ndcg"}, {"group": GROUP}, "groups")[0]
    assert two.values["train:ndcg"] == pytest.approx(one.values["train:ndcg"], abs=0.02)


def fail_in_round_three(communicator, how):
    update = xgb.Booster.update

    def failing(self, matrix, number):
        if number == 3 and communicator.rank == 1:
            if how == "hang":
                time.sleep(15)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        update(self, matrix, number)

    xgb.Booster.update = failing
    try:
        return deal(communicator, "regressor", TARGET, ROWS, {"num_round": 500}, {}, "even")
    finally:
        xgb.Booster.update = update


@pytest.mark.parametrize(
    ("how", "own", "others"),
    [
        ("kill", EOFError, r"xgboost: Ring Allreduce failed.; .*(other end is likely closed|Poll error)"),
        ("hang", None, r"xgboost: .*Poll timeout:2 seconds. Connection timed out"),
    ],
)
def test_a_worker_that_fails_ends_the_others_with_an_error(how, own, others):
    gang = ProcessGang(2, timeout=2.0)
    try:
        start = time.monotonic()
        outcomes = gang.outcomes(fail_in_round_three, how)
        first = next(outcomes)
        seconds = time.monotonic() - start
        assert isinstance(first, CommunicationError) and re.search(others, str(first)), first
        assert seconds < 14
        if own:
            assert isinstance(next(outcomes), own)
    finally:
        gang.stop()


# ---------------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("task", "own", "message"),
    [
        ("classifier", {"objective": "multi:softprob"}, "objective='multi:softprob' needs num_class, 2 or more"),
        ("classifier", {"objective": "binary:hinge", "num_class": 3}, "num_class needs objective 'multi:softprob' or 'multi:softmax'"),
        ("classifier", {"num_class": 1}, "num_class must be 2 or more, got 1"),
        ("regressor", {"max_depth": 0}, "max_depth=0 is no limit, which grow_policy='depthwise' forbids"),
        ("regressor", {"max_depth": 0, "grow_policy": "lossguide"}, "max_depth=0 needs max_leaves"),
        ("regressor", {"max_leaves": 7}, "max_leaves needs grow_policy='lossguide'"),
        ("regressor", {"grow_policy": "lossguide", "tree_method": "exact"}, "grow_policy needs tree_method 'auto', 'hist' or 'gpu_hist'"),
        ("regressor", {"max_bin": 99, "tree_method": "approx"}, "max_bin needs tree_method 'auto', 'hist' or 'gpu_hist'"),
        ("regressor", {"max_bin": 1}, "max_bin must be 2 or more, got 1"),
        ("regressor", {"sketch_eps": 0.1}, "sketch_eps needs tree_method='approx'"),
        ("regressor", {"sketch_eps": 0, "tree_method": "approx"}, "sketch_eps must be greater than 0"),
        ("regressor", {"rate_drop": 0.1}, "rate_drop needs booster='dart'"),
        ("regressor", {"gamma": 1, "booster": "gblinear"}, "gamma needs booster 'gbtree' or 'dart'"),
        ("regressor", {"lambda_bias": 0.5, "booster": "gblinear"}, "lambda_bias must be 0: the library has no penalty on the bias"),
        ("regressor", {"tweedie_variance_power": 1.1}, "tweedie_variance_power needs objective='reg:tweedie'"),
        ("regressor", {"objective": "reg:logistic", "base_score": 1}, "base_score is a probability with 'reg:logistic'"),
        ("regressor", {"objective": "count:poisson", "base_score": 0}, "base_score must be greater than 0 with 'count:poisson'"),
        ("ranker", {"scale_pos_weight": 2}, "scale_pos_weight needs an objective of reg:squarederror, reg:linear"),
        ("regressor", {"eval_metric": "rmse,rsme"}, "eval_metric has no metric 'rsme'"),
        ("regressor", {"eval_metric": "rmse@3"}, "eval_metric has no metric 'rmse@3'"),
        ("regressor", {"eval_metric": "accuracy"}, "eval_metric 'accuracy' does not suit objective='reg:squarederror'"),
        ("regressor", {"updater": "prune,shrink"}, "updater must be among grow_colmaker, .*, got shrink"),
        (
            "regressor",
            {"process_type": "update", "updater": "refresh"},
            "process_type='update' needs initial_model, whose trees it updates",
        ),
        ("regressor", {"process_type": "update"}, "process_type='update' needs an updater among refresh, prune, sync"),
        ("regressor", {"updater": "refresh"}, "the updater refresh needs process_type='update'"),
        ("regressor", {"refresh_leaf": 0}, "refresh_leaf needs the updater refresh"),
        ("regressor", {"tree_method": "gpu_hist"}, "tree_method='gpu_hist' needs use_gpu=True, and a GPU for every task"),
        ("regressor", {"tree_method": "exact", "use_gpu": True}, "use_gpu=True needs trees with tree_method 'auto', 'hist'"),
        ("regressor", {"single_precision_histogram": "true"}, "single_precision_histogram must be 'false': the library always sums"),
        ("regressor", {"deterministic_histogram": "false"}, "deterministic_histogram must be 'true'"),
        ("regressor", {"interaction_constraints": [1, 2]}, r"interaction_constraints must be lists of features, counted from 0"),
        ("regressor", {"nthread": 0}, "nthread must be 1 or more, got 0"),
        ("regressor", {"csv_weights": 1}, "csv_weights=1 says that rows have weights; name their column in weightCol"),
        ("ranker", {"shardKeyCol": "key"}, "shardKeyCol must stay unset"),
        ("ranker", {"groupCol": None}, "groupCol is required: the rows that are ranked together"),
    ],
)
def test_what_contradicts_itself_is_refused(task, own, message):
    estimator = TASKS[task](**{**SMALL, **({"groupCol": "g"} if task == "ranker" else {}), **own})
    problems = "\n".join(estimator.problems())
    assert re.search(message, problems), problems


def test_another_name_of_a_hyperparameter_is_taken_but_not_both():
    assert XGBoostRegressor(learning_rate="0.1", reg_lambda=2).hyperparameters().items() >= {"eta": 0.1, "lambda": 2}.items()
    with pytest.raises(InvalidParams, match="learning_rate is another name of eta; give one of them"):
        XGBoostRegressor(learning_rate=0.1, eta=0.2)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"monotone_constraints": [1, 0]}, "monotone_constraints has 2 entries, the rows have 5 features"),
        ({"interaction_constraints": [[0, 5]]}, "interaction_constraints names feature 5, the rows have features 0 to 4"),
    ],
)
def test_constraints_must_fit_the_features(own, message):
    with pytest.raises(InvalidRows, match=message):
        fit("regressor", TARGET, **own)


@pytest.mark.parametrize(
    ("objective", "bad", "expected"),
    [
        ("reg:gamma", 0, "a number > 0"),
        ("count:poisson", -1, "a number >= 0"),
        ("reg:logistic", 2, "a number from 0 to 1"),
        ("reg:squaredlogerror", -1, "a number > -1"),
    ],
)
def test_labels_beyond_the_range_of_the_objective_are_named(objective, bad, expected):
    label = np.full(20, 0.5)
    label[7] = bad
    with pytest.raises(InvalidRows, match=f"label column 'label' is {bad}, expected {expected}, in row 7 of worker 0's shard"):
        fit("regressor", label, ROWS[:20], objective=objective)


def test_infinite_features_are_refused_though_missing_ones_are_not():
    rows = ROWS.copy()
    rows[7, 2], rows[5, 1] = np.inf, np.nan
    with pytest.raises(InvalidRows, match="features column 'features', element 2, is inf as a 32-bit float in row 7"):
        fit("regressor", TARGET, rows)


def test_what_the_library_refuses_is_said_without_its_stack_trace():
    initial = loaded(fit("regressor", TARGET, num_round=2))
    with pytest.raises(RuntimeError, match=r"^xgboost: ") as caught:
        fit("regressor", TARGET, initial_model=initial, process_type="update", updater="refresh")
    assert "Stack trace" not in str(caught.value) and "/src/" not in str(caught.value).split(" Check failed")[0]


# ------------------------------------------------------------------------------------------------------------------------ memory


def test_spilled_rows_and_pipes_give_the_same_trees():
    whole = fit("regressor", TARGET)
    for options in ({"max_shard_bytes": 10_000}, {"input_mode": "Pipe"}):
        plan = TrainingPlan(XGBOOST, [settings("regressor")], decoder_of(["f"], label="y", features={"missing_values": True}), **options)

        class Surroundings:
            rank, size, device, host, workers_on_host, spill_dir, phase = 0, 1, "cpu", "127.0.0.1", 1, None, ""

            def connect(self):
                from sparkml_algos.collectives.communicator import SingleProcess

                return SingleProcess()

            def report(self, progress):
                pass

            def warn(self, message):
                raise AssertionError(message)

        found = dict(run_plan(plan, Surroundings(), record_batches(ROWS, TARGET, rows=300)))
        same_trees(found["model/0"], loaded(whole))
