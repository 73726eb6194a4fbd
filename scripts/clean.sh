#!/usr/bin/env bash
# What the two cleaners share: `llm-fastapi clean` in a container of its own, while the API is stopped.
#
#   scripts/clean.sh BACK_END WHAT [OPTIONS]
#
# The stack may be up or down; what runs afterwards is what ran before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
back_end=$1
what=$2
options=("${@:3}")

running=$(docker compose ps --services --status running --status restarting)
is_running() { grep --quiet --line-regexp "$1" <<<"$running"; }

start() { docker compose up --detach --no-deps --no-recreate "$@"; }

restore() {
    is_running "$back_end" || docker compose stop "$back_end"
    ! is_running fastapi || start --wait fastapi
}
trap restore EXIT

# Not by its health: Ollama is healthy only with all models pulled, and nothing is to be pulled for a deletion.
wait_for_ollama() {
    local tries
    for tries in {1..60}; do
        docker compose exec -T ollama ollama list >/dev/null 2>&1 && return
        sleep 1
    done
    echo "Ollama does not answer after $tries tries; see: docker compose logs ollama" >&2
    return 1
}

if ! is_running "$back_end"; then
    case $back_end in
        ollama)
            start ollama
            wait_for_ollama
            ;;
        *) start --wait "$back_end" ;;
    esac
fi
! is_running fastapi || docker compose stop fastapi
docker compose run --rm --no-deps fastapi llm-fastapi clean "$what" "${options[@]}"
