#!/usr/bin/env bash
# All tests, in the repository's own environment, as many files at once as there are cores (at most four).
#
# Arguments go to pytest (-n 0: one after the other); --soak adds the long ones; instead of all, --clients runs
# those that bring clients with heavy dependencies along, --stack those that need a Docker engine and built images
# (docker compose build).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh
scripts/install_debian_packages.sh
# What tests write goes as soon as they pass. It lies in memory where that has room for all of it: every import and
# every checkpoint waits for the disk otherwise.
beneath=/dev/shm
has_room() { [ -w $beneath ] && [ "$(df --output=avail --block-size=1G $beneath | tail -n 1)" -ge 8 ]; }
has_memory() { awk '/^MemAvailable/ { exit $2 < 12 * 2 ^ 20 }' /proc/meminfo; }
if has_room && has_memory; then export PYTEST_DEBUG_TEMPROOT=$beneath; fi
export OMP_NUM_THREADS=1 # tiny models: threads that wait for each other would cost more than they do
selection=(-m "not soak and not stack and not clients")
# Files begin in the order of tests/conftest.py: long ones first, so that no core is left without work at the end.
beside=(--numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder)
arguments=()
for argument in "$@"; do
    case $argument in
    --soak) selection=(-m "not stack and not clients") beside=() ;;
    --clients) selection=(-m clients tests/e2e/clients) beside=() ;;
    --stack) selection=(-m stack tests/stack) beside=() ;;
    *) arguments+=("$argument") ;;
    esac
done
exec .venv/bin/python -m pytest "${beside[@]}" "${selection[@]}" "${arguments[@]}"
