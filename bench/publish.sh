#!/usr/bin/env bash
# What a publish costs the other clients, and the server's memory:
#
#   beat   the p99 of heartbeats while publishes run back to back over all
#          clients, against without; phases in turn, medians of ROUNDS
#   grow   the server's memory for one more 1 KiB message that nobody reads, once
#          the kernel's buffers of all clients are full; mean of 5 messages
#
#   bench/publish.sh [beat] [grow]          both if none is named
#
# Server and generator have a processor each, 0 and 1. Variables, with defaults:
#
#   WSD           the program (built)
#   CLIENTS       their number (what descriptors allow, at most 19000)
#   RATE          heartbeats a second (10000)
#   SECONDS_EACH  length of a phase (1)
#   ROUNDS        pairs of phases (15): many and short, so that the median is of
#                 phases in which nothing else wanted the processors. A p99 is one
#                 percent of the time, and any program that takes that much from a
#                 full core makes it its own.
#   DELIVERIES    a second, that keep the server publishing all the time (80000):
#                 the publishes' rate is this by the clients
#   BYTES         of a message of beat (128)
#   FILL          bytes of the messages that fill the kernel's buffers (65536)
#   PORT          of the server on 127.0.67.1, and the next for publishes (18066)
#
# Needs bash, awk, curl, taskset; grow some 0.3 MB of kernel memory a client.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rate=${RATE:-10000} seconds=${SECONDS_EACH:-1} rounds=${ROUNDS:-15} deliveries=${DELIVERIES:-80000} fill=${FILL:-65536} bytes=${BYTES:-128}
room=$(($(ulimit -n) - 500)) # what a process keeps for itself, generously
clients=${CLIENTS:-$((room < 19000 ? room : 19000))}
host=127.0.67.1 # where no outgoing connection takes a port away
listen=$host:${PORT:-18066} admin=$host:$((${PORT:-18066} + 1))

scenario() {
  local kind i publish
  cat <<E
clients: $clients
targets: [ws://$listen/ws]
publish: ['http://$admin/v1/publish?all']
phases:
- {name: ramp, kind: ramp, concurrency: 128}
E
  for ((i = 1; i <= rounds; i++)); do
    for kind in without with; do
      publish=''
      # One that is due while another runs follows it at once, so this is back to
      # back, and not much more, lest they go on after the phase.
      [ $kind = without ] || publish=", publish_rate: $((deliveries / clients + 1)), publish_bytes: $bytes"
      echo "- {name: $kind$i, kind: open, rate: $rate, duration: ${seconds}s, payload: '{\"actioncode\":\"heart_beat\"}', expect: '\"success\"'$publish}"
    done
  done
}

# figures prints for each phase: name, p50, p99 and own lag p99 in µs, messages
# published, the median time of the publish call in µs, and the share of the time
# that the server waited for its processor.
figures() {
  awk -F '[:,] *' '
    /^   "name":/ { flush(); gsub(/"/, "", $2); name = $2 }
    /^    "wait_share":/ { waits = $2 }
    /^   "publishes":/ { publishes = $2 }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    /^    "p50":/ { p50[at] = $2 }
    /^    "p99":/ { p99[at] = $2 }
    function flush() {
      if (name != "") print name, p50["latency_us"], p99["latency_us"], p99["lag_us"], publishes, p50["publish_call_us"] + 0, waits
      split("", p50); split("", p99)
    }
    END { flush() }' "$1"
}

beat() {
  serve 0 1 "$listen" --admin "$admin"
  scenario >"$work/beat.yaml"
  run taskset -c 1 "$WSD" bench --scenario "$work/beat.yaml" --workers 1 --pid "$server" --json "$work/beat.json"
  stop
  echo "heartbeats: $rate/s over $clients clients, alone and beside publishes of $bytes bytes to all"
  figures "$work/beat.json" | awk "$median"'
    BEGIN { printf "  %-10s %10s %10s %14s %10s %12s %12s\n", "phase", "p50 ms", "p99 ms", "own lag p99 ms", "publishes", "a publish ms", "server waits" }
    $1 == "ramp" { next }
    {
      late = $4 > 1000 ? "  generator late: not the server alone" : ""
      printf "  %-10s %10.2f %10.2f %14.2f %10d %12.1f %10.1f %%%s\n", $1, $2/1e3, $3/1e3, $4/1e3, $5, $6/1e3, $7*100, late
      if ($1 ~ /^without/) a[++n] = $3; else b[++m] = $3
    }
    END {
      x = median(n, a); y = median(m, b)
      printf "  median p99: without %.2f ms, with %.2f ms, ratio %.2f\n", x/1e3, y/1e3, y/x
    }'
  grep -E '^! |LIMITED' "$work/out" || true
}

post() { # file; the answer's counts of matched and queued clients
  curl -fsS --data-binary @"$1" -H 'Content-Type: text/plain' "http://$admin/v1/publish?all" |
    sed -E 's/.*"matched":([0-9]+).*"queued":([0-9]+).*/\1 \2/'
}

# memory prints the server's live heap, which a collection has just found, and
# its private memory, in bytes. The second one is in pages and includes what the
# collector keeps for later, so it moves in steps, or not at all.
memory() {
  curl -fsS -o "$work/heap" "http://$admin/debug/pprof/heap?gc=1&debug=1"
  awk '/^# HeapAlloc = /{ printf "%.0f ", $4 }' "$work/heap"
  awk '/^Private_(Clean|Dirty)/{ n += $2 } END { printf "%.0f\n", n * 1024 }' "/proc/$server/smaps_rollup"
}

grow() {
  serve 0 1 "$listen" --admin "$admin" --pending-limit 64MiB --pending-total 10TiB --pending-age 1h --slow-consumer drop-new --idle-timeout 0
  local stopped=$((clients - 1)) i matched queued heap private heap0 private0
  taskset -c 1 "$WSD" bench --url "ws://$listen/ws" --workers 1 --clients 1 --stopped-readers "$stopped" --hold 1h >"$work/grow.txt" 2>&1 &
  load=$!
  head -c "$fill" /dev/zero | tr '\0' x >"$work/fill"
  head -c 1024 /dev/zero | tr '\0' x >"$work/1k"
  until read -r matched queued < <(post "$work/1k") && [ "${matched:-0}" = "$clients" ]; do
    kill -0 "$load" 2>/dev/null || { echo "the generator failed:" "$(tail -5 "$work/grow.txt")" >&2; return 1; }
    sleep 0.5
  done
  for ((i = 1; i <= 2000; i++)); do
    read -r matched queued < <(post "$work/fill")
    [ "$queued" -lt "$stopped" ] || break
  done
  echo "memory: 1 KiB to $stopped clients that do not read, of whom $queued have messages waiting after $i of $fill bytes"
  [ "$queued" -ge "$stopped" ] || { echo "the buffers did not fill" >&2; return 1; }
  for ((i = 0; i < 3; i++)); do post "$work/1k" >"$work/answer"; done # not the first one
  read -r heap0 private0 < <(memory)
  printf '  %-10s %22s %22s\n' message 'heap, B per client' 'private, B per client'
  local first=$heap0 firstPrivate=$private0
  for ((i = 1; i <= 5; i++)); do
    read -r matched queued < <(post "$work/1k")
    read -r heap private < <(memory)
    awk -v i="$i" -v n="$stopped" -v h=$((heap - heap0)) -v p=$((private - private0)) 'BEGIN { printf "  %-10s %22.1f %22.1f\n", i, h/n, p/n }'
    heap0=$heap private0=$private
  done
  awk -v n="$stopped" -v h=$((heap - first)) -v p=$((private - firstPrivate)) 'BEGIN { printf "  %-10s %22.1f %22.1f\n", "mean", h/n/5, p/n/5 }'
  stop
}

[ $# -gt 0 ] || set -- beat grow
for part; do
  case $part in
    beat | grow) "$part" ;;
    *) echo "bench/publish.sh: no part $part: beat, grow" >&2; exit 2 ;;
  esac
done
