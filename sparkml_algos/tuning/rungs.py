"""Hyperband's trials at their rungs: which wait there, where what they have trained is, and which goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparkml_algos.training.trials import Stop
from sparkml_algos.tuning.rules import Hyperband
from sparkml_algos.tuning.trial import Objective, Trial

# Trainings that wait in a lane at most, each with all that it holds; the worst of more begins anew should it be gone on with.
MOST_WAITING = 50


class Rungs:
    """The trials of a search that wait at a rung.

    Parameters
    ----------
    hyperband : Hyperband
    objective : Objective

    Attributes
    ----------
    waiting : dict of int to Trial
        By number.
    """

    def __init__(self, hyperband: Hyperband, objective: Objective) -> None:
        self._hyperband, self._objective = hyperband, objective
        self.waiting: dict[int, Trial] = {}
        self._lanes: dict[int, int] = {}  # which lane holds what a trial has trained, where one does

    def until(self, trial: Trial) -> int | None:
        """After how many epochs a trial is to wait next; None where it is not to wait any more."""
        return self._hyperband.next_rung(self._hyperband.bracket(trial.number), len(trial.series))

    def ending(self) -> Stop:
        """What ends every trial that has had all of the resource."""
        return Stop(self._objective.metric, self._hyperband.ending(self._objective.larger_is_better), self._objective.larger_is_better)

    def wait(self, trial: Trial, lane: int | None) -> None:
        """A trial has come to a rung, and waits in a lane; in none, where it was in one of an earlier driver."""
        self.waiting[trial.number] = trial
        if lane is not None:
            self._lanes[trial.number] = lane

    def promoted(self, trials: Iterable[Trial], lane: int | None, last: bool) -> Trial | None:
        """The trial that goes on now, which waits no more; None if none does.

        Parameters
        ----------
        trials : iterable of Trial
            All of the search.
        lane : int, optional
            That asks. It gets trials that wait there, or whose training nobody holds: they begin anew.
        last : bool
            Whether no other trials will begin.
        """
        series: dict[int, dict[int, Sequence[float | None]]] = {}
        for trial in trials if self.waiting else ():
            series.setdefault(self._hyperband.bracket(trial.number), {})[trial.number] = trial.series
        for bracket, of_bracket in series.items():
            for number in self._hyperband.promotable(bracket, of_bracket, self._objective.larger_is_better, last):
                if number in self.waiting and self._lanes.get(number, lane) == lane:
                    self._lanes.pop(number, None)
                    return self.waiting.pop(number)
        return None

    def holds(self, lane: int) -> bool:
        """Whether a trial waits in a lane."""
        return lane in self._lanes.values()

    def crowded_out(self, lane: int) -> list[int]:
        """Numbers of trials whose training a lane is to hold no longer, for it holds too many: those that have come least far, of these the
        worst."""
        sign = 1 if self._objective.larger_is_better else -1
        held = [self.waiting[number] for number, holder in self._lanes.items() if holder == lane]
        held.sort(key=lambda trial: (len(trial.series), sign * trial.value))
        found = [trial.number for trial in held[: max(0, len(held) - MOST_WAITING)]]
        for number in found:
            del self._lanes[number]
        return found

    def let_go(self, lane: int | None = None) -> None:
        """A lane has ended, or all of them, and with it what it held."""
        self._lanes = {number: holder for number, holder in self._lanes.items() if lane is not None and holder != lane}
