#!/usr/bin/env bash
# What a cluster costs, on one machine:
#
#   publish  the time from a publish to all until the last client has it: four nodes
#            that share the clients, against one process with as many; and against four
#            processes that know nothing of each other, each of which is published to
#   cpu      processor time of a publish and peer: streams of publishes at one of two
#            and of four nodes, against a process alone; nobody is connected
#   idle     memory and processor time of a node that has nothing to do, with its NATS
#            server inside: alone, and as one of four; against a process without --cluster
#   many     processor time of NODES processes on one host that have nothing to do, of which
#            the first has the NATS server for all; against as many without --cluster
#   size     of the program, as the packages have it, and without a cluster
#
#   bench/cluster.sh [publish] [cpu] [idle] [many] [size]     all if none is named
#
# All servers of a part are up all the time, and are measured in turn, so that what else
# the machine does hits all of them; figures are medians of the rounds. Each server has
# one loop, and all of them share processor 0; generators have processor 1.
#
# Variables, with defaults: WSD, the program (built); CLIENTS in all (4000); PUBLISHES of
# a round (30); MESSAGES of a stream (5000); ROUNDS (7); SECONDS_EACH of idling (10); NODES of many (50);
# BASE, the first of some 400 ports on 127.0.67.1 (18300); SLACK, the servers' timer
# slack in ms, of which wsd@.service has 4 (the kernel's own: 0.05).
#
# Needs bash, awk, curl, taskset; with SLACK python3.
set -euo pipefail
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
clients=${CLIENTS:-4000} publishes=${PUBLISHES:-30} messages=${MESSAGES:-5000} rounds=${ROUNDS:-7} seconds=${SECONDS_EACH:-10} processes=${NODES:-50}
host=127.0.67.1 # where no outgoing connection takes a port away
port=${BASE:-18300}

fleet() { # name, processes, "apart": no cluster, "hub": one NATS server; sets pids_NAME, urls_NAME, admin_NAME, posts_NAME (where to publish)
  local name=$1 nodes=$2 i first=$host:$((port + 2)) nats=$host:$((port + 3)) flags
  local -n pids=pids_$1 urls=urls_$1 admin=admin_$1 posts=posts_$1
  pids=() urls=() admin=$host:$((port + 1)) posts="http://$host:$((port + 1))/v1/publish?all"
  for ((i = 1; i <= nodes; i++)); do
    case ${3:-}$i in
      apart1) flags=() ;;
      apart*) flags=() posts+=",http://$host:$((port + 1))/v1/publish?all" ;;
      hub1) flags=(--cluster-listen "$first" --cluster-clients "$nats") ;;
      hub*) flags=(--cluster-nats "nats://$nats") ;;
      1) flags=(--cluster-listen "$first") ;;
      *) flags=(--cluster-listen "$host:$((port + 2))" --cluster-peers "$first") ;;
    esac
    [ "${3:-}" = apart ] || flags+=(--cluster "$name" --node "n$i")
    serve 0 1 "$host:$port" --admin "$host:$((port + 1))" ${flags[@]+"${flags[@]}"}
    pids+=("$server") urls+=("ws://$host:$port/ws")
    port=$((port + 4))
  done
  [ "$nodes" -lt 2 ] || [ "${3:-}" = apart ] || together "$admin" "$nodes"
}

together() { # admin, nodes: waits until they know each other
  local k
  for ((k = 0; k < 100; k++)); do
    curl -sf "http://$1/v1/nodes" | grep -o '"state":"ready"' | wc -l | grep -qx "$2" && return
    sleep 0.1
  done
  echo "the nodes at $1 do not find each other" >&2
  exit 1
}

used() { # pids: nanoseconds of processor time so far, all threads
  local pid
  for pid; do cat /proc/"$pid"/task/*/schedstat; done | awk '{ s += $1 } END { printf "%.0f\n", s }'
}

resident() { # pid: KiB
  awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

publish() {
  fleet one 1 apart && fleet apart 4 apart && fleet four 4
  local i who
  for ((i = 0; i < rounds; i++)); do
    for who in one apart four; do
      local -n targets=urls_$who at=posts_$who all=pids_$who
      run taskset -c 1 "$WSD" bench --url "$(IFS=,; echo "${targets[*]}")" --clients "$clients" --workers 1 --hold 0s \
        --publish "$at" --publishes "$publishes" --pid "$(IFS=,; echo "${all[*]}")" --json "$work/fan.json"
      awk -v who="$who" -F '[:,] *' '/"to_last_us"/ { on = 1 } on && /"p50"/ { p50 = $2 } /"publish_call_us"/ { on = 0 } END { print who, p50 / 1e3 }' "$work/fan.json"
    done
  done >"$work/publish"
  awk -v clients="$clients" -v rounds="$rounds" -v publishes="$publishes" "$median"'
    { v[$1, ++n[$1]] = $2 } $1 == "four" { d[n[$1]] = $2 - v["one", n[$1]]; e[n[$1]] = $2 - v["apart", n[$1]] }
    function of(k,   i, a) { for (i = 1; i <= n[k]; i++) a[i] = v[k, i]; return median(n[k], a) }
    function least(k,   i, l) { l = v[k, 1]; for (i = 2; i <= n[k]; i++) if (v[k, i] < l) l = v[k, i]; return l }
    END {
      printf "publish: to the last of %d clients, medians of %d rounds of %d: one process %.2f ms, four apart %.2f, four nodes %.2f; difference of each round, median: to one process %+.2f ms, to four apart %+.2f; least of the rounds %.2f, %.2f and %.2f ms\n",
        clients, rounds, publishes, of("one"), of("apart"), of("four"), median(n["four"], d), median(n["four"], e), least("one"), least("apart"), least("four")
    }' "$work/publish"
  stop
}

cpu() {
  fleet one 1 apart && fleet two 2 && fleet four 4
  awk -v n="$messages" 'BEGIN { for (i = 0; i < n; i++) printf "{\"all\":true,\"text\":\"%0128d\"}\n", i }' >"$work/lines"
  local i who before
  for ((i = 0; i < rounds; i++)); do
    for who in one two four; do
      local -n at=admin_$who all=pids_$who
      before=$(used "${all[@]}")
      run taskset -c 1 curl -sSf --data-binary "@$work/lines" "http://$at/v1/publish/stream?answer=errors"
      grep -q "\"published\":$messages,\"failed\":0" "$work/out" || { echo "the stream failed: $(cat "$work/out")" >&2; exit 1; }
      echo "$who" $(($(used "${all[@]}") - before))
    done
  done >"$work/cpu"
  awk -v messages="$messages" -v rounds="$rounds" "$median"'
    { v[$1, ++n[$1]] = $2 / messages / 1e3 }
    function of(k,   i, a) { for (i = 1; i <= n[k]; i++) a[i] = v[k, i]; return median(n[k], a) }
    function least(k,   i, l) { l = v[k, 1]; for (i = 2; i <= n[k]; i++) if (v[k, i] < l) l = v[k, i]; return l }
    END {
      one = of("one"); two = of("two"); four = of("four")
      printf "cpu: of a publish of 128 bytes in a stream, all processes, medians of %d rounds of %d: alone %.1f µs, two nodes %.1f, four %.1f: %.1f µs a peer of three, %.1f the only one; least: alone %.1f, two %.1f, four %.1f\n",
        rounds, messages, one, two, four, (four - one) / 3, two - one, least("one"), least("two"), least("four")
    }' "$work/cpu"
  stop
}

# of(v, k) is the median of the n[k] values of k in v.
of='
  function of(v, k,   i, a) { for (i = 1; i <= n[k]; i++) a[i] = v[k, i]; return median(n[k], a) }'

idle() {
  fleet plain 1 apart && fleet single 1 && fleet four 4
  sleep 5 # what starting takes is over
  local i who
  for ((i = 0; i < rounds; i++)); do
    for who in plain single four; do
      local -n all=pids_$who
      used "${all[0]}" >"$work/before-$who"
    done
    sleep "$seconds"
    for who in plain single four; do
      local -n all=pids_$who
      echo "$who" $(($(used "${all[0]}") - $(cat "$work/before-$who"))) "$(resident "${all[0]}")"
    done
  done >"$work/idle"
  awk -v seconds="$seconds" -v rounds="$rounds" "$median$of"'
    { n[$1]++; c[$1, n[$1]] = $2 / seconds / 1e7; m[$1, n[$1]] = $3 / 1024 }
    END {
      printf "idle: medians of %d times %d s: without --cluster %.3f %% of a core, %.1f MiB resident", rounds, seconds, of(c, "plain"), of(m, "plain")
      printf "; a node alone %+.3f %%, %+.1f MiB", of(c, "single") - of(c, "plain"), of(m, "single") - of(m, "plain")
      printf "; one of four %+.3f %%, %+.1f MiB\n", of(c, "four") - of(c, "plain"), of(m, "four") - of(m, "plain")
    }' "$work/idle"
  stop
}

many() {
  fleet plain "$processes" apart && fleet hub "$processes" hub
  sleep 5
  local i who
  for ((i = 0; i < rounds; i++)); do
    for who in plain hub; do
      local -n all=pids_$who
      used "${all[0]}" >"$work/first-$who"
      used "${all[@]:1}" >"$work/others-$who"
    done
    sleep "$seconds"
    for who in plain hub; do
      local -n all=pids_$who
      echo "$who" $(($(used "${all[0]}") - $(cat "$work/first-$who"))) $(($(used "${all[@]:1}") - $(cat "$work/others-$who")))
    done
  done >"$work/many"
  awk -v seconds="$seconds" -v rounds="$rounds" -v nodes="$processes" "$median$of"'
    { n[$1]++; first[$1, n[$1]] = $2 / seconds / 1e7; other[$1, n[$1]] = $3 / seconds / 1e7 / (nodes - 1) }
    END {
      printf "many: medians of %d times %d s, %d processes: without --cluster %.2f %% of a core each; the one that has NATS inside %.2f %%, each of the others %.2f %%\n",
        rounds, seconds, nodes, of(other, "plain"), of(first, "hub"), of(other, "hub")
    }' "$work/many"
  stop
}

size() {
  local tags
  for tags in '' noembed nocluster nocluster,nethttpomithttp2; do
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -tags "$tags" -o "$work/sized" ./cmd/wsd
    echo "size: ${tags:-all in}: $(stat -c %s "$work/sized") bytes"
  done
}

parts=("$@")
[ $# -gt 0 ] || parts=(publish cpu idle many size)
for part in "${parts[@]}"; do
  case $part in
    publish | cpu | idle | many | size) "$part" ;;
    *) echo "no part: $part" >&2; exit 2 ;;
  esac
done
