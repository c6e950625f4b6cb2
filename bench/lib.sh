# shellcheck shell=bash
# What the scripts of this folder share: sourced by them, from anywhere. The
# working directory becomes the repository's root, WSD is built if it is not set,
# and at the end, or a signal, whatever was started stops.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
work=$(mktemp -d)
servers=() load='' # pids; of the server that serve started last: server

# slacken is a command that runs its arguments with a timer slack of SLACK ms, if that is set.
slacken=()
[ -z "${SLACK:-}" ] || slacken=(python3 -c 'import ctypes, os, sys
ctypes.CDLL(None).prctl(29, int(float(sys.argv[1]) * 1e6)) # PR_SET_TIMERSLACK
os.execvp(sys.argv[2], sys.argv[2:])' "$SLACK")

stop() { # the generator first: it should not see the servers go
  for pid in $load ${servers[@]+"${servers[@]}"}; do kill "$pid" 2>/dev/null || true; done
  wait
  load='' servers=()
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

if [ -z "${WSD:-}" ]; then
  WSD=$work/wsd
  go build -o "$WSD" ./cmd/wsd
fi

serve() { # processors, loops, address, flags: a server that listens
  GOMAXPROCS=$2 taskset -c "$1" ${slacken[@]+"${slacken[@]}"} "$WSD" serve --loops "$2" --listen "$3" --drain-time 1s --log-level error "${@:4}" 2>"$work/server.log" &
  server=$!
  servers+=("$server")
  listens "$server" "$3" "$work/server.log"
}

listens() { # pid, address, log: waits for a server that was started
  local k
  for ((k = 0; k < 100; k++)); do
    (exec 3<>"/dev/tcp/${2%:*}/${2##*:}") 2>/dev/null && return
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server at $2 did not start:" "$(cat "$3")" >&2
  exit 1
}

run() { # command of a generator, to its end; it writes to $work/out
  "$@" >"$work/out" 2>&1 &
  load=$!
  wait "$load" || { echo "failed: $*" >&2; tail -5 "$work/out" >&2; exit 1; }
  load=''
}

loops() { # server or generator, a report: loop, its µs per message, messages a second, own lag (p99, ms)
  awk -F '[:,] *' -v who="$1" '
    /^   "name":/ { gsub(/"/, "", $2); name = $2; lag = "-" }
    /^   "[a-z_]+": \{/ { at = $1; gsub(/[ "]/, "", at) }
    /^   "seconds":/ { seconds = $2 }
    /^   "messages":/ { n = $2 }
    /^    "p99":/ && at == "lag_us" { lag = $2 / 1e3 }
    /^    "cpu_us_per_event":/ && at == who && (name == "closed" || name == "open") { print name, $2, n / seconds, lag }' "$2"
}

# For awk programs: median(n, of) of the first n values, which it sorts.
# shellcheck disable=SC2034
median='
  function median(n, of,   i, j, t) {
    for (i = 2; i <= n; i++) for (j = i; j > 1 && of[j-1] > of[j]; j--) { t = of[j]; of[j] = of[j-1]; of[j-1] = t }
    return n % 2 ? of[(n+1)/2] : (of[n/2] + of[n/2+1]) / 2
  }'
