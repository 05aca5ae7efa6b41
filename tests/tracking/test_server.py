"""The same calls against a server, over HTTP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sparkml_algos import tracking
from sparkml_algos.tracking import Experiment, Filter, Lineage, Run, load_run, search

pytest.importorskip("flask", reason="MLflow's server needs flask")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory, uri):
    """Its address; it keeps runs where the other tests do, whose tables are there already."""
    command = [sys.executable, "-m", "tests.tracking.server", uri, str(tmp_path_factory.mktemp("served"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip()
        if not port:
            pytest.fail(process.communicate()[1])
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_runs_metrics_files_search_and_lineage(server, tmp_path):
    (tmp_path / "notes.txt").write_text("over HTTP")
    with Run("served", "far", tracking_uri=server) as run:
        run.log_parameter("depth", 2)
        run.log_parameter("depth", 3)
        run.log_metrics([("validation:auc@1", step / 2000, step) for step in range(1500)])
        run.log_file(tmp_path / "notes.txt")
        run.nested("below").end()
        found = load_run()
    assert (found.run_id, found.parameters, found.tracking_uri) == (run.run_id, {"depth": 3}, server)
    assert run.metric_summary("validation:auc@1").count == 1500 and [one.run_name for one in run.children()] == ["below"]
    assert Experiment("served", tracking_uri=server).leaderboard("validation:auc@1")["run"].tolist() == ["far"]
    assert len(search(expression=Filter("Metrics.validation:auc@1.max", "GreaterThan", 0.7), tracking_uri=server)) == 1
    lineage = Lineage(server)
    lineage.associate(lineage.artifact("s3://served/rows", "DataSet"), run)
    assert [one.id for one in lineage.jobs_of(lineage.deploy(run, "served-endpoint"))] == [run.run_id]
    assert "far" in tracking.report(Experiment("served", tracking_uri=server))
