#!/usr/bin/env bash
# Bootstrap action of EMR: gives every host of a cluster the Python that emr/configurations.json names, with sparkml_algos in it.
#
#   aws emr create-cluster --release-label emr-7.9.0 --applications Name=Spark Name=Livy \
#       --configurations file://spark-conf/emr/configurations.json \
#       --bootstrap-actions Path=s3://bucket/bootstrap.sh,Args=[s3://bucket/sparkml_algos-0.1.0-py3-none-any.whl] …
#
#   bootstrap.sh WHEEL      makes an environment of a Python from 3.10 and installs the wheel and what it requires, from the package index
#   bootstrap.sh ARCHIVE    unpacks environment.tar.gz, which spark-conf/pack-environment.sh --with-python has made: no index is needed
#
# Either may be on S3 or a path of the host. The environment goes to /opt/sparkml-algos, or to what $SPARKML_ALGOS_HOME names. A wheel is
# installed with its extra xgboost, which is the library without CUDA, or with those that $SPARKML_ALGOS_EXTRAS lists: xgboost-gpu,torch
#
# Ends with 0 if the environment can import the package, else with a sentence that says why not.
set -euo pipefail

home=${SPARKML_ALGOS_HOME:-/opt/sparkml-algos}
python=3.11

main() {
    [ $# = 1 ] || die "one argument: the wheel of sparkml_algos, or the archive of pack-environment.sh"
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    local source=$1 file
    file=$directory/$(basename "$source")
    case $source in
        s3://*) aws s3 cp --only-show-errors "$source" "$file" || die "$source could not be copied from S3: may the hosts' role read it?" ;;
        *) cp "$source" "$file" || die "there is no $source on this host" ;;
    esac
    as_root mkdir -p "$home"
    as_root chown "$(id -u):$(id -g)" "$home"
    case $file in
        *.whl) install_wheel "$file" ;;
        *.tar.gz | *.tgz) tar -xzf "$file" -C "$home" ;;
        *) die "$source is neither a wheel (.whl) nor an archive (.tar.gz)" ;;
    esac
    (cd / && "$home/bin/python" -c 'import numpy, pyarrow, sparkml_algos; print(f"sparkml_algos {sparkml_algos.__version__} is installed")') ||
        die "$home/bin/python cannot import sparkml_algos and what it needs"
}

die() {
    printf 'sparkml-algos bootstrap: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_wheel() {
    local wheel=$1 base
    base=$(find_python) || {
        # EMR's own python3 is 3.9.
        as_root dnf install -y -q "python$python" "python$python-pip" || die "there is no Python from 3.10, and dnf has no python$python"
        base=$(find_python) || die "python$python is installed, but does not run"
    }
    "$base" -m venv --clear "$home" || die "$base could not make an environment in $home"
    # The extra is xgboost without CUDA; pandas, which Spark's own Python functions take, comes with one that would bring Spark too, which the
    # cluster has.
    "$home/bin/python" -m pip install -q --disable-pip-version-check "${wheel}[${SPARKML_ALGOS_EXTRAS-xgboost}]" 'pandas>=2.0,<3' ||
        die "pip could not install $wheel and what it requires"
}

find_python() {
    local candidate
    for candidate in "python$python" python3.12 python3.10 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

main "$@"
