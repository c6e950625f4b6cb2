#!/usr/bin/env bash
# Holds very many clients on this one machine: as many `wsd serve` processes as
# the descriptor limit asks for, one `wsd bench` with as many workers. Clients
# stay idle, then send heartbeats, each every 30 s. Writes DIR/scale-CLIENTS.json and
# .html. Kernel memory is about 10 GB a million connections, both ends.
#
#   bench/scale.sh [CLIENTS (200000)] [DIR (docs/benchmarks)]
#
# WSD is the program (built if not set), HOLD and BEATS are the phases' lengths,
# INTERVAL is the time between two heartbeats of a client. There are PHASES (3)
# phases with heartbeats; in the end it is said of each whether its latencies are
# the server's. PIN=1 gives the servers the first half of the processors and the
# generator the other: fewer wait for each other, connecting may take longer. SLACK is
# the servers' and the generator's timer slack in ms (needs python3), of which
# wsd@.service has 4.
#
# The processes are one cluster: the first has the NATS server inside, the others
# connect to that. All of them wait for it, so it has a nice value of -10, if root runs
# this. When all clients are connected, and what that took is over, one message is
# published to all of them at the first process; it says how long the last client took.
# CLUSTER=0: without.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${1:-200000} dir=${2:-docs/benchmarks}
hold=${HOLD:-$((20 + clients / 10000))s} beats=${BEATS:-30s} interval=${INTERVAL:-30s} phases=${PHASES:-3} pin=${PIN:-0} cluster=${CLUSTER:-1}
address=127.0.66.1 # where no outgoing connection takes a port away
each=$(($(ulimit -n) - 500)) # what a server keeps for itself, generously
count=$(((clients + each - 1) / each))
args=() left=() right=()
if [ "$pin" = 1 ] && [ "$(nproc)" -gt 1 ]; then
  half=$(($(nproc) / 2))
  left=(taskset -c "0-$((half - 1))") right=(taskset -c "$half-$(($(nproc) - 1))")
fi
admin=$address:20000 nats=$address:19999
for ((i = 0; i < count; i++)); do
  port=$((20001 + i)) own=(--admin none) start=(${slacken[@]+"${slacken[@]}"})
  if [ "$cluster" = 1 ]; then
    own+=(--cluster scale --node "p$i" --cluster-nats "nats://$nats")
    [ "$i" != 0 ] || own=(--admin "$admin" --cluster scale --node p0 --cluster-listen "$address:19998" --cluster-clients "$nats")
    [ "$i$EUID" != 00 ] || start+=(nice -n -10)
  fi
  GOMAXPROCS=1 ${left[@]+"${left[@]}"} ${start[@]+"${start[@]}"} "$WSD" serve --listen "$address:$port" "${own[@]}" --idle-timeout 30m --drain-time 1s \
    --log-level error 2>"$work/$port.log" &
  servers+=($!)
  [ "$cluster$i" != 10 ] || listens "$!" "$address:$port" "$work/$port.log" # before the others, who need it
  args+=(--url "ws://$address:$port/ws" --pid $!)
done
for ((i = 0; i < count; i++)); do
  listens "${servers[i]}" "$address:$((20001 + i))" "$work/$((20001 + i)).log"
done
mkdir -p "$dir"
{
  cat <<E
payload: '{"actioncode":"heart_beat"}'
expect: '"success"'
phases:
- {name: ramp, kind: ramp, concurrency: 256}
- {name: idle, kind: hold, duration: $hold}
E
  for ((i = 1; i <= phases; i++)); do
    echo "- {name: beats$i, kind: open, interval: $interval, duration: $beats}"
  done
} >"$work/scale.yaml"
# publish waits until all clients are connected, and for the processes to come to rest, and
# then publishes once. An answer that says only that it goes on is asked for again.
publish() {
  local n=0
  until [ "$n" -ge "$clients" ]; do
    sleep 1
    n=$(curl -s "http://$admin/v1/nodes" | grep -o '"clients":[0-9]*' | awk -F: '{ n += $2 } END { print n + 0 }')
  done
  sleep $((5 + clients / 50000))
  until grep -q '"matched"' "$work/publish"; do
    curl -sf -H 'Idempotency-Key: once' -d 'to all' "http://$admin/v1/publish?all" >"$work/publish" || sleep 1
  done
}
touch "$work/publish"
if [ "$cluster" = 1 ]; then publish & fi
publishing=$!
status=0
${right[@]+"${right[@]}"} ${slacken[@]+"${slacken[@]}"} "$WSD" bench "${args[@]}" --clients "$clients" --scenario "$work/scale.yaml" \
  --json "$dir/scale-$clients.json" --html "$dir/scale-$clients.html" --assert 'failed=0,loss=0,closes=0' || status=$?
echo
if [ "$cluster" = 1 ]; then
  kill "$publishing" 2>/dev/null || :
  echo "published once to all: $(grep . "$work/publish" || echo 'no answer in time')"
fi
# The reasons are under "limits" of the report, each with its phase's name.
for ((i = 1; i <= phases; i++)); do
  if reason=$(grep -F "\"phase \\\"beats$i\\\":" "$dir/scale-$clients.json"); then
    reason=${reason#*:} reason=${reason%,}
    echo "beats$i: counts are valid, latencies are not the server's alone:${reason%\"}"
  else
    echo "beats$i: valid"
  fi
done
exit $status
