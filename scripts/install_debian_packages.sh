#!/usr/bin/env bash
# Brings what two tests need of Debian, once: Chromium, which clicks through the Swagger page, and Prometheus.
# A machine without apt, or a user who may not install, goes without; continuous integration may not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prometheus=.venv/bin/prometheus
has_chromium() { command -v chromium >/dev/null; }
has_prometheus() { [ -x "$prometheus" ] || command -v prometheus >/dev/null; }
has_chromium && has_prometheus && exit 0

install_chromium() {
    echo "Installing Chromium (once) ..."
    apt-get install --quiet=2 --yes --no-install-recommends chromium >/dev/null
}

# Its program alone: the package itself would start a service on this machine.
unpack_prometheus() {
    echo "Unpacking Prometheus (once) ..."
    folder=$(mktemp -d)
    chmod 755 "$folder"
    (cd "$folder" && apt-get download --quiet=2 prometheus 2>/dev/null)
    dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -x -C "$folder" ./usr/bin/prometheus
    mv "$folder/usr/bin/prometheus" "$prometheus"
    rm -r "$folder"
}

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2 || true
    has_chromium || install_chromium || true
    has_prometheus || unpack_prometheus || true
fi
missing=()
has_chromium || missing+=(chromium)
has_prometheus || missing+=(prometheus)
[ "${#missing[@]}" = 0 ] && exit 0
echo "Not here, so that their tests are skipped: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
[ -z "${CI:-}" ]
