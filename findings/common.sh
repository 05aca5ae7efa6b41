# shellcheck shell=bash
# For the scripts of this folder; to be sourced.
#
#   install PACKAGE==VERSION …     a Python environment of these, in a temporary folder that goes when the script ends
#   program | seen_as EXPECTED     runs the program from standard input there, shows what it prints, and fails if that is not EXPECTED
#
# PYTHON names the interpreter to begin with (3.10 to 3.12), python3 where it is not set. Scripts that install pyspark need Java 17 besides.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

install() {
    "${PYTHON:-python3}" -m venv "$folder/environment"
    "$folder/environment/bin/python" -m pip install -q --disable-pip-version-check "$@"
    printf '%s, %s\n' "$("$folder/environment/bin/python" --version)" "$*"
}

seen_as() {
    cat >"$folder/program.py"
    (cd "$folder" && env -u SPARK_HOME -u PYTHONPATH -u PYTHONSTARTUP PYSPARK_PYTHON="$folder/environment/bin/python" \
        SPARK_LOCAL_IP=127.0.0.1 "$folder/environment/bin/python" program.py 2>"$folder/messages" | tee "$folder/printed") || {
        tail -n 20 "$folder/messages" >&2
        printf 'The program failed: this is not what was seen before.\n' >&2
        return 1
    }
    diff <(printf '%s\n' "$1") "$folder/printed" || {
        printf 'It behaves otherwise than before (<: before, >: now).\n' >&2
        return 1
    }
    printf 'As before.\n'
}
