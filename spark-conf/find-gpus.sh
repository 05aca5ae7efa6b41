#!/usr/bin/env bash
# Tells Spark which GPUs an executor has: a discovery script, for executors that are to be found at the same path everywhere.
#
#   spark.executor.resource.gpu.amount            2
#   spark.executor.resource.gpu.discoveryScript   /path/to/find-gpus.sh
#
# (A standalone cluster's workers share out their GPUs: spark.worker.resource.gpu.amount and .discoveryScript besides.)
#
# Prints {"name": "gpu", "addresses": ["0", "1"]}: the GPUs that nvidia-smi lists, in its order, and of these the ones that
# CUDA_VISIBLE_DEVICES names where it is set. Where there is none, no addresses, and the reason on standard error: Spark then refuses to start
# the executor, saying that it has fewer GPUs than were asked for.
set -euo pipefail

main() {
    local listed index name found=()
    if ! command -v nvidia-smi >/dev/null; then
        answer "there is no nvidia-smi on PATH"
    elif ! listed=$(nvidia-smi --query-gpu=index,uuid --format=csv,noheader 2>&1); then
        answer "nvidia-smi says: $listed"
    elif [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
        # CUDA takes them up to the first name it does not know.
        IFS=, read -ra names <<<"$CUDA_VISIBLE_DEVICES"
        for name in ${names[@]+"${names[@]}"}; do
            name=${name//[[:space:]]/}
            grep -qE "^$name,|, *$name" <<<"$listed" && [ -n "$name" ] || break
            found+=("$name")
        done
        answer "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES shows none of: ${listed//$'\n'/; }" ${found[@]+"${found[@]}"}
    else
        while IFS=', ' read -r index _; do
            [ -z "$index" ] || found+=("$index")
        done <<<"$listed"
        answer "nvidia-smi lists no GPU" ${found[@]+"${found[@]}"}
    fi
}

# answer REASON [ADDRESS…]: the reason is for there being no address.
answer() {
    local reason=$1 addresses
    shift
    [ $# -gt 0 ] || printf 'find-gpus: %s\n' "$reason" >&2
    addresses=$(printf ', "%s"' "$@")
    [ $# -gt 0 ] || addresses=''
    printf '{"name": "gpu", "addresses": [%s]}\n' "${addresses#, }"
}

main
