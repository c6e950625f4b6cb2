#!/usr/bin/env bash
# What the generator itself costs: processor time per message of `wsd bench`
# against that of a C loader, on the same server, in turn (A B A B), in a closed
# and in an open loop. Server on processor 0, generators on processor 1.
#
#   bench/cost.sh LOADER
#
# LOADER is a program that takes
#   --url HOST:PORT/PATH --conns N --settle S --json FILE --payload-text T --expect T
#   --active N --secs S --echo --heartbeat RATE
# where the last two are a closed loop of the active ones and an open loop over
# all, and writes of each phase "phase" (echo, heartbeat), "msgs" or "answered",
# and "loader_cpu_s", the processor time it used itself.
#
# Variables, with defaults: WSD, the program (built), CLIENTS (10000), ACTIVE, who
# send at once in the closed loop (1000), RATE of the open loop (20000 a second),
# SECONDS_EACH phase (5), ROUNDS (5), PORT on 127.0.67.1 (18076).
set -euo pipefail
loader=${1:?usage: bench/cost.sh LOADER}
loader=$(realpath "$loader")
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${CLIENTS:-10000} active=${ACTIVE:-1000} rate=${RATE:-20000} seconds=${SECONDS_EACH:-5} rounds=${ROUNDS:-5}
address=127.0.67.1:${PORT:-18076}
request='{"actioncode":"heart_beat"}' expect='"success"'
serve 0 1 "$address" --admin ""

# Each of the two prints: who, phase, µs per message, messages a second, own lag
# (p99, ms; the loader's is not known).
theirs() {
  run taskset -c 1 "$loader" --label c --url "$address/ws" --conns "$clients" --settle 1 --json "$work/c.json" \
    --payload-text "$request" --expect "$expect" --active "$active" --secs "$seconds" --echo --heartbeat "$rate"
  tr '{,}' '\n' <"$work/c.json" | awk -F '[":]+ *' -v s="$seconds" '
    $2 == "phase" { phase = $3 == "echo" ? "closed" : $3 == "heartbeat" ? "open" : "" }
    $2 == "msgs" || $2 == "answered" { n = $3 }
    $2 == "loader_cpu_s" && phase != "" { print "c", phase, $3 * 1e6 / n, n / s, "-"; phase = "" }'
}
ours() {
  run taskset -c 1 "$WSD" bench --url "ws://$address/ws" --clients "$clients" --workers 1 --hold 1s --closed "$active" --rate "$rate" \
    --duration "${seconds}s" --json "$work/wsd.json"
  loops generator "$work/wsd.json" | sed 's/^/wsd /'
}

printf '%-5s %-6s %-4s %8s %12s %12s\n' round loop who 'µs/msg' 'messages/s' 'own lag ms'
for ((i = 1; i <= rounds; i++)); do
  theirs >"$work/round"
  ours >>"$work/round"
  awk -v i="$i" '{ printf "%-5d %-6s %-4s %8.2f %12.0f %12s\n", i, $2, $1, $3, $4, $5 }' "$work/round"
  cat "$work/round" >>"$work/all"
done
awk -v rate="$rate" "$median"'
  { v[$1 $2, ++n[$1 $2]] = $3 }
  $2 == "open" && ($4 < .99 * rate || ($5 != "-" && $5 > 1)) { behind++ }
  function of(key,   i, a) { for (i = 1; i <= n[key]; i++) a[i] = v[key, i]; return median(n[key], a) }
  END {
    split("closed open", loops, " ")
    for (i = 1; i <= 2; i++) {
      c = of("c" loops[i]); w = of("wsd" loops[i])
      printf "%s loop, medians: C loader %.2f, wsd bench %.2f µs per message, ratio %.2f\n", loops[i], c, w, w / c
    }
    if (behind) printf "%d of the open loops were behind, and so sent in batches, which is cheap: repeat on a quiet machine\n", behind
  }' "$work/all"
