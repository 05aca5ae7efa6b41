"""Where runs are kept: MLflow's tracking stores, which are imported when the first of them is opened."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

#: Begins the tags that are this package's.
PREFIX = "sparkml_algos."
URI_VARIABLE, RUN_VARIABLE = "MLFLOW_TRACKING_URI", "SPARKML_ALGOS_RUN_ID"
DEFAULT_FILE = "mlflow.db"
_SQLITE = "sqlite:///"
# What a request to a server may hold, by MLflow's own rules.
_METRICS_AT_ONCE, _PARAMS_AT_ONCE, _PAGE = 1000, 100, 1000
# Of a request to a server that does not answer, at growing distances: half a minute in all, where MLflow's own seven take minutes.
_RETRIES = 4
# Characters that the name of a metric or a parameter may not have there.
_NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")

_chosen: str | None = None
_lock = threading.Lock()
_last_time = 0


def set_tracking_uri(uri: str | None) -> None:
    """Where runs are kept from now on, unless it is said otherwise.

    Parameters
    ----------
    uri : str or None
        Of an MLflow tracking server (``http://…``), a database (``sqlite:///runs.db``, ``postgresql://…``) or a folder, which newer
        versions of MLflow open if the variable ``MLFLOW_ALLOW_FILE_STORE`` is ``true``; None: the default.
    """
    global _chosen
    _chosen = None if uri is None else _absolute(uri)


def get_tracking_uri(uri: str | None = None) -> str:
    """Where runs are kept: what is given, else what `set_tracking_uri` or MLflow's own function of that name has chosen, else the variable
    ``MLFLOW_TRACKING_URI``, else the SQLite file ``mlflow.db`` of the working directory.

    Parameters
    ----------
    uri : str, optional

    Returns
    -------
    str
    """
    if uri is not None:
        return _absolute(uri)
    if _chosen is not None:
        return _chosen
    loaded = sys.modules.get("mlflow")
    if loaded is not None and loaded.is_tracking_uri_set():
        return _absolute(loaded.get_tracking_uri())
    return _absolute(os.environ.get(URI_VARIABLE) or f"{_SQLITE}{DEFAULT_FILE}")


def _absolute(uri: str) -> str:
    """The same address, whatever the working directory is later."""
    uri = str(uri)
    if uri.startswith(_SQLITE) and not uri.startswith(f"{_SQLITE}/") and ":memory:" not in uri:
        return f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).resolve()}"
    return uri


def import_mlflow() -> Any:
    """MLflow.

    Raises
    ------
    ImportError
        Naming the extra that brings it.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing here is to be told to anybody
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(_RETRIES))
    try:
        import mlflow
    except ImportError as error:
        raise ImportError("experiments are kept by MLflow; install it with: pip install 'sparkml-algos[tracking]'") from error
    return mlflow


@cache
def client_of(uri: str) -> Any:
    """The client of a store; one for each address, for opening a database takes seconds."""
    import_mlflow()
    from mlflow import MlflowClient

    if uri.startswith(_SQLITE):
        Path(uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def now() -> int:
    """Milliseconds since 1970, later at each call: what is logged last counts."""
    global _last_time
    with _lock:
        _last_time = max(_last_time + 1, int(time.time() * 1000))
        return _last_time


def experiment_id(uri: str, name: str, tags: Mapping[str, str] | None = None, create: bool = True) -> str:
    """The id of an experiment by its name in lower case, which is made where there is none.

    Raises
    ------
    ValueError
        If there is none, and none is to be made; or if it was deleted.
    """
    client = client_of(uri)
    found = client.get_experiment_by_name(name) or _by_any_case(client, name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise ValueError(f"experiment {name!r} was deleted; restore it, or take another name")
        return str(found.experiment_id)
    if not create:
        raise ValueError(f"there is no experiment {name!r} in {uri}")
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name, artifact_location=_artifacts_of(uri, name), tags=dict(tags or {})))
    except MlflowException:  # another process was quicker
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _by_any_case(client: Any, name: str) -> Any:
    """An experiment that others have named with capitals."""
    if pattern := equals("name", name).replace(" = ", " ILIKE ", 1):
        return next((one for one in client.search_experiments(filter_string=pattern) if one.name.lower() == name.lower()), None)
    return None


def _artifacts_of(uri: str, name: str) -> str | None:
    """The folder of an experiment's artifacts: of a SQLite file one beside it; what the store itself chooses of others."""
    if not uri.startswith(_SQLITE) or ":memory:" in uri:
        return None
    folder = re.sub(r"[^\w.-]+", "-", name)[:40] + "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return (Path(uri.removeprefix(_SQLITE)).parent / "mlartifacts" / folder).as_uri()


def runs_of(uri: str, experiments: Sequence[str], filter_string: str = "") -> Iterator[Any]:
    """All runs of experiments that a filter of MLflow's lets through, the newest first."""
    client, token = client_of(uri), None
    while experiments:
        page = client.search_runs(
            list(experiments), filter_string, max_results=_PAGE, order_by=["attributes.start_time DESC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def all_experiments(uri: str) -> list[Any]:
    """All that are not deleted, but that of the lineage."""
    client, found, token = client_of(uri), [], None
    while True:
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        found += [one for one in page if f"{PREFIX}hidden" not in one.tags]
        token = page.token
        if not token:
            return found


def log(
    uri: str,
    run_id: str,
    metrics: Sequence[tuple[str, float, int, int]] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log many things in few requests; metrics are (name, value, milliseconds, step)."""
    from mlflow.entities import Metric, Param, RunTag

    client = client_of(uri)
    renamed = {stored_name(name): name for name, *_ in metrics if stored_name(name) != name}
    tags = {**{f"{PREFIX}name.{stored}": name for stored, name in renamed.items()}, **(tags or {})}
    entities = [Metric(stored_name(name), float(value), timestamp, step) for name, value, timestamp, step in metrics]
    for first in range(0, len(entities), _METRICS_AT_ONCE - 2 * _PARAMS_AT_ONCE):
        client.log_batch(run_id, metrics=entities[first : first + _METRICS_AT_ONCE - 2 * _PARAMS_AT_ONCE])
    for kind, what, values in ((Param, "params", params or {}), (RunTag, "tags", tags)):
        pairs = list(values.items())
        for first in range(0, len(pairs), _PARAMS_AT_ONCE):
            client.log_batch(run_id, **{what: [kind(name, value) for name, value in pairs[first : first + _PARAMS_AT_ONCE]]})


def stored_name(name: str) -> str:
    """The name of a metric or parameter as MLflow takes it: ``ndcg@5`` is ``ndcg_5`` there."""
    return _NOT_IN_NAMES.sub("_", name)


def equals(what: str, value: str) -> str:
    """A filter of MLflow's for a text; empty, which lets everything through, for a text that it has no way to quote."""
    if "'" not in value:
        return f"{what} = '{value}'"
    return f'{what} = "{value}"' if '"' not in value else ""
