#!/usr/bin/env bash
# Runs everything that must be green: lint, all tests on the newest Spark, and the generic ones on Spark 3.5.
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

prepare_main_environment
check "Lint" "$python" -m ruff check .
if [ $# -gt 0 ]; then
    check "Tests on Spark $("$python" -c 'import pyspark; print(pyspark.__version__)')" "$python" -m pytest "$@"
else
    check "Tests on Spark $("$python" -c 'import pyspark; print(pyspark.__version__)')" "$python" -m pytest tests
    prepare_spark35_environment
    check "Generic tests on Spark $("$python" -c 'import pyspark; print(pyspark.__version__)')" "$python" -m pytest tests -m generic
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
say "All green"
