#!/usr/bin/env bash
# Builds the wheel and the source distribution into dist/, or the folder that is named, with the jars of the JVM bridge for the oldest and
# for the newest Spark inside. Sets up its own Python environments and, on Debian or Ubuntu as root, Java.
#
#   bash .ci/build-wheel.sh [FOLDER]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
output=$(realpath -m "${1:-$repository/dist}")

# Each leaves the jar for its Spark in jvm-bridge/target.
prepare_spark35_environment
prepare_main_environment
# A source distribution first, and the wheel from it: what is not in the former cannot be in the latter.
cd "$repository"
SPARKML_ALGOS_REQUIRED_SPARKS="3.5 4" "$python" -m build --outdir "$output" .
