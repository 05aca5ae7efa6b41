"""Records fits and searches in the run that is current; what it fails of is a warning, never a failed training."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from pyspark.ml import Estimator, Transformer
from pyspark.sql import DataFrame

from sparkml_algos.core import recording
from sparkml_algos.core.estimator import AlgorithmEstimator
from sparkml_algos.core.model import AlgorithmModel
from sparkml_algos.core.persistence import params_of
from sparkml_algos.tracking import limits, presence, provenance, store
from sparkml_algos.tracking.store import PREFIX

logger = logging.getLogger(__name__)

# A Run; this module knows nothing else of it, for runs know this module.
_current: ContextVar[Any] = ContextVar("sparkml_algos_run", default=None)
_lock = threading.Lock()
_blocks = 0
#: What makes a run for a fit that is in no block, and in which store; None where such fits are not recorded.
unassigned: tuple[Callable[[str], Any], str] | None = None

KIND = f"{PREFIX}kind"
_JOB, _TRIAL = f"{PREFIX}tuning_job", f"{PREFIX}trial"
# A search is over so long after its store went away at most, or a little longer: MLflow itself tries each request for minutes.
_SECONDS_OF_FAILURES = 300.0
# Of a setting that is longer, such as a booster to start from, the beginning is kept.
_CUT = "…"


def current() -> Any:
    """The run whose block this is in, or None."""
    return _current.get()


def enter(run: Any) -> Token[Any]:
    """A block of a run begins: fits ask, from now on, whether they are in one."""
    global _blocks
    with _lock:
        _blocks += 1
        recording.recorder = RECORDER
    return _current.set(run)


def leave(token: Token[Any]) -> None:
    """A block ends; after the last one fits ask no more."""
    global _blocks
    try:
        _current.reset(token)
    except ValueError:  # it is left in another context than it was entered in
        _current.set(None)
    with _lock:
        _blocks -= 1
        _settle()


def record_unassigned(make: Callable[[str], Any] | None, uri: str = "") -> None:
    """Whether fits outside of blocks are recorded, too: in a run that is made of a title, in a store."""
    global unassigned
    with _lock:
        unassigned = None if make is None else (make, uri)
        _settle()


def _settle() -> None:
    recording.recorder = RECORDER if _blocks or unassigned is not None else None


def attempt(function: Callable[..., Any], *arguments: Any, at: str | None = None, **options: Any) -> Any:
    """What a function gives; None, and a warning, where it fails.

    Parameters
    ----------
    function : callable
    *arguments, **options
        Of the function.
    at : str, optional
        The store that it asks. Where that is a server which does not answer, the function is not called.
    """
    if at is not None and not presence.is_there(at):
        return None
    try:
        return function(*arguments, **options)
    except Exception as error:
        logger.debug("not recorded", exc_info=True)
        if at is not None:
            presence.doubt(at)
            if not presence.is_there(at):  # which has been said
                return None
        logger.warning("not recorded: %s: %s", type(error).__name__, error)
        return None


class TrackingRecorder:
    """Implements `core.recording.Recorder`."""

    @contextmanager
    def fitting(self, estimators: Sequence[Any], dataset: DataFrame) -> Iterator[Callable[[Sequence[Any]], None]]:
        first = estimators[0]
        several = len(estimators) > 1
        title = f"{type(first).__name__}, {len(estimators)} settings" if several else first.title()
        with self._block("validation" if several else "training", title) as run:
            if run is None:
                yield _take_nothing
                return
            _note(run, _note_dataset, dataset)
            if not several:
                _note(run, _note_estimator, first)
            began = time.time()

            def take(models: Sequence[AlgorithmModel]) -> None:
                if not several:
                    _note(run, _note_model, models[0])
                    return
                for place, (estimator, model) in enumerate(zip(estimators, models, strict=True)):
                    _note(run, _note_one_of_several, f"{type(first).__name__} {place + 1}", estimator, model, began)

            yield take

    @contextmanager
    def searching(
        self, kind: str, name: str, estimator: Estimator, dataset: DataFrame, settings: Mapping[str, Any], goes_on: bool = False
    ) -> Iterator[_RecordedSearch | None]:
        with self._block(kind, name, goes_on) as run:
            if run is None:
                yield None
                return
            _note(run, _note_dataset, dataset)
            _note(run, _note_settings, estimator, settings)
            search = _RecordedSearch(run, name, goes_on)
            try:
                yield search
            finally:
                search.close()

    @contextmanager
    def _block(self, kind: str, title: str, goes_on: bool = False) -> Iterator[Any]:
        """The run that something is recorded in, which is the current one inside; None where there is none."""
        outer = _current.get()
        own = None
        if outer is not None and (resumed := _note(outer, _resumable, title) if goes_on else None) is not None:
            run = own = resumed
        elif outer is not None and outer.take_fit():
            run = outer
        elif outer is not None:
            run = own = attempt(outer.nested, title[: limits.NAME], at=outer.tracking_uri)
        elif unassigned is not None:
            make, uri = unassigned
            run = own = attempt(_unassigned, make, title, goes_on, at=uri)
        else:
            run = None
        if run is None:
            yield None
            return
        run.take_fit()
        _note(run, _tag, {KIND: kind, f"{PREFIX}title": title, **({_JOB: title} if goes_on else {}), **_code()})
        token = _current.set(run)
        try:
            yield run
        except BaseException as error:
            if own is not None:
                stopped = not isinstance(error, Exception)
                attempt(own.end, "Stopped" if stopped else "Failed", f"{type(error).__name__}: {error}", at=own.tracking_uri)
            raise
        else:
            if own is not None:
                attempt(own.end, at=own.tracking_uri)
        finally:
            _current.reset(token)


RECORDER = TrackingRecorder()


class _RecordedSearch:
    """Records trials as they end, in a thread of its own: whoever hands out trials does not wait for a server."""

    def __init__(self, run: Any, name: str, goes_on: bool) -> None:
        self._run, self._name = run, name
        # The run may have trials of other searches, too, which were in it before.
        below = (attempt(run.children, at=run.tracking_uri) or []) if goes_on else []
        own = {child.facts["trial"]: child for child in below if child.facts.get("trial_of") == name}
        # A driver that was lost may have been about to record one.
        self._begun = {number: child for number, child in own.items() if child.status == "InProgress"}
        self._known = own.keys() - self._begun.keys()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"recording {name}")
        self._failing, self._left_out = 0.0, 0

    def trial(self, number: int, name: str, setting: Mapping[str, Any], **facts: Any) -> None:
        if str(number) in self._known:
            return
        self._known.add(str(number))
        self._thread.submit(self._try, self._note, number, name, dict(setting), dict(facts))

    def take(self, model: Transformer, facts: Mapping[str, Any]) -> None:
        self.close()
        self._try(self._note_best, model, dict(facts))

    def close(self) -> None:
        """Return once all is recorded that can be."""
        self._thread.shutdown(wait=True)
        if self._left_out:
            logger.warning("not recorded: %d trials of %s, for the store did not answer for minutes", self._left_out, self._name)
            self._left_out = 0

    def _try(self, note: Callable[..., None], *arguments: Any) -> None:
        if self._failing > _SECONDS_OF_FAILURES:
            self._left_out += note == self._note
            return
        began = time.monotonic()
        if not attempt(_done, note, *arguments, at=self._run.tracking_uri):
            self._failing += time.monotonic() - began

    def _note(self, number: int, name: str, setting: dict[str, Any], facts: dict[str, Any]) -> None:
        tags = {KIND: "trial", _TRIAL: str(number), f"{_TRIAL}_of": self._name, **_code()}
        child = self._begun.pop(str(number), None) or self._run.nested(name[: limits.NAME], started=facts.get("started"))
        store.log(child.tracking_uri, child.run_id, params=_texts(setting), tags=tags)
        rows: list[tuple[str, float, int | None]] = []
        for metric, series in (facts.get("series") or {}).items():
            rows += [(metric, value, step + 1) for step, value in enumerate(series) if value is not None]
        last = {metric: (value, step) for metric, value, step in rows}
        for metric, value in (facts.get("metrics") or {}).items():
            if value is not None and last.get(metric, (None,))[0] != value:
                rows.append((metric, value, last[metric][1] if metric in last else None))
        if facts.get("seconds") is not None:
            rows.append(("seconds:train", facts["seconds"], None))
        child.log_metrics(rows)
        child.end(facts.get("status") or "Completed", facts.get("reason"), facts.get("ended"))

    def _note_best(self, model: Transformer, facts: dict[str, Any]) -> None:
        _tag(self._run, {f"{PREFIX}{name}": str(value) for name, value in facts.items()})
        stages = getattr(model, "stages", [model])
        last = stages[-1]
        if isinstance(last, AlgorithmModel):
            _note_metrics(self._run, last)
            self._run.log_parameters(_texts(_settings(last)))
        if self._run.log_models:
            self._run.log_model(model)


def _done(note: Callable[..., None], *arguments: Any) -> bool:
    note(*arguments)
    return True


def _resumable(outer: Any, job: str) -> Any:
    """The run of a tuning job that an earlier driver has begun, if there is one and it is not the current one."""
    found = next(iter(store.runs_of(outer.tracking_uri, [outer.experiment_id], f"tags.`{_JOB}` = '{job}'")), None)
    return outer.reopened(found) if found is not None and found.info.run_id != outer.run_id else None


def _unassigned(make: Callable[[str], Any], title: str, goes_on: bool) -> Any:
    """A run for what is in no block; of a tuning job that goes on the one that it had, in place of the new one."""
    made = make(title[: limits.NAME])
    known = _resumable(made, title) if goes_on else None
    if known is None:
        return made
    store.client_of(made.tracking_uri).delete_run(made.run_id)
    return known


def _note(run: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function(run, *arguments)`` gives, see `attempt`."""
    return attempt(function, run, *arguments, at=run.tracking_uri)


def _take_nothing(models: Sequence[AlgorithmModel]) -> None:
    """Where nothing is recorded."""


def _tag(run: Any, tags: Mapping[str, str]) -> None:
    store.log(run.tracking_uri, run.run_id, tags=tags)
    run.refresh()


def _code() -> dict[str, str]:
    return attempt(provenance.code_version) or {}


def _note_dataset(run: Any, dataset: DataFrame) -> None:
    run.log_input(dataset)
    _tag(run, provenance.versions(dataset.sparkSession))


def _note_estimator(run: Any, estimator: AlgorithmEstimator) -> None:
    run.log_parameters(_texts(_settings(estimator)))
    _tag(run, {f"{PREFIX}estimator": type(estimator).__name__, f"{PREFIX}uid": estimator.uid})
    run.log_json("estimator.json", {"class": type(estimator).__name__, "uid": estimator.uid, **params_of(estimator)})


def _note_settings(run: Any, estimator: Estimator, settings: Mapping[str, Any]) -> None:
    _tag(run, {f"{PREFIX}estimator": type(estimator).__name__})
    run.log_json("search.json", dict(settings))


def _note_model(run: Any, model: AlgorithmModel) -> None:
    _note_metrics(run, model)
    if run.log_models:
        run.log_model(model)


def _note_one_of_several(run: Any, name: str, estimator: AlgorithmEstimator, model: AlgorithmModel, began: float) -> None:
    child = run.nested(name, started=began)
    _tag(child, {KIND: "trial", **_code()})
    _note_estimator(child, estimator)
    _note_model(child, model)
    child.end()


def _note_metrics(run: Any, model: AlgorithmModel) -> None:
    """Metrics by epoch, those of the finished model, and where the time went."""
    summary = model.training_summary
    if summary is None:
        return
    rows: list[tuple[str, float, int | None]] = []
    last: dict[str, tuple[float, int]] = {}
    for place, epoch in enumerate(summary.history):
        step = epoch.get("epoch", place + 1)
        step = step if isinstance(step, int) and step >= 0 else place + 1
        for name, value in epoch.items():
            if name != "epoch" and isinstance(value, (int, float)) and not isinstance(value, bool):
                rows.append((f"{name}:epoch" if name == "seconds" else name, float(value), step))
                last[name] = (float(value), step)
    # The finished model may be that of an earlier epoch: its figure is logged last, at the last step, and so is what counts.
    for name, value in summary.metrics.items():
        if name not in last or last[name][0] != value and not (math.isnan(value) and math.isnan(last[name][0])):
            rows.append((name, float(value), last[name][1] if name in last else None))
    rows += [(f"seconds:{phase}", float(seconds), None) for phase, seconds in summary.seconds.items()]
    run.log_metrics(rows)
    facts = {"workers": summary.num_workers, "rows": summary.rows, "validation_rows": summary.validation_rows, "launch": summary.launch}
    _tag(run, {f"{PREFIX}{name}": str(value) for name, value in {**facts, "retries": summary.retries}.items()})
    run.log_json("training_summary.json", summary.to_dict())


def _settings(of: AlgorithmEstimator | AlgorithmModel) -> dict[str, Any]:
    return {name: value for name, value in of.hyperparameters().items() if value is not None}


def _texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as parameters, the longest cut."""
    found = {store.stored_name(name): str(value) for name, value in settings.items()}
    most = limits.PARAMETER_TEXT
    return {name: text if len(text) <= most else text[: most - 1] + _CUT for name, text in found.items()}
