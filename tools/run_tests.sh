#!/usr/bin/env bash
# Everything installed, linted, type-checked, the documentation built and all of it tested on the CPU, a process and a
# thread for each core (at most 8); further arguments go to pytest.
#   bash tools/run_tests.sh -k readouts
# PYTHON=python3.12 names the interpreter; CUDA_VISIBLE_DEVICES=0 also runs the tests that need a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh all
cores=$(nproc 2>/dev/null || echo 2)
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
.venv/bin/python -m ruff check .
.venv/bin/python -m mypy
NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
# A file's tests stay in one process, since they share what its fixtures trained.
exec .venv/bin/python -m pytest -n $((cores < 8 ? cores : 8)) --dist loadfile --no-loadscope-reorder "$@" </dev/null
