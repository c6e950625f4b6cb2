#!/usr/bin/env bash
# What a second loop costs: the server's processor time per heartbeat with two
# loops on processors 0 and 1, and two generators beside them there, against one
# loop on processor 0 and one generator on processor 1, in turn.
#
#   bench/loops.sh
#
# Variables, with defaults: WSD, the program (built), CLIENTS (10000), ACTIVE, who
# send at once in the closed loop (1000), RATE of the open loop per loop (20000 a
# second), SECONDS_EACH phase (5), ROUNDS (5), PORT on 127.0.67.1 (18078).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
clients=${CLIENTS:-10000} active=${ACTIVE:-1000} rate=${RATE:-20000} seconds=${SECONDS_EACH:-5} rounds=${ROUNDS:-5}
address=127.0.67.1:${PORT:-18078}
work=$(mktemp -d)
server='' load=''
stop() {
  for pid in $load $server; do kill "$pid" 2>/dev/null || true; done
  wait
  load='' server=''
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
if [ -z "${WSD:-}" ]; then
  WSD=$work/wsd
  go build -o "$WSD" ./cmd/wsd
fi

round() { # loops, the server's processors, the generators'
  GOMAXPROCS=$1 taskset -c "$2" "$WSD" serve --loops "$1" --listen "$address" --admin "" --drain-time 1s --log-level error 2>"$work/server.log" &
  server=$!
  for ((k = 0; ; k++)); do
    (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null && break
    if [ $k = 100 ] || ! kill -0 "$server" 2>/dev/null; then
      echo "the server did not start:" "$(cat "$work/server.log")" >&2
      exit 1
    fi
    sleep 0.1
  done
  taskset -c "$3" "$WSD" bench --url "ws://$address/ws" --clients "$clients" --workers "$1" --pid "$server" --hold 1s --closed "$active" \
    --rate $((rate * $1)) --duration "${seconds}s" --json "$work/wsd.json" >"$work/out" 2>&1 &
  load=$!
  wait "$load" || { echo "the generator failed" >&2; tail -5 "$work/out" >&2; exit 1; }
  load=''
  stop
  awk -F '[:,] *' -v loops="$1" '
    /^   "name":/ { gsub(/"/, "", $2); name = $2 }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    /^   "seconds":/ { seconds = $2 }
    /^   "messages":/ { n = $2 }
    /^    "cpu_us_per_event":/ && at == "server" && (name == "closed" || name == "open") { print loops, name, $2, n / seconds }' "$work/wsd.json"
}

printf '%-5s %-6s %-5s %8s %12s\n' round loop loops 'µs/msg' 'messages/s'
for ((i = 1; i <= rounds; i++)); do
  round 1 0 1 >"$work/round"
  round 2 0,1 0,1 >>"$work/round"
  awk -v i="$i" '{ printf "%-5d %-6s %-5d %8.2f %12.0f\n", i, $2, $1, $3, $4 }' "$work/round"
  cat "$work/round" >>"$work/all"
done
awk '
  function median(n, of,   i, j, t) {
    for (i = 2; i <= n; i++) for (j = i; j > 1 && of[j-1] > of[j]; j--) { t = of[j]; of[j] = of[j-1]; of[j-1] = t }
    return n % 2 ? of[(n+1)/2] : (of[n/2] + of[n/2+1]) / 2
  }
  { v[$1 $2, ++n[$1 $2]] = $3 }
  function of(key,   i, a) { for (i = 1; i <= n[key]; i++) a[i] = v[key, i]; return median(n[key], a) }
  END {
    split("closed open", names, " ")
    for (i = 1; i <= 2; i++) {
      one = of("1" names[i]); two = of("2" names[i])
      printf "%s loop, medians: one loop %.2f, two %.2f µs per heartbeat, ratio %.2f\n", names[i], one, two, two / one
    }
  }' "$work/all"
