#!/usr/bin/env bash
# All tests, in the repository's own environment. Arguments go to pytest; --soak adds the long ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh
selection=(-m "not soak")
arguments=()
for argument in "$@"; do
    if [ "$argument" = --soak ]; then selection=(); else arguments+=("$argument"); fi
done
exec .venv/bin/python -m pytest "${selection[@]}" "${arguments[@]}"
