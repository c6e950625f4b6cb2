#!/usr/bin/env bash
# Holds very many clients on this one machine: as many `wsd serve` processes as
# the descriptor limit asks for, one `wsd bench` with as many workers. Clients
# stay idle, then send heartbeats, each every 30 s. Writes DIR/scale-CLIENTS.json and
# .html. Kernel memory is about 10 GB a million connections, both ends.
#
#   bench/scale.sh [CLIENTS (200000)] [DIR (docs/benchmarks)]
#
# WSD is the program (built if not set), HOLD and BEATS are the phases' lengths,
# INTERVAL is the time between two heartbeats of a client.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
clients=${1:-200000} dir=${2:-docs/benchmarks}
hold=${HOLD:-20s} beats=${BEATS:-60s} interval=${INTERVAL:-30s}
work=$(mktemp -d)
pids=()
stop() {
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop EXIT
if [ -z "${WSD:-}" ]; then
  WSD=$work/wsd
  go build -o "$WSD" ./cmd/wsd
fi
address=127.0.66.1 # where no outgoing connection takes a port away
each=$(($(ulimit -n) - 500)) # what a server keeps for itself, generously
servers=$(((clients + each - 1) / each))
args=()
for ((i = 0; i < servers; i++)); do
  port=$((20001 + i))
  GOMAXPROCS=1 "$WSD" serve --listen "$address:$port" --admin "" --idle-timeout 5m --drain-time 1s \
    --log-level error 2>"$work/$port.log" &
  pids+=($!)
  args+=(--url "ws://$address:$port/ws" --pid $!)
done
for ((i = 0; i < servers; i++)); do
  for ((k = 0; ; k++)); do
    (exec 3<>"/dev/tcp/$address/$((20001 + i))") 2>/dev/null && break
    if [ $k = 100 ] || ! kill -0 "${pids[i]}" 2>/dev/null; then
      echo "server $i did not start:" "$(cat "$work/$((20001 + i)).log")" >&2
      exit 1
    fi
    sleep 0.1
  done
done
mkdir -p "$dir"
"$WSD" bench "${args[@]}" --clients "$clients" --concurrency 256 --hold "$hold" --interval "$interval" --duration "$beats" \
  --json "$dir/scale-$clients.json" --html "$dir/scale-$clients.html" --assert 'failed=0,loss=0,closes=0'
