#!/usr/bin/env bash
# The package on a machine without systemd as its first process, as in a
# container's image: install, serve as the package's user, remove, purge.
set -euo pipefail
# shellcheck source=deploy/test/lib.sh
. /test/lib.sh
unset NOTIFY_SOCKET # the container's own

# Files whose path has the package's name in it. What is there before, such as
# a clone of the repository, is not the package's.
ours() { find /etc /usr /var /opt /srv -xdev -path '*wsd*' | sort; }
before=$(ours)

say "install"
dpkg -i /test/wsd.deb
getent passwd wsd
expect "the user's shell" /usr/sbin/nologin "$(getent passwd wsd | cut -d: -f7)"
wsd version
man -w wsd-serve
wsd serve --config /etc/wsd/wsd.yaml --print-config >/dev/null

# In the background these are the process that a signal is for, hence exec.
as_user() { exec setpriv --reuid=wsd --regid=wsd --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"; }

say "serve as the user wsd"
as_user wsd serve --config /etc/wsd/wsd.yaml --drain-time=100ms &
server=$!
until_true 20 wsd health --ready
wsd health
client ws://127.0.0.1:8066/ws
kill $server
wait $server || fail "it ended with $?"
! wsd health 2>/dev/null || fail "healthy without a server"

say "serve on a socket that is passed, as wsd.socket does"
as_user systemd-socket-activate -l 127.0.0.1:9066 /usr/bin/wsd serve --admin= --drain-time=100ms &
server=$!
until_true 20 client ws://127.0.0.1:9066/ws
client ws://127.0.0.1:9066/ws
kill $server
wait $server || fail "it ended with $?"

say "the static program alone, as in the container's image"
mkdir -p /image/proc /image/dev && cp /usr/bin/wsd /image/
mount --bind /proc /image/proc # as every container runtime does
mount --bind /dev /image/dev
inside() { WSD_ADMIN=127.0.0.1:8067 exec chroot --userspec=65532:65532 /image /wsd "$@"; }
inside serve --drain-time=100ms &
server=$!
until_true 20 eval '(inside health --ready)'
client ws://127.0.0.1:8066/ws
kill $server
wait $server || fail "it ended with $?"

umount /image/proc /image/dev

say "remove: the configuration stays"
dpkg -r wsd
[ ! -e /usr/bin/wsd ] || fail "the program is still there"
[ -e /etc/wsd/wsd.yaml ] || fail "the configuration is gone"

say "purge: nothing stays but the user"
dpkg -P wsd
[ ! -e /etc/wsd ] || fail "/etc/wsd is still there"
left=$(comm -13 <(echo "$before") <(ours))
[ -z "$left" ] || fail "left behind: $left"

say "the .rpm likewise"
userdel wsd
# Debian's rpm knows nothing of what dpkg installed.
rpm --force-debian --nodeps -i /test/wsd.rpm
as_user wsd serve --config /etc/wsd/wsd.yaml --drain-time=100ms &
server=$!
until_true 20 wsd health --ready
client ws://127.0.0.1:8066/ws
kill $server
wait $server || fail "it ended with $?"
rpm --force-debian -V --nodeps wsd
rpm --force-debian -e wsd
[ ! -e /usr/bin/wsd ] || fail "the program is still there"

say "the packages install, serve and go"
