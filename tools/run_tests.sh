#!/usr/bin/env bash
# Everything installed, linted and tested on the CPU with two threads; further arguments go to pytest.
#   bash tools/run_tests.sh -k readouts
# PYTHON=python3.12 names the interpreter; CUDA_VISIBLE_DEVICES=0 also runs the tests that need a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh all
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-2}"
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest "$@" </dev/null
