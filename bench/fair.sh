#!/usr/bin/env bash
# What clients that ask for as much as the limits allow do to the others: for
# each kind of them (bench/attack), beside QUIET clients,
#
#   publish    the time until a publish to all has reached the last, median of 15
#   p50, p99   of the quiet clients' heartbeats, and by how much the generator itself
#              was late (p99): where that is as much, it says nothing of the server
#   upgrade    how long a live upgrade takes, if it succeeds
#
#   bench/fair.sh [KIND...]                 all if none is named; alone is first
#
# Server and generators have a processor each, 0 and 1; of the generators the
# attackers get what the measuring one leaves. Variables, with defaults:
#
#   WSD          the program (built)
#   QUIET        well-behaved clients (2000)
#   RATE         heartbeats a second of all of them (2000)
#   ATTACKERS    (32)
#   SECONDS_EACH of heartbeats (3)
#   PORT         of the server on 127.0.67.1, and the next for publishes (18066)
#
# Needs bash, awk, taskset, chrt. Takes some seven seconds a kind.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
quiet=${QUIET:-2000} rate=${RATE:-2000} attackers=${ATTACKERS:-32} seconds=${SECONDS_EACH:-3}
host=127.0.67.1
listen=$host:${PORT:-18066} admin=$host:$((${PORT:-18066} + 1))
beat='{"actioncode":"heart_beat"}'
go build -o "$work/attack" ./bench/attack
kinds=(beats whoami subscribe topics echo json fields ids fragments pings burst one broadcast tokens newcomers)

# A public key on P-256: a signature takes long to look at.
cat >"$work/key.pem" <<'E'
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----
E

scenario() {
  cat <<E
clients: $quiet
targets: [ws://$listen/ws]
publish: ['http://$admin/v1/publish?all']
phases:
- {name: ramp, kind: ramp, concurrency: 128}
- {name: beat, kind: open, rate: $rate, duration: ${seconds}s, payload: '$beat', expect: '"success"'}
- {name: publish, kind: publish, count: 15, duration: 20s}
E
}

flags() { # kind: what the server has to be told for it, by word
  case $1 in
    pings) echo --control-rate 1000000 ;;
    broadcast) echo --client-fanout ;;
    tokens) echo --token-key-file "$work/key.pem" ;;
  esac
}

figures() { # a report: p50, p99 and own lag of the heartbeats, median of the publishes, in ms
  awk -F '[:,] *' '
    /^   "name":/ { gsub(/"/, "", $2); name = $2 }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    /^    "p50":/ { p50[name, at] = $2 }
    /^    "p99":/ { p99[name, at] = $2 }
    END { printf "%.2f %.2f %.2f %.1f\n", p50["beat", "latency_us"]/1e3, p99["beat", "latency_us"]/1e3, p99["beat", "lag_us"]/1e3, p50["publish", "latency_us"]/1e3 }' "$1"
}

upgrade() { # sets upgraded: the time it took in ms, or what it said
  local began=${EPOCHREALTIME/./} heir
  if timeout 40 taskset -c 1 "$WSD" upgrade --pid "$server" >"$work/upgrade" 2>&1; then
    upgraded=$(((${EPOCHREALTIME/./} - began) / 1000))
    heir=$(sed -E 's/[^0-9]*([0-9]+).*/\1/;q' "$work/upgrade")
    kill "$heir" && while kill -0 "$heir" 2>/dev/null; do sleep 0.1; done
  else
    upgraded=$(tail -1 "$work/upgrade" | cut -c1-90)
  fi
}

measure() { # kind, or alone
  # shellcheck disable=SC2046
  serve 0 1 "$listen" --admin "$admin" $(flags "$1")
  if [ "$1" != alone ]; then
    chrt --idle 0 taskset -c 1 "$work/attack" -url "ws://$listen/ws" -kind "$1" -clients "$attackers" 2>"$work/attack.log" &
    servers+=($!)
    sleep 0.5
  fi
  scenario >"$work/fair.yaml"
  run taskset -c 1 "$WSD" bench --scenario "$work/fair.yaml" --workers 1 --json "$work/fair.json"
  read -r p50 p99 lag publish < <(figures "$work/fair.json")
  [ "$1" != alone ] || alone=$publish
  upgrade
  printf '  %-10s %11s %9s %9s %9s %9s   %s\n' "$1" "$publish" \
    "$(awk -v a="$publish" -v b="${alone:-0}" 'BEGIN { if (b > 0) printf "%.1f", a/b; else print "-" }')" "$p50" "$p99" "$lag" "$upgraded"
  stop
}

printf '  %-10s %11s %9s %9s %9s %9s   %s\n' kind 'publish ms' '/ alone' 'p50 ms' 'p99 ms' 'own lag' 'upgrade ms'
[ $# -gt 0 ] || set -- "${kinds[@]}"
for kind in alone "$@"; do measure "$kind"; done
