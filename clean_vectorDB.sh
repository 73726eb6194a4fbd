#!/usr/bin/env bash
# Deletes all imported documents: rows, texts, word index and vectors. A new import works afterwards.
#
#   ./clean_vectorDB.sh [--vectors-only] [--yes]
#
#   --vectors-only  deletes the vectors alone; the API makes them again from its database
#   --yes           does not ask
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

what=documents
options=()
for argument in "$@"; do
    case $argument in
        --vectors-only) what=vectors ;;
        --yes) options+=(--yes) ;;
        *)
            sed -n '2,/^set/{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
            exit 2
            ;;
    esac
done
exec scripts/clean.sh chromadb "$what" "${options[@]}"
