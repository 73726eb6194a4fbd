#!/usr/bin/env bash
# The Ollama container: serves, pulls what is missing of OLLAMA_BASE_MODEL and OLLAMA_EMBEDDING_MODEL, and leaves
# the file that the health check looks for only when both are there.
set -euo pipefail

ready=${OLLAMA_READY_FILE:-/tmp/ready}
first_pause=${OLLAMA_PULL_PAUSE:-5}
longest_pause=60

say() { echo "entrypoint: $*"; }

# ollama draws its progress for a terminal; a log gets a line for every tenth of a layer, and the errors.
plain_progress() {
    local -A tenths=()
    local piece layer percent
    while IFS= read -r piece || [ -n "$piece" ]; do
        if [[ $piece =~ pulling\ ([0-9a-f]{8,}).*\ ([0-9]+)%(.*/([0-9.]+ [KMGT]?B))? ]]; then
            layer=${BASH_REMATCH[1]} percent=$((BASH_REMATCH[2] / 10 * 10))
            [ "${tenths[$layer]:-}" = "$percent" ] && continue
            tenths[$layer]=$percent
            say "layer $layer: $percent%${BASH_REMATCH[4]:+ of ${BASH_REMATCH[4]}}"
        elif [[ $piece =~ Error.* ]]; then
            say "${BASH_REMATCH[0]}"
        fi
    done
}

pull() { ollama pull "$1" 2>&1 | stdbuf -o0 tr '\033\r' '\n\n' | plain_progress; }

bring() {
    local model=$1 pause=$first_pause
    if ollama show "$model" >/dev/null 2>&1; then
        say "$model is there"
        return
    fi
    say "pulling $model; the API waits for it"
    until pull "$model"; do
        say "$model could not be pulled; trying again in $pause s"
        sleep "$pause"
        pause=$((pause * 2 < longest_pause ? pause * 2 : longest_pause))
    done
    say "$model is there now"
}

prepare() {
    until ollama list >/dev/null 2>&1; do sleep 0.2; done
    local model
    for model in "${OLLAMA_BASE_MODEL:-}" "${OLLAMA_EMBEDDING_MODEL:-}"; do
        [ -z "$model" ] || bring "$model"
    done
    say "ready"
    touch "$ready"
}

rm -f "$ready"  # of a container that is started again
ollama serve &
server=$!
stopping=
trap 'stopping=yes; kill -TERM "$server" || true' TERM INT
prepare &
preparing=$!

status=0
wait "$server" || status=$?
if [ -n "$stopping" ]; then  # the signal ended the wait, not yet the server
    status=0
    wait "$server" || status=$?
fi
kill "$preparing" 2>/dev/null || true
exit "$status"
