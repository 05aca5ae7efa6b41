"""Which of several searches of a job begins the next trial."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from sparkml_algos.tuning.improvement import expected_improvement
from sparkml_algos.tuning.job import TuningJob
from sparkml_algos.tuning.search import Search

# A search whose turn it is begins so many trials at least: another one reads its rows anew.
LEAST_TURN = 3


class Turns:
    """Whose turn it is among the searches of a job, by what its trials have found; a job that is resumed goes on as it would have.

    A single search has every turn. Of several ones that do not learn, each has its share, one after the other. Those that learn have
    `initial` trials each at first; then the next trial is for the one that expects the largest improvement of the best of all.

    Parameters
    ----------
    job : TuningJob
    shares : mapping of str to int, optional
        By the names of searches that do not learn, how many trials are theirs.
    initial : int
    seed : int

    Attributes
    ----------
    searches : dict of str to Search
        To be filled in, in their order, before the first turn.
    """

    def __init__(self, job: TuningJob, shares: Mapping[str, int] | None, initial: int, seed: int) -> None:
        self._job, self._shares, self._initial, self._seed = job, shares, initial, seed
        self.searches: dict[str, Search] = {}

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """Whose turn it is, and the setting of its next trial; None if no trial is to begin any more."""
        while True:
            before = len(self._job.trials)
            for name in self._in_order():
                setting = self.searches[name].wants()
                if setting is not None:
                    return name, setting
            if len(self._job.trials) == before:
                return None
            # Whoever had a turn has lost it to settings that were refused: whose it is now is another question.

    def pauses(self, name: str) -> bool:
        """Whether a search, whose turn it is, is to begin no trial now."""
        if len(self.searches) == 1:
            return False
        count = self._count(name)
        if self._shares is not None:
            return count >= self._shares[name]
        if any(self._count(other) < self._initial for other in self.searches):
            return count >= self._initial
        return self._turn(name) >= LEAST_TURN and self._by_promise()[0] != name

    def _in_order(self) -> list[str]:
        names = list(self.searches)
        if len(names) == 1:
            return names
        running = {trial.definition for trial in self._job.trials if not trial.is_over}
        if self._shares is None and all(self._count(name) >= self._initial for name in names):
            names = self._by_promise()
        last = self._job.trials[-1].definition if self._job.trials else None
        return sorted(names, key=lambda name: (name not in running, name != last or self.pauses(name)))

    def _by_promise(self) -> list[str]:
        """Names, that of the largest expected improvement first; of equals that of the fewest trials."""
        best = self._job.best
        if best is None or best.objective is None:
            return sorted(self.searches, key=self._count)
        least = best.objective * (-1 if self._job.larger_is_better else 1)
        promises = {name: expected_improvement(search.known(), least, self._seed) for name, search in self.searches.items()}
        return sorted(promises, key=lambda name: (-promises[name], self._count(name)))

    def _turn(self, name: str) -> int:
        """How many of the last trials are of a search that has its turn; told from the trials, for a driver that goes on knows no more."""
        own = itertools.takewhile(lambda trial: trial.definition == name, reversed(self._job.trials))
        return sum(1 for _ in own)

    def _count(self, name: str) -> int:
        return sum(trial.definition == name for trial in self._job.trials)
