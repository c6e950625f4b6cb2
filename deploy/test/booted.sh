#!/usr/bin/env bash
# The package under a systemd that runs: start, rights, live upgrade, watchdog,
# slow stop, socket activation, wrong configuration, removal.
set -euo pipefail
# shellcheck source=deploy/test/lib.sh
. /test/lib.sh

property() { systemctl show --value -p "$1" wsd.service; }
drop_in() { # lines for [Service]
	mkdir -p /etc/systemd/system/wsd.service.d
	printf '[Service]\n%s\n' "$@" >/etc/systemd/system/wsd.service.d/test.conf
	systemctl daemon-reload
}
url=ws://127.0.0.1:8066/ws

say "install: it is enabled, started and ready"
dpkg -i /test/wsd.deb
expect state active "$(systemctl is-active wsd.service)"
expect enabled enabled "$(systemctl is-enabled wsd.service)"
wsd health --ready
client $url
pid=$(property MainPID)
until_true 30 grep -q 'clients on' <(property StatusText)
say "status: $(property StatusText)"

say "rights"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status"
expect CapBnd 0000000000000000 "$(awk '$1 == "CapBnd:" { print $2 }' "/proc/$pid/status")"
expect user wsd "$(stat -c %U "/proc/$pid")"
hard() { awk '/^Max open files/ { print $5 }' "/proc/$1/limits"; }
expect LimitNOFILE 1048576 "$(property LimitNOFILE)"
if prlimit --nofile=1048576:1048576 true 2>/dev/null; then
	expect "descriptor limit" 1048576 "$(hard "$pid")"
else
	say "systemd may not raise limits here: the service has what it has, $(hard 1) descriptors"
	expect "descriptor limit" "$(hard 1)" "$(hard "$pid")"
fi
systemd-analyze verify wsd.service wsd.socket
systemd-analyze security --no-pager wsd.service >/test/security.txt
tail -1 /test/security.txt
systemd-analyze security --no-pager --threshold=15 wsd.service >/dev/null || fail "exposed more than 1.5"

say "systemctl reload: another process, the same client"
client $url /test/upgraded &
holds=$!
until_true 20 test -e /test/upgraded.connected
systemctl reload wsd.service # returns when the newer process serves
[ "$(property MainPID)" != "$pid" ] || fail "it has reloaded nothing"
changed() { [ "$(property MainPID)" != "$pid" ] && [ "$(property MainPID)" != 0 ]; }
until_true 30 changed
until_true 30 test ! -e "/proc/$pid"
expect state active "$(systemctl is-active wsd.service)"
client $url
touch /test/upgraded
wait $holds || fail "the client was lost"
expect restarts 0 "$(property NRestarts)"

say "a reload that comes to nothing says so, and the client stays"
pid=$(property MainPID)
client $url /test/failed &
holds=$!
until_true 20 test -e /test/failed.connected
cp /etc/wsd/wsd.yaml /test/wsd.yaml
echo 'max-client: 5' >>/etc/wsd/wsd.yaml
! systemctl reload wsd.service 2>/dev/null || fail "it claims to have reloaded"
cp /test/wsd.yaml /etc/wsd/wsd.yaml
expect state active "$(systemctl is-active wsd.service)"
expect "main process" "$pid" "$(property MainPID)"
journalctl -u wsd.service --no-pager -n 20 -o cat | grep -m1 "process $pid serves on: "
touch /test/failed
wait $holds || fail "the client was lost"

say "a newer process that hangs is ended, and the older one serves on"
# What is shipped cannot be told to hang: the newer one is built for this test.
drop_in Environment=WSD_FAULT=new:prepared:hang
systemctl restart wsd.service
pid=$(property MainPID)
client $url /test/hung &
holds=$!
until_true 20 test -e /test/hung.connected
cp /usr/bin/wsd /test/wsd.shipped
install -m 755 /test/wsd.faults /usr/bin/wsd
! systemctl reload wsd.service 2>/dev/null || fail "it claims to have reloaded"
expect "processes of wsd" "$pid" "$(pgrep -x wsd | paste -sd ' ')"
touch /test/hung
wait $holds || fail "the client was lost"
install -m 755 /test/wsd.shipped /usr/bin/wsd
rm -r /etc/systemd/system/wsd.service.d
systemctl daemon-reload
systemctl restart wsd.service

say "wsd upgrade, by root, does the same and tells"
pid=$(property MainPID)
wsd upgrade
until_true 30 changed

say "a stop drains after an upgrade as well, whether the older process has ended or not"
for wait in 0 20; do
	pid=$(property MainPID)
	systemctl reload wsd.service
	[ $wait = 0 ] || until_true $wait test ! -e "/proc/$pid"
	client $url "/test/stopped$wait" >"/test/stopped$wait.log" 2>&1 &
	until_true 20 test -e "/test/stopped$wait.connected"
	systemctl stop wsd.service
	expect result success "$(property Result)"
	wait $! && fail "the client was told nothing"
	cat "/test/stopped$wait.log"
	grep -q 1001 "/test/stopped$wait.log" || fail "the client was not told that the server goes away"
	systemctl start wsd.service
done
! journalctl -u wsd.service -o cat | grep 'not our child' || fail "systemd would not wait for it"

say "an upgrade of the package does the same"
pid=$(property MainPID)
client $url /test/package &
holds=$!
until_true 20 test -e /test/package.connected
dpkg -i /test/wsd.deb
until_true 30 changed
touch /test/package
wait $holds || fail "the client was lost"

say "the watchdog, now told by the newer process: a process that hangs is replaced"
drop_in WatchdogSec=2 TimeoutAbortSec=1
systemctl restart wsd.service
pid=$(property MainPID)
systemctl reload wsd.service
until_true 30 changed
sleep 5 # more than two of the watchdog's patience: a healthy one stays
expect restarts 0 "$(property NRestarts)"
restarted() { [ "$(property NRestarts)" = "$1" ] && wsd health --ready; }
kill -STOP "$(property MainPID)"
until_true 30 restarted 1
client $url

say "a newer process that dies is replaced as well, though systemd did not start it"
pid=$(property MainPID)
systemctl reload wsd.service
until_true 30 changed
kill -KILL "$(property MainPID)"
until_true 30 restarted 2
client $url
systemctl reset-failed wsd.service # and the count of its starts

say "a drain longer than TimeoutStopSec= is not cut"
drop_in TimeoutStopSec=1 'ExecStart=' 'ExecStart=/usr/bin/wsd serve --config=/etc/wsd/wsd.yaml --drain-time=4s'
systemctl restart wsd.service
for i in 1 2 3; do client $url "/test/never$i" >/dev/null 2>&1 & done
for i in 1 2 3; do until_true 20 test -e "/test/never$i.connected"; done
systemctl stop wsd.service
expect result success "$(property Result)"
wait || :

say "wsd.socket: started by the first client; a restart refuses nobody"
rm -r /etc/systemd/system/wsd.service.d
systemctl daemon-reload
systemctl reset-failed wsd.service
systemctl enable --now wsd.socket
expect state inactive "$(systemctl is-active wsd.service || :)"
client $url
expect state active "$(systemctl is-active wsd.service)"
systemctl restart --no-block wsd.service
for i in 1 2 3 4 5 6 7 8 9 10; do client $url >/dev/null || fail "client $i was refused"; done
until_true 30 wsd health --ready
pid=$(property MainPID)
client $url /test/socket &
holds=$!
until_true 20 test -e /test/socket.connected
systemctl reload wsd.service
until_true 30 changed
touch /test/socket
wait $holds || fail "the client was lost"
client $url

say "a configuration that cannot be meant: ten attempts, then it stays down"
cp /etc/wsd/wsd.yaml /test/wsd.yaml
echo 'max-client: 5' >>/etc/wsd/wsd.yaml
! systemctl restart wsd.service || fail "it started"
until_true 40 systemctl is-failed wsd.service
say "after $(property NRestarts) restarts: $(property Result)"
journalctl -u wsd.service --no-pager -n 20 -o cat | grep -m1 'did you mean "max-clients"'
cp /test/wsd.yaml /etc/wsd/wsd.yaml
systemctl reset-failed wsd.service
systemctl start wsd.service
client $url

say "remove and purge"
dpkg -r wsd
! systemctl is-active wsd.service wsd.socket || fail "still active"
dpkg -P wsd
[ ! -e /etc/wsd ] || fail "/etc/wsd is still there"
say "systemd and the package do what docs/install.md says"
