#!/usr/bin/env bash
# Installs Horovod, which communicator="horovod" needs, into a Python environment that has torch: wherever workers run, and on the driver.
#
#   bash spark-conf/install-horovod.sh [PYTHON]            build, install and try it; PYTHON is python3 by default
#   bash spark-conf/install-horovod.sh --build [PYTHON]    build only
#
# Horovod comes as sources and must be compiled against the very torch it will run with. Its last release asks for C++14 and an old CMake,
# torch for C++17, so that a plain "pip install horovod" fails; what differs from one is below. It is built for torch alone, with gloo, without
# MPI and CUDA. That takes a C++17 compiler, make, a few minutes, and the package index for what pip builds with; MAKEFLAGS=-j1 builds on one
# core. Wheels are kept by version of Python and torch in $SPARKML_ALGOS_WHEELS, ~/.cache/sparkml-algos/wheels by default, so that each is
# built once; copy one to other machines of the kind and "pip install" it there.
#
# Ends with 0 if Horovod is installed and two processes have added up numbers with it (or, with --build, if there is a wheel); otherwise with
# a sentence that says why, and 2 if this machine lacks what it takes, else 1.
set -euo pipefail

HOROVOD=0.28.1
# CMake 4 no longer reads what Horovod's gloo says to older ones.
BUILD_TOOLS=('cmake>=3.18,<4' 'setuptools<81' wheel)
# What Horovod's setup would otherwise fetch by itself, and imports.
REQUIREMENTS=('cffi>=1.4' cloudpickle packaging psutil pyyaml)

main() {
    local only_build=
    [ "${1:-}" = --build ] && only_build=yes && shift
    python=$(command -v "${1:-python3}") || lack "there is no ${1:-python3}: name the Python to install into"
    local torch
    torch=$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null) ||
        lack "$python has no torch: install it first, Horovod is built against it"
    version="$HOROVOD+torch${torch//[^0-9A-Za-z]/.}"
    if [ -z "$only_build" ] && [ "$(installed)" = "$version" ] && verify 2>/dev/null; then
        say "Horovod $version is installed, and works"
        return
    fi
    wheels="${SPARKML_ALGOS_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/sparkml-algos/wheels}/$("$python" -c 'import sys; print(sys.implementation.cache_tag)')"
    if [ -z "$(wheel)" ]; then build; fi
    [ -z "$only_build" ] || return 0
    "$python" -m pip install -q --disable-pip-version-check "${REQUIREMENTS[@]}"
    "$python" -m pip install -q --disable-pip-version-check --force-reinstall --no-deps "$(wheel)"
    verify || die "Horovod $version is installed, but two processes could not add up numbers with it"
    say "Horovod $version is installed, and works"
}

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

lack() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

installed() {
    "$python" -c 'from importlib.metadata import version; print(version("horovod"))' 2>/dev/null || true
}

# The wheel for this Python and torch, if there is one.
wheel() {
    find "$wheels" -name "horovod-$version-*$(uname -m).whl" 2>/dev/null | head -n 1
}

build() {
    local compiler started=$SECONDS
    compiler=$(command -v "${CXX:-g++}") ||
        lack "there is no C++ compiler (${CXX:-g++}) to build Horovod with; on Debian and Ubuntu: apt-get install g++ make"
    command -v make >/dev/null || lack "there is no make to build Horovod with; on Debian and Ubuntu: apt-get install make"
    say "Building Horovod $version with $("$compiler" --version | head -n 1)"
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    # Tools go into an environment of their own, which sees the packages of the other, torch above all.
    "$python" -m venv "$directory/tools" || lack "could not create an environment to build in; on Debian and Ubuntu: apt-get install python3-venv"
    local builder="$directory/tools/bin/python"
    "$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")' \
        >"$("$builder" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/packages_of_the_other.pth"
    local pip=("$builder" -m pip -q --disable-pip-version-check)
    "${pip[@]}" install "${BUILD_TOOLS[@]}" "${REQUIREMENTS[@]}" ||
        lack "pip could not install what Horovod is built with: ${BUILD_TOOLS[*]} ${REQUIREMENTS[*]}"
    # C++17, as torch asks for. No symbols for a debugger; and optimised is what adds up numbers: to do so with the rest takes a tenth longer.
    cat >"$directory/c++" <<WRAPPER
#!/usr/bin/env bash
arguments=("\${@/#-std=c++1[14]/-std=c++17}" -g0)
[[ "\${!#}" == *gloo* ]] || arguments=("\${arguments[@]/#-O3/-O1}")
exec "$compiler" "\${arguments[@]}"
WRAPPER
    chmod +x "$directory/c++"
    "${pip[@]}" download --no-deps --no-build-isolation --no-binary horovod -d "$directory" "horovod==$HOROVOD" >"$directory/log" 2>&1 ||
        lack "Horovod $HOROVOD could not be downloaded: $(tail -n 1 "$directory/log")"
    # Unpacked, so that pip does not mind the torch in the version.
    tar -xf "$directory/horovod-$HOROVOD.tar.gz" -C "$directory"
    PATH="$directory/tools/bin:$PATH" CXX="$directory/c++" MAKEFLAGS="${MAKEFLAGS:--j$(nproc)}" HOROVOD_LOCAL_VERSION="${version#*+}" \
        HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
        HOROVOD_CPU_OPERATIONS=GLOO "${pip[@]}" wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir "$directory/wheels" \
        "$directory/horovod-$HOROVOD" >"$directory/log" 2>&1 || {
        tail -n 40 "$directory/log" >&2
        die "Horovod $HOROVOD could not be built against torch ${version#*+torch}; what was said last is above"
    }
    mkdir -p "$wheels"
    mv "$directory/wheels"/horovod-*.whl "$wheels"
    [ -n "$(wheel)" ] || die "the wheel that was built is not of version $version: $(ls "$wheels")"
    say "Built $(wheel) in $((SECONDS - started)) s"
}

# Two processes add up their ranks plus 1.
verify() {
    (cd / && timeout 120 "$python" - <<'PYTHON'
import subprocess
import sys
from horovod.runner.http.http_server import RendezvousServer

WORK = """
import horovod.torch as hvd, torch
hvd.init()
total = hvd.allreduce(torch.ones(5) * (hvd.rank() + 1), op=hvd.Sum)
assert hvd.gloo_enabled() and torch.equal(total, torch.full((5,), 3.0)), total
hvd.shutdown()
"""
server = RendezvousServer()
port = server.start()
settings = {
    "HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_IFACE": "lo",
    "HOROVOD_GLOO_RENDEZVOUS_PORT": port, "HOROVOD_HOSTNAME": "localhost", "HOROVOD_SIZE": 2, "HOROVOD_LOCAL_SIZE": 2, "HOROVOD_CROSS_SIZE": 1,
    "HOROVOD_CROSS_RANK": 0,
}
processes = []
for rank in (0, 1):
    own = {name: str(value) for name, value in {**settings, "HOROVOD_RANK": rank, "HOROVOD_LOCAL_RANK": rank}.items()}
    processes.append(subprocess.Popen(["env", *map("=".join, own.items()), sys.executable, "-c", WORK]))
sys.exit(any([process.wait() for process in processes]))
PYTHON
    )
}

main "$@"
