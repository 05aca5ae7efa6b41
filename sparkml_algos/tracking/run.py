"""A run: what was tried, and what came of it."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextvars import Token
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkml_algos.tracking import charts, limits, recorder, store
from sparkml_algos.tracking.reading import DISPLAY, PARAMETER, PARENT, Readable
from sparkml_algos.tracking.store import PREFIX

if TYPE_CHECKING:
    from pyspark.ml import Model
    from pyspark.sql import DataFrame

_TO_MLFLOW = {"InProgress": "RUNNING", "Stopping": "RUNNING", "Completed": "FINISHED", "Failed": "FAILED", "Stopped": "KILLED"}
UNASSIGNED = "unassigned"
DEFAULT_EXPERIMENT = "Default"


class Run(Readable):
    """A run in an experiment, to log into and to read. As a context manager it ends with the block, and every `fit` in the block is
    recorded: the first in the run itself, further ones in runs below it.

    Parameters
    ----------
    experiment_name : str, optional
        Not told apart by case; made if it is not there. Without one the run is unassigned, in MLflow's default experiment.
    run_name : str, optional
        A run of this name in the experiment is gone on with. By default a new name.
    experiment_display_name, run_display_name : str, optional
        As people see them; by default the names as they are given.
    description : str, optional
        At most 3072 characters.
    tags : mapping of str to str, optional
        At most 50.
    tracking_uri : str, optional
        Where it is kept, see `get_tracking_uri`.
    log_models : bool, default True
        Whether models of the fits in the block are kept, as MLflow models.
    data_digest : bool, default True
        Whether fits in the block compute the fingerprint of their rows, which reads them once more, on the JVM.

    Attributes
    ----------
    run_id, experiment_id, tracking_uri : str

    Raises
    ------
    ImportError
        If MLflow is not installed.
    ValueError
        If a name, the description or the tags are too long, or too many.

    Examples
    --------
    >>> from sparkml_algos.tracking import Run
    >>> with Run("churn", "deeper trees") as run:  # doctest: +SKIP
    ...     model = XGBoostClassifier(max_depth=8, num_round=50).fit(train)
    ...     run.log_metric("test:auc", model.evaluate(test)["test:auc"])
    >>> run.parameters["max_depth"]  # doctest: +SKIP
    8
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        run_name: str | None = None,
        *,
        experiment_display_name: str | None = None,
        run_display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        tracking_uri: str | None = None,
        log_models: bool = True,
        data_digest: bool = True,
    ) -> None:
        uri = store.get_tracking_uri(tracking_uri)
        limits.check_description(description)
        given = limits.check_tags(tags)
        if experiment_name is None:
            experiment, given = store.experiment_id(uri, DEFAULT_EXPERIMENT), {UNASSIGNED: "true", **given}
        else:
            name = limits.check_name(experiment_name, "experiment_name")
            shown = {DISPLAY: experiment_display_name or experiment_name}
            experiment = store.experiment_id(uri, name, shown)
            if experiment_display_name:
                store.client_of(uri).set_experiment_tag(experiment, DISPLAY, experiment_display_name)
        if description is not None:
            given["mlflow.note.content"] = description
        existing = _named(uri, experiment, run_name) if run_name is not None else None
        if existing is not None:
            client = store.client_of(uri)
            client.update_run(existing.info.run_id, status="RUNNING")
            if run_display_name:
                given[DISPLAY] = run_display_name
            store.log(uri, existing.info.run_id, tags=given)
            self._hold(uri, existing.info.run_id, experiment, True, log_models, data_digest)
        else:
            shown_as = run_display_name or run_name
            self._hold(uri, _created(uri, experiment, run_name, shown_as, given), experiment, True, log_models, data_digest)

    def _hold(self, uri: str, run_id: str, experiment: str, owned: bool, log_models: bool = True, data_digest: bool = True) -> None:
        self.tracking_uri, self.run_id, self.experiment_id = uri, run_id, experiment
        self.log_models, self.data_digest = log_models, data_digest
        self._owned = owned
        self._entity: Any = None
        self._is_taken = False
        self._lock = threading.Lock()
        # Of each block that it has now, one in the other: what the recorder gave, and the environment as it was before.
        self._entered: list[tuple[Token[Any], dict[str, str | None]]] = []

    @classmethod
    def _of(cls, uri: str, entity: Any) -> Run:
        """A run that is there, as it was when it was fetched."""
        run = cls.__new__(cls)
        run._hold(uri, entity.info.run_id, entity.info.experiment_id, False)
        run._entity = entity
        return run

    @classmethod
    def _load(cls, uri: str, run_id: str) -> Run:
        return cls._of(uri, store.client_of(uri).get_run(run_id))

    # -- as a block

    def __enter__(self) -> Run:
        told = {store.RUN_VARIABLE: self.run_id, store.URI_VARIABLE: self.tracking_uri}
        self._entered.append((recorder.enter(self), {name: os.environ.get(name) for name in told}))
        os.environ.update(told)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        token, environment = self._entered.pop()
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        recorder.leave(token)
        if not self._owned:
            return
        if error is None:
            recorder.attempt(self.end, at=self.tracking_uri)  # what the block has made is not lost for it
        else:
            stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
            recorder.attempt(self.end, "Stopped" if stopped else "Failed", f"{type(error).__name__}: {error}", at=self.tracking_uri)

    def end(self, status: str = "Completed", message: str | None = None, ended: float | None = None) -> None:
        """It is over.

        Parameters
        ----------
        status : {"Completed", "Failed", "Stopped", "InProgress", "Stopping"}
            The last two where it is not.
        message : str, optional
            Cut at 1024 characters.
        ended : float, optional
            Seconds since 1970; now by default.

        Raises
        ------
        ValueError
            If the status is none of these.
        """
        if status not in _TO_MLFLOW:
            raise ValueError(f"status must be one of {', '.join(_TO_MLFLOW)}, got {status!r}")
        tags = {f"{PREFIX}message": message[: limits.MESSAGE]} if message else {}
        tags[f"{PREFIX}stopping"] = "true" if status == "Stopping" else "false"
        store.log(self.tracking_uri, self.run_id, tags=tags)
        client = store.client_of(self.tracking_uri)
        if _TO_MLFLOW[status] == "RUNNING":
            client.update_run(self.run_id, status="RUNNING")
        else:
            client.set_terminated(self.run_id, _TO_MLFLOW[status], store.now() if ended is None else int(ended * 1000))
        self._entity = None

    def nested(self, run_name: str, tags: Mapping[str, str] | None = None, started: float | None = None) -> Run:
        """A run below this one.

        Parameters
        ----------
        run_name : str
        tags : mapping of str to str, optional
        started : float, optional
            Seconds since 1970; now by default.

        Returns
        -------
        Run
            To be ended, by `end` or by a ``with`` block.
        """
        below = {**limits.check_tags(tags), PARENT: self.run_id}
        run = Run.__new__(Run)
        run_id = _created(self.tracking_uri, self.experiment_id, run_name, run_name, below, started)
        run._hold(self.tracking_uri, run_id, self.experiment_id, True, self.log_models, self.data_digest)
        return run

    def reopened(self, entity: Any) -> Run:
        """Another run of the same store, to go on with.

        Parameters
        ----------
        entity : mlflow.entities.Run
        """
        store.client_of(self.tracking_uri).update_run(entity.info.run_id, status="RUNNING")
        run = Run.__new__(Run)
        run._hold(self.tracking_uri, entity.info.run_id, entity.info.experiment_id, True, self.log_models, self.data_digest)
        return run

    def take_fit(self) -> bool:
        """Whether a fit may be recorded in the run itself, which the first one that asks may."""
        with self._lock:
            was, self._is_taken = self._is_taken, True
            return not was

    # -- to log into

    def log_parameter(self, name: str, value: str | int | float) -> None:
        """Keep a parameter; a later value takes the place of an earlier one.

        Raises
        ------
        ValueError
            If it is no str, int or float, too long, or the 301st.
        """
        self.log_parameters({name: value})

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Keep parameters; see `log_parameter`."""
        texts = {store.stored_name(name): limits.parameter_text(name, value) for name, value in parameters.items()}
        data = self._fetched().data
        known = dict(data.params)
        if len({*known, *texts}) > limits.PARAMETERS:
            raise ValueError(f"a run has at most {limits.PARAMETERS} parameters, with these it would have {len({*known, *texts})}")
        new = {name: text for name, text in texts.items() if name not in known}
        # MLflow does not change a parameter: what it is now is a tag.
        changed = {
            f"{PARAMETER}{name}": text
            for name, text in texts.items()
            if name in known and data.tags.get(f"{PARAMETER}{name}", known[name]) != text
        }
        names = {f"{PREFIX}name.{store.stored_name(name)}": name for name in parameters if store.stored_name(name) != name}
        store.log(self.tracking_uri, self.run_id, params=new, tags={**changed, **names})
        self._entity = None

    def log_metric(self, name: str, value: float, timestamp: float | datetime | None = None, step: int | None = None) -> None:
        """Keep a value of a metric.

        Parameters
        ----------
        name : str
            At most 255 characters.
        value : float
        timestamp : datetime or float, optional
            Seconds since 1970; now by default.
        step : int, optional
            From 0, such as an epoch.

        Raises
        ------
        ValueError
        """
        self.log_metrics([(name, value, step)], timestamp)

    def log_metrics(
        self,
        metrics: Mapping[str, float] | Sequence[tuple[str, float, int | None]],
        timestamp: float | datetime | None = None,
        step: int | None = None,
    ) -> None:
        """Keep many values in one request: by name, or as (name, value, step)."""
        rows = [(name, value, step) for name, value in metrics.items()] if isinstance(metrics, Mapping) else list(metrics)
        checked = []
        for name, value, at in rows:
            number = limits.check_metric(name, value, at)
            checked.append((name, number, _milliseconds(timestamp), at or 0))
        store.log(self.tracking_uri, self.run_id, metrics=checked)
        self._entity = None

    def set_tag(self, name: str, value: str) -> None:
        """Keep a tag; the 51st is refused."""
        limits.check_tags({**self.tags, name: value})
        store.log(self.tracking_uri, self.run_id, tags={name: str(value)})
        self._entity = None

    def log_artifact(self, name: str, value: str, media_type: str | None = None, is_output: bool = True) -> None:
        """Keep where something is: a reference, not the thing itself; see `log_file`.

        Parameters
        ----------
        name : str
        value : str
            A URI.
        media_type : str, optional
        is_output : bool, default True
            Else it is an input.

        Raises
        ------
        ValueError
            If it is the 61st of its side.
        """
        side = "output" if is_output else "input"
        known = self._artifacts(side)
        if name not in known and len(known) >= limits.ARTIFACTS:
            raise ValueError(f"a run has at most {limits.ARTIFACTS} {side} artifacts")
        told = {"name": name, "value": str(value), "media_type": media_type}
        tag = {f"{PREFIX}{side}.{store.stored_name(name)}": json.dumps(told)}
        store.log(self.tracking_uri, self.run_id, tags=tag)
        self._entity = None

    def log_file(self, file_path: str | Path, name: str | None = None, media_type: str | None = None, is_output: bool = True) -> None:
        """Upload a file.

        Parameters
        ----------
        file_path : str or Path
        name : str, optional
            Under which it is kept; by default the file's.
        media_type : str, optional
            By default guessed from the name.
        is_output : bool, default True

        Raises
        ------
        FileNotFoundError
        """
        path = Path(file_path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        name = name or path.name
        folder, _, file = name.rpartition("/")
        client = store.client_of(self.tracking_uri)
        if file == path.name:
            client.log_artifact(self.run_id, str(path), folder or None)
        else:
            with tempfile.TemporaryDirectory() as renamed:
                client.log_artifact(self.run_id, shutil.copy(path, Path(renamed) / file), folder or None)
        self.log_artifact(name, f"{self.artifact_uri}/{name}", media_type or mimetypes.guess_type(name)[0], is_output)

    def log_json(self, name: str, content: Any) -> None:
        """Upload what JSON can hold, as a file of this name."""
        store.client_of(self.tracking_uri).log_text(self.run_id, json.dumps(content, indent=1, default=str), name)

    def log_confusion_matrix(self, y_true: Any, y_pred: Any, title: str | None = None, is_output: bool = True) -> None:
        """Keep how often which label was taken for which, as JSON and as a page.

        Parameters
        ----------
        y_true, y_pred : array, shape (rows,)
        title : str, optional
        is_output : bool, default True
        """
        self._log_chart(charts.confusion_matrix(y_true, y_pred, title or "Confusion matrix"), is_output)

    def log_roc_curve(self, y_true: Any, y_score: Any, title: str | None = None, is_output: bool = True) -> None:
        """Keep the rate of true by that of false positives, and the area under it, as JSON and as a page.

        Parameters
        ----------
        y_true : array of 0 and 1, shape (rows,)
        y_score : array of float, shape (rows,)
        title : str, optional
        is_output : bool, default True
        """
        self._log_chart(charts.roc_curve(y_true, y_score, title or "ROC curve"), is_output)

    def log_precision_recall(
        self,
        y_true: Any,
        predicted_probabilities: Any,
        positive_label: Any = None,
        title: str | None = None,
        no_skill: float | None = None,
        is_output: bool = True,
    ) -> None:
        """Keep precision by recall, and the average precision, as JSON and as a page.

        Parameters
        ----------
        y_true : array, shape (rows,)
        predicted_probabilities : array of float, shape (rows,)
        positive_label : optional
            By default 1.
        title : str, optional
        no_skill : float, optional
            Precision of guessing; by default the share of positive rows.
        is_output : bool, default True
        """
        chart = charts.precision_recall(y_true, predicted_probabilities, positive_label, title or "Precision and recall", no_skill)
        self._log_chart(chart, is_output)

    def _log_chart(self, chart: charts.Chart, is_output: bool) -> None:
        client = store.client_of(self.tracking_uri)
        client.log_text(self.run_id, json.dumps(chart.content), f"charts/{chart.name}.json")
        client.log_text(self.run_id, chart.html, f"charts/{chart.name}.html")
        self.log_artifact(chart.name, f"{self.artifact_uri}/charts/{chart.name}.json", "application/json", is_output)

    def log_report(self, report: Any, name: str) -> None:
        """Attach a report of bias, attributions, statistics or violations: its JSON and, where it has one, its page.

        Parameters
        ----------
        report : BiasReport, Report, Statistics, …
            What has ``to_dict``.
        name : str

        Raises
        ------
        TypeError
            If it has not.
        """
        if not hasattr(report, "to_dict"):
            raise TypeError(f"a report has to_dict(), a {type(report).__name__} has not")
        client = store.client_of(self.tracking_uri)
        client.log_text(self.run_id, json.dumps(report.to_dict(), default=str), f"reports/{name}.json")
        if hasattr(report, "to_html"):
            client.log_text(self.run_id, report.to_html(), f"reports/{name}.html")
        self.log_artifact(name, f"{self.artifact_uri}/reports/{name}.json", "application/json")

    def log_input(self, dataset: DataFrame, name: str = "dataset", context: str = "training") -> str | None:
        """Keep which rows were read: schema, digest, files.

        Parameters
        ----------
        dataset : DataFrame
        name : str
        context : str
            What they were for.

        Returns
        -------
        str or None
            The digest of the rows; None where the run computes none.
        """
        from sparkml_algos.tracking import inputs

        digest = inputs.log_dataset(self, dataset, name, context)
        self._entity = None
        return digest

    def log_model(self, model: Model, name: str = "model", dataset: DataFrame | None = None, dfs_tmpdir: str | None = None) -> str:
        """Keep a fitted model of this package, or a fitted Pipeline, as an MLflow model.

        Parameters
        ----------
        model : Model
        name : str
            Of the folder among the artifacts.
        dataset : DataFrame, optional
            What it reads, of which the types of its answers are told; else they are those of the model's own columns.
        dfs_tmpdir : str, optional
            As for `save_model`.

        Returns
        -------
        str
            ``runs:/…``, by which `load_model`, `load_pyfunc` and `spark_udf` know it.
        """
        from sparkml_algos.tracking import models

        uri = models.log_model(self.tracking_uri, self.run_id, model, name, dataset, dfs_tmpdir)
        self.log_artifact(name, f"{self.artifact_uri}/{name}", "application/x-mlflow-model")
        return uri

    # -- others

    def refresh(self) -> Run:
        """Read anew what others may have logged."""
        self._entity = None
        return self

    def children(self) -> list[Run]:
        """The runs below this one, in the order in which they began."""
        found = store.runs_of(self.tracking_uri, [self.experiment_id], f"tags.`{PARENT}` = '{self.run_id}'")
        return [Run._of(self.tracking_uri, entity) for entity in reversed(list(found))]

    def __repr__(self) -> str:
        return f"Run {self.run_name} ({self.status}) of experiment {self.experiment_name}: {self.run_id}"


def load_run(
    run_id: str | None = None, *, experiment_name: str | None = None, run_name: str | None = None, tracking_uri: str | None = None
) -> Run:
    """A run that is there: by its id, or by the names of experiment and run; by default the run whose block this is in, also in a process
    that was started from there, to which the environment tells it.

    Leaving a ``with load_run() as run:`` block does not end the run.

    Parameters
    ----------
    run_id : str, optional
    experiment_name, run_name : str, optional
    tracking_uri : str, optional

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If there is no such run, or none is current.
    """
    if run_name is not None:
        uri = store.get_tracking_uri(tracking_uri)
        name = DEFAULT_EXPERIMENT if experiment_name is None else limits.check_name(experiment_name, "experiment_name")
        found = _named(uri, store.experiment_id(uri, name, create=False), run_name)
        if found is None:
            raise ValueError(f"experiment {name!r} has no run {run_name!r}")
        return Run._of(uri, found)
    if run_id is not None:
        return Run._load(store.get_tracking_uri(tracking_uri), run_id)
    current = recorder.current()
    if current is not None:
        return Run._load(current.tracking_uri, current.run_id)
    if (told := os.environ.get(store.RUN_VARIABLE)) is not None:
        return Run._load(store.get_tracking_uri(tracking_uri or os.environ.get(store.URI_VARIABLE)), told)
    raise ValueError("there is no current run: this is in no block of a Run, nor was this process started from one")


def _created(
    uri: str, experiment: str, run_name: str | None, shown: str | None, tags: Mapping[str, str], started: float | None = None
) -> str:
    name = limits.check_name(run_name or f"run-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}", "run_name")
    start = store.now() if started is None else int(started * 1000)
    made = store.client_of(uri).create_run(experiment, start_time=start, tags={**tags, DISPLAY: shown or name}, run_name=name)
    return str(made.info.run_id)


def _named(uri: str, experiment: str, run_name: str) -> Any:
    """The newest run of this name."""
    name = limits.check_name(run_name, "run_name")
    filter_string = store.equals("attributes.run_name", name)
    matching = (one for one in store.runs_of(uri, [experiment], filter_string) if one.info.run_name == name)
    return next(matching, None)


def _milliseconds(timestamp: float | datetime | None) -> int:
    if timestamp is None:
        return store.now()
    return int((timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp) * 1000)
