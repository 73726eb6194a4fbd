#!/usr/bin/env bash
# All tests, in the repository's own environment.
#
# Arguments go to pytest; --soak adds the long ones, --stack runs those that need a Docker engine and built images
# (docker compose build) instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh
scripts/install_browser.sh
selection=(-m "not soak and not stack")
arguments=()
for argument in "$@"; do
    case $argument in
    --soak) selection=(-m "not stack") ;;
    --stack) selection=(-m stack tests/stack) ;;
    *) arguments+=("$argument") ;;
    esac
done
exec .venv/bin/python -m pytest "${selection[@]}" "${arguments[@]}"
