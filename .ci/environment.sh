# Python environments and Java for tests/run.sh and examples/quickstart.sh; to be sourced, works from any directory.
#
#   prepare_main_environment       REPO/.venv            newest Spark, everything for tests and examples
#   prepare_example_environment    REPO/.venv            as much of it as the quickstart needs: a newcomer waits for no torch
#   prepare_spark35_environment    REPO/.venv-spark3.5   the oldest Spark that is supported
#
# Each leaves the interpreter's path in $python and has Spark use it. Packages are installed when setup.py, pyproject.toml or the
# constraints have changed since the last time, or where they have not been before, and not otherwise.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

prepare_main_environment() {
    _prepare "$repository/.venv" 99 spark,connect,torch,plot,examples,test,docs,notebooks constraints.txt tests/notebooks/sparkmagic.txt
}

prepare_example_environment() {
    _prepare "$repository/.venv" 99 examples constraints.txt
}

prepare_spark35_environment() {
    # NumPy 1.26, which Spark 3.5 was tested with, has no build for Python 3.13.
    _prepare "$repository/.venv-spark3.5" 12 spark,connect,torch,test constraints-spark3.5.txt
}

# _prepare DIRECTORY NEWEST_PYTHON_MINOR EXTRAS CONSTRAINTS [REQUIREMENTS], the last installed without what they ask for themselves
_prepare() {
    local directory=$1 newest=$2 extras=$3 constraints=$4 alone=${5:-} base wanted installed=$1/.installed
    _ensure_java
    python="$directory/bin/python"
    if ! "$python" -c 'import pip' >/dev/null 2>&1; then
        base=$(_find_python "$newest")
        say "Creating ${directory#"$repository"/} with $("$base" --version)"
        "$base" -m venv --clear "$directory" ||
            die "could not create $directory; on Debian and Ubuntu: apt-get install python3-venv"
    fi
    wanted=$(cd "$repository" && "$python" - setup.py pyproject.toml "$constraints" tests/notebooks/sparkmagic.txt <<'PYTHON'
import hashlib, pathlib, sys
parts = [str(pathlib.Path.cwd()), *(pathlib.Path(name).read_text() for name in sys.argv[1:])]
print(hashlib.sha256("\0".join(parts).encode()).hexdigest())
PYTHON
    )
    # What has changed is installed anew; what has not is added to.
    [ "$(head -n 1 "$installed" 2>/dev/null)" = "$wanted" ] || rm -f "$installed"
    if ! grep -qsx "$extras" "$installed"; then
        # The build with CUDA, of an earlier time, has the same files as the one without.
        if "$python" -m pip show -q xgboost nvidia-nccl-cu12 >/dev/null 2>&1; then
            "$python" -m pip uninstall -q -y xgboost xgboost-cpu nvidia-nccl-cu12
        fi
        say "Installing sparkml-algos[$extras] into ${directory#"$repository"/} (minutes the first time)"
        (cd "$repository" && "$python" -m pip install -q --disable-pip-version-check -c "$constraints" -e ".[$extras]")
        [ -z "$alone" ] || "$python" -m pip install -q --disable-pip-version-check --no-deps -r "$repository/$alone"
        [ -f "$installed" ] || echo "$wanted" >"$installed"
        echo "$extras" >>"$installed"
    fi
    # A Spark installed on the machine must not get between this environment and its own.
    unset SPARK_HOME PYTHONPATH
    export PYSPARK_PYTHON=$python PYSPARK_DRIVER_PYTHON=$python
    export PATH="$directory/bin:$PATH"
    (cd "$repository" && "$python" -m sparkml_algos.jvm build) || die "the JVM bridge could not be built"
}

# The first Python from 3.10 to 3.NEWEST; $PYTHON, where set, goes first.
_find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.12 python3.11 python3.13 python3.10; do
        if "$candidate" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $1))" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    die "no Python from 3.10$([ "$1" = 99 ] || echo " to 3.$1") found; install one, or name it: PYTHON=/path/to/python bash $0"
}

_java_major() {
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1
}

_ensure_java() {
    local major
    major=$(_java_major)
    if [ -z "$major" ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        say "Installing Java 17, which Spark needs"
        unset JAVA_HOME
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null ||
            apt-get install -y -qq --no-install-recommends default-jre-headless >/dev/null ||
            die "Java could not be installed; Spark needs Java 17 or later"
        major=$(_java_major)
    fi
    [ -n "$major" ] || die "Spark needs Java 17 or later and there is none: install a JRE and put java on PATH, or set JAVA_HOME"
    [ "$major" -ge 17 ] || die "Spark needs Java 17 or later, this is Java $major: set JAVA_HOME to a newer one"
}
