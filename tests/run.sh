#!/usr/bin/env bash
# Runs everything that must be green: lint; on the newest Spark all tests in a local session, the generic ones in Spark Connect, faults
# on a cluster of local processes, dynamic allocation; and the generic ones on Spark 3.5.
#
#   bash tests/run.sh                           everything
#   bash tests/run.sh tests/core -k persist     arguments go to pytest; only the newest Spark, paths from the repository root
#
# Sets up its own Python environments and, on Debian or Ubuntu as root, Java.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/environment.sh"
cd "$repository"

failed=()
check() {
    local name=$1
    shift
    say "$name"
    "$@" || failed+=("$name")
}

spark_version() {
    "$python" -c 'import pyspark; print(pyspark.__version__)'
}

in_session() {
    local session=$1
    shift
    SPARKML_ALGOS_TEST_SESSION=$session "$python" -m pytest -q tests "$@"
}

prepare_main_environment
check "Lint" "$python" -m ruff check .
version=$(spark_version)
if [ $# -gt 0 ]; then
    check "Tests on Spark $version" "$python" -m pytest "$@"
else
    check "Tests on Spark $version" in_session local -m "not cluster and not dynamic" --durations=10
    check "Generic tests on Spark Connect $version" in_session connect -m generic -k "not Averaging"
    check "Faults on a local cluster, Spark $version" in_session local-cluster -m cluster
    check "Dynamic allocation, Spark $version" in_session dynamic -m dynamic
    prepare_spark35_environment
    check "Generic tests on Spark $(spark_version)" in_session local -m generic
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
say "All green"
