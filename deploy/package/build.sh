#!/usr/bin/env bash
# Builds the .deb and the .rpm into dist/, with nfpm of the version in go.mod.
# ARCH (amd64, arm64), VERSION and MAINTAINER may be set. The same commit gives the same
# packages. MAINTAINER is who answers for them: Debian wants an address, and
# there is none, which .invalid says (RFC 2606). Needs Go, git, gzip and awk.
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$commit}

export MAINTAINER=${MAINTAINER:-wsd developers <developers@wsd.invalid>}
export ARCH=${ARCH:-$(go env GOARCH)}
STAGE=dist/stage # as in nfpm.yaml
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)

# A tag v1.2.3, or else what sorts before every tag.
VERSION=${VERSION:-$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || true)}
VERSION=${VERSION:-v0.0.0+git${day//-/}.$(git log -1 --format=%h)}
export PACKAGE_VERSION=${VERSION#v}

build() { # goarch, file
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o "$2" ./cmd/wsd
}

# The kernel's values that host.txt records, as files.
untuned_host() { # directory
	awk -v dir="$1" '/^== .* ==$/ { file = dir "/" $2; parent = file; sub("/[^/]*$", "", parent)
		system("mkdir -p " parent); next } file { print > file }' deploy/package/host.txt
}

# Whose work is in the program, and under which terms.
copyright() {
	printf 'wsd, copyright the wsd developers. They have not chosen a licence for it yet:\nthis file grants none.\n\n'
	printf 'The program contains the following modules and the Go standard library,\nunder their own terms, which follow.\n'
	printf '\n==== the Go standard library ====\n\n' && cat "$(go env GOROOT)/LICENSE"
	go version -m "$STAGE/wsd" | awk '$1 == "dep" { print $2 "@" $3 }' | while read -r module; do
		printf '\n==== %s ====\n\n' "$module"
		find "$(go list -m -f '{{.Dir}}' "$module")" -maxdepth 1 -regex '.*/\(LICEN[SC]E\|COPYING\).*' -exec cat {} + | grep .
	done
}

changelog() {
	printf 'wsd (%s) unstable; urgency=medium\n\n  * Built from commit %s.\n\n -- %s  %s\n' "$PACKAGE_VERSION" \
		"$(git log -1 --format=%h)" "$MAINTAINER" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

declare -A machine=([amd64]=x86_64 [arm64]=aarch64)
rm -rf "$STAGE" dist/wsd_*_"$ARCH".deb dist/wsd-*."${machine[$ARCH]}".rpm
mkdir -p "$STAGE/man"
build "$ARCH" "$STAGE/wsd"
own=$STAGE/wsd # one that runs here writes the rest
if [ "$ARCH" != "$(go env GOHOSTARCH)" ]; then
	own=$STAGE/wsd.host
	build "$(go env GOHOSTARCH)" "$own"
fi
"$own" man --date "$day" "$STAGE/man"
gzip -9n "$STAGE"/man/*
for shell in bash zsh fish; do "$own" completion $shell >"$STAGE/completion.$shell"; done
untuned_host "$STAGE/host"
"$own" tune print sysctl --clients 1000000 --root "$STAGE/host" >"$STAGE/90-wsd.conf"
copyright >"$STAGE/copyright"
changelog | gzip -9n >"$STAGE/changelog.gz"

nfpm() { go tool -modfile=deploy/package/go.mod nfpm "$@"; }
for kind in deb rpm; do
	nfpm package --config deploy/package/nfpm.yaml --packager $kind --target dist/
done
rm -rf "$STAGE"
