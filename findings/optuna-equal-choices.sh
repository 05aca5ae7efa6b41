#!/usr/bin/env bash
# optuna 5.0.0: of two choices that are equal for Python, such as 1 and 1.0, the first is recorded for both.
#
# Guess:  best_params is what the best trial ran with. For scikit-learn max_features=1 is one column, 1.0 all of them; max_samples and
#         min_samples_leaf know the same two.
# Seen:   the trial gets 1.0, and the study keeps the place of the first choice that is equal, so best_params says 1: a model trained with
#         it is another one, and no trial ran with 1.0, as the study has it. So with False and 0, True and 1. Inside the objective
#         trial.params is right, which makes it hard to see.
# So:     names as choices, "one" and "all", and a dictionary from them to values.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install optuna==5.0.0 scikit-learn==1.9.1 numpy==2.4.6

seen_as '[1, 1.0]: ran with 1.0, error below 0.2: True; best_params 1, error below 0.2: False
[1, 1.0]: ran with both: True, recorded: [1]
[False, 0]: ran with both: True, recorded: [False]' <<'PYTHON'
import numpy as np
import optuna
from sklearn.ensemble import ExtraTreesRegressor

optuna.logging.set_verbosity(optuna.logging.ERROR)
random = np.random.default_rng(0)
rows = random.normal(size=(400, 30))
labels = rows[:, 0] > 0


def error(max_features):
    forest = ExtraTreesRegressor(n_estimators=10, max_features=max_features, min_samples_leaf=3, random_state=0)
    return float(np.mean((forest.fit(rows[:200], labels[:200]).predict(rows[200:]) - labels[200:]) ** 2))


def run(choices, objective):
    ran = {}

    def noted(trial):
        ran[trial.number] = trial.suggest_categorical("choice", choices)
        return objective(ran[trial.number])

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(noted, n_trials=10)
    return study, ran


study, ran = run([1, 1.0], error)
best = study.best_params["choice"]
print(f"[1, 1.0]: ran with {ran[study.best_trial.number]!r}, error below 0.2: {study.best_value < 0.2}", end="; ")
print(f"best_params {best!r}, error below 0.2: {error(best) < 0.2}")
for choices in ([1, 1.0], [False, 0]):
    study, ran = run(choices, lambda choice: 0.0)
    both = {repr(choice) for choice in ran.values()} == {repr(choice) for choice in choices}
    recorded = {repr(trial.params["choice"]) for trial in study.trials}
    print(f"{choices}: ran with both: {both}, recorded: [{', '.join(recorded)}]")
PYTHON
