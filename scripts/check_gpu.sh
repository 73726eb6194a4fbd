#!/usr/bin/env bash
# Shows what only a GPU can show: a 7 B architecture of random weights trained by QLoRA, exported, verified and asked.
# Predicted stands beside real, and ours beside plain TRL. Needs no network and about 40 GiB of disk.
#
#     scripts/check_gpu.sh [FOLDER] [--tiny]      --tiny: the size of the demo model, which a CPU can do too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
else
    echo "no GPU: nvidia-smi is not here"
fi
exec "$python" scripts/check_gpu.py "$@"
