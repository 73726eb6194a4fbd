#!/usr/bin/env bash
# What a reviewer would not want to say twice: lint, format, types, shell scripts, images, compose files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/shellcheck ./*.sh scripts/*.sh .ci/run
.venv/bin/hadolint --failure-threshold warning Dockerfile tests/stack/*/Dockerfile

for files in docker-compose.yml docker-compose.yml:docker-compose.cpu.yml; do
    COMPOSE_FILE=$files .venv/bin/docker-compose --env-file /dev/null config --format json |
        .venv/bin/check-jsonschema --builtin-schema vendor.compose-spec -
done
