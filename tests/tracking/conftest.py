"""One store for all tests of a process: a SQLite file takes seconds to be made."""

from __future__ import annotations

import pytest

pytest.importorskip("mlflow")


@pytest.fixture(scope="session")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('runs')}/runs.db"


@pytest.fixture
def in_store(uri):
    """The store is what is taken where nothing else is said."""
    from sparkml_algos import tracking

    tracking.set_tracking_uri(uri)
    yield uri
    tracking.autolog(disable=True)
    tracking.set_tracking_uri(None)
