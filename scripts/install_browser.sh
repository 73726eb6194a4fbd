#!/usr/bin/env bash
# Makes sure that Chromium is here, in which a test clicks through the Swagger page: Debian's package, once.
# A machine without apt, or a user who may not install, goes without; continuous integration may not.
set -euo pipefail

command -v chromium >/dev/null && exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing Chromium (once) ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2 && apt-get install --quiet=2 --yes --no-install-recommends chromium >/dev/null || true
    command -v chromium >/dev/null && exit 0
fi
echo "Chromium is not here, so the Swagger page is not tried. As root: apt-get install chromium" >&2
[ -z "${CI:-}" ]
