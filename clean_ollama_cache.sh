#!/usr/bin/env bash
# Deletes the created models, personas and fine-tunes; pulled bases, documents and job folders stay.
#
#   ./clean_ollama_cache.sh [--all] [--yes]
#
#   --all  takes the bases too; the next start of Ollama pulls the configured ones again
#   --yes  does not ask
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

options=()
for argument in "$@"; do
    case $argument in
        --all | --yes) options+=("$argument") ;;
        *)
            sed -n '2,/^set/{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
            exit 2
            ;;
    esac
done
exec scripts/clean.sh ollama models "${options[@]}"
