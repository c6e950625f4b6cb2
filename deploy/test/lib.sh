# For the scripts here, which run inside of a throw-away copy of the machine.
# shellcheck shell=bash
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

say() { echo "--- $*"; }
fail() {
	[ ! -d /run/systemd/system ] || journalctl -u wsd.service -u wsd.socket --no-pager -n 30 -o cat || :
	echo "FAILED: $*"
	exit 1
}

# until_true SECONDS COMMAND...: polls until the command succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "waited in vain for: $*"
		sleep 0.05
	done
}

client() { timeout 60 /usr/bin/python3 /test/client.py "$@"; }

# expect WHAT WANT GOT
expect() { [ "$2" = "$3" ] || fail "$1 is \"$3\", want \"$2\""; }
