#!/usr/bin/env bash
# Tests the packages of this kind of machine in dist/: the checks of Debian and
# rpm, the texts, both installed in throw-away copies of this machine (an
# overlay over its files, a network of its own), first without systemd running,
# then with; and docs/operations.md in another copy. As root on Debian with Go;
# installs the tools that are missing, and leaves nothing else behind. Three
# minutes, two boots included.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
say() { echo "=== $*"; }

[ "$(id -u)" = 0 ] || {
	echo "deploy/test.sh mounts and starts containers: run it as root" >&2
	exit 1
}
# In a mount namespace of its own: whatever is mounted goes with it, however it ends.
[ "${1:-}" = --apart ] || exec unshare --mount --propagation private "$PWD/deploy/test.sh" --apart

# fetch DIRECTORY PACKAGES...: what is missing here of packages and what they
# need. They are not installed here, where they would start services.
fetch() {
	local get=(apt-get install -y -qq --no-install-recommends --download-only -o "Dir::Cache::archives=$1" "${@:2}")
	mkdir -p "$1/partial"
	"${get[@]}" >/dev/null 2>&1 || {
		apt-get update -qq
		"${get[@]}" >/dev/null
	}
}

check_packages() {
	lintian --allow-root --fail-on error,warning "$deb"
	rpmlint --config deploy/package/rpm/rpmlint.toml "$rpm"
	rpm -qp --info --scripts "$rpm" >/dev/null
	# Faults in mid-upgrade are for a build of the tests.
	dpkg -x "$deb" "$work/unpacked"
	[ "$(grep -ac WSD_FAULT "$work/unpacked/usr/bin/wsd")" = 0 ] || {
		echo "the program in $deb has fault points"
		return 1
	}
	# Both hold the same, but for what only one of them needs.
	diff <(rpm -qlp "$rpm" | sed 's#/zsh/site-functions/#/zsh/vendor-completions/#') \
		<(dpkg -c "$deb" | awk '$1 !~ /^d/ { print substr($6, 2) }' | grep -v 'lintian\|changelog' |
			cat - <(echo /etc/wsd) | sort)
}

check_texts() {
	shellcheck bench/*.sh deploy/install.sh deploy/test.sh deploy/test/*.sh deploy/package/build.sh deploy/package/deb/{postinst,prerm,postrm}
	shellcheck -s sh deploy/package/rpm/{pre,post,preun,postun}
	local at=$work/unpacked
	for page in "$at"/usr/share/man/man1/*.gz; do
		mandoc -T lint -W warning <(zcat "$page")
	done
	bash -n "$at/usr/share/bash-completion/completions/wsd"
	shellcheck -s bash "$at/usr/share/bash-completion/completions/wsd"
	zsh -n "$at/usr/share/zsh/vendor-completions/_wsd"
	local offered
	offered=$(fish -c "source $at/usr/share/fish/vendor_completions.d/wsd.fish; complete -C 'wsd serve --slow-consumer=dr'" | cut -f1 | paste -sd ' ')
	[ "$offered" = "--slow-consumer=drop-new --slow-consumer=drop-old" ] || {
		echo "fish offers: $offered"
		return 1
	}
	# The kernel takes every line of the sysctl file.
	grep -vE '^(#|-|$)' "$at/usr/share/doc/wsd/examples/90-wsd.conf" | while IFS=' =' read -r key _; do
		[ -e "/proc/sys/${key//./\/}" ] || echo "note: this kernel has no $key"
	done
}

# copy NAME: this machine's files to change at will, at $work/NAME/root.
copy() {
	local at=$work/$1
	mkdir -p "$at/up" "$at/work" "$at/root" "$at/test"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$at/up,workdir=$at/work" "$at/root"
	# Containers' images forbid their packages to start services.
	rm -f "$at/root/usr/sbin/policy-rc.d"
	cp deploy/test/* "$at/test/"
	cp docs/operations.md "$at/test/"
	cp "$deb" "$at/test/wsd.deb"
	cp "$rpm" "$at/test/wsd.rpm"
	CGO_ENABLED=0 go build -tags faults -o "$at/test/wsd.faults" ./cmd/wsd
}

# contain NAME ARGS...: a container with that copy and no way out of it.
contain() {
	local at=$work/$1
	shift
	timeout --foreground 300 systemd-nspawn --quiet --directory="$at/root" --machine="wsd-${at##*/}" --register=no --keep-unit \
		--private-network --console=pipe --bind="$at/test:/test" "$@" </dev/null
}

# boot NAME: a copy in which systemd runs deploy/test/NAME.sh.
boot() {
	[ -d "$work/$1" ] || copy "$1"
	cat >"$work/$1/root/etc/systemd/system/wsd-test.service" <<-UNIT
		[Unit]
		Requires=basic.target dbus.socket
		After=basic.target dbus.socket
		SuccessAction=exit
		FailureAction=exit
		SuccessActionExitStatus=0
		FailureActionExitStatus=1
		[Service]
		Type=oneshot
		ExecStart=/bin/bash /test/$1.sh
		StandardOutput=append:/test/log
		StandardError=inherit
	UNIT
	local ended=0
	contain "$1" --boot systemd.unit=wsd-test.service systemd.journald.forward_to_console=0 >"$work/$1/console" 2>&1 || ended=$?
	cat "$work/$1/test/log" || cat "$work/$1/console"
	[ $ended = 0 ] || {
		echo "the container ended with $ended"
		return 1
	}
}

# On a tmpfs, as an overlay needs its upper files on another file system.
work=$(mktemp -d)
mount -t tmpfs -o mode=0755 wsd-test "$work"
# Lazily, with the overlays on it: a process that is still on its way out of a
# container may hold a file.
trap 'umount --lazy --recursive "$work"; rmdir "$work"' EXIT

deploy/install.sh
say "packages"
deb=$(ls dist/wsd_*_"$(dpkg --print-architecture)".deb)
rpm=$(ls dist/wsd-*."$(uname -m)".rpm)
check_packages
say "texts"
check_texts
say "installed, without systemd"
copy installed
contain installed --as-pid2 /bin/bash /test/installed.sh
say "installed, with systemd"
boot booted
say "docs/operations.md"
copy page
fetch "$work/page/test/debs" nginx haproxy openssl curl
boot page
say "container image and Kubernetes manifests"
(cd deploy/check && go vet ./... && go test -count=1 ./...)
