#!/usr/bin/env bash
# mlflow-skinny 3.17.2 on SQLite: a search for runs whose tag or parameter is not a value leaves out those that have none.
#
# Guess:  tags.archived != 'true' finds every run but those that are archived.
# Seen:   only runs that have the tag, with another value. Nothing is found where a tag is first set on the runs to be left out. The same holds of
#         parameters and metrics.
# So:     set the tag on all runs, or add those of a second search: tags.archived IS NULL is understood.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1

seen_as "tags.archived != 'true' []
params.model != 'trees' []
metrics.error != 1 []
tags.archived IS NULL ['new']" <<'PYTHON'
import mlflow

mlflow.set_tracking_uri("sqlite:///runs.db")
client = mlflow.MlflowClient()
experiment = client.create_experiment("runs")
for name in ("old", "new"):
    run = client.create_run(experiment, run_name=name).info.run_id
    if name == "old":
        client.set_tag(run, "archived", "true")
        client.log_param(run, "model", "trees")
        client.log_metric(run, "error", 1.0)
for condition in ("tags.archived != 'true'", "params.model != 'trees'", "metrics.error != 1", "tags.archived IS NULL"):
    try:
        found = [run.info.run_name for run in client.search_runs([experiment], condition)]
    except mlflow.MlflowException as error:
        found = type(error).__name__
    print(condition, found)
PYTHON
