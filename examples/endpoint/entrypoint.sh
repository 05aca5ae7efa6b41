#!/bin/sh
# Starts the endpoint as the service starts a container: `serve`, and then arguments of `python -m sparkml_algos.serve`.
#
# MODEL_DIR                          the folder of a saved model, or of several (/opt/ml/model)
# WORKERS                            processes that answer (1)
# SAGEMAKER_MAX_PAYLOAD_IN_MB        megabytes of a body; 0: 1024 (6)
# SAGEMAKER_INFERENCE_OUTPUT         what XGBoost answers in place of its score
# SPARKML_ALGOS_SERVING_TOKEN        bearer token to ask for
set -eu

if [ "${1:-serve}" != serve ]; then
    exec "$@"
fi
[ $# -eq 0 ] || shift

models=${MODEL_DIR:-/opt/ml/model}
if [ ! -d "$models/metadata" ]; then
    found=
    for folder in "$models"/*/metadata; do
        [ -d "$folder" ] && found="$found ${folder%/metadata}"
    done
    if [ -z "$found" ]; then
        echo "no saved model in $models, nor in a folder there" >&2
        exit 1
    fi
    models=$found
fi

megabytes=${SAGEMAKER_MAX_PAYLOAD_IN_MB:-6}
case $megabytes in
    *[!0-9]*)
        echo "SAGEMAKER_MAX_PAYLOAD_IN_MB must be a whole number, got '$megabytes'" >&2
        exit 1
        ;;
esac
[ "$megabytes" -gt 0 ] || megabytes=1024
# Names of folders of models have no blanks.
# shellcheck disable=SC2086
exec python -m sparkml_algos.serve $models --host 0.0.0.0 --port 8080 --workers "${WORKERS:-1}" \
    --max-bytes $((megabytes * 1024 * 1024)) --outputs "${SAGEMAKER_INFERENCE_OUTPUT:-}" "$@"
