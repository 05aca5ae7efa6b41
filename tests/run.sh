#!/usr/bin/env bash
# Runs everything that must be green: lint; types; the site; on the newest Spark all tests in a local session, the generic ones in Spark
# Connect, faults on a cluster, dynamic allocation, training over Horovod where it can be built; and the generic ones on Spark 3.5. The
# cluster's workers are hosts of their own (network namespaces of this machine) where these may be made, else processes. Tests marked slow
# run on request only.
#
#   bash tests/run.sh                           everything else
#   bash tests/run.sh tests/core -k persist     arguments go to pytest; only the newest Spark, paths from the repository root
#   bash tests/run.sh -m slow tests             what is left out otherwise
#   SPARKML_ALGOS_TEST_SESSION=hosts bash tests/run.sh -m cluster tests      all faults
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

finish() {
    [ ${#failed[@]} -eq 0 ] && return
    printf 'FAILED: %s\n' "${failed[@]}"
    return 1
}

# Sessions other than the main one. Each leaves cores idle much of the time, so they run beside it.
other_sessions() {
    failed=()
    check "Generic tests on Spark Connect $(spark_version)" in_session connect -m generic -k "not Averaging"
    prepare_spark35_environment
    check "Generic tests on Spark $(spark_version)" in_session local -m generic -k "not Averaging"
    finish
}

prepare_main_environment
check "Lint" "$python" -m ruff check .
check "Types of what is public" "$python" -m mypy
check "Site" env PYTHON="$python" bash docs/build.sh
version=$(spark_version)
if [ $# -gt 0 ]; then
    check "Tests on Spark $version" "$python" -m pytest "$@"
else
    output=$(mktemp) horovod_output=$(mktemp)
    trap 'rm -f "$output" "$horovod_output"' EXIT
    other_sessions >"$output" 2>&1 &
    others=$!
    # Minutes, where there is no wheel from an earlier run; it takes what the tests leave of the cores.
    MAKEFLAGS=-j1 nice -n 19 bash spark-conf/install-horovod.sh --build "$python" >"$horovod_output" 2>&1 &
    horovod=$!
    # Most tests wait for Spark much of their time: two processes share the files, each with a session of its own.
    check "Tests on Spark $version" in_session local -n 2 --dist loadfile -m "not cluster and not dynamic and not horovod and not slow" --durations=30
    say "Waiting for the sessions beside it"
    wait $others || failed+=("sessions beside it")
    cat "$output"
    wait $horovod && horovod_status=0 || horovod_status=$?
    cat "$horovod_output"
    # Faults are timed, so nothing runs beside them.
    cluster=hosts
    obstacle=$("$python" -c 'from tests.cluster.hosts import why_not; print(why_not() or "")')
    [ -z "$obstacle" ] || { cluster=local-cluster && say "Faults without hosts that can be unplugged: $obstacle"; }
    check "Faults on a cluster ($cluster), Spark $version" in_session "$cluster" -m "cluster and not slow"
    check "Dynamic allocation, Spark $version" in_session dynamic -m dynamic
    if [ $horovod_status = 2 ]; then
        say "No tests of Horovod, which cannot be built on this machine: $(tail -n 1 "$horovod_output")"
    elif [ $horovod_status != 0 ]; then
        failed+=("Building Horovod")
    else
        check "Installing Horovod" env PIP_CONSTRAINT=constraints.txt bash spark-conf/install-horovod.sh "$python"
        check "Training over Horovod, Spark $version" "$python" -m pytest -q -m horovod tests/test_horovod.py tests/collectives
    fi
fi
finish
say "All green"
