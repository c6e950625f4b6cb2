#!/usr/bin/env bash
# Installs the clients that the tests here run, whichever of them are missing:
# Python's websockets, Chromium, HAProxy and nginx from Debian, ws and playwright-core from npm.
set -euo pipefail
cd "$(dirname "$0")"

packages=()
/usr/bin/python3 -c 'import websockets' 2>/dev/null || packages+=(python3 python3-websockets)
command -v chromium >/dev/null || packages+=(chromium fonts-dejavu-core)
command -v haproxy >/dev/null || packages+=(haproxy)
command -v nginx >/dev/null || packages+=(nginx-light)
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)
if [ ${#packages[@]} -gt 0 ]; then
	echo "e2e: installing ${packages[*]}"
	root=()
	[ "$(id -u)" = 0 ] || root=(sudo)
	"${root[@]}" apt-get update -qq
	# RUNLEVEL: the proxies' services are not started.
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# npm ci starts from nothing each time; what is installed already, stays.
if ! npm ls --silent >/dev/null 2>&1; then
	npm ci --no-audit --no-fund --loglevel=error
fi

/usr/bin/python3 -c 'import websockets.version as v; print("e2e: websockets", v.version)'
echo "e2e: ws $(node -p 'require("ws/package.json").version'), node $(node --version)"
chromium --version
haproxy -v | sed -n 1p
nginx -v
