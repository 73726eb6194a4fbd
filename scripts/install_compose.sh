#!/usr/bin/env bash
# Puts docker-compose into .venv/bin, once: the one of Docker, or else the one of Debian's package. It checks the
# compose files; that needs no engine. A machine with neither Docker nor apt goes without, continuous integration may not.
#
#   scripts/install_compose.sh [FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=trixie
target=${1:-.venv/bin}/docker-compose
[ -x "$target" ] && exit 0

if docker compose version >/dev/null 2>&1; then
    printf '#!/bin/sh\nexec docker compose "$@"\n' >"$target"
    chmod 755 "$target"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    echo "Neither docker compose nor apt is here: the compose files are not checked." >&2
    [ -z "${CI:-}" ]
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2016  # the fields are apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' |
    grep '/debian/*$' | head -n 1)
mkdir -p "$work"/{parts,lists/partial,archives/partial}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
# A source of its own: nothing of this machine's apt is changed.
apt=(apt-get --quiet=2 -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts"
    -o Dir::Etc::preferencesparts="$work/parts" -o Dir::State::lists="$work/lists"
    -o Dir::Cache="$work" -o APT::Sandbox::User= -o Acquire::Languages=none)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download docker-compose)
dpkg --extract "$work"/docker-compose_*.deb "$work/package"
install "$work/package/usr/libexec/docker/cli-plugins/docker-compose" "$target"
