#!/usr/bin/env bash
# Trains on several GPUs: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several machines: the same command on each with NNODES, NODE_RANK, MASTER_ADDR (of node 0) and PORT set.
set -euo pipefail
if (($# < 2)); then echo 'usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]' >&2; exit 2; fi
config=$1 gpus=$2
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
  --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" --nproc-per-node="$gpus" \
  "$root/tools/train.py" "$config" --launcher pytorch "$@"
