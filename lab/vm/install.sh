#!/usr/bin/env bash
# Installs what run.sh needs, if it is missing. The kernel is not
# installed: run.sh downloads and unpacks it.
set -euo pipefail
packages=(cpio xz-utils)
case ${ARCH:-$(dpkg --print-architecture)} in
arm64) packages+=(qemu-system-arm) ;;
*) packages+=(qemu-system-x86) ;;
esac
missing=()
for package in "${packages[@]}"; do
	dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
"${root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
	echo "lab/vm: ${missing[*]} cannot be installed here, so there is no virtual machine" >&2
	exit 1
}
