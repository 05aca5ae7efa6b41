"""The hosts are those of the tests of the cluster."""

from __future__ import annotations

from tests.cluster.conftest import cluster  # noqa: F401 - a fixture
