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
    local name=$1 started=$SECONDS
    shift
    say "$name"
    "$@" || failed+=("$name")
    printf '%s: %d s\n' "$name" $((SECONDS - started))
}

spark_version() {
    "$python" -c 'import pyspark; print(pyspark.__version__)'
}

# in_session SESSION MARKER [OPTION ...]: the files that have a marker. To read all of them takes half a minute, in which a core is idle.
in_session() {
    local session=$1 files
    mapfile -t files < <(grep -rlw --include='test_*.py' "mark\.$2" tests | sort)
    shift 2
    SPARKML_ALGOS_TEST_SESSION=$session "$python" -m pytest -q "${files[@]:?no file has the marker}" "$@"
}

finish() {
    [ ${#failed[@]} -eq 0 ] && return
    printf 'FAILED: %s\n' "${failed[@]}"
    return 1
}

lint_types_and_site() {
    check "Lint" "$python" -m ruff check .
    check "Types of what is public" "$python" -m mypy
    check "Site" env PYTHON="$python" bash docs/build.sh
}

# What runs beside the main session, one after the other: each leaves cores idle much of the time.
beside() {
    failed=()
    lint_types_and_site
    check "Clusters of the tests' own, Spark $version" in_session "$cluster" own_cluster -m "own_cluster and not slow"
    check "Dynamic allocation, Spark $version" in_session dynamic dynamic -m dynamic
    check "Generic tests on Spark Connect $version" in_session connect generic -m generic -k "not Averaging"
    prepare_spark35_environment
    check "Generic tests on Spark $(spark_version)" in_session local generic -m generic -k "not Averaging"
    finish
}

if [ $# -gt 0 ]; then
    prepare_main_environment
    version=$(spark_version)
    lint_types_and_site
    check "Tests on Spark $version" "$python" -m pytest "$@"
else
    _ensure_java
    # Either installs on one core. What goes wrong here is told when its tests come.
    (prepare_spark35_environment) >/dev/null 2>&1 &
    spark35=$!
    prepare_main_environment
    wait $spark35 || :
    version=$(spark_version)
    cluster=hosts
    obstacle=$("$python" -c 'from tests.cluster.hosts import why_not; print(why_not() or "")')
    [ -z "$obstacle" ] || { cluster=local-cluster && say "Faults without hosts that can be unplugged: $obstacle"; }
    output=$(mktemp) horovod_output=$(mktemp)
    trap 'rm -f "$output" "$horovod_output"' EXIT
    beside >"$output" 2>&1 &
    others=$!
    # Minutes, where there is no wheel from an earlier run; it is to be there when the tests are done.
    MAKEFLAGS=-j1 bash spark-conf/install-horovod.sh --build "$python" >"$horovod_output" 2>&1 &
    horovod=$!
    # Most tests wait for Spark part of their time: two processes share the files, each with a session of its own, in the order that
    # tests/conftest.py gives them. A session alone keeps 0.7 to 1 core busy, so that these two and the one beside them fill two cores; a
    # third process would take half a minute to collect the tests and as long again for its session, and slow down the longest file, which
    # no other can share.
    check "Tests on Spark $version" env SPARKML_ALGOS_TEST_SESSION=local "$python" -m pytest -q tests -n 2 --dist loadfile --no-loadscope-reorder \
        -m "not cluster and not dynamic and not horovod and not slow" --durations=30
    say "Waiting for what runs beside it"
    wait $others || failed+=("what runs beside the main session")
    cat "$output"
    wait $horovod && horovod_status=0 || horovod_status=$?
    cat "$horovod_output"
    # Faults are timed, so nothing runs beside them.
    check "Faults on a cluster ($cluster), Spark $version" in_session "$cluster" cluster -m "cluster and not own_cluster and not slow"
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
say "All green, in $((SECONDS / 60)) min"
