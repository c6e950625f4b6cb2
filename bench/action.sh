#!/usr/bin/env bash
# What an application's action costs on a worker: processor time a message and
# latency, beside the same action on the client's loop, and beside a goroutine per
# client (gorilla), in turn, at 10,000 messages a second and at 1,000.
#
#   bench/action.sh
#
# Variables, with defaults: WSD, the program (built), CLIENTS (2000), SECONDS_EACH
# (5), ROUNDS (7), PORT on 127.0.67.1 (18086; the next one is used, too).
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${CLIENTS:-2000} seconds=${SECONDS_EACH:-5} rounds=${ROUNDS:-7}
address=127.0.67.1:${PORT:-18086} admin=127.0.67.1:$((${PORT:-18086} + 1))
action='{"actioncode":"say","data":{"room":"lobby","text":"hello to all of you here","at":1764400000}}'
mkdir "$work/peers"
go build -C bench/peers -o "$work/peers" ./wsd ./gorilla

figures() { # report: processor time a message in µs; p50, p99 and the generator's own lag in ms
  awk -F '[:,] *' '
    /^   "name":/ { gsub(/"/, "", $2); name = $2 }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    name != "open" { next }
    /^    "p50":/ && at == "latency_us" { p50 = $2 / 1e3 }
    /^    "p99":/ && at == "latency_us" { p99 = $2 / 1e3 }
    /^    "p99":/ && at == "lag_us" { lag = $2 / 1e3 }
    /^    "cpu_us_per_event":/ && at == "server" { cpu = $2 }
    END { printf "%.1f %.3f %.3f %.3f\n", cpu, p50, p99, lag }' "$1"
}

printf '%-6s %-6s %-8s %10s %10s %10s %10s\n' round rate where 'cpu, µs' 'p50, ms' 'p99, ms' 'lag, ms'
for ((i = 1; i <= rounds; i++)); do
  for where in worker loop gorilla; do
    case $where in
      worker) command=("$work/peers/wsd") ;;
      loop) command=("$work/peers/wsd" --inline) ;;
      gorilla) command=("$work/peers/gorilla") ;;
    esac
    GOMAXPROCS=1 taskset -c 0 "${command[@]}" --listen "$address" --admin "$admin" 2>"$work/server.log" &
    server=$!
    servers+=("$server")
    listens "$server" "$address" "$work/server.log"
    for rate in 10000 1000; do
      run taskset -c 1 "$WSD" bench --url "ws://$address/ws" --clients "$clients" --workers 1 --hold 0s --pid "$server" \
        --rate "$rate" --duration "${seconds}s" --payload "$action" --expect '"success"' --json "$work/report.json"
      # shellcheck disable=SC2046,SC2183
      printf '%-6d %-6d %-8s %10s %10s %10s %10s\n' "$i" "$rate" "$where" $(figures "$work/report.json") | tee -a "$work/all"
    done
    stop
  done
done
awk "$median"'
  { key = $2 " " $3; n[key]++; cpu[key, n[key]] = $4; p99[key, n[key]] = $6 }
  function of(v, key,   i, a) { for (i = 1; i <= n[key]; i++) a[i] = v[key, i]; return median(n[key], a) }
  function times(a, b,   i, r) { for (i = 1; i <= n[a]; i++) r[i] = cpu[a, i] / cpu[b, i]; return median(n[a], r) }
  END {
    for (rate = 10000; rate >= 1000; rate /= 10) {
      w = rate " worker"; l = rate " loop"; g = rate " gorilla"
      printf "%d/s, medians of %d rounds: CPU on a worker %.1f µs, on the loop %.1f, gorilla %.1f; in the same round a worker takes %.2f of gorilla and %.2f of the loop; p99 %.2f ms, gorilla %.2f, the loop %.2f\n",
        rate, n[w], of(cpu, w), of(cpu, l), of(cpu, g), times(w, g), times(w, l), of(p99, w), of(p99, g), of(p99, l)
    }
  }' "$work/all"
