#!/usr/bin/env bash
# Installs what deploy/test.sh needs and is missing, on Debian.
set -euo pipefail

missing=()
for pair in lintian:lintian rpm:rpm rpmlint:rpmlint mandoc:mandoc fish:fish zsh:zsh shellcheck:shellcheck \
	man:man-db systemd-nspawn:systemd-container systemd-analyze:systemd dbus-daemon:dbus setpriv:util-linux \
	deb-systemd-helper:init-system-helpers; do
	command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
/usr/bin/python3 -c 'import websockets' 2>/dev/null || missing+=(python3-websockets)
[ ${#missing[@]} -gt 0 ] || exit 0
echo "deploy: installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
