"""What tests of a cluster share."""

from __future__ import annotations

import pytest

from tests.cluster.hosts import StandaloneCluster


@pytest.fixture(scope="session")
def cluster(hosts: StandaloneCluster | None) -> StandaloneCluster:
    """The cluster of the session ``hosts``; tests that need it skip in others."""
    if hosts is None:
        pytest.skip("needs SPARKML_ALGOS_TEST_SESSION=hosts; tests/run.sh runs it so where network namespaces may be made")
    return hosts
