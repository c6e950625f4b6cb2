#!/usr/bin/env bash
# Boots a virtual machine of its own, in software: Debian's kernel under QEMU, with
# an initramfs that holds wsd and the tests of this folder, which are its init.
# Nothing is installed: packages are downloaded to CACHE and unpacked there.
#
#   lab/vm/run.sh [-test.run=REGEXP …]        flags of a Go test binary
#
#   ARCH      amd64 or arm64 (this machine's)
#   CLIENTS   of the test that holds many (200000)
#   MEMORY    of the machine, in MiB (enough for CLIENTS and the generator)
#   LIMIT     seconds after which it is stopped (3000)
#   CACHE     for packages and images (bin/vm)
#   OUT       folder for the files that the tests leave (CACHE/out)
#   RTC       what the machine's clock says at its start, as 1970-01-01T00:00:00
#   QEMU_ARGS more flags of QEMU's; -monitor unix:FILE,server,nowait can stop the
#             machine for a while, its clocks included (stop, cont)
#
# The exit status is that of the tests. It needs qemu-system-x86 (arm64:
# qemu-system-arm), cpio, xz-utils, apt and Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
	echo "lab/vm: $*" >&2
	exit 1
}

arch=${ARCH:-$(dpkg --print-architecture)} clients=${CLIENTS:-200000} cache=${CACHE:-bin/vm}
memory=${MEMORY:-$((1024 + clients * 13 / 1024))} # as much as `wsd tune check` wants, and some
case $arch in
amd64) qemu=qemu-system-x86_64 package=qemu-system-x86 console=ttyS0 machine=(-machine q35 -cpu max,la57=off,erms=off,fsrm=off) ;;
arm64) qemu=qemu-system-aarch64 package=qemu-system-arm console=ttyAMA0 machine=(-machine virt -cpu max,pauth-impdef=on) ;;
*) fail "ARCH=$arch: want amd64 or arm64" ;;
esac
command -v $qemu >/dev/null || fail "there is no $qemu here: apt-get install $package"
for tool in cpio:cpio flock:util-linux xz:xz-utils apt-get:apt dpkg-deb:dpkg go:golang; do
	command -v "${tool%:*}" >/dev/null || fail "there is no ${tool%:*} here: apt-get install ${tool#*:}"
done
mkdir -p "$cache/$arch"
cache=$(cd "$cache" && pwd)
here=$cache/$arch out=${OUT:-$cache/out}
exec {lock}>"$here/lock"
flock -n "$lock" || fail "another one runs already in $here: give this one a CACHE of its own"

# The lists and the state of apt are private: so it works for the other
# architecture, without root, and changes nothing here.
download() {
	local apt=(-qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State::Lists="$here/lists" -o Dir::State::status=/dev/null
		-o Dir::Cache="$here/apt" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3)
	mkdir -p "$here/lists/partial" "$here/apt/archives/partial"
	apt-get "${apt[@]}" update
	local image
	image=$(apt-cache "${apt[@]}" depends "linux-image-cloud-$arch" | awk '/Depends:/ { print $2; exit }')
	[ -n "$image" ] || fail "Debian has no linux-image-cloud-$arch here: see apt-get update"
	(cd "$here" && apt-get "${apt[@]}" download "$image")
	dpkg-deb -x "$here/$image"_*.deb "$here/kernel.new"
	mv "$here/kernel.new" "$here/kernel"
	rm -r "$here/lists" "$here/apt" "$here/$image"_*.deb
}
if [ ! -d "$here/kernel" ]; then
	download
fi

root=$here/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
CGO_ENABLED=0 GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "$root/bin/wsd" ./cmd/wsd
CGO_ENABLED=0 GOARCH=$arch go test -c -trimpath -ldflags '-s -w' -o "$root/init" ./lab/vm
for module in libcrc32c nf_defrag_ipv4 nf_defrag_ipv6 nf_conntrack sch_netem tls; do
	find "$here/kernel/lib/modules" -name "$module.ko*" | while read -r file; do
		case $file in
		*.xz) xz -dc "$file" >"$root/modules/$module.ko" ;;
		*) cp "$file" "$root/modules/" ;;
		esac
	done
done
(cd "$root" && find . | cpio --quiet -o -H newc) >"$here/initramfs"

# Not compressed: the machine would take longer to unpack it than to copy it.
# What costs much in software is off: mitigations, page tables of five levels,
# copies byte by byte, real pointer authentication. tsc=reliable: every look at any
# other clock leaves the translated code, and TCP looks at it for each packet; 4,000
# clients connect in 3.4 to 4.0 s, were 5.6 to 6.6. The kernel's watchdogs would take a busy machine
# below for a broken one here.
log=$here/console
timeout --foreground "${LIMIT:-3000}" "$qemu" "${machine[@]}" -accel tcg,thread=multi -smp 2 -m "$memory" \
	-nodefaults -nographic -serial stdio -no-reboot ${RTC:+-rtc "base=$RTC"} ${QEMU_ARGS:-} \
	-kernel "$here"/kernel/boot/vmlinuz-* -initrd "$here/initramfs" \
	-append "console=$console quiet panic=-1 mitigations=off tsc=reliable nowatchdog rcupdate.rcu_cpu_stall_suppress=1 WSD_CLIENTS=$clients -- -test.v $*" </dev/null |
	sed -u 's/\r$//; s/\x1b\[[0-9;?]*[A-Za-z]//g; s/\x1bc//g' | tee "$log" | grep --line-buffered -v '^file ' || true

# Files that the tests hand out come as lines "file NAME BASE64" of what gzip made.
mkdir -p "$out"
for file in $(awk '$1 == "file" && NF == 3 { print $2 }' "$log" | sort -u); do
	awk -v name="$file" '$1 == "file" && $2 == name { print $3 }' "$log" | while read -r part; do base64 -d <<<"$part"; done |
		gunzip >"$out/${file##*/}"
done
status=$(sed -n 's/^vm: exit status //p' "$log" | tail -1)
[ -n "$status" ] || fail "the machine did not come to its end: $log"
exit "$status"
