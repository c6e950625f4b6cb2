#!/usr/bin/env bash
# docs/operations.md on an empty host: each of its commands, in their order.
set -euo pipefail
# shellcheck source=deploy/test/lib.sh
. /test/lib.sh

# What the page has apt fetch: there is no network here.
shopt -s nullglob
debs=(/test/debs/*.deb)
[ ${#debs[@]} = 0 ] || dpkg -i "${debs[@]}" >/dev/null
cp /test/wsd.deb /root/wsd_1.0_amd64.deb
cd /root
/usr/bin/python3 /test/page.py /test/operations.md || {
	journalctl --no-pager -n 40 -o cat
	exit 1
}
