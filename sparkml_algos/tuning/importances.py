"""Which hyperparameters matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def importances(trials: Sequence[tuple[Mapping[str, float], float]], seed: int) -> dict[str, float]:
    """Shares of hyperparameters in how much the objective varies, the most important first.

    Parameters
    ----------
    trials : sequence of (mapping of str to float, float)
        Places in the ranges, and the objective.
    seed : int
    """
    from sparkml_algos.tuning.strategies import import_optuna

    optuna = import_optuna()
    if len(trials) < 2:
        raise ValueError(f"importances need two trials that have succeeded, there are {len(trials)}")
    study = optuna.create_study()
    spaces = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in trials[0][0]}
    for units, value in trials:
        params = {name: min(max(place, 0.0), 1.0) for name, place in units.items()}
        study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=spaces))
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except ImportError as error:
        raise ImportError("importances need scikit-learn, too; install it with: pip install 'sparkml-algos[tuning]'") from error
    return {name: float(share) for name, share in found.items()}
