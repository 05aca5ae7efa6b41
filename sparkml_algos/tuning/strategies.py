"""Which setting is tried next. A proposal is a function of seed, number and what is known, so that a search that is resumed goes on as it
would have."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from sparkml_algos.arrays.device import one_thread
from sparkml_algos.tuning.ranges import CategoricalParameter, Ranges

# Up to so many hyperparameters and finished trials a Gaussian process proposes, beyond them a Parzen estimator.
GAUSSIAN_DIMENSIONS, GAUSSIAN_TRIALS = 20, 250
LEAST_INITIAL = 5
# With fewer finished trials there is nothing to learn from.
LEAST_LEARNED = 2
ENGINES = ("auto", "gp", "tpe")


@dataclass(frozen=True)
class Observation:
    """A trial as searches see it.

    Parameters
    ----------
    units : mapping of str to float
        Places of its values between 0 and 1.
    value : float or None
        The objective, the smaller the better; None while it is running.
    more : tuple of float
        Further objectives, the smaller the better, of a search that has several.
    """

    units: Mapping[str, float]
    value: float | None
    more: tuple[float, ...] = ()


class Strategy(Protocol):
    """Proposes places from 0 to 1 for each range."""

    def propose(self, number: int, known: Sequence[Observation]) -> dict[str, float]:
        """The places of trial `number`, counted from 0, by what is known of others."""


class Random:
    """Independent draws, which neither order nor parallelism changes."""

    def __init__(self, ranges: Ranges, seed: int) -> None:
        self._ranges, self._seed = in_order(ranges), seed

    def propose(self, number: int, known: Sequence[Observation]) -> dict[str, float]:
        draws = np.random.default_rng([self._seed, number]).random(len(self._ranges))
        return dict(zip(self._ranges, draws.tolist(), strict=True))


def in_order(ranges: Ranges) -> Ranges:
    """By name, so that draws are the same in whatever order ranges are given: descriptions of the service group them by kind."""
    return dict(sorted(ranges.items()))


class Grid:
    """Every combination of categorical values, the first range varying slowest.

    Attributes
    ----------
    combinations : int

    Raises
    ------
    ValueError
        If a range is not categorical, or `max_jobs` is another number than that of the combinations.
    """

    def __init__(self, ranges: Ranges, max_jobs: int | None) -> None:
        self._ranges = ranges
        self._sizes = [len(one.values_in_order()) for one in ranges.values()]
        self.combinations = math.prod(self._sizes)
        if max_jobs not in (None, self.combinations):
            raise ValueError(f"the grid has {self.combinations} combinations; max_jobs must be that or be left out, got {max_jobs}")

    def propose(self, number: int, known: Sequence[Observation]) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, size in zip(reversed(list(self._ranges)), reversed(self._sizes), strict=True):
            number, place = divmod(number, size)
            found[name] = (place + 0.5) / size
        return dict(reversed(found.items()))


class Bayesian:
    """Proposals of Optuna: by a Gaussian process and expected improvement, or by a tree-structured Parzen estimator; at first of a
    low-discrepancy sequence.

    Parameters
    ----------
    ranges : mapping of str to ParameterRange
    seed : int
    parallel : int
        Trials side by side.
    engine : {"auto", "gp", "tpe"}
        ``auto`` is the Gaussian process where torch is installed, up to 20 hyperparameters and 250 finished trials.

    Raises
    ------
    ImportError
        If Optuna is not installed, or torch for ``gp``.
    """

    def __init__(self, ranges: Ranges, seed: int, parallel: int = 1, engine: str = "auto") -> None:
        import_optuna()
        self._ranges, self._seed, self._engine = in_order(ranges), seed, engine
        self._initial = max(LEAST_INITIAL, 2 * parallel)
        if engine == "gp" and not _has_torch():
            raise ImportError("the Gaussian process needs torch; install it with: pip install 'sparkml-algos[torch]'")

    def propose(self, number: int, known: Sequence[Observation]) -> dict[str, float]:
        finished = sum(one.value is not None for one in known)
        if number < self._initial and finished < self._initial:
            return self._spread(number)
        if finished < LEAST_LEARNED:
            return Random(self._ranges, self._seed).propose(number, known)
        optuna = import_optuna()
        directions = ["minimize"] * (1 + max((len(one.more) for one in known), default=0))
        study = optuna.create_study(sampler=self._sampler(number, finished), study_name="tuning", directions=directions)
        spaces = {name: self._space(name) for name in self._ranges}
        state = optuna.trial.TrialState
        for one in known:
            params = {name: self._to_optuna(name, place) for name, place in one.units.items()}
            running = one.value is None
            study.add_trial(
                optuna.trial.create_trial(
                    state=state.RUNNING if running else state.COMPLETE,
                    values=None if running else [one.value, *one.more],
                    params=params,
                    distributions=spaces,
                )
            )
        with one_thread():
            asked = study.ask(spaces)
        return {name: self._from_optuna(name, value) for name, value in asked.params.items()}

    def _spread(self, number: int) -> dict[str, float]:
        from scipy.stats import qmc

        sobol = qmc.Sobol(len(self._ranges), seed=np.random.default_rng(self._seed))
        points = sobol.random_base2(math.ceil(math.log2(max(2, self._initial))))
        return dict(zip(self._ranges, points[number].tolist(), strict=True))

    def _sampler(self, number: int, finished: int) -> Any:
        optuna = import_optuna()
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        gaussian = self._engine == "gp" or (
            self._engine == "auto" and _has_torch() and len(self._ranges) <= GAUSSIAN_DIMENSIONS and finished <= GAUSSIAN_TRIALS
        )
        if gaussian:
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)

    def _space(self, name: str) -> Any:
        optuna, one = import_optuna(), self._ranges[name]
        if isinstance(one, CategoricalParameter):
            return optuna.distributions.CategoricalDistribution(list(range(len(one.values))))
        return optuna.distributions.FloatDistribution(0.0, 1.0)

    def _to_optuna(self, name: str, place: float) -> Any:
        one = self._ranges[name]
        if isinstance(one, CategoricalParameter):
            return min(int(place * len(one.values)), len(one.values) - 1)
        return min(max(float(place), 0.0), 1.0)

    def _from_optuna(self, name: str, value: Any) -> float:
        one = self._ranges[name]
        return (value + 0.5) / len(one.values) if isinstance(one, CategoricalParameter) else float(value)


def import_optuna() -> Any:
    """Optuna, quiet.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("strategy 'Bayesian' needs Optuna; install it with: pip install 'sparkml-algos[tuning]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna


def _has_torch() -> bool:
    return find_spec("torch") is not None
