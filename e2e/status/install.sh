#!/usr/bin/env bash
# Installs what the tests here run beside the clients of ../install.sh: curl, and
# promtool, which Debian packs with Prometheus.
set -euo pipefail

packages=()
command -v curl >/dev/null || packages+=(curl)
command -v promtool >/dev/null || packages+=(prometheus)
if [ ${#packages[@]} -gt 0 ]; then
	echo "e2e/status: installing ${packages[*]}"
	root=()
	[ "$(id -u)" = 0 ] || root=(sudo)
	"${root[@]}" apt-get update -qq
	# RUNLEVEL=1: nothing is to be started, only unpacked.
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
curl --version | sed -n 1p
promtool --version 2>&1 | sed -n 1p
