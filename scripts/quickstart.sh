#!/usr/bin/env bash
# The whole main job on this machine, without Docker, GPU or downloads of models.
#
# A persona, a document, a cited answer, a fine-tune, and the tuned model's answer.
# What trains is installed while the first answers come.
#
#   scripts/quickstart.sh          leaves the server running
#   scripts/quickstart.sh --once   stops it in the end
set -euo pipefail
began=$(date +%s)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh api
exec .venv/bin/python scripts/quickstart.py --began "$began" "$@"
