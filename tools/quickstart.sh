#!/usr/bin/env bash
# From nothing to a distilled CLIP: .venv, core packages, Creatures, distillation, work_dirs/quickstart/report.md.
# PYTHON=python3.12 names the interpreter; further arguments go to tools/quickstart.py. Safe to interrupt and to repeat.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh core
exec .venv/bin/python tools/quickstart.py "$@"
