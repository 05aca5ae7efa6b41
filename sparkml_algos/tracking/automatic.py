"""Recording fits without being asked each time."""

from __future__ import annotations

from sparkml_algos.tracking import recorder, store
from sparkml_algos.tracking.run import Run


def autolog(
    experiment_name: str | None = None,
    *,
    disable: bool = False,
    log_models: bool = True,
    data_digest: bool = True,
    tracking_uri: str | None = None,
) -> None:
    """Record every fit and search of this package from now on, also those that are in no block of a `Run`: each in a run of its own.

    Parameters
    ----------
    experiment_name : str, optional
        Without one, runs are unassigned.
    disable : bool, default False
        Record no more but what is in blocks.
    log_models : bool, default True
        Whether models are kept, as MLflow models.
    data_digest : bool, default True
        Whether the fingerprint of the rows is computed, which reads them once more.
    tracking_uri : str, optional
        See `get_tracking_uri`.

    Raises
    ------
    ImportError
        If MLflow is not installed.

    Examples
    --------
    >>> from sparkml_algos import tracking
    >>> tracking.autolog("churn")  # doctest: +SKIP
    >>> model = KMeans(k=5).fit(customers)  # doctest: +SKIP
    >>> tracking.list_runs("churn")[0].metrics  # doctest: +SKIP
    """
    if disable:
        recorder.record_unassigned(None)
        return
    uri = store.get_tracking_uri(tracking_uri)
    store.client_of(uri)

    def make(title: str) -> Run:
        # Two fits of the same title are two runs: the name is made up, the title is what is shown.
        return Run(experiment_name, run_display_name=title, tracking_uri=uri, log_models=log_models, data_digest=data_digest)

    recorder.record_unassigned(make, uri)
