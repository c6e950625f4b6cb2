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
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${CLIENTS:-10000} active=${ACTIVE:-1000} rate=${RATE:-20000} seconds=${SECONDS_EACH:-5} rounds=${ROUNDS:-5}
address=127.0.67.1:${PORT:-18078} # where no outgoing connection takes a port away

round() { # loops, the server's processors, the generators': who, loop, µs per message, messages a second
  serve "$2" "$1" "$address" --admin ""
  run taskset -c "$3" "$WSD" bench --url "ws://$address/ws" --clients "$clients" --workers "$1" --pid "$server" --hold 1s --closed "$active" \
    --rate $((rate * $1)) --duration "${seconds}s" --json "$work/wsd.json"
  stop
  loops server "$work/wsd.json" | sed "s/^/$1 /"
}

printf '%-5s %-6s %-5s %8s %12s\n' round loop loops 'µs/msg' 'messages/s'
for ((i = 1; i <= rounds; i++)); do
  round 1 0 1 >"$work/round"
  round 2 0,1 0,1 >>"$work/round"
  awk -v i="$i" '{ printf "%-5d %-6s %-5d %8.2f %12.0f\n", i, $2, $1, $3, $4 }' "$work/round"
  cat "$work/round" >>"$work/all"
done
awk "$median"'
  { v[$1 $2, ++n[$1 $2]] = $3 }
  function of(key,   i, a) { for (i = 1; i <= n[key]; i++) a[i] = v[key, i]; return median(n[key], a) }
  END {
    split("closed open", names, " ")
    for (i = 1; i <= 2; i++) {
      one = of("1" names[i]); two = of("2" names[i])
      printf "%s loop, medians: one loop %.2f, two %.2f µs per heartbeat, ratio %.2f\n", names[i], one, two, two / one
    }
  }' "$work/all"
