#!/usr/bin/env bash
# mlflow-skinny 3.17.2 on SQLite.
#
# Guess:  a metric that is infinite, as a loss that has diverged, comes back infinite; and of two values that are logged for one step the
#         later is the run's, as later values are for later steps.
# Seen:   infinity comes back as the largest finite number, so that math.isinf says no and a mean over runs is huge instead of infinite. Of
#         two values with equal step and time the larger is the run's, whatever came last: a score that is corrected downwards within a
#         millisecond stays.
# So:     take any metric of 1.797e308 for infinite; give a correction a step of its own.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1

seen_as "infinite  [1.7976931348623157e+308, -1.7976931348623157e+308] [False, False]
first larger  5.0
first smaller  5.0" <<'PYTHON'
import math

import mlflow

mlflow.set_tracking_uri("sqlite:///runs.db")
client = mlflow.MlflowClient()
experiment = client.create_experiment("losses")


def value_of(*logged):
    run = client.create_run(experiment).info.run_id
    for value in logged:
        client.log_metric(run, "loss", value, timestamp=1000, step=1)
    return client.get_run(run).data.metrics["loss"]


found = [value_of(math.inf), value_of(-math.inf)]
print("infinite ", found, [math.isinf(one) for one in found])
print("first larger ", value_of(5.0, 3.0))
print("first smaller ", value_of(3.0, 5.0))
PYTHON
