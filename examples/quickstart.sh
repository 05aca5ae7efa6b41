#!/usr/bin/env bash
# Clusters handwritten digits on a local Spark and draws what was found; sets up its own Python environment.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/environment.sh"

prepare_example_environment
say "Running examples/quickstart.py"
exec "$python" "$repository/examples/quickstart.py"
