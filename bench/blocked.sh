#!/usr/bin/env bash
# What handlers that block do to the others: the latency of heartbeats alone, and
# beside clients whose every request waits 10 ms on a worker (or is answered after
# as long by nobody's worker), in turn; and how long those waited themselves.
#
#   bench/blocked.sh
#
# Variables, with defaults: WSD, the program (built), CLIENTS that send heartbeats
# (2000), RATE, all together (2000 a second), WAITING clients (256), SECONDS_EACH
# (5), ROUNDS (3), PORT on 127.0.67.1 (18086; the next one is used, too).
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${CLIENTS:-2000} rate=${RATE:-2000} waiting=${WAITING:-256} seconds=${SECONDS_EACH:-5} rounds=${ROUNDS:-3}
address=127.0.67.1:${PORT:-18086} admin=127.0.67.1:$((${PORT:-18086} + 1))
go build -C bench/peers -o "$work/blocked" ./wsd

heartbeats() { # report
  run taskset -c 1 "$WSD" bench --url "ws://$address/ws" --clients "$clients" --pid "$server" --rate "$rate" --duration "${seconds}s" --json "$1"
}

figures() { # report, its phase: p50 and p99 in ms
  awk -F '[:,] *' -v phase="$2" '
    /^   "name":/ { gsub(/"/, "", $2); name = $2 }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    /^    "p50":/ && at == "latency_us" && name == phase { p50 = $2 }
    /^    "p99":/ && at == "latency_us" && name == phase { printf "%.2f %.2f", p50 / 1e3, $2 / 1e3 }' "$1"
}

others() { # action: their generator runs for longer than the heartbeats', and is stopped
  taskset -c 1 "$WSD" bench --url "ws://$address/ws" --clients "$waiting" --pid 0 --closed "$waiting" --duration "$((seconds * 4))s" \
    --payload "{\"actioncode\":\"$1\"}" --expect '"success"' --json "$work/others.json" >"$work/others.log" 2>&1 &
  beside=$!
  sleep 1
}

printf '%-5s %-10s %14s %14s %14s %14s\n' round beside 'p50, ms' 'p99, ms' 'theirs p50' 'theirs p99'
for ((i = 1; i <= rounds; i++)); do
  for action in none pause pause_later; do
    GOMAXPROCS=1 taskset -c 0 "$work/blocked" --listen "$address" --admin "$admin" 2>"$work/server.log" &
    server=$!
    servers+=("$server")
    listens "$server" "$address" "$work/server.log"
    theirs='- -'
    if [ "$action" != none ]; then
      others "$action"
    fi
    heartbeats "$work/beats.json"
    if [ "$action" != none ]; then
      kill -INT "$beside"
      wait "$beside" || true
      theirs=$(figures "$work/others.json" closed)
    fi
    stop
    # shellcheck disable=SC2046,SC2086
    printf '%-5d %-10s %14s %14s %14s %14s\n' "$i" "$action" $(figures "$work/beats.json" open) $theirs | tee -a "$work/all"
  done
done
awk "$median"'
  { v[$2, ++n[$2]] = $4 }
  function of(key,   i, a) { for (i = 1; i <= n[key]; i++) a[i] = v[key, i]; return median(n[key], a) }
  END {
    alone = of("none")
    printf "p99 of a heartbeat, medians: alone %.2f ms, beside handlers that block %.2f (%.2f times), beside later answers %.2f (%.2f times)\n",
      alone, of("pause"), of("pause") / alone, of("pause_later"), of("pause_later") / alone
  }' "$work/all"
