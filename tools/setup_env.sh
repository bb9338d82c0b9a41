#!/usr/bin/env bash
# Makes .venv in the repository and installs rsc_mm there.
#   bash tools/setup_env.sh core    distillation and evaluation, nothing compiled
#   bash tools/setup_env.sh all     also mmcv with its operators, mmdet, mmseg and what the tests need
# PYTHON=python3.12 names the interpreter. Safe to interrupt and to run again: a finished installation is recognised by
# a stamp that is written last, an interrupted one is made anew from pip's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

what=${1:-core}
case $what in core | all) ;; *) echo "usage: bash tools/setup_env.sh core|all (found: '$what')" >&2; exit 2 ;; esac

log=.venv/setup.log
child=''
step=0
began=$SECONDS

say() { printf '%s\n' "$*" >&2; }
missing() { say "setup: $1 How: $2"; exit 1; }
stop_child() { if [[ -n $child ]]; then kill -- "-$child" 2>/dev/null || true; fi; }
trap stop_child EXIT
trap 'say "setup: interrupted; run the same command again to go on."; exit 130' INT TERM

at_least_310() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 10))' 2>/dev/null; }

minor_version() { "$1" -c 'import sys; print(*sys.version_info[:2], sep=".")'; }

choose_python() {
  local name
  if [[ -n ${PYTHON:-} ]]; then
    command -v "$PYTHON" >/dev/null || missing "PYTHON=$PYTHON is not there." 'give the name or path of an interpreter.'
    at_least_310 "$PYTHON" || missing "PYTHON=$PYTHON is $("$PYTHON" --version 2>&1), Python 3.10 or newer is needed." \
      "name another one, e.g. PYTHON=python3.11."
    command -v "$PYTHON"
    return
  fi
  for name in python3.11 python3.12 python3.10 python3; do
    if at_least_310 "$name"; then command -v "$name"; return; fi
  done
  missing "no Python 3.10 or newer among python3.11, python3.12, python3.10 and python3." \
    "install one (e.g. apt install python3.11 python3.11-venv) or name it with PYTHON=/path/to/python"
}

check_disk() {
  local needed=$1 free
  free=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1048576))
  ((free >= needed)) || missing "$free GB are free on the disk of $PWD, $needed GB are needed." "free some space there."
}

check_compiler() {
  command -v "${CXX:-c++}" >/dev/null || missing "no C++ compiler (${CXX:-c++}) to build mmcv's operators with." \
    "apt install g++, or name one with CXX="
  .venv/bin/python -c 'import os, sysconfig as s; raise SystemExit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
    missing "the C headers of $(.venv/bin/python --version) are not there to build mmcv's operators with." \
      "install them (e.g. apt install python3.11-dev)"
}

# The counter of a compilation ("[12/78]") says how far it is; anything else goes by its usual time.
progress_line() {
  local elapsed=$1 usual=$2 count left
  count=$(tail -c 20000 "$log" | grep -oE '^ *\[[0-9]+/[0-9]+\]' | tail -n 1 | tr -d ' []' || true)
  if [[ -n $count && ${count%/*} -ge 8 ]]; then
    left=$((elapsed * (${count#*/} - ${count%/*}) / ${count%/*}))
    say "      $elapsed s, $count compiled, about $left s to go"
  elif ((elapsed < usual)); then
    say "      $elapsed s, about $((usual - elapsed)) s to go"
  else
    say "      $elapsed s (usually $usual s; a slow network or a busy machine takes longer)"
  fi
}

run_step() { # TITLE USUAL_SECONDS COMMAND...
  local title=$1 usual=$2 start=$SECONDS elapsed
  shift 2
  step=$((step + 1))
  say "[$step/$steps] $title (usually $usual s)"
  printf '\n== %s\n' "$title" >>"$log"
  set -m # a process group of its own, so that an interrupt ends the compilers too
  "$@" >>"$log" 2>&1 </dev/null 9>&- &
  child=$!
  set +m
  while kill -0 "$child" 2>/dev/null; do
    sleep 1
    elapsed=$((SECONDS - start))
    if ((elapsed > 0 && elapsed % 15 == 0)); then progress_line "$elapsed" "$usual"; fi
  done
  if ! wait "$child"; then
    child=''
    rm -f .venv/.installing # pip undoes its own failures
    tail -n 25 "$log" >&2
    say "setup: step '$title' failed; above are the last lines of $log. Run the same command again after mending it."
    exit 1
  fi
  child=''
  say "      done in $((SECONDS - start)) s"
}

pip_install() { .venv/bin/python -m pip install --disable-pip-version-check --no-input -c constraints.txt "$@"; }

# What an interrupted pip leaves cannot be trusted. Only a .venv made by this script is ever thrown away for it.
mark_installing() { if [[ -e .venv/.made_here ]]; then touch .venv/.installing; fi; }

install_core() {
  # The pinned setuptools builds everything that comes as source, without a download of another one for each.
  pip_install setuptools wheel && pip_install --no-build-isolation -e "$1"
}

wheel_folder() { # by Python, PyTorch and kind of operators: a wheel of another combination does not load
  .venv/bin/python - <<'PY'
import os
import sys

import torch

kind = 'cpu'
if torch.cuda.is_available():  # a GPU is of use only with a CUDA compiler beside it
    from torch.utils.cpp_extension import CUDA_HOME
    kind = 'cuda' if CUDA_HOME else 'cpu'
cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
tag = f'cp{sys.version_info.major}{sys.version_info.minor}-torch{torch.__version__}-{kind}'
print(os.path.join(cache, 'rsc_mm', 'wheels', tag))
PY
}

# A wheel made by others, from wherever pip looks (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL). Its name does not say for which
# PyTorch it was built, nor whether it has the operators: it is taken if they load, and left out otherwise.
find_wheel() { # FOLDER VERSION
  local folder=$1 version=$2 trying failed=0
  mkdir -p "$folder"
  trying=$(mktemp -d "$folder/.building.XXXXXX")
  { .venv/bin/python -m pip download --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
      -d "$trying/wheel" "onedl-mmcv==$version" &&
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --target "$trying/there" \
      "$trying"/wheel/*.whl &&
    PYTHONPATH="$trying/there" .venv/bin/python -c 'import mmcv._ext' &&
    mv "$trying"/wheel/*.whl "$folder/"; } >>"$log" 2>&1 </dev/null || failed=1
  rm -rf "$trying"
  return $failed
}

build_wheel() { # FOLDER VERSION: built beside its place and moved there when whole
  local folder=$1 version=$2 jobs building failed=0
  jobs=$(nproc 2>/dev/null || echo 2)
  mkdir -p "$folder"
  find "$folder" -maxdepth 1 -name '.building.*' -mmin +180 -exec rm -rf {} + # left by an interrupted build
  building=$(mktemp -d "$folder/.building.XXXXXX")
  # Without a CUDA compiler a visible GPU would make mmcv's build fail instead of building the CPU operators.
  if [[ $folder == *-cpu ]]; then export CUDA_VISIBLE_DEVICES=''; fi
  # -g0: no debug symbols, which take nearly half of the compilation.
  PATH="$PWD/.venv/bin:$PATH" MMCV_WITH_OPS=1 MAX_JOBS=$((jobs < 8 ? jobs : 8)) CFLAGS=-g0 CXXFLAGS=-g0 TMPDIR="$building" \
    .venv/bin/python -m pip wheel -v --disable-pip-version-check --no-input --no-deps --no-build-isolation \
    --no-cache-dir -w "$building/out" "onedl-mmcv==$version" && mv "$building"/out/*.whl "$folder/" || failed=1
  rm -rf "$building"
  return $failed
}

exec 9>.venv.lock
if command -v flock >/dev/null; then flock -n 9 || { say 'setup: waiting for another set-up of this folder'; flock 9; }; fi

key="$(cat setup.py constraints.txt tools/setup_env.sh | cksum) $PWD"
rm -rf .venv_old
if [[ -e .venv/.installing ]]; then
  say 'setup: an earlier set-up was interrupted while installing; making .venv anew.'
  mv .venv .venv_old && rm -rf .venv_old
fi
if [[ -n ${PYTHON:-} && -x .venv/bin/python ]]; then
  wanted=$(minor_version "$(choose_python)")
  [[ $wanted == $(minor_version .venv/bin/python) ]] ||
    missing ".venv holds $(.venv/bin/python --version), PYTHON=$PYTHON is $wanted." 'remove .venv, or leave PYTHON out.'
fi
for stamp in .venv/.rsc_mm_all .venv/.rsc_mm_"$what"; do
  if [[ -x .venv/bin/python && -f $stamp && $(cat "$stamp") == "$key" ]]; then exit 0; fi
done
if [[ ! -x .venv/bin/python ]]; then
  python=$(choose_python)
  check_disk 8
  "$python" -c 'import venv, ensurepip' 2>/dev/null || missing "$("$python" --version) comes without its venv module." \
    "install it (e.g. apt install python3-venv) or name another interpreter with PYTHON="
else
  python=$PWD/.venv/bin/python
  check_disk 2
fi
say "setup: $("$python" --version) in $PWD/.venv; everything goes to $log"
if [[ ! -x .venv/bin/python ]]; then
  mkdir -p .venv
  touch .venv/.made_here .venv/.installing
  "$python" -m venv .venv
fi
mark_installing

if [[ $what == core ]]; then
  steps=1
  run_step 'core packages (about 3 GB to download)' 120 install_core '.[onedl]'
  check='import rsc_mm'
else
  steps=3
  run_step 'core packages and test tools (about 3 GB to download)' 120 install_core '.[onedl,vis,draw,export,web,dev,docs]'
  folder=$(wheel_folder)
  mmcv=$(sed -n 's/^onedl-mmcv==//p' constraints.txt)
  rm -f .venv/.installing # a build can be interrupted without harm to what is installed
  if compgen -G "$folder/onedl_mmcv-$mmcv-*.whl" >/dev/null; then
    step=$((step + 1))
    say "[$step/$steps] mmcv's operators: built earlier, in $folder"
  elif find_wheel "$folder" "$mmcv"; then
    step=$((step + 1))
    say "[$step/$steps] mmcv's operators: a wheel that loads here, kept in $folder"
  else
    check_compiler
    run_step "mmcv's operators, built once and kept in $folder" 420 build_wheel "$folder" "$mmcv"
  fi
  mark_installing
  run_step 'mmcv, mmdet and mmseg' 40 pip_install --no-build-isolation "$folder"/onedl_mmcv-"$mmcv"-*.whl -e '.[onedl,det,seg]'
  check='from rsc_mm.utils.dependencies import require; [require(n) for n in ("mmengine", "mmcv", "mmdet", "mmseg")]'
fi
.venv/bin/python -c "$check"
rm -f .venv/.installing
printf '%s' "$key" >".venv/.rsc_mm_$what"
say "setup: ready after $((SECONDS - began)) s"
