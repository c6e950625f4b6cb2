package host

import (
	"strconv"
	"strings"
)

// readTCPPages is how many pages all TCP sockets hold now, of all namespaces.
func readTCPPages(t tree) int64 {
	for _, line := range t.lines("proc/self/net/sockstat") {
		v := strings.Fields(line)
		if len(v) == 0 || v[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(v); i += 2 {
			if v[i] == "mem" {
				n, _ := strconv.ParseInt(v[i+1], 10, 64)
				return n
			}
		}
	}
	return 0
}

// readTCPExt takes the extended TCP counters: a line of names is followed by a
// line of numbers, both led by the same word.
func readTCPExt(t tree) map[string]uint64 {
	out := map[string]uint64{}
	var names []string
	for _, line := range t.lines("proc/self/net/netstat") {
		rest, ok := strings.CutPrefix(line, "TcpExt:")
		if !ok {
			continue
		}
		v := strings.Fields(rest)
		if names == nil {
			names = v
			continue
		}
		for i := 0; i < len(v) && i < len(names); i++ {
			if n, err := strconv.ParseUint(v[i], 10, 64); err == nil {
				out[names[i]] = n
			}
		}
		names = nil
	}
	return out
}

// readSoftnetDrops adds up the second column, in hexadecimal, of each
// processor's line: packets that found the input queue full.
func readSoftnetDrops(t tree) uint64 {
	var sum uint64
	for _, line := range t.lines("proc/self/net/softnet_stat") {
		if v := strings.Fields(line); len(v) >= 2 {
			n, _ := strconv.ParseUint(v[1], 16, 64)
			sum += n
		}
	}
	return sum
}
