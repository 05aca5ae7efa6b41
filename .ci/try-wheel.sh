#!/usr/bin/env bash
# Installs a wheel into an empty environment, as a user does who has nothing but Python and Java, and runs the quickstart there, far from
# the repository: once for each Spark. Says how long it takes and how large the environment is, and fails where something brings NVIDIA's
# libraries, or where the jar of the JVM bridge is not the wheel's own.
#
#   bash .ci/try-wheel.sh WHEEL [3.5] [4]       both by default
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wheel=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- 3.5 4
base=${PYTHON:-python3}
unset SPARK_HOME PYTHONPATH PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON SPARKML_ALGOS_JARS

# try SPARK CONSTRAINTS
try() {
    local spark=$1 constraints=$2 started=$SECONDS installed python
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    python="$directory/environment/bin/python"
    "$base" -m venv "$directory/environment"
    "$python" -m pip install -q --disable-pip-version-check -c "$repository/$constraints" "${wheel}[examples,xgboost]"
    installed=$((SECONDS - started))
    if "$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -i '^nvidia'; then
        echo "error: NVIDIA's libraries are in the environment" >&2
        return 1
    fi
    mkdir "$directory/examples" "$directory/spark-conf"
    cp "$repository/examples/quickstart.py" "$directory/examples"
    cp "$repository/spark-conf/log4j2.properties" "$directory/spark-conf"
    cd "$directory"
    # The cache of this machine may have jars too.
    export XDG_CACHE_HOME=$directory/cache PATH=$directory/environment/bin:$PATH
    "$python" -c 'import sys; from sparkml_algos import classpath_jars; jar, = classpath_jars(); assert jar.startswith(sys.prefix), jar'
    "$python" examples/quickstart.py
    test -s examples/output/digits.png
    "$python" -c 'from sparkml_algos import XGBoostClassifier'
    printf 'Spark %s: installed in %s s, %s MB; quickstart and checks in %s s\n' \
        "$spark" "$installed" "$(du -sm environment | cut -f 1)" "$((SECONDS - started - installed))"
}

for spark in "$@"; do
    case $spark in
        3.5) (try 3.5 constraints-spark3.5.txt) ;;
        4) (try 4 constraints.txt) ;;
        *) echo "error: $spark is not one of 3.5, 4" >&2 && exit 2 ;;
    esac
done
